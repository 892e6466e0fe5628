"""LDPolypVideo: a count, then as many boxes."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_specialties import blocks, ldpolypvideo, picture

FILE = "TrainValid/Annotations/7/0012.txt"


def test_line_one_says_whether_there_is_a_polyp_and_the_others_where(tmp_path: Path) -> None:
    ldpolypvideo(tmp_path)
    labels = read("ldpolypvideo", tmp_path)
    assert labels["presences"].select("video", "frame_index", "present", "locator").rows() == [
        ("101", 1, False, "line 1"),
        ("7", 12, True, "line 1"),
        ("7", 13, False, "line 1"),
    ]
    assert labels["boxes"].select("video", "frame_index", "x1", "y1", "x2", "y2", "locator").rows() == [
        ("7", 12, 10, 20, 30, 40, "line 2"),
        ("7", 12, 1, 2, 3, 4, "line 3"),
    ]


def test_frames_of_both_namings_are_found_and_a_second_download_is_rejected(tmp_path: Path) -> None:
    ldpolypvideo(tmp_path)
    put(tmp_path, "TrainValid/Images/7/7_x_0013.jpg", picture(blocks(90), ".jpg"))
    put(tmp_path, "TrainValid/Images/7/0012 (1).jpg", picture(blocks(91), ".jpg"))
    labels = read("ldpolypvideo", tmp_path)
    assert labels["images"].select("video", "frame_index").rows() == [("7", 12), ("7", 13)]
    assert labels["rejects"]["rule"].to_list() == ["conflicting_download"]


def test_a_video_in_both_splits_is_an_error(tmp_path: Path) -> None:
    ldpolypvideo(tmp_path)
    put(tmp_path, "Test/Annotations/7/0001.txt", "0\n")
    with pytest.raises(SourceError, match="each video in one split"):
        adapters()["ldpolypvideo"].videos(tmp_path)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("1\n", "line 1"),
        ("0\n1 2 3 4\n", "line 1"),
        ("one\n1 2 3 4\n", "line 1"),
        ("1\n1 2 3\n", "line 2"),
        ("1\n1 2 3 x\n", "line 2"),
        ("", "line 1"),
    ],
    ids=["box missing", "box too many", "no count", "three sides", "no number", "empty"],
)
def test_a_file_whose_count_or_boxes_do_not_fit_is_an_error_at_its_line(
    content: str, place: str, tmp_path: Path
) -> None:
    ldpolypvideo(tmp_path)
    put(tmp_path, FILE, content)
    with pytest.raises(SourceError) as error:
        read("ldpolypvideo", tmp_path)
    assert (error.value.file, error.value.place) == (FILE, place)


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    ldpolypvideo(tmp_path)
    plain = read("ldpolypvideo", tmp_path)
    put(tmp_path, FILE, (tmp_path / FILE).read_bytes().replace(b"\n", b"\r\n"))
    assert all(read("ldpolypvideo", tmp_path)[kind].equals(rows) for kind, rows in plain.tables.items())


def test_the_folders_are_the_official_splits(tmp_path: Path) -> None:
    ldpolypvideo(tmp_path)
    splits = {video.video: video.split for video in adapters()["ldpolypvideo"].videos(tmp_path)}
    assert splits == {"101": "test", "7": "train"}
