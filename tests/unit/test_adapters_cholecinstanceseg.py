"""CholecInstanceSeg: LabelMe outlines, instances of several polygons, frames without tools."""

from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.identity.procedures import procedure_of
from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import LABELS, counted, put, read, real, rules
from .native_cholec import INSTANCES, cholecinstanceseg, labelme, outline

NAME = "cholecinstanceseg"
FILE = f"{INSTANCES}/ann_dir/t80_VID03_000030.json"


@real(NAME)
def test_every_shape_of_the_real_files_is_a_mask_of_an_instance() -> None:
    labels = read(NAME, LABELS / NAME)
    masks = labels["masks"]
    assert (masks.height, labels["rejects"].height) == (25, 0)
    assert masks.select("video", "frame_index", "raw_value", "instance").row(0) == (
        *("t80_VID03", 30, "grasper"),
        "grasper 1",
    )
    assert masks["polygon"].list.len().to_list()[:3] == [2 * 247, 2 * 337, 2 * 164]
    assert masks["polygon"][0].to_list()[:4] == [276.0, 2.0, 275.0, 3.0]
    assert masks.filter(frame_index=120, instance="grasper 1").height == 2
    known = set(aliases(NAME)["raw_value"])
    assert set(masks["raw_value"]) <= known


@real(NAME)
def test_the_empty_real_frame_is_a_frame_without_any_tool() -> None:
    presences = read(NAME, LABELS / NAME)["presences"]
    assert presences.height == 10 * 7
    empty = presences.filter(frame_index=0)
    assert (empty.height, empty["present"].any()) == (7, False)


def test_group_ids_restart_for_each_label_and_polygons_of_one_are_one_instance(tmp_path: Path) -> None:
    cholecinstanceseg(tmp_path)
    columns = ["raw_value", "instance", "locator", "polygon", "width", "height"]
    assert read(NAME, tmp_path)["masks"].select(columns).rows() == [
        ("grasper", "grasper 1", "/shapes/0", [1.0, 2.0, 30.0, 2.0, 30.5, 40.0], 854, 480),
        ("grasper", "grasper 1", "/shapes/1", [5.0, 5.0, 9.0, 5.0, 9.0, 9.0], 854, 480),
        ("hook", "hook 1", "/shapes/2", [1.0, 2.0, 30.0, 2.0, 30.5, 40.0], 854, 480),
    ]


def test_parts_of_a_video_count_frames_on_clocks_of_their_own(tmp_path: Path) -> None:
    cholecinstanceseg(tmp_path)
    for part in ("t50_VID68", "seg8k_VID01"):
        put(tmp_path, f"val/{part}/ann_dir/{part}_000080.json", labelme(80, part=part))
    found = {video.video: video for video in adapters()[NAME].videos(tmp_path)}
    assert {video: listed.frame_rate for video, listed in found.items()} == {
        "seg8k_VID01": 25.0,
        "t50_VID68": 1.0,
        "t80_VID03": 1.0,
    }
    assert (found["t80_VID03"].media, found["t80_VID03"].path) == ("images", f"{INSTANCES}/img_dir")
    assert read(NAME, tmp_path)["images"].select("video", "frame_index").rows() == [("t80_VID03", 30)]


@pytest.mark.parametrize("video", ["seg8k_video12", "seg8k_VID12"])
def test_files_of_cholecseg8k_say_video_or_vid_and_show_the_same_operation(video: str, tmp_path: Path) -> None:
    folder = "train/VID12_seg8k"
    put(tmp_path, f"{folder}/ann_dir/{video}_015810.json", labelme(15810, outline("hook", 1), part=video))
    put(tmp_path, f"{folder}/img_dir/{video}_015810.png", b"image")
    assert adapters()[NAME].detect(tmp_path)
    (listed,) = adapters()[NAME].videos(tmp_path)
    assert (listed.video, listed.media, listed.frame_rate, listed.split) == (video, "images", 25.0, "train")
    assert procedure_of(NAME, NAME, listed)[0] == "cholec/012"
    labels = read(NAME, tmp_path)
    assert [labels[kind]["frame_index"].unique().to_list() for kind in ("masks", "images")] == [[15810], [15810]]


@pytest.mark.parametrize("name", ["seg8k_clip12_015810.json", "t80_VID03_30.json"])
def test_an_annotation_of_another_name_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    cholecinstanceseg(tmp_path)
    put(tmp_path, f"{INSTANCES}/ann_dir/._t80_VID03_000030.json", b"\x00\x05")  # what macOS leaves behind
    assert read(NAME, tmp_path)["masks"].height == 3
    put(tmp_path, f"{INSTANCES}/ann_dir/{name}", labelme(30))
    with pytest.raises(SourceError) as error:
        adapters()[NAME].videos(tmp_path)
    assert (error.value.file, error.value.found) == (f"{INSTANCES}/ann_dir/{name}", name)


def test_an_empty_frame_that_names_another_image_is_rejected(tmp_path: Path) -> None:
    put(tmp_path, FILE, labelme(60))
    labels = read(NAME, tmp_path)
    assert labels["rejects"].select("rule", "file", "locator", "raw_value").rows() == [
        ("labels_of_another_image", FILE, "file", "img_dir/t80_VID03_000060.png")
    ]
    assert labels["presences"].is_empty()


@pytest.mark.parametrize(
    "more", [{"imageHeight": None, "imageWidth": None}, {"imagePath": r"img_dir\t80_VID03_000030.png"}]
)
def test_unknown_sizes_and_windows_separators_are_read(more: dict[str, Any], tmp_path: Path) -> None:
    cholecinstanceseg(tmp_path)
    put(tmp_path, FILE, labelme(30, outline("snare", None), **more))
    (mask,) = read(NAME, tmp_path)["masks"].iter_rows(named=True)
    assert (mask["raw_value"], mask["instance"]) == ("snare", None)
    assert mask["width"] == more.get("imageWidth", 854)


@pytest.mark.parametrize(
    ("shape", "more", "rule"),
    [
        ({"shape_type": "rectangle"}, {}, "no_polygon"),
        ({"points": [[1, 2], [3, 4]]}, {}, "polygon_without_area"),
        ({}, {"imagePath": "img_dir/t80_VID03_000060.png"}, "labels_of_another_image"),
    ],
)
def test_a_shape_that_is_no_outline_of_this_frame_is_rejected(
    shape: dict[str, Any], more: dict[str, Any], rule: str, tmp_path: Path
) -> None:
    cholecinstanceseg(tmp_path)
    put(tmp_path, FILE, labelme(30, outline("hook", 1) | shape, **more))
    labels = read(NAME, tmp_path)
    assert rules(labels) == [rule]
    assert labels["masks"].is_empty()
    assert counted(labels) == {FILE: (1, 1)}
    described = labels["presences"].filter(frame_index=30)
    assert described["present"].any() == (rule != "labels_of_another_image")


def test_the_same_frame_in_two_folders_counts_once(tmp_path: Path) -> None:
    cholecinstanceseg(tmp_path)
    put(tmp_path, FILE.replace("sparse", "full"), (tmp_path / FILE).read_bytes())
    labels = read(NAME, tmp_path)
    assert labels["masks"].height == 3
    assert rules(labels) == ["repeats"] * 3


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (labelme(30, outline("hook", 1) | {"points": [[1, 2, 3]]}), "/shapes/0/points"),
        (labelme(30, outline("hook", 1) | {"group_id": "one"}), "/shapes/0/group_id"),
        (labelme(30, outline("", 1)), "/shapes/0/label"),
        (labelme(30) | {"shapes": None}, "/shapes"),
        ('{"shapes": [', "line 1 column 13"),
    ],
)
def test_json_that_is_not_the_format_is_an_error_at_its_pointer(
    content: str | dict[str, Any], place: str, tmp_path: Path
) -> None:
    cholecinstanceseg(tmp_path)
    put(tmp_path, FILE, content)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (FILE, place)
