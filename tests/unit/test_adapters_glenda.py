"""GLENDA: places of endometriosis, and sequences without any."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import put, read
from .native_specialties import blocks, glenda, picture

SICK, WELL = "v_7_s_1299-1300", "v_7_s_10-11"


def test_a_mask_is_a_finding_of_the_class_in_its_name(tmp_path: Path) -> None:
    glenda(tmp_path)
    columns = ["video", "frame_index", "raw_value", "instance", "mask_value"]
    assert sorted(read("glenda", tmp_path)["masks"].select(columns).rows()) == [
        (SICK, 1299, "DIE", "849", 255),
        (SICK, 1299, "ovary", "848", 255),
    ]


def test_only_sequences_without_pathology_say_that_there_is_none(tmp_path: Path) -> None:
    glenda(tmp_path)
    labels = read("glenda", tmp_path)
    assert labels["presences"].select("video", "frame_index", "raw_value", "present").rows() == [
        (WELL, 10, name, False) for name in ("peritoneum", "ovary", "uterus", "DIE")
    ]
    assert labels["images"].select("video", "frame_index").rows() == [(WELL, 10), (SICK, 1299), (SICK, 1300)]


def test_a_class_is_a_disease_at_a_place_and_not_the_organ() -> None:
    assert aliases("glenda").filter(raw_value="uterus")["concept_id"].item() == "tissue/uterine_endometriosis"
    assert aliases("autolaparo").filter(raw_value="uterus")["concept_id"].item() == "tissue/uterus"


def test_sequences_of_one_video_are_one_procedure(tmp_path: Path) -> None:
    glenda(tmp_path)
    videos = adapters()["glenda"].videos(tmp_path)
    assert [(video.video, video.patient) for video in videos] == [(WELL, "v_7"), (SICK, "v_7")]


@pytest.mark.parametrize("name", ["bowel_a_1.png", "ovary.png"])
def test_a_mask_of_an_unknown_class_is_an_error(name: str, tmp_path: Path) -> None:
    glenda(tmp_path)
    put(tmp_path, f"DS/pathology/annotations/{SICK}/f_1299/{name}", picture(blocks(0, 255)))
    with pytest.raises(SourceError, match="peritoneum, ovary, uterus, DIE"):
        read("glenda", tmp_path)


def test_a_sequence_with_and_without_pathology_is_an_error(tmp_path: Path) -> None:
    glenda(tmp_path)
    put(tmp_path, f"DS/no_pathology/frames/{SICK}/f_1299.jpg", b"")
    with pytest.raises(SourceError, match="one that is in both"):
        adapters()["glenda"].videos(tmp_path)
