"""DSAD: one organ a folder, absences where a mask is black."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_specialties import blocks, dsad, picture


def test_white_is_the_organ_of_the_folder_and_a_black_mask_says_that_it_is_absent(tmp_path: Path) -> None:
    dsad(tmp_path)
    labels = read("dsad", tmp_path)
    assert labels["masks"].select("video", "frame_index", "raw_value", "mask_value", "file").rows() == [
        ("liver_03", 0, "liver", 255, "liver/03/mask00.png"),
        ("multilabel_03", 0, "stomach", 255, "multilabel/03/mask00_stomach.png"),
    ]
    assert labels["presences"].select("video", "frame_index", "raw_value", "present").rows() == [
        ("liver_03", 1, "liver", False)
    ]


def test_folders_of_one_surgery_are_one_procedure(tmp_path: Path) -> None:
    dsad(tmp_path)
    videos = adapters()["dsad"].videos(tmp_path)
    assert [(video.video, video.media, video.path, video.patient) for video in videos] == [
        ("liver_03", "images", "liver/03", "03"),
        ("multilabel_03", "none", None, "03"),
    ]


def test_a_mask_of_other_values_is_rejected_and_says_nothing(tmp_path: Path) -> None:
    dsad(tmp_path)
    put(tmp_path, "liver/03/mask01.png", picture(blocks(0, 128)))
    put(tmp_path, "liver/03/mask02.png", picture([[[0, 0, 255]] * 8] * 8))
    labels = read("dsad", tmp_path)
    assert labels["presences"].is_empty()
    assert sorted(labels["rejects"].select("rule", "file", "raw_value").rows()) == [
        ("unexpected_mask_value", "liver/03/mask01.png", "128"),
        ("unreadable_mask", "liver/03/mask02.png", None),
    ]


@pytest.mark.parametrize(
    "name", ["liver/03/mask00_stomach.png", "multilabel/03/mask00.png", "multilabel/03/mask00_heart.png"]
)
def test_a_mask_name_that_the_folder_does_not_have_is_an_error(name: str, tmp_path: Path) -> None:
    dsad(tmp_path)
    put(tmp_path, name, picture(blocks(0)))
    with pytest.raises(SourceError) as error:
        read("dsad", tmp_path)
    assert error.value.file == name
