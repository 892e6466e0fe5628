"""Endoscapes: boxes and criteria from two files, repeats over splits."""

from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import coco_file, counted, put, read, rules
from .native_cholec import ENDOSCAPES_CATEGORIES, endoscapes, endoscapes_box, endoscapes_image

COCO, DS = "train/annotation_coco.json", "train/annotation_ds_coco.json"


def write(root: Path, file: str, images: list[dict[str, Any]], boxes: list[dict[str, Any]]) -> None:
    put(root, file, coco_file(images, boxes, categories=ENDOSCAPES_CATEGORIES))


def test_boxes_carry_the_frame_of_the_file_name_and_the_category_as_written(tmp_path: Path) -> None:
    endoscapes(tmp_path)
    columns = [
        "video",
        "frame_index",
        "field",
        "raw_value",
        "x1",
        "y1",
        "x2",
        "y2",
        "width",
        "file",
        "locator",
    ]
    assert read("endoscapes", tmp_path)["boxes"].select(columns).rows() == [
        ("8", 14775, "object", "gallbladder", 10.0, 20.0, 40.5, 60.0, 854, COCO, "/annotations/0"),
        ("8", 14775, "object", "tool", 1.0, 2.0, 4.0, 6.0, 854, COCO, "/annotations/1"),
    ]


def test_ds_is_three_criteria_of_three_raters_on_rated_frames_only(tmp_path: Path) -> None:
    endoscapes(tmp_path)
    criteria = read("endoscapes", tmp_path)["criteria"]
    assert criteria.select("frame_index", "raw_value", "score", "n_raters", "locator").rows() == [
        (14775, "C1", 1.0, 3, "/images/0"),
        (14775, "C2", 0.333, 3, "/images/0"),
        (14775, "C3", 0.0, 3, "/images/0"),
    ]


def test_a_box_that_another_split_repeats_is_rejected_and_says_where_it_stands(tmp_path: Path) -> None:
    endoscapes(tmp_path)
    labels = read("endoscapes", tmp_path)
    assert labels["rejects"].select("file", "locator", "rule", "reason").rows() == [
        (
            "val_seg/annotation_coco.json",
            "/annotations/0",
            "repeats",
            f"The same label stands in {COCO}, /annotations/0.",
        )
    ]
    assert counted(labels) == {COCO: (2, 0), DS: (1, 0), "val_seg/annotation_coco.json": (1, 1)}


def test_two_equal_boxes_in_one_file_are_two_boxes(tmp_path: Path) -> None:
    image, box = endoscapes_image(1, "8_25.jpg"), endoscapes_box(1, 6, [1, 2, 3, 4])
    write(tmp_path, COCO, [image], [box, box])
    write(tmp_path, "train_seg/annotation_coco.json", [image], [box, box, box])
    labels = read("endoscapes", tmp_path)
    assert labels["boxes"]["file"].to_list() == [COCO, COCO, "train_seg/annotation_coco.json"]
    assert rules(labels) == ["repeats", "repeats"]


def test_labels_on_frames_that_the_file_itself_calls_no_keyframe_are_rejected(tmp_path: Path) -> None:
    image = endoscapes_image(1, "8_25.jpg", [1, 1, 1]) | {"is_ds_keyframe": False, "is_det_keyframe": False}
    write(tmp_path, DS, [image], [endoscapes_box(1, 6, [1, 2, 3, 4])])
    labels = read("endoscapes", tmp_path)
    assert labels["criteria"].is_empty()
    assert labels["boxes"].is_empty()
    assert rules(labels) == ["not_a_keyframe", "not_a_keyframe"]


def test_the_file_that_repeats_the_last_label_is_not_read(tmp_path: Path) -> None:
    endoscapes(tmp_path)
    put(tmp_path, "train/annotation_coco_vid.json", "not even JSON")
    assert read("endoscapes", tmp_path)["boxes"].height == 2


def test_images_are_listed_from_disk_once_a_frame_and_empty_folders_are_tolerated(tmp_path: Path) -> None:
    endoscapes(tmp_path)
    (tmp_path / "train_seg").mkdir()
    for file in ("train/8_14775.jpg", "val_seg/8_14775.jpg", "test/170_25.jpg"):
        put(tmp_path, file, b"same")
    labels = read("endoscapes", tmp_path)
    assert labels["images"].select("video", "frame_index", "file").rows() == [
        ("170", 25, "test/170_25.jpg"),
        ("8", 14775, "train/8_14775.jpg"),
    ]
    assert "val_seg/8_14775.jpg" in labels["rejects"]["file"].to_list()
    videos = {video.video: video for video in adapters()["endoscapes"].videos(tmp_path)}
    assert (videos["170"].path, videos["170"].label_files) == ("test", ())
    assert videos["8"].path == "train"


@pytest.mark.parametrize(
    ("image", "box", "place"),
    [
        ({"ds": [1, 2, 0]}, {}, "/images/0"),
        ({"ds": [1, 0]}, {}, "/images/0/ds"),
        ({"file_name": "8.jpg"}, {}, "/images/0"),
        ({}, {"category_id": 9}, "/annotations/0"),
        ({}, {"image_id": 9}, "/annotations/0"),
        ({}, {"bbox": [1, 2, 3]}, "/annotations/0/bbox"),
        ({}, {"bbox": [1, 2, 3, None]}, "/annotations/0/bbox"),
    ],
)
def test_a_coco_file_that_contradicts_itself_is_an_error_at_its_pointer(
    image: dict[str, Any], box: dict[str, Any], place: str, tmp_path: Path
) -> None:
    write(
        tmp_path,
        DS,
        [endoscapes_image(1, "8_25.jpg", [1, 1, 0]) | image],
        [endoscapes_box(1, 6, [1, 2, 3, 4]) | box],
    )
    with pytest.raises(SourceError) as error:
        read("endoscapes", tmp_path)
    assert (error.value.file, error.value.place) == (DS, place)
