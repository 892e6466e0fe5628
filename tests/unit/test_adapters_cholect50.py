"""CholecT50: sparse frames, -1, duplicate downloads, and ids that contradict each other."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import LABELS, counted, put, read, real, rules
from .native_cholec import BOX, NO_BOX, T50_NAMES, cholect50, t50_file, t50_row

LABEL = "labels/VID68.json"


def write(root: Path, frames: dict[str, list[list[Any]]]) -> None:
    put(root, LABEL, t50_file(frames))


@real("cholect50")
def test_every_row_of_the_real_files_is_accounted_for_and_none_is_rejected() -> None:
    labels = read("cholect50", LABELS / "cholect50")
    assert counted(labels) == {
        "labels/VID68.json": (296, 0),
        "labels/VID70.json": (196, 0),
        "labels/VID73.json": (178, 0),
    }
    assert labels["boxes"].height == labels["triplets"].height == 296 + 196 + 178
    assert labels["intervals"]["n_rows"].sum() == 296 + 196 + 178


@real("cholect50")
def test_a_duplicate_download_is_rejected_beside_its_frame_and_is_the_frame_where_it_stands_alone() -> None:
    labels = read("cholect50", LABELS / "cholect50")
    images = labels["images"].filter(video="VID70")
    assert images.filter(frame_index=30)["file"].to_list() == ["videos/VID70/000030 (1).png"]
    assert images.filter(frame_index=149)["file"].to_list() == ["videos/VID70/000149.png"]
    assert labels["rejects"].select("file", "rule").rows() == [("videos/VID70/000149 (1).png", "duplicate_download")]
    assert labels["images"].filter(video="VID68").height == 40


def test_a_second_download_with_other_bytes_is_rejected_as_conflicting(tmp_path: Path) -> None:
    cholect50(tmp_path)
    put(tmp_path, "videos/VID68/000016.png", b"a")
    put(tmp_path, "videos/VID68/000016 (1).png", b"b")
    put(tmp_path, "videos/VID68/Thumbs.db", b"")
    labels = read("cholect50", tmp_path)
    assert labels["images"]["file"].to_list() == ["videos/VID68/000016.png"]
    assert labels["rejects"].select("file", "rule").rows() == [("videos/VID68/000016 (1).png", "conflicting_download")]


def test_phases_merge_only_over_consecutive_frames_with_equal_phase(tmp_path: Path) -> None:
    cholect50(tmp_path)
    columns = ["raw_value", "start_s", "end_s", "start_frame", "end_frame", "locator", "n_rows"]
    assert read("cholect50", tmp_path)["intervals"].select(columns).rows() == [
        ("preparation", 16.0, 18.0, 16, 17, "/annotations/16..17", 3),
        ("preparation", 19.0, 20.0, 19, 19, "/annotations/19", 1),
        ("carlot-triangle-dissection", 20.0, 21.0, 20, 20, "/annotations/20", 1),
    ]


def test_a_row_of_minus_ones_gives_its_phase_and_nothing_else(tmp_path: Path) -> None:
    cholect50(tmp_path)
    labels = read("cholect50", tmp_path)
    triplets = labels["triplets"].select("frame_index", "raw_instrument", "raw_verb", "raw_target", "instance")
    assert triplets.rows() == [
        (16, "grasper", "grasp", "gallbladder", "0"),
        (16, "grasper", "retract", "liver", None),
        (19, "bipolar", "null_verb", "null_target", None),
        (20, "grasper", "grasp", "gallbladder", None),
    ]
    boxes = labels["boxes"].select("locator", "raw_value", "x1", "y1", "x2", "y2", "unit", "instance")
    assert boxes.rows() == [("/annotations/16/0", "grasper", 0.25, 0.25, 0.75, 0.375, "relative", "0")]
    assert counted(labels) == {LABEL: (5, 0)}


def test_a_frame_whose_rows_name_two_phases_has_none_but_keeps_its_triplets(tmp_path: Path) -> None:
    write(tmp_path, {"5": [t50_row(7, 0, 0, 0, 0), t50_row(19, 0, 1, 8, 1)], "6": [t50_row(7, 0, 0, 0, 1)]})
    labels = read("cholect50", tmp_path)
    assert labels["intervals"].select("locator", "start_s").rows() == [("/annotations/6", 6.0)]
    assert labels["rejects"].select("locator", "rule").rows() == [
        ("/annotations/5/0", "conflicting_phase"),
        ("/annotations/5/1", "conflicting_phase"),
    ]
    assert labels["triplets"].height == 3
    assert counted(labels) == {LABEL: (3, 0)}


def test_a_triplet_that_its_own_component_ids_contradict_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, {"5": [t50_row(7, 2, 0, 0, 0, BOX), t50_row(19, 0, 1, 8, 0)]})
    labels = read("cholect50", tmp_path)
    assert labels["triplets"]["locator"].to_list() == ["/annotations/5/1"]
    assert labels["boxes"].is_empty()
    assert labels["rejects"].select("rule", "raw_value").rows() == [
        ("inconsistent_triplet", "grasper,grasp,gallbladder")
    ]


def test_an_instrument_without_a_triplet_keeps_verb_and_target_unannotated(tmp_path: Path) -> None:
    write(tmp_path, {"5": [t50_row(-1, 2, -1, -1, 0, BOX)]})
    labels = read("cholect50", tmp_path)
    assert labels["triplets"].select("raw_instrument", "raw_verb", "raw_target").rows() == [("hook", None, None)]


def test_a_row_that_says_nothing_at_all_and_a_box_of_nothing_are_rejects(tmp_path: Path) -> None:
    write(tmp_path, {"5": [t50_row(-1, -1, -1, -1, -1)], "6": [t50_row(-1, -1, -1, -1, 0, BOX)]})
    labels = read("cholect50", tmp_path)
    assert rules(labels) == ["unnamed_box", "no_label"]
    assert counted(labels) == {LABEL: (2, 1)}


def test_frames_are_read_in_the_order_of_time_whatever_their_order_in_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"10": [t50_row(7, 0, 0, 0, 0)], "9": [t50_row(7, 0, 0, 0, 0)]})
    assert read("cholect50", tmp_path)["intervals"]["locator"].to_list() == ["/annotations/9..10"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"video": 70}, "/video"),
        ({"fps": 25}, "/fps"),
        ({"annotations": []}, "/annotations"),
        ({"annotations": {"5": [[1, 2]]}}, "/annotations/5/0"),
        ({"annotations": {"x": [t50_row(7, 0, 0, 0, 0)]}}, "/annotations/x/0"),
        ({"annotations": {"5": [t50_row(150, 0, 0, 0, 0)]}}, "/annotations/5/0"),
        ({"annotations": {"5": [t50_row(7, 0, 0, 0, 0, (0.1, "a", 0.1, 0.1))]}}, "/annotations/5/0/4"),
        ({"annotations": {"5": [t50_row(7, 0, 0, 0, 0, (0.1, 10**400, 0.1, 0.1))]}}, "/annotations/5/0/4"),
        ({"categories": T50_NAMES | {"triplet": {"7": "grasper,grasp"}}}, "/categories/triplet/7"),
        ({"categories": T50_NAMES | {"phase": {"0": 3}}}, "/categories/phase/0/name"),
    ],
)
def test_a_label_file_that_contradicts_its_name_or_format_is_an_error_at_its_pointer(
    change: dict[str, Any], place: str, tmp_path: Path
) -> None:
    put(tmp_path, LABEL, t50_file({"5": [t50_row(7, 0, 0, 0, 0, NO_BOX)]}) | change)
    with pytest.raises(SourceError) as error:
        read("cholect50", tmp_path)
    assert (error.value.file, error.value.place) == (LABEL, place)


def test_a_mapping_file_of_another_triplet_list_is_an_error_at_its_line(tmp_path: Path) -> None:
    cholect50(tmp_path)
    put(tmp_path, "label_mapping.txt", "# IVT, I, V, T, IV, IT\n7,0,0,0,0,0\n95,2,9,14,0,0\n")
    with pytest.raises(SourceError) as error:
        read("cholect50", tmp_path)
    assert (error.value.file, error.value.place, error.value.found) == (
        "label_mapping.txt",
        "line 3",
        "'hook,null_verb,null_target'",
    )


@pytest.mark.parametrize(
    ("content", "place", "found"),
    [
        ('{"video": 68,\n "fps"', "line 2 column 7", "the end of the file"),
        ('{"video": 68,\n fps: 1}', "line 2 column 2", "'fps: 1}'"),
        ('{"video": 68, "video": 69}', "", "'video' twice"),
        ('{"video": NaN}', "", "NaN"),
        ("[" * 100_000, "", None),
    ],
)
def test_json_that_cannot_be_read_is_an_error_with_line_and_column(
    content: str, place: str, found: str | None, tmp_path: Path
) -> None:
    put(tmp_path, LABEL, content)
    with pytest.raises(SourceError) as error:
        read("cholect50", tmp_path)
    assert (error.value.file, error.value.place) == (LABEL, place)
    assert found is None or error.value.found == found


def test_only_the_videos_that_were_asked_for_are_read(tmp_path: Path) -> None:
    cholect50(tmp_path)
    put(tmp_path, "labels/VID70.json", "broken")
    adapter = adapters()["cholect50"]
    wanted = [video for video in adapter.videos(tmp_path) if video.video == "VID68"]
    assert adapter.labels(tmp_path, wanted)["triplets"].select(pl.col("video").unique()).item() == "VID68"
