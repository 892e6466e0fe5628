"""SAR-RARP50: runs of actions on a 60 fps clock, grey masks, operations in two parts."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules
from .native_robotic import mask, sar_rarp50

ACTIONS = "train1/video_02/action_discrete.txt"
MASK = "train1/video_02/segmentation/000000000.png"


def test_actions_are_runs_named_from_0_on_the_60_fps_clock(tmp_path: Path) -> None:
    sar_rarp50(tmp_path)
    columns = ["raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    assert read("sar_rarp50", tmp_path)["intervals"].filter(file=ACTIONS).select(columns).rows() == [
        ("Other", 0, 11, 0.0, 0.2, "lines 1-2"),
        ("Picking-up the needle", 12, 29, 0.2, 0.5, "lines 3-5"),
        ("Pushing the needle through the tissue", 30, 35, 0.5, 0.6, "line 6"),
        ("Other", 36, 41, 0.6, 0.7, "line 7"),
    ]


def test_a_mask_holds_the_classes_of_its_values_and_says_of_the_others_that_they_are_absent(tmp_path: Path) -> None:
    sar_rarp50(tmp_path)
    labels = read("sar_rarp50", tmp_path)
    masks = labels["masks"].select("frame_index", "raw_value", "mask_value", "mask_file", "width", "height")
    assert masks.rows() == [
        (0, "Tool clasper", 1, MASK, 3, 2),
        (0, "Tool shaft", 3, MASK, 3, 2),
        (0, "Suturing needle", 4, MASK, 3, 2),
    ]
    presences = labels["presences"].group_by("frame_index", maintain_order=True).agg("present")
    assert presences["frame_index"].to_list() == [0, 60]
    assert [sum(seen) for seen in presences["present"].to_list()] == [3, 0]
    assert labels["presences"].height == 2 * 9


def test_the_parts_of_an_operation_are_videos_of_one_patient(tmp_path: Path) -> None:
    sar_rarp50(tmp_path)
    put(tmp_path, "test/video_11_2/action_discrete.txt", "000000000,0\n")
    videos = {video.video: video for video in adapters()["sar_rarp50"].videos(tmp_path)}
    assert {video.patient for video in (videos["video_11_1"], videos["video_11_2"])} == {"video_11"}
    assert (videos["video_02"].path, videos["video_02"].frame_rate) == ("train1/video_02/video_left.avi", 60.0)
    assert videos["video_11_1"].media == "none"


def test_a_value_of_no_class_and_a_broken_mask_are_rejected_and_the_rest_stands(tmp_path: Path) -> None:
    sar_rarp50(tmp_path)
    mask(tmp_path, MASK, [[0, 12], [1, 1]])
    put(tmp_path, "train1/video_02/segmentation/000000120.png", b"\x89PNG cut off")
    labels = read("sar_rarp50", tmp_path)
    assert sorted(rules(labels)) == ["unexpected_mask_value", "unreadable_mask"]
    assert labels["rejects"].filter(rule="unexpected_mask_value")["raw_value"].to_list() == ["12"]
    assert labels["masks"]["raw_value"].to_list() == ["Tool clasper"]
    assert 120 not in labels["presences"]["frame_index"]


@pytest.mark.parametrize(
    ("content", "place", "expected"),
    [
        ("000000000,0\n000000006,8\n", "line 2", "an id of actions as class"),
        ("000000000,0\n000000012,0\n", "line 2", "frame 6 (each 6 after the last)"),
        ("000000006,0\n", "line 1", "frame 0 (each 6 after the last)"),
        ("000000000,0,1\n", "line 1", "2 columns"),
        ("frame,action\n", "line 1", "a frame number as frame_index"),
    ],
)
def test_another_numbering_clock_or_layout_is_an_error_at_its_line(
    content: str, place: str, expected: str, tmp_path: Path
) -> None:
    sar_rarp50(tmp_path)
    put(tmp_path, ACTIONS, content)
    with pytest.raises(SourceError) as error:
        read("sar_rarp50", tmp_path)
    assert (error.value.file, error.value.place, error.value.expected) == (ACTIONS, place, expected)


def test_masks_off_the_one_second_grid_and_a_video_in_two_splits_are_errors(tmp_path: Path) -> None:
    sar_rarp50(tmp_path)
    mask(tmp_path, "test/video_11_1/segmentation/000000061.png", [[0]])
    with pytest.raises(SourceError, match="every sixtieth frame, found 61"):
        read("sar_rarp50", tmp_path)
    put(tmp_path, "test/video_02/action_discrete.txt", "000000000,0\n")
    with pytest.raises(SourceError, match="each video in one split"):
        read("sar_rarp50", tmp_path)


def test_a_mask_with_a_value_of_no_class_says_what_it_shows_and_nothing_of_what_is_absent(tmp_path: Path) -> None:
    sar_rarp50(tmp_path)
    mask(tmp_path, MASK, [[0, 1, 99], [0, 0, 0]])
    labels = read("sar_rarp50", tmp_path)
    assert rules(labels) == ["unexpected_mask_value"]
    assert labels["presences"].filter(file=MASK).select("raw_value", "present").rows() == [("Tool clasper", True)]
