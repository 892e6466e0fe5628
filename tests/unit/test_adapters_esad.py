"""ESAD: YOLO boxes of actions, frames at 1 fps from 1, names in obj.names."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules
from .native_robotic import esad

FRAME = "train/set1/RARP2_frame_2.txt"


def test_a_line_is_a_box_around_an_action_that_lasts_its_second(tmp_path: Path) -> None:
    esad(tmp_path)
    labels = read("esad", tmp_path)
    columns = ["frame_index", "field", "raw_value", "x1", "y1", "x2", "y2", "unit", "locator"]
    assert labels["boxes"].filter(file=FRAME).select(columns).rows() == [
        (2, "action", "PullingTissue", 0.375, 0.25, 0.625, 0.75, "relative", "line 1"),
        (2, "action", "CuttingMesocolon", 0.0, 0.0, 0.2, 0.4, "relative", "line 2"),
    ]
    actions = labels["intervals"].select("video", "raw_value", "start_frame", "start_s", "end_s")
    assert actions.row(0) == ("RARP1", "PullingTissue", 7, 6.0, 7.0)
    assert actions.row(-1) == ("RARP3", "PullingVasDeferens", 2, 1.0, 2.0)
    assert actions.height == labels["boxes"].height == 4


def test_a_box_that_reaches_out_of_the_image_stays_as_it_is_written(tmp_path: Path) -> None:
    esad(tmp_path)
    assert read("esad", tmp_path)["boxes"].filter(video="RARP1")["x2"].item() == pytest.approx(1.05)


def test_labels_without_images_and_images_without_labels_are_both_listed(tmp_path: Path) -> None:
    esad(tmp_path)
    put(tmp_path, "test/RARP3_frame_9.jpg", b"")
    put(tmp_path, "val/obj/RARP1_frame_8.jpg", b"a")
    put(tmp_path, "val/obj/RARP1_frame_8 (1).jpg", b"a")
    videos = {video.video: video for video in adapters()["esad"].videos(tmp_path)}
    assert [(video.media, video.path, video.first_index) for video in videos.values()] == [
        ("images", "val/obj", 1), ("none", None, 1), ("images", "test", 1),
    ]  # fmt: skip
    labels = read("esad", tmp_path)
    assert labels["images"].select("video", "frame_index").rows() == [("RARP1", 8), ("RARP3", 9)]
    assert rules(labels) == ["duplicate_download"]


@pytest.mark.parametrize(
    ("file", "content", "place", "expected"),
    [
        (FRAME, "3 0.5 0.5 0.1 0.1\n", "line 1", "an id of obj.names as class"),
        (FRAME, "2 0.5 0.5 0.1\n", "line 1", "5 columns"),
        (FRAME, "2 0.5 0.5 0.1 0.1\n0 320 0.5 0.1 0.1\n", "line 2", "x from 0 to 1"),
        (FRAME, "a 0.5 0.5 0.1 0.1\n", "line 1", "an integer as class"),
        ("val/obj.names", "PullingTissue\n", "", "the classes of train/obj.names in their order"),
        ("train/obj.names", "A\nA\n", "", "the classes of train/obj.names in their order"),
    ],
)
def test_a_line_that_is_no_box_and_names_that_disagree_are_errors(
    file: str, content: str, place: str, expected: str, tmp_path: Path
) -> None:
    esad(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError) as error:
        read("esad", tmp_path)
    assert (error.value.place, error.value.expected) == (place, expected)


def test_ids_without_names_are_an_error(tmp_path: Path) -> None:
    esad(tmp_path)
    for split in ("train", "val"):
        (tmp_path / f"{split}/obj.names").unlink()
    with pytest.raises(SourceError, match=r"obj\.names in train or val"):
        read("esad", tmp_path)
