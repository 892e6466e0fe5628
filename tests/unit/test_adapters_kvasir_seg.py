"""Kvasir-SEG: boxes by image name, masks in JPEG."""

import json
from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules
from .native_specialties import blocks, kvasir_seg, picture

FILE = "kavsir_bboxes.json"


def test_boxes_are_pixels_of_the_stated_image_and_frames_are_the_order_of_the_file(tmp_path: Path) -> None:
    kvasir_seg(tmp_path)
    labels = read("kvasir_seg", tmp_path)
    columns = ["frame_index", "raw_value", "x1", "y1", "x2", "y2", "width", "height", "locator"]
    assert labels["boxes"].select(columns).rows() == [
        (0, "polyp", 2, 3, 10, 12, 24, 16, "/cju2/bbox/0"),
        (0, "polyp", 4, 3, 10, 12, 24, 16, "/cju2/bbox/1"),
        (1, "polyp", 2, 3, 10, 12, 24, 16, "/cju1/bbox/0"),
    ]
    assert sorted(labels["images"].select("frame_index", "file").rows()) == [
        (0, "images/cju2.jpg"),
        (1, "images/cju1.jpg"),
    ]


def test_a_jpeg_mask_is_read_as_two_values_though_it_holds_more(tmp_path: Path) -> None:
    kvasir_seg(tmp_path)
    put(tmp_path, "masks/cju2.jpg", picture(blocks(0, 6, 3), ".jpg"))
    columns = ["frame_index", "raw_value", "mask_file", "mask_value"]
    assert read("kvasir_seg", tmp_path)["masks"].select(columns).rows() == [(1, "polyp", "masks/cju1.jpg", 255)]


def test_a_missing_image_moves_no_number_and_an_unlisted_one_is_rejected(tmp_path: Path) -> None:
    kvasir_seg(tmp_path)
    (tmp_path / "images/cju2.jpg").unlink()
    put(tmp_path, "images/copy.jpg", picture(blocks(5), ".jpg"))
    labels = read("kvasir_seg", tmp_path)
    assert labels["images"].select("frame_index", "file").rows() == [(1, "images/cju1.jpg")]
    assert (rules(labels), labels["rejects"]["file"].item()) == (["image_without_entry"], "images/copy.jpg")


def test_all_images_are_one_sequence_of_a_colonoscopy(tmp_path: Path) -> None:
    kvasir_seg(tmp_path)
    (video,) = adapters()["kvasir_seg"].videos(tmp_path)
    assert (video.video, video.media, video.path) == ("images", "images", "images")
    assert video.label_files == (FILE, "masks/cju1.jpg")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"height": None}, "/cju2/height"),
        ({"bbox": {}}, "/cju2/bbox"),
        ({"bbox": [{"label": "polyp", "xmin": 1, "ymin": 2, "xmax": 3}]}, "/cju2/bbox/0/ymax"),
    ],
)
def test_an_entry_that_is_not_the_format_is_an_error_at_its_pointer(
    change: dict[str, object], place: str, tmp_path: Path
) -> None:
    kvasir_seg(tmp_path)
    value = json.loads((tmp_path / FILE).read_text())
    put(tmp_path, FILE, {**value, "cju2": value["cju2"] | change})
    with pytest.raises(SourceError) as error:
        read("kvasir_seg", tmp_path)
    assert (error.value.file, error.value.place) == (FILE, place)
