"""Cataract-101: starts of phases become stretches."""

from pathlib import Path

import polars as pl
import pytest

from surgsigma_dagster.sources.adapter import NativeLabels, adapters, read_labels
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules
from .native_specialties import cataract101

LABELS, HEADER = "annotations.csv", "VideoID;FrameNo;Phase\n"


def test_a_phase_runs_to_the_next_line_and_the_last_one_to_the_end_of_the_video(tmp_path: Path) -> None:
    cataract101(tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    assert read("cataract101", tmp_path)["intervals"].select(columns).rows() == [
        ("case_269", "Incision", 70, 144, 2.8, 5.8, "line 2"),
        ("case_269", "Viscous agent injection", 145, 299, 5.8, 12.0, "line 3"),
        ("case_269", "Viscous agent injection", 300, 499, 12.0, 20.0, "line 4"),
        ("case_270", "Phacoemulsificiation", 0, 99, 0.0, 4.0, "line 5"),
    ]


def test_lines_in_another_order_give_the_same_phases(tmp_path: Path) -> None:
    cataract101(tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame"]
    ordered = read("cataract101", tmp_path)["intervals"].select(columns)
    put(tmp_path, LABELS, f"{HEADER}270;0;5\n269;300;2\n269;70;1\n269;145;2\n")
    assert read("cataract101", tmp_path)["intervals"].select(columns).sort(columns).equals(ordered.sort(columns))


def test_two_phases_that_start_in_one_frame_leave_the_first_one_nothing(tmp_path: Path) -> None:
    cataract101(tmp_path)
    put(tmp_path, LABELS, f"{HEADER}269;70;1\n269;70;2\n")
    labels = read("cataract101", tmp_path)
    assert labels["intervals"]["raw_value"].to_list() == ["Viscous agent injection"]
    assert (rules(labels), labels["rejects"]["locator"].item()) == (["empty_interval"], "line 2")


def test_every_video_of_the_table_is_listed_with_its_rate(tmp_path: Path) -> None:
    cataract101(tmp_path)
    videos = adapters()["cataract101"].videos(tmp_path)
    assert [(video.video, video.media, video.frame_rate) for video in videos] == [
        ("case_269", "video", 25.0),
        ("case_270", "none", 25.0),
    ]


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        (LABELS, f"{HEADER}269;70;1\n271;0;1\n", "line 3"),
        (LABELS, f"{HEADER}269;500;1\n", "line 2"),
        (LABELS, f"{HEADER}269;70;9\n", "line 2"),
        (LABELS, "VideoID,FrameNo,Phase\n269,70,1\n", "line 1"),
        ("videos.csv", "VideoID;Frames;FPS;Surgeon;Experience\n269;500;0;1;2\n", "line 2"),
        ("videos.csv", "VideoID;Frames;FPS;Surgeon;Experience\n269;500;25;1;2\n269;500;25;1;2\n", "line 3"),
    ],
    ids=["unknown video", "beyond the end", "unknown phase", "commas", "no rate", "video twice"],
)
def test_a_table_that_contradicts_the_others_is_an_error_at_its_line(
    file: str, content: str, place: str, tmp_path: Path
) -> None:
    cataract101(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError) as error:
        read("cataract101", tmp_path)
    assert (error.value.file, error.value.place) == (file, place)


VIDEOS = "VideoID;Frames;FPS;Surgeon;Experience\n269;500;25;1;2\n"


@pytest.mark.parametrize(
    ("file", "content", "at_fault"),
    [
        (LABELS, f"{HEADER}269;70;1\n270;100;5\n", "case_270"),
        (LABELS, f"{HEADER}269;70;1\n270;0;9\n", "case_270"),
        (LABELS, f"{HEADER}269;70;1\n271;0;1\n", "case_271"),
        ("videos.csv", f"{VIDEOS}270;100;0;2;1\n", "case_270"),
        ("videos.csv", f"{VIDEOS}270;100;25;2;1\n270;90;25;2;1\n", "case_270"),
    ],
    ids=["beyond the end", "unknown phase", "unknown video", "no rate", "video twice"],
)
def test_a_line_that_cannot_be_right_costs_its_own_video_alone(
    file: str, content: str, at_fault: str, tmp_path: Path
) -> None:
    cataract101(tmp_path)
    put(tmp_path, file, content)
    adapter = adapters()["cataract101"]
    parts = read_labels(adapter, tmp_path, adapter.videos(tmp_path))
    failed = {videos[0].video: found for videos, found in parts if isinstance(found, SourceError)}
    assert {video: error.file for video, error in failed.items()} == {at_fault: file}
    read_all = [found["intervals"] for _, found in parts if isinstance(found, NativeLabels)]
    assert {*pl.concat(read_all)["video"]} >= {"case_269"}
