import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from surgsigma_dagster.dialogue.turns import chains, read_chains, several_turns
from surgsigma_dagster.schema.tables import Conversations
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import concepts
from tests.unit.made import any_scene, concept_ids, conversed, instrument, scene, triplet, worded

FEW = settings(max_examples=6, deadline=None)
FEWER = settings(max_examples=3, deadline=None)
LEFT_OVER = re.compile(r"[{}]|\bNone\b(?!:| of)|\bnull\b|\bnan\b|  | [.,;:]|\.\.|\bthe no\b")
WORDS = {row["concept_id"]: {row["name"], row["plural"]} for row in concepts().iter_rows(named=True)}
KEY = "conversation_id"
PREPARATION = "phase/cholecystectomy/preparation"
CRITERIA = [{"concept_id": concept_id, "met": True} for concept_id in concept_ids("criterion")[:3]]


def talked(scenes: pl.DataFrame, single: pl.DataFrame | None = None, seed: int = 7) -> pl.DataFrame:
    single = conversed(scenes) if single is None else single
    return several_turns(worded(scenes), single, seed=seed).sort(KEY)


def turns(row: dict[str, Any]) -> list[dict[str, str]]:
    return [*row["earlier"], {"task": row["task"], "question": row["question"], "answer": row["answer_text"]}]


def singles(scenes: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    rows = conversed(scenes).filter(pl.col("form").cast(pl.String) == "open").to_dicts()
    return {(row["scene_id"], row["task"]): row for row in rows}


@FEW
@given(any_scene)
def test_a_scene_that_answers_two_tasks_of_a_chain_is_talked_about_once(scenes: pl.DataFrame) -> None:
    said, single = talked(scenes), singles(scenes)
    Conversations.validate(said)
    for scene_id in scenes["scene_id"]:
        answered = {task for where, task in single if where == scene_id}
        # Where nothing is in view, nothing is located; it needs a chain that can do without.
        sure = [len(answered.intersection(names) - {"instrument_localization"}) for names in chains().chains.values()]
        sure = [n for n in sure if n >= 2]
        found = said.filter(pl.col("scene_id") == scene_id).height
        assert found == 1 if sure else found <= 1


@FEW
@given(any_scene)
def test_every_turn_is_one_that_the_scene_answers_and_is_said_to_the_end(scenes: pl.DataFrame) -> None:
    single = singles(scenes)
    for row in talked(scenes).to_dicts():
        said = turns(row)
        last, form, *where, chain = row[KEY].split("/")
        assert (last, form, "/".join(where)) == (row["task"], "multi_turn", row["scene_id"])
        places = [chains().chains[chain].index(turn["task"]) for turn in said]
        assert len(said) >= 2
        assert places == sorted(set(places))
        alone = [single[row["scene_id"], turn["task"]] for turn in said]
        assert (said[0]["question"], said[0]["answer"]) == (alone[0]["question"], alone[0]["answer_text"])
        assert set(row["label_ids"]) == {label for one in alone for label in one["label_ids"]}
        assert row["media"] == alone[-1]["media"]
        assert row["reasoning_id"] == alone[-1]["reasoning_id"]
        for text in [row["system"], *(turn[part] for turn in said for part in ("question", "answer"))]:
            assert text == text.strip()
            assert not LEFT_OVER.search(text), (row[KEY], text)
        if row["task"] != "triplet_recognition":
            assert (row["answer"], row["negative"]) == (alone[-1]["answer"], alone[-1]["negative"])


@FEW
@given(any_scene)
def test_no_two_turns_begin_with_the_same_words(scenes: pl.DataFrame) -> None:
    for row in talked(scenes).to_dicts():
        for part, n_words in (("question", 1), ("answer", 2)):
            openings = [" ".join(turn[part].split()[:n_words]) for turn in turns(row)]
            assert len(set(openings)) == len(openings), openings


@FEW
@given(any_scene)
def test_a_question_about_one_instrument_is_answered_by_all_that_it_does(scenes: pl.DataFrame) -> None:
    facts = {row["scene_id"]: row for row in scenes.to_dicts()}
    for row in talked(scenes).to_dicts():
        if row["task"] != "triplet_recognition":
            continue
        assert "instrument_recognition" in [turn["task"] for turn in row["earlier"]]
        answered = json.loads(row["answer"])["triplets"]
        (asked,) = {one["instrument"] for one in answered}
        assert any(f"the {word}" in row["question"] for word in WORDS[asked] if word)
        told = next(turn["answer"] for turn in row["earlier"] if turn["task"] == "instrument_recognition")
        assert any(word in told for word in WORDS[asked] if word)
        whole = facts[row["scene_id"]]["triplets"]
        assert sorted(map(str, answered)) == sorted(str(one) for one in whole if one["instrument"] == asked)
        assert row["negative"] == all(one["verb"] == "verb/none" for one in answered)


def test_an_answer_about_one_instrument_says_nothing_of_the_others() -> None:
    acting = [triplet("hook", "dissect", "cystic_duct"), triplet("grasper", "none", None)]
    seen = {"instruments": [instrument("hook"), instrument("grasper")], "triplets": acting, "phase": PREPARATION}
    said = [turn for row in talked(scene(*[seen] * 200)).to_dicts() for turn in turns(row)]
    answers = {turn["answer"] for turn in said if turn["task"] == "triplet_recognition"}
    assert {"grasper" in text for text in answers} == {True, False}
    for text in answers:
        assert ("grasper" in text) is not ("hook" in text)
        # The hook is at work all the while, and so is not the grasper.
        assert not re.search(r"no tissue is being (treated|acted)|although|One instrument is|no action\.", text, re.I)


def test_the_reasoning_before_the_last_answer_says_no_more_than_the_answer() -> None:
    acting = [triplet("hook", "dissect", "cystic_duct"), triplet("grasper", "retract", "gallbladder")]
    seen = {"instruments": [instrument("hook"), instrument("grasper")]}
    last = {n: set(talked(scene(*[{**seen, "triplets": acting[:n]}] * 100))["task"]) for n in (1, 2)}
    assert "triplet_recognition" in last[1]
    assert "triplet_recognition" not in last[2]  # it would be about one of two


def test_instruments_are_asked_for_then_what_one_does_then_whether_it_is_safe() -> None:
    scenes = scene(
        {"instruments": [instrument("hook")], "triplets": [triplet("hook", "dissect", "cystic_duct")],
         "criteria": CRITERIA}
    )  # fmt: skip
    (row,) = talked(scenes).to_dicts()
    assert row[KEY].endswith("/tools_acts_safety")
    assert [turn["task"] for turn in turns(row)] == chains().chains["tools_acts_safety"]
    assert "the hook" in row["earlier"][1]["question"]
    assert "the hook is dissecting the cystic duct" in row["earlier"][1]["answer"].lower()
    assert json.loads(row["answer"])["critical_view_of_safety"] is True


def test_nobody_asks_where_the_instruments_are_that_are_not_there() -> None:
    scenes = scene(*[{"instruments": [], "instruments_complete": True, "phase": concept_ids("phase")[0]}] * 100)
    asked = {turn["task"] for row in talked(scenes).to_dicts() for turn in turns(row)}
    assert "instrument_recognition" in asked
    assert "instrument_localization" not in asked


def test_a_rejected_answer_is_not_repeated_in_a_chain() -> None:
    scenes = scene(*[{"instruments": [instrument("hook")], "phase": concept_ids("phase")[0]}] * 20)
    refused = pl.when(pl.col("task") == "phase_recognition").then(pl.lit("rejected")).otherwise("status")
    single = conversed(scenes)
    single = single.with_columns(status=refused.cast(single.schema["status"]))
    assert talked(scenes).height == 20
    for row in talked(scenes, single).to_dicts():
        assert "phase_recognition" not in [turn["task"] for turn in turns(row)]


@FEWER
@given(any_scene)
def test_neither_order_nor_company_changes_a_chain(scenes: pl.DataFrame) -> None:
    together = talked(scenes)
    assert talked(scenes.reverse()).equals(together)
    half = scenes.height // 2
    if half:
        apart = pl.concat([talked(scenes.head(half)), talked(scenes.tail(scenes.height - half))])
        assert apart.sort(KEY).equals(together)


def test_no_scene_makes_no_turns() -> None:
    assert talked(scene({"phase": None})).is_empty()


PLAN = "version: 1\nsystem: [Answer.]\nchains: {%s}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAN % "a: [phase_recognition]", "chains.a"),
        (PLAN % "a: [phase_recognition, telling]", "chains.a: expected tasks that ask about a frame.*found telling"),
        (PLAN % "a: [phase_recognition, video_captioning]", "found video_captioning"),
        (PLAN % "a: [phase_recognition, triplet_recognition]", "instrument_recognition before .* triplet_recognition"),
        (PLAN % "a: [phase_recognition, phase_recognition]", "each task once"),
        (PLAN % "a: [phase_recognition, step_recognition]" + "of_the_whole_scene: {step_recognition: [So.]}",
         "of_the_whole_scene.step_recognition: expected an answer of its template file, found So."),
        ("version: 1\nsystem: []\nchains: {}", "system"),
        ("version: [", "readable YAML"),
    ],
)  # fmt: skip
def test_a_chain_that_cannot_be_asked_is_an_error_that_names_it(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "turns.yaml"
    file.write_text(text)
    with pytest.raises(SourceError, match=said) as found:
        read_chains(file)
    assert str(file) in str(found.value)
