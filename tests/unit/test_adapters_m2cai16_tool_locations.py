"""m2cai16-tool-locations: VOC boxes as they stand."""

import re
from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import LABELS, counted, put, read, real, rules
from .native_cholec import m2cai16_tool_locations

NAME = "m2cai16_tool_locations"
LABEL = "Annotations/v01_002075.xml"


@real("m2cai16-tool-locations")
def test_every_object_of_the_real_files_is_a_box() -> None:
    root = LABELS / "m2cai16-tool-locations"
    labels = read(NAME, root)
    due = {f"Annotations/{path.name}": path.read_text().count("<object>") for path in root.glob("Annotations/*.xml")}
    assert counted(labels) == {file: (n_rows, 0) for file, n_rows in due.items() if n_rows}
    assert labels["boxes"].height == sum(due.values())
    outside = labels["boxes"].filter(frame_index=42225, video="v02")
    assert outside["y1"].min() == -2  # written -1, counted from 1


def test_a_box_keeps_coordinates_outside_the_image_and_the_size_that_the_file_states(tmp_path: Path) -> None:
    m2cai16_tool_locations(tmp_path)
    columns = [
        "video",
        "frame_index",
        "locator",
        "raw_value",
        "x1",
        "y1",
        "x2",
        "y2",
        "unit",
        "width",
        "height",
    ]
    assert read(NAME, tmp_path)["boxes"].select(columns).row(0) == (
        *("v01", 2075, "/annotation/object[1]", "Grasper", 200.0, -4.0, 899.0, 190.0),
        *("pixel", 596, 334),
    )


def test_images_are_listed_with_or_without_annotation_and_mirrored_copies_are_not(tmp_path: Path) -> None:
    m2cai16_tool_locations(tmp_path)
    for name in (
        "v01_002075.jpg",
        "v01_002075_flip.jpg",
        "v01_002100.jpg",
        "v01_002100 (1).jpg",
        "v07_000025.jpg",
    ):
        put(tmp_path, f"JPEGImages/{name}", b"same")
    labels = read(NAME, tmp_path)
    assert labels["images"].select("video", "frame_index").rows() == [
        ("v01", 2075),
        ("v01", 2100),
        ("v07", 25),
    ]
    assert rules(labels) == ["duplicate_download"]
    videos = adapters()[NAME].videos(tmp_path)
    assert [(video.video, video.media, video.path) for video in videos] == [
        ("v01", "images", "JPEGImages"),
        ("v07", "images", "JPEGImages"),
    ]


@pytest.mark.parametrize(
    ("pattern", "replacement", "place", "found"),
    [
        ("<xmin>201", "<xmin>2o1", "/annotation/object[1]/bndbox/xmin", "'2o1'"),
        ("<ymax>4</ymax>", "", "/annotation/object[2]/bndbox/ymax", "''"),
        ("Hook", "Hock", "/annotation/object[2]", "'Hock'"),
        ("<width>596", "<width>", "/annotation/size/width", "''"),
        ("</annotation>", "", "line 24 column 1", None),
        ("(?s)^.*$", "<html/>", "", "<html>"),
    ],
)
def test_bad_xml_is_an_error_at_its_element_or_line(
    pattern: str, replacement: str, place: str, found: str | None, tmp_path: Path
) -> None:
    m2cai16_tool_locations(tmp_path)
    put(tmp_path, LABEL, re.sub(pattern, replacement, (tmp_path / LABEL).read_text()))
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (LABEL, place)
    assert found is None or error.value.found == found
