"""JIGSAWS: gestures on a 30 fps clock that counts from 1, three exercises."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_robotic import jigsaws

TRIAL = "Suturing/transcriptions/Suturing_B001.txt"


def test_gestures_count_frames_from_1_and_end_with_their_last_frame(tmp_path: Path) -> None:
    jigsaws(tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    rows = read("jigsaws", tmp_path)["intervals"].select(columns).rows()
    assert rows[0] == ("Knot_Tying_C002", "G12", 1, 30, 0.0, 1.0, "line 1")
    assert rows[1] == ("Knot_Tying_C002", "G15", 41, 41, 40 / 30, 41 / 30, "line 2")
    assert rows[2] == ("Suturing_B001", "G1", 80, 219, 79 / 30, 219 / 30, "line 1")
    assert rows[-1][1:4] == ("G8", 371, 590)


def test_a_gesture_begins_where_the_one_before_ends(tmp_path: Path) -> None:
    jigsaws(tmp_path)
    suturing = read("jigsaws", tmp_path)["intervals"].filter(file=TRIAL)
    assert suturing["start_s"].to_list()[1:] == suturing["end_s"].to_list()[:-1]


def test_each_exercise_is_a_procedure_and_the_left_camera_is_the_video(tmp_path: Path) -> None:
    jigsaws(tmp_path)
    videos = {video.video: video for video in adapters()["jigsaws"].videos(tmp_path)}
    assert videos["Suturing_B001"].path == "Suturing/video/Suturing_B001_capture1.avi"
    assert videos["Suturing_B001"].procedure_type == "procedure/dry_lab_suturing"
    assert videos["Knot_Tying_C002"].procedure_type == "procedure/dry_lab_knot_tying"
    assert {(video.frame_rate, video.first_index) for video in videos.values()} == {(30.0, 1)}


def test_an_empty_transcription_has_no_gestures_and_a_trial_may_have_none(tmp_path: Path) -> None:
    jigsaws(tmp_path)
    put(tmp_path, TRIAL, "")
    put(tmp_path, "Needle_Passing/video/Needle_Passing_D004_capture1.avi", b"")
    assert read("jigsaws", tmp_path)["intervals"]["video"].unique().to_list() == ["Knot_Tying_C002"]
    videos = {video.video: video for video in adapters()["jigsaws"].videos(tmp_path)}
    assert videos["Needle_Passing_D004"].label_files == ()


def test_windows_line_ends_tabs_and_blank_last_lines_change_nothing(tmp_path: Path) -> None:
    jigsaws(tmp_path)
    plain = read("jigsaws", tmp_path)["intervals"]
    put(tmp_path, TRIAL, "\ufeff80\t219 G1\r\n220  370 G5 \r\n371 590 G8\r\n \r\n")
    assert read("jigsaws", tmp_path)["intervals"].equals(plain)


@pytest.mark.parametrize(
    ("content", "place", "expected", "found"),
    [
        ("0 10 G1\n", "line 1", "a frame after the gesture before", "0"),
        ("1 10 G1\n10 20 G2\n", "line 2", "a frame after the gesture before", "10"),
        ("1 10 G1\n20 11 G2\n", "line 2", "a last frame that is not before the first", "11"),
        ("1 10\n", "line 1", "3 columns", "'1 10'"),
        ("1 10 S1\n", "line 1", "a gesture, G1 to G15", "'S1'"),
        ("1 x G1\n", "line 1", "a frame number as end_frame", "'x'"),
    ],
)
def test_a_line_that_is_no_gesture_is_an_error(
    content: str, place: str, expected: str, found: str, tmp_path: Path
) -> None:
    jigsaws(tmp_path)
    put(tmp_path, TRIAL, content)
    with pytest.raises(SourceError) as error:
        read("jigsaws", tmp_path)
    assert (error.value.file, error.value.place, error.value.expected, error.value.found) == (
        TRIAL, place, expected, found,
    )  # fmt: skip
