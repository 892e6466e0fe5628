"""SurgVU: tasks and a log of instruments, by part of a case, with the flaws of the released files."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import counted, put, read
from .native_robotic import TASKS_HEADER, TOOLS_HEADER, surgvu

TASKS, TOOLS = "labels/case_002/tasks.csv", "labels/case_002/tools.csv"
FIRST, SECOND = "case_002_video_part_001", "case_002_video_part_002"


def test_tasks_are_steps_in_seconds_of_their_part(tmp_path: Path) -> None:
    surgvu(tmp_path)
    tasks = read("surgvu", tmp_path)["intervals"].filter(field="step")
    assert tasks.select("video", "raw_value", "start_s", "end_s", "start_frame", "locator").rows() == [
        (FIRST, "Suturing", 30.5, 162.25, None, "line 2"),
        (SECOND, "Range of motion", 0.0, 60.0, None, "line 4"),
    ]


def test_the_instrument_log_is_events_and_no_presences(tmp_path: Path) -> None:
    surgvu(tmp_path)
    labels = read("surgvu", tmp_path)
    events = labels["intervals"].filter(field="event")
    assert events.select("video", "raw_value", "start_s", "end_s").rows() == [
        (FIRST, "needle driver", 2616.978, 4989.478), (SECOND, "clip applier ", 0.0, 10.5),
    ]  # fmt: skip
    assert labels["presences"].is_empty()
    known = set(aliases("surgvu").filter(field="event")["raw_value"])
    assert set(events["raw_value"]) <= known


def test_every_row_that_makes_no_interval_says_why(tmp_path: Path) -> None:
    surgvu(tmp_path)
    labels = read("surgvu", tmp_path)
    assert labels["rejects"].select("file", "locator", "rule").sort("file", "locator").rows() == [
        (TASKS, "line 3", "repeated_row"),
        (TASKS, "line 4", "spans_parts"),
        (TOOLS, "line 3", "endoscope"),
        (TOOLS, "line 4", "spans_parts"),
        (TOOLS, "line 5", "unnamed"),
        (TOOLS, "line 6", "malformed_row"),
        (TOOLS, "line 7", "no_end"),
    ]
    assert counted(labels) == {TASKS: (3, 1), TOOLS: (6, 4)}


def test_parts_of_a_case_are_videos_of_one_patient_and_need_no_media(tmp_path: Path) -> None:
    surgvu(tmp_path)
    videos = adapters()["surgvu"].videos(tmp_path)
    assert [(video.video, video.media, video.patient) for video in videos] == [
        (FIRST, "video", "case_002"), (SECOND, "none", "case_002"),
    ]  # fmt: skip
    assert videos[0].path == "videos/case_002_video_part_001.mp4"


def test_labels_of_one_part_are_those_of_no_other(tmp_path: Path) -> None:
    surgvu(tmp_path)
    adapter = adapters()["surgvu"]
    only = adapter.labels(tmp_path, adapter.videos(tmp_path)[1:])
    assert {video for rows in only.tables.values() for video in rows["video"]} == {SECOND}


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    surgvu(tmp_path)
    plain = read("surgvu", tmp_path)
    for file in (TASKS, TOOLS):
        put(tmp_path, file, b"\xef\xbb\xbf" + (tmp_path / file).read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert all(read("surgvu", tmp_path)[kind].equals(rows) for kind, rows in plain.tables.items())


@pytest.mark.parametrize(
    "row", ["0,1,30.5,1,soon,Suturing", "0,0,1.0,0,2.0,Suturing", "0,2,1.0,1,2.0,Suturing", "0,1,30.5,1,Suturing"]
)
def test_a_row_without_its_parts_and_times_is_rejected_as_it_stands(row: str, tmp_path: Path) -> None:
    surgvu(tmp_path)
    put(tmp_path, TASKS, f"{TASKS_HEADER}\n{row}\n")
    rejects = read("surgvu", tmp_path)["rejects"].filter(file=TASKS)
    assert rejects.select("rule", "raw_value").rows() == [("malformed_row", row)]


@pytest.mark.parametrize(
    ("file", "content"), [(TASKS, ""), (TASKS, TOOLS_HEADER + "\n"), (TOOLS, TOOLS_HEADER + ",case\n")]
)
def test_another_header_is_an_error_at_line_1(file: str, content: str, tmp_path: Path) -> None:
    surgvu(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError, match="the header 'index,"):
        read("surgvu", tmp_path)
