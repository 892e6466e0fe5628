"""PitVis: seconds as frames of each video's own rate, and three ways to say nothing."""

from pathlib import Path

import polars as pl
import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_specialties import PITVIS_HEADER, PITVIS_STEPS, pitvis

FILE = "annotations_01.csv"


def test_steps_and_time_out_of_the_patient_are_runs_in_frames_and_seconds(tmp_path: Path) -> None:
    pitvis(tmp_path)
    columns = ["field", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator", "n_rows"]
    assert read("pitvis", tmp_path)["intervals"].select(columns).rows() == [
        ("step", "nasal_corridor_creation", 24, 95, 1.0, 4.0, "lines 3-5", 3),
        ("step", "anterior_sphenoidotomy", 96, 119, 4.0, 5.0, "line 6", 1),
        ("event", "out_of_patient", 0, 23, 0.0, 1.0, "line 2", 1),
        ("event", "out_of_patient", 120, 143, 5.0, 6.0, "line 7", 1),
    ]


def test_instruments_are_absent_only_where_a_line_leaves_none_open(tmp_path: Path) -> None:
    pitvis(tmp_path)
    found = read("pitvis", tmp_path)["presences"].sort("frame_index", "raw_value")
    assert found.select("frame_index", "raw_value", "present").rows() == [
        (48, "kerrisons", False),
        (48, "micro_doppler", False),
        (48, "suction", True),
        (72, "kerrisons", True),
        (72, "micro_doppler", False),
        (72, "suction", True),
        (96, "micro_doppler", True),  # the second is 0: none visible, or an occluded image
    ]


def test_video_24_counts_25_frames_a_second(tmp_path: Path) -> None:
    pitvis(tmp_path, 24)
    (video,) = adapters()["pitvis"].videos(tmp_path)
    assert (video.frame_rate, video.first_index) == (25.0, 0)
    last = read("pitvis", tmp_path)["intervals"].filter(pl.col("start_s") == 5)
    assert last.select("start_frame", "end_frame").row(0) == (125, 149)


def test_a_video_without_annotations_is_listed(tmp_path: Path) -> None:
    pitvis(tmp_path)
    put(tmp_path, "video_19.mp4", b"")
    videos = adapters()["pitvis"].videos(tmp_path)
    assert [(video.video, video.media) for video in videos] == [("01", "video"), ("19", "video")]
    assert "19" not in read("pitvis", tmp_path)["intervals"]["video"].unique()


@pytest.mark.parametrize(
    ("file", "content", "place", "found"),
    [
        (FILE, f"{PITVIS_HEADER}\n1,0,-1,-1,-2\n1,2,1,0,-2\n", "line 3", "2"),
        (FILE, f"{PITVIS_HEADER}\n2,0,-1,-1,-2\n", "line 2", "2"),
        (FILE, f"{PITVIS_HEADER}\n1,0,-1,16,-2\n", "line 2", "-1"),
        (FILE, f"{PITVIS_HEADER}\n1,0,0,16,-2\n", "line 2", "0"),
        (FILE, f"{PITVIS_HEADER}\n1,0,1,7,-2\n", "line 2", "7"),
        (FILE, f"{PITVIS_HEADER}\n1,0,1,16,-1\n", "line 2", "-1"),
        (FILE, f"{PITVIS_HEADER},more\n1,0,1,16,-2,9\n", "line 1", f"'{PITVIS_HEADER},more'"),
        ("map_steps.csv", PITVIS_STEPS + "2,sellotomy\n", "line 7", "2"),
    ],
    ids=[
        "gap",
        "other video",
        "step and instrument disagree",
        "step 0",
        "no such tool",
        "third null",
        "column",
        "id twice",
    ],
)
def test_a_file_that_is_not_the_format_is_named_with_its_line(
    file: str, content: str, place: str, found: str, tmp_path: Path
) -> None:
    pitvis(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError) as error:
        read("pitvis", tmp_path)
    assert (error.value.file, error.value.place, error.value.found) == (file, place, found)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    pitvis(tmp_path)
    plain = read("pitvis", tmp_path)
    for path in tmp_path.glob("*.csv"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert all(read("pitvis", tmp_path)[kind].equals(rows) for kind, rows in plain.tables.items())


def test_a_missing_map_is_an_error_that_names_it(tmp_path: Path) -> None:
    pitvis(tmp_path)
    (tmp_path / "map_instruments.csv").unlink()
    with pytest.raises(SourceError) as error:
        read("pitvis", tmp_path)
    assert error.value.file == "map_instruments.csv"
