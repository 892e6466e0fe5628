"""EndoVis 2018: colour masks with the owner's class map, corrected masks, releases in folders of folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import LABELS, put, read, real, rules
from .native_robotic import CLASSES_2018, endovis2018, mask

MASK = "release/seq_1/labels/frame000.png"
GREEN, KIDNEY = 0x00FF00, 0xFF3700


@real("endovis2018")
def test_every_class_of_the_real_map_but_the_background_is_a_concept_and_read_by_its_colour(tmp_path: Path) -> None:
    shutil.copy(LABELS / "endovis2018/labels.json", tmp_path / "labels.json")
    classes = json.loads((tmp_path / "labels.json").read_text())
    mask(tmp_path, "seq_16/labels/frame148.png", [[entry["color"] for entry in classes]])
    labels = read("endovis2018", tmp_path)
    assert labels["masks"].height == labels["presences"].height == 11
    assert set(labels["masks"]["raw_value"]) == {entry["name"] for entry in classes[1:]}
    assert labels["masks"].filter(raw_value="instrument-wrist")["mask_value"].item() == 0x7DFF0C
    assert labels["masks"]["frame_index"].unique().to_list() == [148]
    assert set(aliases("endovis2018")["raw_value"]) == set(labels["masks"]["raw_value"])


def test_a_mask_holds_the_classes_of_its_colours_and_the_background_is_none(tmp_path: Path) -> None:
    endovis2018(tmp_path)
    labels = read("endovis2018", tmp_path)
    assert labels["masks"].select("frame_index", "raw_value", "mask_value", "mask_file", "width").rows() == [
        (0, "instrument-shaft", GREEN, MASK, 2),
        (0, "kidney-parenchyma", KIDNEY, MASK, 2),
    ]
    assert labels["presences"].select("frame_index", "raw_value", "present").rows() == [
        (0, "instrument-shaft", True),
        (0, "kidney-parenchyma", True),
    ]  # frame 1 has a colour of no class: nobody knows what is absent there
    assert labels["rejects"].select("rule", "raw_value").rows() == [("unexpected_mask_value", str(0x010203))]


def test_a_corrected_mask_replaces_the_one_of_the_release(tmp_path: Path) -> None:
    endovis2018(tmp_path)
    mask(tmp_path, "repairs/repairs/seq_1_frame001.png", [[[0, 255, 0]]])
    labels = read("endovis2018", tmp_path)
    assert labels["rejects"].select("file", "rule").rows() == [("release/seq_1/labels/frame001.png", "repaired")]
    assert labels["masks"].filter(frame_index=1)["mask_file"].to_list() == ["repairs/repairs/seq_1_frame001.png"]


def test_sequences_are_found_in_folders_of_folders_but_not_among_test_data_or_shadow_files(tmp_path: Path) -> None:
    endovis2018(tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps(CLASSES_2018))
    mask(tmp_path, "r2/r2/seq_5/labels/frame000.png", [[[0, 0, 0]]])
    put(tmp_path, "r2/r2/seq_5/left_frames/frame000.png", b"")
    put(tmp_path, "r2/r2/seq_5/right_frames/frame000.png", b"")
    put(tmp_path, "release/__MACOSX/seq_1/labels/._frame000.png", b"")
    put(tmp_path, "test_data/seq_1/labels/frame000.png", b"")
    videos = {video.video: video for video in adapters()["endovis2018"].videos(tmp_path)}
    assert sorted(videos) == ["seq_1", "seq_5"]
    assert videos["seq_5"].path == "r2/r2/seq_5/left_frames"
    images = read("endovis2018", tmp_path)["images"]
    assert images.select("video", "frame_index", "file").rows() == [
        ("seq_5", 0, "r2/r2/seq_5/left_frames/frame000.png")
    ]


def test_a_sequence_in_two_folders_and_masks_without_a_class_map_are_errors(tmp_path: Path) -> None:
    endovis2018(tmp_path)
    mask(tmp_path, "copy/seq_1/labels/frame000.png", [[[0, 0, 0]]])
    with pytest.raises(SourceError, match=r"each sequence in one folder, found copy/seq_1"):
        read("endovis2018", tmp_path)
    shutil.rmtree(tmp_path / "copy")
    (tmp_path / "release/labels.json").unlink()
    with pytest.raises(SourceError, match="the classes, beside the sequence or at the top"):
        read("endovis2018", tmp_path)


@pytest.mark.parametrize(
    ("classes", "place"),
    [
        ({"classes": CLASSES_2018}, ""),
        ([CLASSES_2018[1] | {"color": [0, 255]}], "/0"),
        ([CLASSES_2018[1] | {"color": [0, 256, 0]}], "/0"),
        ([CLASSES_2018[1], CLASSES_2018[1] | {"name": "clamps"}], "/1"),
        ([{"name": "clamps"}], "/0/color"),
    ],
)
def test_another_class_map_is_an_error_at_its_pointer(classes: Any, place: str, tmp_path: Path) -> None:
    endovis2018(tmp_path)
    (tmp_path / "release/labels.json").write_text(json.dumps(classes))
    with pytest.raises(SourceError) as error:
        read("endovis2018", tmp_path)
    assert (error.value.file, error.value.place) == ("release/labels.json", place)


def test_a_broken_mask_is_rejected_and_says_nothing_of_what_is_absent(tmp_path: Path) -> None:
    endovis2018(tmp_path)
    (tmp_path / MASK).write_bytes((tmp_path / MASK).read_bytes()[:50])
    labels = read("endovis2018", tmp_path)
    assert sorted(rules(labels)) == ["unexpected_mask_value", "unreadable_mask"]
    assert labels["presences"].is_empty()
