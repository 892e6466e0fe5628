"""A folder of COCO files: the user's categories, images and terms."""

import json
from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.config import SourceEntry
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules, unified
from .native_specialties import COCO_SIDECAR, blocks, coco, picture

FILE = "annotations/train.json"


def test_the_folder_is_the_video_or_else_the_file_and_the_image_id_is_the_frame(tmp_path: Path) -> None:
    coco(tmp_path)
    labels = read("coco", tmp_path)
    assert labels["boxes"].select("video", "frame_index", "raw_value", "x2", "locator").rows() == [
        ("op_1", 11, "Seminal-Vesicles", 4, "/annotations/0"),
        ("train", 12, "grasper", 4, "/annotations/1"),
    ]
    assert labels["images"].select("video", "frame_index", "file").rows() == [("op_1", 11, "images/op_1/a.png")]
    videos = adapters()["coco"].videos(tmp_path)
    assert [(video.video, video.media, video.path, video.patient) for video in videos] == [
        ("op_1", "images", "images/op_1", "P7"),
        ("train", "none", None, None),
    ]


def test_categories_are_concepts_by_name_and_two_polygons_stay_two_masks(tmp_path: Path) -> None:
    coco(tmp_path)
    done = unified(SourceEntry(name="ours", dataset="coco", root=tmp_path))
    assert set(done["boxes"]["concept_id"]) == {"tissue/seminal_vesicles", "instrument/grasper"}
    assert [len(polygon) for polygon in done["masks"]["polygon"]] == [6, 6]
    assert done["rejects"].is_empty()


def test_an_annotation_without_a_concept_is_one_reject_though_it_has_a_box_and_two_polygons(tmp_path: Path) -> None:
    coco(tmp_path)
    put(tmp_path, FILE, (tmp_path / FILE).read_text().replace("Seminal-Vesicles", "Haken"))
    rejects = unified(SourceEntry(name="ours", dataset="coco", root=tmp_path))["rejects"]
    assert rejects.select("locator", "raw_value", "n_rows").rows() == [("/annotations/0", "Haken", 1)]


@pytest.mark.parametrize("ring", [[0, 0.5, 4, 0, 4, 4], [0.5, 0, 4, 0, 4, 4], [0, 0, 4, 0, 4, 4.5]])
def test_a_ring_may_mix_integers_and_decimals_as_writers_of_json_do(ring: list[float], tmp_path: Path) -> None:
    coco(tmp_path)
    value = json.loads((tmp_path / FILE).read_bytes())
    value["annotations"][0]["segmentation"] = [ring]
    put(tmp_path, FILE, value)
    assert read("coco", tmp_path)["masks"]["polygon"].to_list() == [[float(number) for number in ring]]


def test_public_data_needs_no_consent_and_nothing_leaves_unless_it_says_so(tmp_path: Path) -> None:
    coco(tmp_path)
    terms = adapters()["coco"].terms(tmp_path)
    assert (terms.licence.name, terms.may_be_released, terms.consent_scope) == ("CC-BY-4.0", True, None)
    put(tmp_path, "source.yaml", COCO_SIDECAR.replace("may_be_released: true\n", ""))
    assert not adapters()["coco"].terms(tmp_path).may_be_released
    put(tmp_path, "source.yaml", COCO_SIDECAR + "consent: {scope: research}\n")
    with pytest.raises(SourceError, match="/consent/reference"):
        adapters()["coco"].terms(tmp_path)


def test_a_box_that_a_second_file_repeats_is_rejected_with_its_masks(tmp_path: Path) -> None:
    coco(tmp_path)
    put(tmp_path, "annotations/train2.json", (tmp_path / FILE).read_bytes())
    labels = read("coco", tmp_path)
    assert labels["boxes"]["video"].to_list() == ["op_1", "train", "train2"]
    assert (rules(labels), labels["masks"].height, labels["images"].height) == (["repeats"], 2, 1)


def test_one_image_id_for_two_images_of_a_folder_is_an_error(tmp_path: Path) -> None:
    coco(tmp_path)
    other = json.loads((tmp_path / FILE).read_text().replace("a.png", "c.png"))
    put(tmp_path, "annotations/val.json", other)
    with pytest.raises(SourceError, match="image ids that no other file uses"):
        read("coco", tmp_path)


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "op_1/../../a.png", "C:\\a.png"])
def test_an_image_outside_the_folder_is_an_error(name: str, tmp_path: Path) -> None:
    coco(tmp_path)
    put(tmp_path, FILE, json.loads((tmp_path / FILE).read_text().replace("op_1/a.png", name.replace("\\", "\\\\"))))
    with pytest.raises(SourceError, match="a path below the folder"):
        adapters()["coco"].videos(tmp_path)


def test_backslashes_in_a_path_are_folders(tmp_path: Path) -> None:
    coco(tmp_path)
    put(tmp_path, FILE, json.loads((tmp_path / FILE).read_text().replace("op_1/a.png", "op_1\\\\a.png")))
    assert read("coco", tmp_path)["images"]["file"].to_list() == ["images/op_1/a.png"]


def test_a_json_that_is_not_coco_and_a_folder_without_sidecar_are_errors(tmp_path: Path) -> None:
    coco(tmp_path)
    put(tmp_path, "annotations/results.json", "[]")
    with pytest.raises(SourceError) as error:
        adapters()["coco"].videos(tmp_path)
    assert error.value.file == "annotations/results.json"
    (tmp_path / "source.yaml").unlink()
    assert adapters()["coco"].detect(tmp_path) is None


def test_a_video_of_the_sidecar_that_no_image_shows_is_an_error(tmp_path: Path) -> None:
    coco(tmp_path)
    put(tmp_path, "source.yaml", COCO_SIDECAR + "  op_9: {patient: P9}\n")
    put(tmp_path, "images/op_9/x.png", picture(blocks(1)))
    with pytest.raises(SourceError, match="op_9"):
        adapters()["coco"].videos(tmp_path)
