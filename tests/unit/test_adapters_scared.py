"""SCARED: a depth image a frame, of the channel that holds millimetres from the camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules
from .native_releases import scared, tiff

KEYFRAME = "dataset_1/keyframe_1"


def test_point_maps_are_depth_of_the_frames_that_they_number(tmp_path: Path) -> None:
    scared(tmp_path)
    depths = read("scared", tmp_path)["depths"].sort("video", "frame_index")
    columns = ["video", "frame_index", "depth_file", "channel", "unit", "origin"]
    assert depths.height == 4
    assert depths.select(columns).row(0) == (
        "dataset_1_keyframe_1", 0, f"{KEYFRAME}/data/scene_points/scene_points000000.tiff", 2, "mm", "measured",
    )  # fmt: skip
    assert depths.select(columns).row(2)[1] == 196
    assert depths.select(columns).row(3)[:3] == (
        "dataset_2_keyframe_3", 0, "dataset_2/keyframe_3/left_depth_map.tiff",
    )  # fmt: skip


def test_keyframes_of_one_animal_are_one_procedure_and_media_are_the_stereo_video(tmp_path: Path) -> None:
    scared(tmp_path)
    put(tmp_path, f"{KEYFRAME}/data/rgb.mp4", b"")
    first, second = adapters()["scared"].videos(tmp_path)
    assert (first.patient, second.patient) == ("dataset_1", "dataset_2")
    assert (first.media, first.path, second.media) == ("video", f"{KEYFRAME}/data/rgb.mp4", "none")


def test_packed_point_maps_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    put(tmp_path, f"{KEYFRAME}/data/scene_points.tar.gz", b"\x1f\x8b")
    with pytest.raises(SourceError, match=r"scene_points\.tar\.gz: .*unpack it beside the archive"):
        read("scared", tmp_path)


def test_a_map_of_other_numbers_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / KEYFRAME / "data/scene_points/scene_points000000.tiff"
    tiff(file, channels=1)
    with pytest.raises(SourceError, match="expected x, y, z as 32 bit floats, found 1 channels"):
        read("scared", tmp_path)
    cv2.imwrite(str(file), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SourceError, match="expected a TIFF of 32 bit floats, found uint8"):
        read("scared", tmp_path)


def test_a_broken_or_misnamed_map_costs_itself_alone(tmp_path: Path) -> None:
    scared(tmp_path)
    put(tmp_path, f"{KEYFRAME}/data/scene_points/scene_points000001.tiff", b"<html>")
    put(tmp_path, f"{KEYFRAME}/data/scene_points/scene_points_old.tiff", b"II*\x00")
    labels = read("scared", tmp_path)
    assert sorted(rules(labels)) == ["no_frame_number", "not_a_tiff"]
    assert labels["depths"].height == 3
