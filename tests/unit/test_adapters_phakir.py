"""PhaKIR: phases as they stand, colours as documented, every 25th frame."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_cholec import PHAKIR, phakir, phakir_mask, picture

NAME = "phakir"


def test_phases_are_the_words_that_stand_there_from_frame_0(tmp_path: Path) -> None:
    phakir(tmp_path)
    columns = ["raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    assert read(NAME, tmp_path)["intervals"].select(columns).rows() == [
        ("Preparation", 0, 29, 0.0, 1.2, "lines 2-31"),
        ("P1", 30, 50, 1.2, 2.04, "lines 32-52"),
    ]


@pytest.mark.parametrize("header", ["", "frame_number,surgical_phase\n"])
def test_the_header_may_be_any_two_words_or_none(header: str, tmp_path: Path) -> None:
    phakir(tmp_path)
    put(tmp_path, PHAKIR, f"{header}0,Preparation\n1,Preparation\n")
    assert read(NAME, tmp_path)["intervals"].select("raw_value", "end_frame").rows() == [("Preparation", 1)]


def test_a_colour_is_an_instrument_also_where_it_is_grey(tmp_path: Path) -> None:
    phakir(tmp_path)
    columns = ["frame_index", "raw_value", "mask_value", "mask_file"]
    assert sorted(read(NAME, tmp_path)["masks"].select(columns).rows()) == [
        (0, "blunt-grasper", 0x808080, phakir_mask(0)),
        (25, "blunt-grasper", 0x808080, phakir_mask(25)),
        (25, "scissor", 0xFFFF00, phakir_mask(25)),
    ]


def test_a_colour_of_no_instrument_is_rejected_and_leaves_open_what_is_not_visible(tmp_path: Path) -> None:
    phakir(tmp_path)
    labels = read(NAME, tmp_path)
    assert labels["rejects"].select("file", "rule", "raw_value").rows() == [
        (phakir_mask(25), "unexpected_mask_value", str(0xFF0000))
    ]
    presences = labels["presences"]
    assert presences["frame_index"].unique().to_list() == [0]
    assert (presences.height, presences.filter("present")["raw_value"].to_list()) == (19, ["blunt-grasper"])


def test_an_empty_mask_is_a_frame_without_any_instrument(tmp_path: Path) -> None:
    put(tmp_path, phakir_mask(1000), picture([[[0, 0, 0]]]))
    presences = read(NAME, tmp_path)["presences"]
    assert (presences.height, presences["present"].any()) == (19, False)
    assert presences["frame_index"].unique().to_list() == [1000]


def test_every_25th_frame_is_listed_from_the_folders_of_a_thousand(tmp_path: Path) -> None:
    phakir(tmp_path)
    put(tmp_path, "Video_07/Frames/1000/frame_001000.png", picture([[1]]))
    assert read(NAME, tmp_path)["images"].select("video", "frame_index").rows() == [
        ("Video_07", 0),
        ("Video_07", 25),
        ("Video_07", 1000),
    ]


def test_frames_are_preferred_to_a_video_file(tmp_path: Path) -> None:
    phakir(tmp_path)
    for name in ("Video_07.mp4", "Video_01.mp4"):
        put(tmp_path, name, b"")
    videos = {video.video: video for video in adapters()[NAME].videos(tmp_path)}
    assert (videos["Video_07"].media, videos["Video_07"].path) == ("images", "Video_07/Frames")
    assert (videos["Video_01"].media, videos["Video_01"].path) == ("video", "Video_01.mp4")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("Frame,Phase\n0,Preparation\n2,Preparation\n", "line 3"),
        ("Frame,Phase\n0,Preparation\n0,Preparation\n", "line 3"),
        ("Frame,Phase,Centre\n0,Preparation,MRI\n", "line 1"),
        ("1,Preparation\n", "line 1"),
        ("Frame,Phase\n0,\n", "line 2"),
    ],
)
def test_another_table_is_an_error_at_its_line(content: str, place: str, tmp_path: Path) -> None:
    phakir(tmp_path)
    put(tmp_path, PHAKIR, content)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (PHAKIR, place)
