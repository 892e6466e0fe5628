"""HeiCo: phases a frame, instances where there is a mask, none where there is no file."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_specialties import blocks, heico, picture

CASE = "Rectal Resection/1"
PHASES = f"{CASE}/RectalResection_1_Phase.csv"
STILLS = f"{CASE}/Instrument segmentations"


def test_phases_are_runs_of_the_named_ids_from_frame_zero(tmp_path: Path) -> None:
    heico(tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    assert read("heico", tmp_path)["intervals"].select(columns).rows() == [
        ("RectalResection_1", "Preparation and orientation at abdomen", 0, 1, 0.0, 0.08, "lines 1-2"),
        ("RectalResection_1", "Dissection and resection of rectum", 2, 4, 0.08, 0.2, "lines 3-5"),
    ]


def test_each_value_of_a_mask_is_an_instance_and_no_mask_file_is_no_instrument(tmp_path: Path) -> None:
    heico(tmp_path)
    labels = read("heico", tmp_path)
    assert labels["masks"].select("frame_index", "instance", "mask_value").rows() == [(2, "1", 1), (2, "2", 2)]
    assert labels["presences"].select("frame_index", "present", "file").rows() == [
        (2, True, f"{STILLS}/2/instrument_instances.png"),
        (4, False, f"{STILLS}/4/raw.png"),
    ]


@pytest.mark.parametrize(
    ("content", "rule"), [(b"", "empty_file"), (picture(blocks(0)), "empty_mask"), (b"\x89PNG", "unreadable_mask")]
)
def test_a_mask_file_without_instances_is_no_sign_of_an_empty_frame(content: bytes, rule: str, tmp_path: Path) -> None:
    heico(tmp_path)
    put(tmp_path, f"{STILLS}/2/instrument_instances.png", content)
    labels = read("heico", tmp_path)
    assert labels["presences"]["frame_index"].to_list() == [4]
    assert labels["rejects"].select("rule", "file").rows() == [(rule, f"{STILLS}/2/instrument_instances.png")]


def test_an_interrupted_download_of_a_still_is_no_frame_without_instruments(tmp_path: Path) -> None:
    heico(tmp_path, footage=False)
    put(tmp_path, f"{STILLS}/4/raw.png", b"")
    labels = read("heico", tmp_path)
    assert labels["presences"]["frame_index"].to_list() == [2]
    assert labels["images"]["frame_index"].to_list() == [2]
    assert labels["rejects"]["rule"].to_list() == ["empty_file"]


def test_stills_are_the_frames_only_where_there_is_no_video(tmp_path: Path) -> None:
    heico(tmp_path)
    (video,) = adapters()["heico"].videos(tmp_path)
    assert (video.media, video.path) == ("video", f"{CASE}/RectalResection_1.avi")
    assert read("heico", tmp_path)["images"].is_empty()
    (tmp_path / video.path).unlink()
    (video,) = adapters()["heico"].videos(tmp_path)
    assert (video.media, video.path) == ("images", STILLS)
    assert read("heico", tmp_path)["images"]["frame_index"].to_list() == [2, 4]


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        (PHASES, "frame,phase\n0,0\n", "line 1"),
        (PHASES, "1,0\n2,0\n", "line 1"),
        (PHASES, "0,0\n1,14\n", "line 2"),
        (PHASES, "0,0\n0,0\n", "line 2"),
        (f"{STILLS}/a2/raw.png", b"\x89", "file"),
    ],
    ids=["header", "from one", "phase 14", "frame twice", "no frame number"],
)
def test_what_is_not_the_format_is_an_error_at_its_place(
    file: str, content: str | bytes, place: str, tmp_path: Path
) -> None:
    heico(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError) as error:
        read("heico", tmp_path)
    assert (error.value.file, error.value.place) == (file, place)
