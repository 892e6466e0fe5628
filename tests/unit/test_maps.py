"""The maps that no publication fixes: nothing is forgotten, nothing is forced, and a bad line is named."""

from pathlib import Path

import polars as pl
import pytest

from surgsigma_dagster.schema.tables import conform, empty
from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases, concepts
from surgsigma_dagster.vocabulary.maps import (
    basic_actions,
    counted_basic_actions,
    criteria,
    read_basic_actions,
    read_criteria,
)

TEN = {
    "aspiration", "clipping", "coagulation", "dissection", "knot tying", "needle grasping", "needle puncture",
    "packaging", "suture pulling", "tissue retraction",
}  # fmt: skip


def basic_action_of(concept_id: str) -> str | None:
    return basic_actions().filter(concept_id=concept_id)["basic_action_id"].item()


def test_every_verb_and_action_of_the_vocabulary_has_a_line() -> None:
    wanted = concepts().filter(pl.col("kind").is_in(["verb", "action"]))
    assert wanted.join(basic_actions(), on="concept_id", how="anti")["concept_id"].to_list() == []


def test_the_ten_are_the_published_ten_and_each_is_the_counterpart_of_something() -> None:
    ten = concepts().filter(kind="basic_action")
    assert set(ten["name"]) == TEN
    assert set(basic_actions()["basic_action_id"].drop_nulls()) == set(ten["concept_id"])


@pytest.mark.parametrize("verb", ["cut", "irrigate", "grasp", "hold", "pull", "cauterize", "suture", "none"])
def test_a_verb_without_an_agreed_counterpart_stays_unmapped_and_says_why(verb: str) -> None:
    assert basic_action_of(f"verb/{verb}") is None
    assert len(basic_actions().filter(concept_id=f"verb/{verb}")["why"].item()) > 10


def test_a_verb_and_the_action_of_the_same_meaning_are_one_basic_action() -> None:
    pairs = {"dissect": "dissection", "clip": "clipping", "coagulate": "coagulation", "pack": "packaging",
             "aspirate": "aspiration", "retract": "tissue_retraction"}  # fmt: skip
    for verb, action in pairs.items():
        assert basic_action_of(f"verb/{verb}") == basic_action_of(f"action/{action}") == f"basic_action/{action}"


def test_labels_are_counted_whether_mapped_or_not() -> None:
    intervals = pl.LazyFrame(
        {"concept_id": ["action/dissection", "action/dissection", "phase/cholecystectomy/preparation"]}
    )
    triplets = pl.LazyFrame({"verb_concept_id": ["verb/cut", "verb/cut", "verb/dissect", None]})
    made = conform("basic_actions", counted_basic_actions(intervals, triplets))
    counts = dict(made.filter(pl.col("n_labels") > 0).select("concept_id", "n_labels").iter_rows())
    assert counts == {"action/dissection": 2, "verb/cut": 2, "verb/dissect": 1}
    assert made.height == basic_actions().height


def test_without_labels_every_line_is_there_and_counts_none() -> None:
    made = counted_basic_actions(empty("intervals").lazy(), empty("triplets").lazy())
    assert made["n_labels"].to_list() == [0] * basic_actions().height


def test_the_criteria_of_every_dataset_that_is_read_are_those_of_its_alias_file() -> None:
    mapped = set(criteria().select("dataset", "raw_value", "concept_id").iter_rows())
    for name in adapters():
        found = aliases(name).filter(field="criterion", by_name=False)
        assert set(found.select("dataset", "raw_value", "concept_id").iter_rows()) <= mapped
        assert found.height == criteria().filter(dataset=name).height


def test_criteria_meet_by_name_where_the_order_of_columns_differs() -> None:
    meant = {(row["dataset"], row["raw_value"]): row["concept_id"] for row in criteria().to_dicts()}
    assert meant["cholec80_cvs", "cystic_plate"] == meant["endoscapes", "C3"] == "criterion/cvs_3_cystic_plate"
    assert meant["cholec80_cvs", "hepatocystic_triangle"] == meant["endoscapes", "C2"]


GOOD = "{concept: verb/cut, is: null, why: None.}"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (f"{GOOD}, {GOOD}", ["line 2 of `lines` (verb/cut)", "verb/cut twice"]),
        ("{concept: verb/chop, is: null, why: None.}", ["line 1", "known concept of kind verb", "verb/chop"]),
        ("{concept: tissue/liver, is: null, why: None.}", ["tissue/liver", "verb or action or step"]),
        ("{concept: verb/cut, is: action/clipping, why: X.}", ["kind basic_action", "action/clipping"]),
        ("{concept: verb/cut, why: X.}", ["verb/cut", "is", "required"]),
        ("{concept: verb/cut, is: null}", ["verb/cut", "why", "required"]),
        ("{concept: verb/cut, is: null, why: ''}", ["verb/cut", "why"]),
        ("nothing", ["line 1 of `lines`"]),
        ("", ["lines"]),
    ],
)
def test_a_faulty_line_is_turned_down_naming_file_and_line(tmp_path: Path, lines: str, words: list[str]) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(f"version: 1\nlines: [{lines}]\n", encoding="utf-8")
    with pytest.raises(SourceError) as raised:
        read_basic_actions(file)
    assert all(word in str(raised.value) for word in [str(file), *words]), str(raised.value)


def test_a_criterion_that_is_no_criterion_or_stands_twice_is_turned_down(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    line = "{dataset: d, value: C1, is: criterion/cvs_1_two_structures, why: X.}"
    for lines, said in ((line.replace("criterion/cvs_1_two_structures", "verb/cut"), "kind criterion"),
                        (f"{line}, {line}", "d: C1 twice")):  # fmt: skip
        file.write_text(f"version: 1\nlines: [{lines}]\n", encoding="utf-8")
        with pytest.raises(SourceError, match=said):
            read_criteria(file)
