"""AutoLaparo: phases by the second, clips with grey masks."""

from pathlib import Path

import pytest

from surgsigma_dagster.identity.procedures import claims_of, procedure_of, split_of
from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_specialties import autolaparo, blocks, picture

LABEL = "task1/labels/label_01.txt"
MASK = "AutoLaparo_Task3/masks/007001.png"


def test_phases_are_runs_of_seconds_from_one_named_by_their_ids(tmp_path: Path) -> None:
    autolaparo(tmp_path)
    columns = ["video", "raw_value", "start_s", "end_s", "start_frame", "locator", "n_rows"]
    assert read("autolaparo", tmp_path)["intervals"].select(columns).rows() == [
        ("01", "Preparation", 0.0, 3.0, None, "lines 2-4", 3),
        ("01", "Dividing Ligament and Peritoneum", 3.0, 5.0, None, "lines 5-6", 2),
        ("01", "Preparation", 5.0, 6.0, None, "line 7", 1),
    ]


def test_a_mask_holds_the_classes_whose_values_it_holds(tmp_path: Path) -> None:
    autolaparo(tmp_path)
    columns = ["video", "frame_index", "raw_value", "mask_file", "mask_value", "width", "height"]
    assert read("autolaparo", tmp_path)["masks"].select(columns).rows() == [
        ("007", 1, "tool1m", MASK, 20, 32, 16),
        ("007", 1, "tool1s", MASK, 40, 32, 16),
        ("007", 1, "uterus", MASK, 180, 32, 16),
    ]


def test_every_class_is_in_a_frame_or_not_even_where_the_mask_is_all_background(tmp_path: Path) -> None:
    autolaparo(tmp_path)
    presences = read("autolaparo", tmp_path)["presences"]
    assert presences.group_by("frame_index").len().sort("frame_index").rows() == [(1, 9), (125, 9)]
    seen = presences.filter("present").select("frame_index", "field", "raw_value").rows()
    assert seen == [(1, "object", "tool1m"), (1, "object", "tool1s"), (1, "object", "uterus")]


def test_a_clip_counts_25_frames_a_second_from_one(tmp_path: Path) -> None:
    autolaparo(tmp_path)
    put(tmp_path, "AutoLaparo_Task3/imgs/300050.jpg", picture(blocks(90), ".jpg"))
    videos = {video.video: video for video in adapters()["autolaparo"].videos(tmp_path)}
    clip = videos["007"]
    assert (clip.media, clip.path, clip.first_index) == ("images", "AutoLaparo_Task3/imgs", 1)
    first, last = ((frame - clip.first_index) / clip.frame_rate for frame in (1, 125))
    assert (first, last) == (0.0, 4.96)
    assert (videos["01"].media, videos["01"].first_index) == ("video", 0)
    shown = read("autolaparo", tmp_path)["images"].select("video", "frame_index").rows()
    assert shown == [("007", 1), ("007", 125), ("300", 50)]


@pytest.mark.parametrize("source", ["autolaparo", "lab"])
def test_no_clip_is_a_video_of_task_1_and_none_is_trained_on(source: str, tmp_path: Path) -> None:
    autolaparo(tmp_path)
    for name in ("003001.jpg", "020001.jpg", "300001.jpg"):
        put(tmp_path, f"AutoLaparo_Task3/imgs/{name}", picture(blocks(90), ".jpg"))
    listed = adapters()["autolaparo"].videos(tmp_path)
    shown = {video.video: procedure_of(source, "autolaparo", video)[0] for video in listed}
    assert len({*shown.values()}) == len(shown)
    splits = dict(split_of(shown.values(), 7, {}).select("procedure_id", "split").iter_rows())
    assert {name: splits[procedure] for name, procedure in shown.items()} == {
        "01": "train", "003": "test", "007": "test", "020": "test", "300": "test",
    }  # fmt: skip
    assert claims_of(shown["003"]) == {}


@pytest.mark.parametrize("patient", ["task 3", "P-3", "3b"])
@pytest.mark.parametrize("dataset", ["autolaparo", "endoscapes"])
def test_digits_in_the_name_of_a_patient_are_no_number_of_a_video(dataset: str, patient: str) -> None:
    assert claims_of(f"{dataset}/{patient}") == {}
    assert claims_of(f"{dataset}/03") == {dataset: "train"}


@pytest.mark.parametrize("base", ["", "AutoLaparo_Task1/"])
def test_the_folder_of_a_task_may_be_the_root(base: str, tmp_path: Path) -> None:
    put(tmp_path, f"{base}labels/label_21.txt", "Frame\tPhase\n1\t7\n")
    put(tmp_path, f"{base}videos/21.mp4", b"")
    assert adapters()["autolaparo"].detect(tmp_path)
    (video,) = adapters()["autolaparo"].videos(tmp_path)
    assert (video.path, read("autolaparo", tmp_path)["intervals"]["raw_value"].item()) == (
        f"{base}videos/21.mp4",
        "Washing",
    )


def test_an_unexpected_value_and_an_unreadable_mask_are_rejected_alone(tmp_path: Path) -> None:
    autolaparo(tmp_path)
    put(tmp_path, MASK, picture(blocks(0, 20, 21)))
    put(tmp_path, "AutoLaparo_Task3/masks/007025.png", picture(blocks(0))[:40])
    labels = read("autolaparo", tmp_path)
    assert labels["masks"]["mask_value"].to_list() == [20]
    assert sorted(labels["rejects"].select("rule", "raw_value").rows()) == [
        ("unexpected_mask_value", "21"),
        ("unreadable_mask", None),
    ]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("1\t1\n2\t1\n", "line 1"),
        ("Frame\tPhase\n0\t1\n", "line 2"),
        ("Frame\tPhase\n1\t1\n2\t8\n", "line 3"),
        ("Frame\tPhase\n1\t1\n1\t1\n", "line 3"),
        ("Frame\tPhase\tMore\n1\t1\t1\n", "line 1"),
    ],
    ids=["no header", "from zero", "phase 8", "frame twice", "third column"],
)
def test_a_label_file_that_is_not_the_format_is_an_error_at_its_line(content: str, place: str, tmp_path: Path) -> None:
    autolaparo(tmp_path)
    put(tmp_path, LABEL, content)
    with pytest.raises(SourceError) as error:
        read("autolaparo", tmp_path)
    assert (error.value.file, error.value.place) == (LABEL, place)


def test_a_frame_that_no_clip_has_is_an_error(tmp_path: Path) -> None:
    autolaparo(tmp_path)
    put(tmp_path, "AutoLaparo_Task3/masks/007026.png", picture(blocks(0)))
    with pytest.raises(SourceError, match="one of the frames"):
        read("autolaparo", tmp_path)
