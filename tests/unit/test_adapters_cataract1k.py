"""Cataract-1K: phases on the video's clock, instances on stills."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import coco_file, put, read, rules
from .native_specialties import CASE, INSTANCES, STILLS, cataract1k, instance

PHASES = f"{CASE}_annotations_phases.csv"
HEADER = "caseId,comment,frame,endFrame,sec,endSec\n"


def test_phases_keep_the_seconds_and_frames_of_the_file_and_an_empty_one_is_rejected(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    labels = read("cataract1k", tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    assert labels["intervals"].select(columns).rows() == [("case_5013", "Incision", 240, 796, 4.004, 13.28, "line 2")]
    assert sorted(rules(labels)) == ["empty_interval", "run_length_mask"]


def test_polygons_are_masks_of_one_instance_and_run_lengths_leave_the_box(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    labels = read("cataract1k", tmp_path)
    columns = ["video", "frame_index", "raw_value", "instance", "locator"]
    pupil = ("case5013", 1, "Pupil", "1", "/annotations/0")
    assert labels["masks"].select(columns).rows() == [pupil, pupil]
    assert labels["masks"]["polygon"].to_list() == [[0, 0, 4, 0, 4, 4], [8, 8, 9, 8, 9, 9]]
    assert labels["boxes"].select(columns).rows() == [pupil, ("case5013", 1, "Slit Knife", "2", "/annotations/1")]
    assert labels["boxes"].select("x1", "y1", "x2", "y2", "unit", "width").row(0) == (1, 2, 4, 6, "pixel", 16)


def test_stills_and_video_of_a_case_are_two_sequences_of_one_procedure(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    stills, video = adapters()["cataract1k"].videos(tmp_path)
    assert (stills.video, stills.media, stills.path, stills.patient) == ("case5013", "images", STILLS, "5013")
    assert (video.video, video.media, video.patient) == ("case_5013", "video", "5013")
    assert video.frame_rate == 59.94005994
    assert read("cataract1k", tmp_path)["images"].select("video", "frame_index").rows() == [
        ("case5013", 1),
        ("case5013", 2),
    ]


def test_without_a_stated_rate_the_files_own_seconds_must_fit_the_usual_one(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    (tmp_path / f"{CASE}_video.csv").unlink()
    assert read("cataract1k", tmp_path)["intervals"].height == 1
    put(tmp_path, PHASES, f"{HEADER}5013,Incision,100,200,4,8\n")  # 25 frames a second
    with pytest.raises(SourceError) as error:
        read("cataract1k", tmp_path)
    assert (error.value.file, error.value.place, error.value.found) == (PHASES, "line 2", "100")


def test_the_parts_may_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, f"Phase_recognition_dataset/{PHASES}", f"{HEADER}5013,Incision,240,796,4.004,13.28\n")
    assert adapters()["cataract1k"].detect(tmp_path)
    assert read("cataract1k", tmp_path)["intervals"].height == 1


def test_stills_lie_in_the_folder_as_the_readme_spells_it_too(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    spelt = tmp_path / "Annotations/Images_and_Supervisely_Annotations"
    (tmp_path / "Annotations/Images-and-Supervisely-Annotations").rename(spelt)
    stills, _ = adapters()["cataract1k"].videos(tmp_path)
    assert (stills.media, stills.path) == ("images", STILLS.replace("-", "_"))
    assert read("cataract1k", tmp_path)["images"].height == 2


def test_the_extended_release_is_said_to_be_recognised_and_not_read(tmp_path: Path) -> None:
    put(tmp_path, "annotations.csv", "VideoID,FrameNo,Phase\n5013,1,3\n")
    put(tmp_path, "videos/case_5013.mp4", b"")
    found = {name: evidence for name, one in adapters().items() if (evidence := one.detect(tmp_path))}
    assert found == {"cataract1k": "Cataract-1K: found annotations.csv of the extended release, which is not read"}
    with pytest.raises(SourceError, match=r"annotations\.csv, line 1: expected the release of 56 videos.* 303 videos"):
        adapters()["cataract1k"].videos(tmp_path)
    cataract1k(tmp_path)
    assert "case_5013_annotations_phases.csv" in str(adapters()["cataract1k"].detect(tmp_path))
    assert read("cataract1k", tmp_path)["intervals"].height == 1


@pytest.mark.parametrize(
    ("box", "place"),
    [
        (instance(1, 3, 9, []), "/annotations/0"),
        (instance(1, 3, 7, [[1, 2, 3]]), "/annotations/0/segmentation"),
        (instance(1, 3, 7, [[1, 2, 3, 4, 5, None]]), "/annotations/0/segmentation"),
        (instance(1, 4, 7, []), "/annotations/0"),
    ],
    ids=["category", "short polygon", "null in polygon", "image"],
)
def test_an_annotation_that_is_not_coco_is_an_error_at_its_pointer(
    box: dict[str, object], place: str, tmp_path: Path
) -> None:
    cataract1k(tmp_path)
    images = [{"id": 3, "file_name": "case5013_01.png", "width": 16, "height": 16}]
    put(tmp_path, INSTANCES, coco_file(images, [box], categories=[{"id": 7, "name": "Pupil"}]))
    with pytest.raises(SourceError) as error:
        read("cataract1k", tmp_path)
    assert (error.value.file, error.value.place) == (INSTANCES, place)


def test_a_still_of_another_case_is_an_error(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    images = [{"id": 3, "file_name": "case5014_01.png", "width": 16, "height": 16}]
    put(tmp_path, INSTANCES, coco_file(images, [instance(1, 3, 7, [])], categories=[{"id": 7, "name": "Pupil"}]))
    with pytest.raises(SourceError, match=r"expected case5013_number.png"):
        read("cataract1k", tmp_path)


def test_truncated_json_is_an_error_where_it_ends(tmp_path: Path) -> None:
    cataract1k(tmp_path)
    put(tmp_path, INSTANCES, (tmp_path / INSTANCES).read_bytes()[:-20])
    with pytest.raises(SourceError, match="found the end of the file"):
        read("cataract1k", tmp_path)
