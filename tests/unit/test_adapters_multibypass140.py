"""MultiBypass140: milliseconds, overlay tracks, intervals that make no sense."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import LABELS, counted, put, read, real
from .native_specialties import blocks, multibypass140, picture

LABEL = "labels/bern/labels_by70/BBP01.mp4.json"


@real("multibypass140")
def test_every_interval_of_the_real_files_is_a_record() -> None:
    labels = read("multibypass140", LABELS / "multibypass140")
    assert sum(n_rows for n_rows, _ in counted(labels).values()) == labels["intervals"].height == 3825
    assert labels["rejects"].is_empty()
    overlays = {"out_of_body", "severe_index"}
    assert set(labels["intervals"].filter(field="event")["raw_value"]) == overlays
    assert not overlays & set(labels["intervals"].filter(field="phase")["raw_value"])
    assert labels["intervals"]["video"].n_unique() == 70


def test_milliseconds_become_seconds_and_overlays_become_events(tmp_path: Path) -> None:
    multibypass140(tmp_path)
    columns = ["field", "raw_value", "start_s", "end_s", "start_frame", "locator"]
    assert read("multibypass140", tmp_path)["intervals"].select(columns).rows() == [
        ("phase", "preparation", 13.301, 60.0, None, "/phases/0"),
        ("event", "out_of_body", 20.0, 21.5, None, "/phases/1"),
        ("step", "s0_null_step", 13.301, 60.0, None, "/steps/0"),
    ]


@pytest.mark.parametrize("end", [1000, 999])
def test_an_interval_that_does_not_end_after_it_starts_is_rejected(end: int, tmp_path: Path) -> None:
    entry = {"start": 1000, "end": end, "label_name": "preparation", "label_id": 0}
    put(tmp_path, LABEL, {"phases": [entry], "steps": []})
    labels = read("multibypass140", tmp_path)
    assert labels["intervals"].is_empty()
    assert labels["rejects"].select("locator", "rule", "raw_value").rows() == [
        ("/phases/0", "empty_interval", "preparation")
    ]


@pytest.mark.parametrize(
    "place",
    ["videos/bern/BBP01.mp4", "BBP01.mp4", "somewhere/else/BBP01.mp4", "videos/BBP01-x.mp4", "BBP01-2020-cut.mp4"],
)
def test_the_video_file_is_found_wherever_it_lies(place: str, tmp_path: Path) -> None:
    multibypass140(tmp_path)
    put(tmp_path, place, b"")
    (video,) = adapters()["multibypass140"].videos(tmp_path)
    assert (video.media, video.path) == ("video", place)


def test_of_several_files_of_a_video_the_one_of_its_name_is_taken_and_none_is_guessed(tmp_path: Path) -> None:
    multibypass140(tmp_path)
    for name in ("BBP01-a.mp4", "BBP01-b.mp4"):
        put(tmp_path, f"videos/{name}", b"")
    with pytest.raises(SourceError, match=r"BBP01-a\.mp4: expected one video file of BBP01, found BBP01-b\.mp4 too"):
        adapters()["multibypass140"].videos(tmp_path)
    put(tmp_path, "videos/BBP01.mp4", b"")
    (video,) = adapters()["multibypass140"].videos(tmp_path)
    assert (video.media, video.path) == ("video", "videos/BBP01.mp4")


@pytest.mark.parametrize("folder", ["frames", "datasets/BernBypass70/frames", "labels/bern/labels_by70_splits/frames"])
@pytest.mark.parametrize("name", ["img{}.jpg", "BBP01_{:08d}.jpg", "BBP01-x_{:08d}.jpg"])
def test_frames_count_seconds_from_one(name: str, folder: str, tmp_path: Path) -> None:
    multibypass140(tmp_path)
    for number in (1, 10, 155):
        put(tmp_path, f"{folder}/BBP01/{name.format(number)}", picture(blocks(number), ".jpg"))
    put(tmp_path, f"{folder}/BBP02/{name.format(1)}", b"of a video without labels")
    (video,) = adapters()["multibypass140"].videos(tmp_path)
    assert (video.media, video.path) == ("images", f"{folder}/BBP01")
    shown = read("multibypass140", tmp_path)["images"].select("video", "frame_index").rows()
    assert shown == [("BBP01", 1), ("BBP01", 10), ("BBP01", 155)]
    assert [(frame - video.first_index) / video.frame_rate for _, frame in shown] == [0.0, 9.0, 154.0]


def test_a_video_file_is_preferred_to_frames(tmp_path: Path) -> None:
    multibypass140(tmp_path)
    put(tmp_path, "videos/BBP01.mp4", b"")
    put(tmp_path, "frames/BBP01/img1.jpg", picture(blocks(1), ".jpg"))
    (video,) = adapters()["multibypass140"].videos(tmp_path)
    assert (video.media, video.first_index) == ("video", 0)


def test_an_entry_without_an_end_is_an_error_at_its_pointer(tmp_path: Path) -> None:
    put(tmp_path, LABEL, {"phases": [{"start": 1, "label_name": "preparation", "label_id": 0}], "steps": []})
    with pytest.raises(SourceError) as error:
        read("multibypass140", tmp_path)
    assert (error.value.place, error.value.expected, error.value.found) == (
        "/phases/0/end",
        "an integer",
        "no such key",
    )


def test_a_timeline_in_seconds_is_an_error_and_no_operation_of_seven_seconds(tmp_path: Path) -> None:
    entries = [
        {"start": start, "end": end, "label_name": "preparation", "label_id": 0} for start, end in ((0, 60), (60, 7062))
    ]
    put(tmp_path, LABEL, {"phases": entries, "steps": []})
    with pytest.raises(SourceError, match=r"/phases/1: expected an end in milliseconds, .* found 7062"):
        read("multibypass140", tmp_path)
