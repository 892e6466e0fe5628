"""Cholec80: runs of phases, tool presences, and exact errors."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import TOOLS, put, read
from .native_cholec import cholec80

PHASES = "phase_annotations/video01-phase.txt"
TOOL_FILE = "tool_annotations/video01-tool.txt"


def test_phases_are_runs_of_equal_names_in_frames_and_seconds(tmp_path: Path) -> None:
    cholec80(tmp_path)
    columns = ["raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator", "n_rows"]
    assert read("cholec80", tmp_path)["intervals"].select(columns).rows() == [
        ("Preparation", 0, 29, 0.0, 1.2, "lines 2-31", 30),
        ("CalotTriangleDissection", 30, 69, 1.2, 2.8, "lines 32-71", 40),
        ("Preparation", 70, 75, 2.8, 3.04, "lines 72-77", 6),
    ]


def test_absent_tools_are_true_negatives_and_frames_after_the_last_tool_row_stay_unknown(
    tmp_path: Path,
) -> None:
    cholec80(tmp_path)
    presences = read("cholec80", tmp_path)["presences"]
    assert presences.height == 2 * len(TOOLS)
    assert presences["frame_index"].unique().sort().to_list() == [0, 25]
    present = presences.filter("present").select("frame_index", "raw_value", "locator").sort("frame_index", "raw_value")
    assert present.rows() == [(0, "Grasper", "line 2"), (25, "Grasper", "line 3"), (25, "Hook", "line 3")]


def test_a_video_without_labels_and_labels_without_a_video_are_both_listed(tmp_path: Path) -> None:
    cholec80(tmp_path)
    put(tmp_path, "videos/video02.mp4", b"")
    put(tmp_path, "phase_annotations/video03-phase.txt", "Frame\tPhase\n0\tPreparation\n")
    videos = {video.video: video for video in adapters()["cholec80"].videos(tmp_path)}
    assert videos["video01"].path == "videos/video01.mp4"
    assert videos["video01"].label_files == (PHASES, TOOL_FILE)
    assert (videos["video02"].media, videos["video02"].label_files) == ("video", ())
    assert (videos["video03"].media, videos["video03"].path) == ("none", None)


@pytest.mark.parametrize(
    ("file", "content", "place", "expected", "found"),
    [
        (PHASES, "0\t0\n1\t0\n", "line 1", "the header 'Frame\\tPhase'", "'0\\t0'"),
        (
            PHASES,
            "Frame\tPhase\n0\tPreparation\n2\tPreparation\n",
            "line 3",
            "frame 1 (each 1 after the last)",
            "2",
        ),
        (PHASES, "Frame\tPhase\n1\tPreparation\n", "line 2", "frame 0 (each 1 after the last)", "1"),
        (
            PHASES,
            "Frame\tPhase\n0\tPreparation\nx\tPreparation\n",
            "line 3",
            "a frame number as Frame",
            "'x'",
        ),
        (PHASES, "Frame\tPhase\n0\tPreparation\n1\n", "line 3", "text as Phase", "None"),
        (
            PHASES,
            "Frame\tPhase\n0\tPreparation\n\n1\tPreparation\n",
            "line 3",
            "a frame number as Frame",
            "None",
        ),
        (PHASES, "Frame\tPhase\n0\ta\n1\ta\tb\n", "line 3", "2 columns", "'1\\ta\\tb'"),
        (PHASES, 'Frame\tPhase\n0\t"a\n1\ta"\n', "line 2", "2 columns", "'0\\t\"a'"),
        (PHASES, b"Frame\tPhase\n0\tPr\xe9paration\n", "line 2", "UTF-8 text", "byte 0xe9"),
        (
            TOOL_FILE,
            "Frame\t" + "\t".join(TOOLS) + "\n0\t1\t0\t0\t0\t0\t0\t2\n",
            "line 2",
            "0 or 1 as SpecimenBag",
            "'2'",
        ),
        (TOOL_FILE, "Frame\t" + "\t".join(TOOLS[:-1]) + "\n", "line 1", None, None),
    ],
)
def test_a_file_that_is_not_the_format_is_named_with_line_expected_and_found(
    file: str, content: str | bytes, place: str, expected: str | None, found: str | None, tmp_path: Path
) -> None:
    cholec80(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError) as error:
        read("cholec80", tmp_path)
    assert (error.value.file, error.value.place) == (file, place)
    if expected is not None:
        assert (error.value.expected, error.value.found) == (expected, found)
