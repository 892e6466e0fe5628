"""EndoVis 2017: a folder of part masks an instrument, two of a kind, swapped labels."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import put, read
from .native_robotic import endovis2017, mask

TRUTH = "instrument_dataset_1/ground_truth"
FOLDERS = [  # of the eight training sequences
    "Maryland_Bipolar_Forceps_labels", "Left_Prograsp_Forceps_labels", "Right_Prograsp_Forceps_labels",
    "Other_labels", "Left_Large_Needle_Driver_labels", "Large_Needle_Driver_Right_labels",
    "Prograsp_Forceps_labels", "Prograsp_Forceps", "Bipolar_Forceps_labels", "Grasping_Retractor_labels",
    "Vessel_Sealer_labels", "Monopolar_Curved_Scissors_labels", "Left_Bipolar_Forceps", "Right_Vessel_Sealer",
    "Left_Grasping_Retractor_labels",
]  # fmt: skip


def test_every_part_of_an_instrument_is_a_mask_of_that_instrument(tmp_path: Path) -> None:
    endovis2017(tmp_path)
    masks = read("endovis2017", tmp_path)["masks"].filter(video="instrument_dataset_1")
    assert masks.select("frame_index", "raw_value", "instance", "mask_value", "mask_file").rows() == [
        (0, "Prograsp_Forceps", "Left", value, f"{TRUTH}/Left_Prograsp_Forceps_labels/frame000.png")
        for value in (10, 20, 30)
    ]


def test_a_kind_is_present_where_one_of_its_two_instruments_is(tmp_path: Path) -> None:
    endovis2017(tmp_path)
    presences = read("endovis2017", tmp_path)["presences"].filter(video="instrument_dataset_1")
    assert sorted(presences.select("raw_value", "present").rows()) == [
        ("Maryland_Bipolar_Forceps", False), ("Prograsp_Forceps", True),
    ]  # fmt: skip


def test_a_grey_mask_of_three_channels_in_a_folder_without_suffix_is_read(tmp_path: Path) -> None:
    endovis2017(tmp_path)
    masks = read("endovis2017", tmp_path)["masks"].filter(video="instrument_dataset_6")
    assert masks.select("frame_index", "raw_value", "instance", "mask_value", "width").rows() == [
        (224, "Prograsp_Forceps", None, 10, 2)
    ]


def test_every_folder_of_the_training_data_is_a_kind_of_instrument(tmp_path: Path) -> None:
    for folder in FOLDERS:
        mask(tmp_path, f"{TRUTH}/{folder}/frame000.png", [[10]])
    found = read("endovis2017", tmp_path)["masks"]["raw_value"].unique()
    assert set(found) == set(aliases("endovis2017")["raw_value"])


def test_swapped_labels_of_sequence_9_are_rejected_and_its_others_are_not(tmp_path: Path) -> None:
    for folder in ("Prograsp_Forceps_labels", "Vessel_Sealer_labels", "Bipolar_Forceps_labels"):
        mask(tmp_path, f"instrument_dataset_9/ground_truth/{folder}/frame000.png", [[10]])
    labels = read("endovis2017", tmp_path)
    assert labels["masks"]["raw_value"].to_list() == labels["presences"]["raw_value"].to_list() == ["Bipolar_Forceps"]
    assert labels["rejects"].select("rule", "raw_value", "frame_index").rows() == [
        ("swapped_labels", "Prograsp_Forceps", 0), ("swapped_labels", "Vessel_Sealer", 0),
    ]  # fmt: skip


def test_a_mask_that_cannot_be_read_hides_what_its_frame_shows(tmp_path: Path) -> None:
    endovis2017(tmp_path)
    put(tmp_path, f"{TRUTH}/Maryland_Bipolar_Forceps_labels/frame000.png", b"no image")
    rejects = read("endovis2017", tmp_path)["rejects"]
    assert rejects.select("rule", "frame_index").rows() == [("unreadable_mask", 0)]


def test_unexpected_values_are_rejected_with_their_value(tmp_path: Path) -> None:
    endovis2017(tmp_path)
    mask(tmp_path, f"{TRUTH}/Maryland_Bipolar_Forceps_labels/frame000.png", [[0, 31]])
    labels = read("endovis2017", tmp_path)
    assert labels["rejects"].select("rule", "raw_value").rows() == [("unexpected_mask_value", "31")]
    assert not labels["presences"].filter(raw_value="Maryland_Bipolar_Forceps")["present"].any()


def test_frames_of_the_training_and_testing_folders_are_one_sequence(tmp_path: Path) -> None:
    mask(tmp_path, f"training/{TRUTH}/Other_labels/frame000.png", [[40]])
    put(tmp_path, "training/instrument_dataset_1/left_frames/frame000.png", b"")
    put(tmp_path, "testing/instrument_dataset_1/left_frames/frame225.png", b"")
    images = read("endovis2017", tmp_path)["images"]
    assert images.select("video", "frame_index").rows() == [
        ("instrument_dataset_1", 0), ("instrument_dataset_1", 225),
    ]  # fmt: skip
    (video,) = adapters()["endovis2017"].videos(tmp_path)
    assert (video.media, video.frame_rate, video.first_index) == ("images", 2.0, 0)


def test_masks_of_a_sequence_in_two_folders_are_an_error(tmp_path: Path) -> None:
    endovis2017(tmp_path)
    mask(tmp_path, f"copy/{TRUTH}/Other_labels/frame000.png", [[40]])
    with pytest.raises(SourceError, match="the masks of each sequence in one folder"):
        read("endovis2017", tmp_path)
