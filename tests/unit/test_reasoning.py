from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.schema.tables import Reasoning
from surgsigma_dagster.vocabulary.concepts import concepts
from tests.unit.made import any_scene, instrument, reasoned, scene, triplet, verified

FEW = settings(max_examples=12, deadline=None)
CALOT = "phase/cholecystectomy/calot_triangle_dissection"
PACKAGING = "phase/cholecystectomy/gallbladder_packaging"
BUSY = {
    "phase": CALOT,
    "instruments": [instrument("grasper", 10, 20, 300, 200), instrument("hook", 369, 0, 800, 400.4)],
    "instruments_complete": True,
    "tissues": [{"concept_id": "tissue/gallbladder"}],
    "triplets": [triplet("grasper", "retract", "gallbladder"), triplet("hook", "dissect", "gallbladder")],
}  # fmt: skip
EMPTY = {"phase": CALOT, "instruments_complete": True}
BAGGING = {"phase": PACKAGING, "instruments": [instrument("grasper")]}


def chain(frame: dict[str, Any], task: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    scenes = scene(frame)
    return scenes, reasoned(scenes).filter(pl.col("task") == task)


def verdict(written: pl.DataFrame, scenes: pl.DataFrame) -> tuple[str, str | None]:
    (row,) = verified(written, scenes).select("verified", "verifier_reason").rows()
    return row


def planted(task: str, level: str, change: Callable[[str], str | None], frame: dict[str, Any] = BUSY) -> str:
    """The verifier's reason for failing a chain that passes but for `change` of one level."""
    scenes, written = chain(frame, task)
    assert verdict(written, scenes) == ("pass", None)
    text = written[level].item()
    assert change(text) != text
    status, reason = verdict(written.with_columns(pl.lit(change(text), pl.String).alias(level)), scenes)
    assert status == "fail"
    assert reason
    return reason


def adding(sentence: str) -> Callable[[str], str]:
    return lambda text: f"{sentence} {text}"


# The generator


@FEW
@given(any_scene)
def test_whatever_the_generator_writes_stands_up_to_the_verifier(scenes: pl.DataFrame) -> None:
    found = verified(reasoned(scenes), scenes)
    Reasoning.validate(found, cast=True)
    bad = found.filter(pl.col("verified").cast(pl.String) != "pass")
    assert bad.select("reasoning_id", "verifier_reason", "perception", "relation", "context").to_dicts() == []


def test_a_chain_goes_from_what_is_seen_to_what_is_done_to_the_answer() -> None:
    _, written = chain(BUSY, "phase_recognition")
    (row,) = written.to_dicts()
    assert "a grasper in the upper left and a hook in the middle right" in row["perception"]
    assert row["relation"] == "The grasper is retracting the gallbladder; the hook is dissecting the gallbladder."
    assert row["context"].endswith("The phase is Calot triangle dissection.")
    assert "Calot triangle dissection" not in row["perception"] + row["relation"]


def test_an_action_that_bears_the_name_of_the_step_is_kept_for_the_end() -> None:
    names = concepts().select("concept_id", "name", "kind")
    same = names.filter(pl.col("kind") == "step").join(
        names.filter(pl.col("kind") == "action"), on="name", suffix="_action"
    )
    if same.is_empty():
        pytest.skip("no step and action of one name in the vocabulary")
    step, _, _, action, _ = same.row(0)
    procedure = f"procedure/{step.split('/')[1]}"
    scenes, written = chain({"procedure_type": procedure, "step": step, "action": action}, "step_recognition")
    assert verdict(written, scenes) == ("pass", None)


# Planted corruptions


def test_an_instrument_that_no_label_names_fails() -> None:
    assert "clipper" in planted("phase_recognition", "perception", adding("A clipper lies in the upper right."))


def test_a_plural_or_a_synonym_of_a_strange_instrument_fails_too() -> None:
    assert "clippers" in planted("triplet_recognition", "relation", adding("Two CLIPPERS wait."))
    synonym = concepts().filter(pl.col("concept_id") == "instrument/clipper")["synonyms"].item()[0]
    assert synonym.lower() in planted("triplet_recognition", "relation", adding(f"A {synonym} waits."))


def test_a_tissue_that_no_label_names_fails() -> None:
    assert "liver" in planted("triplet_recognition", "relation", adding("The hook touches the liver."))


def test_what_the_definition_of_a_phase_names_is_not_thereby_in_view() -> None:
    assert "specimen bag" in concepts().filter(pl.col("concept_id") == PACKAGING)["definition"].item()
    reason = planted("phase_recognition", "perception", adding("A specimen bag is in view."), BAGGING)
    assert "specimen bag" in reason


@pytest.mark.parametrize("sentence", ["The hook is at 412 pixels.", "There are 3 tools."])
def test_a_number_that_no_label_holds_fails(sentence: str) -> None:
    assert "number" in planted("instrument_localization", "perception", adding(sentence))


def test_a_corner_that_is_off_by_one_fails() -> None:
    off = planted("instrument_localization", "context", lambda text: text.replace("369", "370"))
    assert off == "a number that no label holds: 370"


@pytest.mark.parametrize("sentence", ["Two graspers are in view.", "I see three hooks.", "There are many hooks."])
def test_a_count_in_words_that_no_label_holds_fails(sentence: str) -> None:
    assert "count" in planted("instrument_recognition", "perception", adding(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "According to the label, it is the hook.",
        "The annotation shows a hook.",
        "As the Ground truth has it.",
        "The labels say so.",
        "As annotated, the hook works.",
        "In this dataset, hooks are common.",
    ],
)
def test_speaking_of_labels_fails(sentence: str) -> None:
    assert "speaks of the labels" in planted("triplet_recognition", "context", adding(sentence))


@pytest.mark.parametrize(
    "left", ["{phase}", "{ phase }", "<phase-category>", "xxx", "TODO", "null", "NaN", "<|object_ref_start|>", "{}"]
)
def test_an_unfilled_slot_fails(left: str) -> None:
    assert "placeholder" in planted("triplet_recognition", "relation", adding(f"The hook is {left}."))


@pytest.mark.parametrize("level", ["perception", "relation"])
def test_naming_the_phase_before_level_three_fails(level: str) -> None:
    reason = planted("phase_recognition", level, adding("This is Calot triangle dissection."))
    assert "before level 3" in reason


def test_naming_the_phase_early_is_fine_where_it_is_not_the_answer() -> None:
    scenes, written = chain(BUSY, "triplet_recognition")
    early = written.with_columns(perception=pl.concat_str(pl.lit("This is Calot triangle dissection. "), "perception"))
    assert verdict(early, scenes) == ("pass", None)


@pytest.mark.parametrize("ending", [" So it goes.", None])
def test_level_three_that_does_not_end_in_the_answer_fails(ending: str | None) -> None:
    def change(text: str) -> str:
        return text + ending if ending else text.removesuffix("The phase is Calot triangle dissection.").strip()

    assert planted("phase_recognition", "context", change) == "level 3 does not end in the answer"


@pytest.mark.parametrize(
    "sentence",
    ["No instrument is in view.", "No instruments are visible.", "There are no surgical tools.", "No tools detected."],
)
def test_no_instrument_where_there_is_one_fails(sentence: str) -> None:
    assert "no instrument is visible" in planted("phase_recognition", "perception", adding(sentence))


def test_no_instrument_where_there_is_none_passes() -> None:
    for task in ("instrument_recognition", "instrument_localization", "phase_recognition"):
        scenes, written = chain(EMPTY, task)
        assert "No instrument is in view." in written["perception"].item()
        assert verdict(written, scenes) == ("pass", None)


@pytest.mark.parametrize("level", ["perception", "relation", "context", "conclusion"])
@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_a_missing_level_never_passes(level: str, nothing: str | None) -> None:
    assert "missing" in planted("phase_recognition", level, lambda _: nothing)


# What the verifier cannot judge


def test_a_frame_without_a_scene_is_not_run_and_never_a_pass() -> None:
    scenes, written = chain(BUSY, "phase_recognition")
    elsewhere = written.with_columns(scene_id=pl.lit("cholect50/VID01/999999"))
    assert verdict(elsewhere, scenes) == ("not run", None)


def test_a_task_that_nobody_knows_is_not_run() -> None:
    scenes, written = chain(BUSY, "phase_recognition")
    assert verdict(written.with_columns(task=pl.lit("horoscope")), scenes) == ("not run", None)


def test_every_task_s_chain_on_a_busy_frame_passes_on_its_own_words() -> None:
    scenes = scene(BUSY)
    found = verified(reasoned(scenes), scenes)
    assert set(found["verified"].cast(pl.String)) == {"pass"}
    of_images = {name for name, task in tasks().items() if task.scene == "frame" and task.inputs == ("frame",)}
    # No step, criteria or tissue boxes, and no tissue but the target.
    unanswered = {"step_recognition", "safety_assessment", "tissue_localization", "tissue_recognition"}
    assert set(found["task"]) == {name for name in of_images if not tasks()[name].targets} - unanswered
