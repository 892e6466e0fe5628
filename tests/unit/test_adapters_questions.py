"""Question sets: every line is a question, and what it states is a label of the frame that the file names."""

from pathlib import Path

import pytest

from surgsigma_dagster.dialogue.task import tasks_fed
from surgsigma_dagster.identity.procedures import procedure_of, split_of
from surgsigma_dagster.sources.adapter import NativeVideo, adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import counted, put, read, rules
from .native_releases import QUESTIONS, WRITERS
from .native_specialties import blocks, picture


def test_questions_of_endovis_are_kept_as_asked_and_state_organ_instruments_and_actions(tmp_path: Path) -> None:
    WRITERS["endovis18_vqa"](tmp_path)
    labels = read("endovis18_vqa", tmp_path)
    asked = labels["questions"]
    assert asked.height == 10
    first, last = asked.row(0, named=True), asked.filter(asked["field"] == "text").row(-1, named=True)
    assert (first["question"], first["raw_value"]) == ("What organ is being operated?", "kidney")
    assert (first["frame_index"], first["file"], first["locator"]) == (
        0, "seq_2/vqa/Classification/frame000_QA.txt", "line 1",
    )  # fmt: skip
    assert (last["frame_index"], last["raw_value"]) == (148, "organ is kidney")
    seen = set(labels["presences"].select("frame_index", "field", "raw_value").iter_rows())
    assert {(0, "tissue", "kidney"), (148, "instrument", "bipolar_forceps")} <= seen
    acts = labels["triplets"].filter(labels["triplets"]["frame_index"] == 0)
    assert set(acts.select("raw_instrument", "raw_verb", "raw_target").iter_rows()) == {
        ("bipolar_forceps", "Tissue_Manipulation", None), ("monopolar_curved_scissors", "Idle", None),
    }  # fmt: skip


def test_the_older_form_beside_the_newer_one_adds_no_question_and_no_label_twice(tmp_path: Path) -> None:
    WRITERS["endovis18_vqa"](tmp_path)
    plain = read("endovis18_vqa", tmp_path)
    older = "seq_2/vqa/simple/frame148_QA.txt"
    put(tmp_path, older, f"{QUESTIONS.replace('left-top', 'right-top')}Is it bright?|yes\n")
    put(tmp_path, "copy/seq_2/vqa/Sentence/frame000_QA.txt", "What organ is being operated?|organ is kidney\n")
    labels = read("endovis18_vqa", tmp_path)
    added = labels["questions"].join(plain["questions"], on=["file", "locator"], how="anti")
    assert added.select("file", "question").rows() == [(older, "Is it bright?")]
    assert all(labels[kind].equals(plain[kind]) for kind in ("presences", "triplets"))
    assert sorted(labels["rejects"].select("rule", "file", "locator").rows()) == [
        ("repeats", "copy/seq_2/vqa/Sentence/frame000_QA.txt", "line 1"),
        *(("repeats", older, f"line {line}") for line in (1, 2, 4)),
        ("superseded", older, "line 3"),
    ]
    assert counted(labels)[older] == (5, 4)


def test_a_question_of_no_known_form_states_nothing(tmp_path: Path) -> None:
    put(tmp_path, "seq_1/vqa/simple/frame003_QA.txt", "How many tools are operating?|2\n\n\nIs it bright?|yes\n")
    labels = read("endovis18_vqa", tmp_path)
    assert labels["questions"].select("locator", "raw_value").rows() == [("line 1", "2"), ("line 4", "yes")]
    assert labels["presences"].is_empty()


def test_boxes_of_vqla_count_pixels_from_one_and_belong_to_what_is_asked_for(tmp_path: Path) -> None:
    WRITERS["endovis_vqla"](tmp_path)
    labels = read("endovis_vqla", tmp_path)
    assert {video.video for video in adapters()["endovis_vqla"].videos(tmp_path)} == {"seq_5", "17_seq1"}
    boxes = labels["boxes"].filter(labels["boxes"]["frame_index"] == 148)
    columns = ["raw_value", "x1", "y1", "x2", "y2", "width", "height"]
    assert set(boxes.select(columns).iter_rows()) == {
        ("kidney", 0.0, 0.0, 1279.0, 1023.0, 1280, 1024), ("prograsp_forceps", 100.0, 200.0, 300.0, 400.0, 1280, 1024),
    }  # fmt: skip
    assert labels["questions"].height == 9


def test_the_flat_folder_is_of_endovis_2017_and_shares_no_operation_with_2018(tmp_path: Path) -> None:
    line = "What is the state of vessel_sealer?|Grasping|1, 2, 30, 40\n"
    for name in ("seq_1_frame000", "instrument_dataset_2_frame004"):
        put(tmp_path, f"vqla/label/{name}_QA.txt", line)
        put(tmp_path, f"left_frames/{name}.png", picture(blocks(7, 8)))
    videos = adapters()["endovis_vqla"].videos(tmp_path)
    assert [(one.video, one.media, one.frame_rate) for one in videos] == [
        ("17_seq_1", "images", 2.0), ("instrument_dataset_2", "images", 2.0),
    ]  # fmt: skip
    assert [procedure_of("vqla", "endovis_vqla", one)[0] for one in videos] == [
        procedure_of("ev17", "endovis2017", NativeVideo(f"instrument_dataset_{number}", "images", 2.0))[0]
        for number in (1, 2)
    ]
    assert {one.split for one in videos} == {"test"}
    labels = read("endovis_vqla", tmp_path)
    assert labels["images"].select("video", "frame_index").rows() == [("17_seq_1", 0), ("instrument_dataset_2", 4)]
    known = aliases("endovis_vqla")["raw_value"]
    assert set(labels["boxes"]["raw_value"]) <= set(known)


@pytest.mark.parametrize("dataset", ["endovis18_vqa", "endovis_vqla"])
def test_what_no_question_is_about_may_be_in_view_all_the_same(dataset: str, tmp_path: Path) -> None:
    WRITERS[dataset](tmp_path)
    presences = read(dataset, tmp_path)["presences"]
    assert presences["present"].all()
    fed = tasks_fed(adapters()[dataset].yields, partial=adapters()[dataset].partial)
    assert not {"instrument_recognition", "tissue_recognition", "instrument_localization"} & set(fed)


def test_a_flat_folder_must_name_its_sequences(tmp_path: Path) -> None:
    put(tmp_path, "vqla/label/frame000_QA.txt", "a?|b|1, 2, 3, 4\n")
    with pytest.raises(SourceError, match=r"frame000_QA\.txt: expected <sequence>_frame<three digits>_QA\.txt"):
        adapters()["endovis_vqla"].videos(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [("kidney", r"question\|answer"), ("a?|b|c", r"question\|answer"), ("a?|", r"question\|answer")],
)
def test_a_line_that_is_no_question_names_its_place(line: str, said: str, tmp_path: Path) -> None:
    file = "seq_2/vqa/Classification/frame001_QA.txt"
    put(tmp_path, file, f"{QUESTIONS}{line}\n")
    with pytest.raises(SourceError, match=rf"frame001_QA\.txt, line 5: expected {said}"):
        read("endovis18_vqa", tmp_path)


@pytest.mark.parametrize("box", ["1, 2, 3", "1, 2, 3, x", "1 2 3 4"])
def test_a_box_without_four_numbers_names_its_place(box: str, tmp_path: Path) -> None:
    put(tmp_path, "seq_2/vqla/label/frame001_QA.txt", f"Where is suction located?|left-top|{box}\n")
    with pytest.raises(SourceError, match=r"frame001_QA\.txt, line 1: expected x1, y1, x2, y2"):
        read("endovis_vqla", tmp_path)


def test_cholec80_vqa_counts_frames_as_cholec80_and_passes_over_those_between(tmp_path: Path) -> None:
    WRITERS["cholec80_vqa"](tmp_path)
    labels, (first, last) = read("cholec80_vqa", tmp_path), adapters()["cholec80_vqa"].videos(tmp_path)
    assert (first.video, last.video, first.frame_rate, first.first_index) == ("video01", "video40", 25.0, 0)
    asked = labels["questions"]
    assert asked.filter(asked["field"] == "answer").select("frame_index", "raw_value").rows() == [
        (0, "preparation"), (0, "no"), (100, "calot triangle dissection"), (100, "2"),
    ]  # fmt: skip
    assert rules(labels) == ["frame_not_used"]
    assert counted(labels)["Classification/40/25_QA.txt"] == (1, 1)
    assert procedure_of("x", "cholec80_vqa", first)[0] == "cholec/001"


def test_questions_on_cholec80_of_which_nobody_states_a_licence_are_not_released(tmp_path: Path) -> None:
    terms = adapters()["cholec80_vqa"].terms(tmp_path)
    assert (terms.licence.name, terms.may_be_released) == ("not stated", False)


def test_the_same_sequence_in_three_endovis_sets_is_one_procedure_with_the_vqa_split() -> None:
    shown = NativeVideo("seq_5", "images", 1.0)
    ids = {procedure_of(dataset, dataset, shown)[0] for dataset in ("endovis2018", "endovis18_vqa", "endovis_vqla")}
    assert ids == {"endovis18/005"}
    assert split_of(["endovis18/005", "endovis18/002"], 7, {})["split"].to_list() == ["train", "val"]
