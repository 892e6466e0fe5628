"""GraSP: phase and step each second, instruments with actions and masks, the 1 fps release alone."""

from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.identity.procedures import procedure_of, split_of
from surgsigma_dagster.sources.adapter import NativeVideo, adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import coco_file, put, read
from .native_robotic import GRASP_NAMES, GRASP_SHORT, grasp, grasp_box, grasp_image, grasp_second, mask

LONG, SHORT = "annotations/grasp_long-term_test.json", "annotations/grasp_short-term_test.json"


def test_seconds_of_equal_phase_and_step_are_intervals(tmp_path: Path) -> None:
    grasp(tmp_path)
    columns = ["field", "raw_value", "start_s", "end_s", "locator", "n_rows"]
    assert read("grasp", tmp_path)["intervals"].filter(file=LONG).select(columns).rows() == [
        ("phase", "Idle", 0.0, 2.0, "/annotations/0..1", 2),
        ("phase", "Idle", 2.0, 3.0, "/annotations/2", 1),
        ("phase", "LPIL", 3.0, 4.0, "/annotations/3", 1),
        ("step", "Idle", 0.0, 2.0, "/annotations/0..1", 2),
        ("step", "Cut", 2.0, 3.0, "/annotations/2", 1),
        ("step", "Cut", 3.0, 4.0, "/annotations/3", 1),
    ]


def test_instruments_have_boxes_actions_without_target_and_grey_masks(tmp_path: Path) -> None:
    grasp(tmp_path)
    labels = read("grasp", tmp_path)
    assert labels["boxes"].filter(video="CASE041").select(
        "frame_index", "raw_value", "x1", "y1", "x2", "y2"
    ).rows() == [(2, "Monopolar Curved Scissors", 128.0, 80.0, 384.0, 240.0)]
    assert labels["triplets"].select("video", "raw_instrument", "raw_verb", "raw_target").rows() == [
        ("CASE041", "Monopolar Curved Scissors", "Still", None),
        ("CASE041", "Monopolar Curved Scissors", "Other", None),
        ("CASE001", "Bipolar Forceps", "Still", None),
    ]
    assert labels["masks"].select("frame_index", "raw_value", "mask_value", "mask_file").rows() == [
        (2, "Monopolar Curved Scissors", 4, "annotations/segmentations/CASE041/00002.png")
    ]
    assert labels["presences"].select("raw_value", "present").rows() == [
        ("Bipolar Forceps", False), ("Monopolar Curved Scissors", True),
    ]  # fmt: skip


def test_phase_and_step_of_a_keyframe_are_read_only_for_cases_without_a_long_term_file(tmp_path: Path) -> None:
    grasp(tmp_path)
    moments = read("grasp", tmp_path)["intervals"].filter(file=SHORT)
    assert moments.select("video", "field", "raw_value", "start_s", "end_s").rows() == [
        ("CASE001", "phase", "LPIL", 35.0, 36.0), ("CASE001", "step", "Cut", 35.0, 36.0),
    ]  # fmt: skip


def test_folds_are_read_where_train_is_missing_and_only_there(tmp_path: Path) -> None:
    grasp(tmp_path)
    fold = coco_file([grasp_image(1, "CASE002/00000.jpg")], [grasp_second(1, 1, 0)]) | GRASP_NAMES
    put(tmp_path, "annotations/grasp_long-term_fold1.json", fold)
    assert "CASE002" in read("grasp", tmp_path)["intervals"]["video"]
    put(tmp_path, "annotations/grasp_long-term_train.json", fold)
    files = read("grasp", tmp_path)["intervals"].filter(video="CASE002")["file"].unique().to_list()
    assert files == ["annotations/grasp_long-term_train.json"]


def test_the_release_is_found_in_its_own_folder_with_its_frames(tmp_path: Path) -> None:
    (tmp_path / "GraSP_1fps").mkdir()
    grasp(tmp_path / "GraSP_1fps")
    put(tmp_path, "GraSP_1fps/frames/CASE041/00003.jpg", b"")
    videos = {video.video: video for video in adapters()["grasp"].videos(tmp_path)}
    assert videos["CASE041"].path == "GraSP_1fps/frames/CASE041"
    assert videos["CASE001"].media == "none"
    assert read("grasp", tmp_path)["images"].select("video", "frame_index").rows() == [("CASE041", 3)]


def test_psi_ava_cases_are_the_same_operations_and_41_to_53_are_test() -> None:
    def procedure(dataset: str, case: str) -> str:
        return procedure_of(dataset, dataset, NativeVideo(case, "none", 1.0))[0]

    assert procedure("grasp", "CASE014") == procedure("psi_ava", "CASE014") == "grasp/014"
    splits = split_of(["grasp/014", "grasp/041"], 7, {})
    assert dict(splits.select("procedure_id", "split").iter_rows()) == {"grasp/014": "train", "grasp/041": "test"}


def test_its_names_are_those_of_psi_ava_with_an_action_of_its_own() -> None:
    ours, theirs = (
        set(aliases(name).select("field", "raw_value", "concept_id").rows()) for name in ("grasp", "psi_ava")
    )
    assert ours - theirs == {("verb", "Other", "verb/other")}
    assert len([row for row in ours if row[0] == "verb"]) == 14


@pytest.mark.parametrize(
    ("file", "frame", "annotations", "place"),
    [
        (LONG, "000000068", [], "/images/0"),
        (LONG, "00068", [grasp_second(2, 0, 0)], "/annotations/0"),
        (LONG, "00068", [grasp_second(1, 2, 0)], "/annotations/0"),
        (LONG, "00068", [grasp_second(1, 0, 0)] * 2, "/annotations/1"),
        (SHORT, "00035", [grasp_box(1, 4, [3])], "/annotations/0"),
        (SHORT, "00035", [grasp_box(1, 2, [])], "/annotations/0"),
    ],
    ids=["30 fps release", "unknown image", "unknown phase", "image twice", "unknown action", "unknown instrument"],
)  # fmt: skip
def test_a_file_that_is_not_the_release_or_contradicts_itself_is_an_error(
    file: str, frame: str, annotations: list[dict[str, Any]], place: str, tmp_path: Path
) -> None:
    grasp(tmp_path)
    images = [grasp_image(1, f"CASE001/{frame}.jpg")]
    put(tmp_path, file, coco_file(images, annotations) | GRASP_SHORT)
    with pytest.raises(SourceError) as error:
        read("grasp", tmp_path)
    assert (error.value.file, error.value.place) == (file, place)


def test_masks_whose_values_no_file_names_are_an_error(tmp_path: Path) -> None:
    grasp(tmp_path)
    (tmp_path / SHORT).unlink()
    mask(tmp_path, "annotations/segmentations/CASE041/00002.png", [[4]])
    with pytest.raises(SourceError, match="a short-term file that names its values"):
        read("grasp", tmp_path)


def test_a_mask_that_shows_other_instruments_than_the_boxes_of_its_frame_is_rejected(tmp_path: Path) -> None:
    grasp(tmp_path)
    mask(tmp_path, "annotations/segmentations/CASE041/00002.png", [[0, 1], [0, 1]])  # instances, not classes
    labels = read("grasp", tmp_path)
    assert labels["rejects"].select("rule", "reason").rows() == [
        (
            "mask_unlike_boxes",
            "The mask shows Bipolar Forceps, the boxes of its frame are of Monopolar Curved Scissors.",
        )
    ]
    assert labels["masks"].is_empty()
    assert labels["presences"].is_empty()
    assert labels["boxes"].filter(video="CASE041").height == 1


def test_the_30_fps_release_alone_is_recognised_and_told_what_is_missing(tmp_path: Path) -> None:
    grasp(tmp_path / "GraSP_30fps")
    assert "GraSP_30fps" in str(adapters()["grasp"].detect(tmp_path))
    with pytest.raises(SourceError, match="GraSP_30fps: expected GraSP_1fps beside it"):
        adapters()["grasp"].videos(tmp_path)
    grasp(tmp_path / "GraSP_1fps")
    assert {video.video for video in adapters()["grasp"].videos(tmp_path)} >= {"CASE001", "CASE041"}
