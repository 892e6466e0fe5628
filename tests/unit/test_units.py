import json
import re
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.context.words import area
from surgsigma_dagster.dialogue.engine import instantiate
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.reasoning.grounded import chains
from surgsigma_dagster.release.units import BOX, Convention, in_units
from surgsigma_dagster.schema.tables import TABLES
from tests.unit.made import Row, instrument, scene, worded

FEW = settings(max_examples=15, deadline=None)
CONVENTIONS = ("unit", "thousand", "grid")
TEXTS = ("question", "answer_text", "perception", "relation", "context")
NUMBERS = {"unit": r"\((\d\.\d{3}),(\d\.\d{3})\),\((\d\.\d{3}),(\d\.\d{3})\)", "thousand": BOX}
CELL = r"\(((?:upper|middle|lower) (?:left|centre|right)|centre)\)"
WIDE, HIGH = 854, 480


@st.composite
def boxed(draw: st.DrawFn) -> Row:
    x1, y1 = draw(st.floats(0, WIDE - 2)), draw(st.floats(0, HIGH - 2))
    x2, y2 = draw(st.floats(x1 + 1, WIDE)), draw(st.floats(y1 + 1, HIGH))
    return instrument(draw(st.sampled_from(["hook", "grasper", "clipper"])), x1, y1, x2, y2)


frames = st.lists(
    st.lists(boxed(), max_size=3).map(lambda found: {"instruments": found, "instruments_complete": True}),
    min_size=1,
    max_size=4,
)


def said(scenes: pl.DataFrame) -> pl.DataFrame:
    """Conversations on where instruments are, with their reasoning, in pixels."""
    task, words = tasks()["instrument_localization"], worded(scenes)
    levels = chains(words, task).select("reasoning_id", "perception", "relation", "context")
    return (
        instantiate(words, task, seed=7).sort("conversation_id").join(levels, on="reasoning_id", maintain_order="left")
    )


def told(scenes: pl.DataFrame, boxes: Convention, earlier: list[Row] | None = None) -> list[dict[str, Any]]:
    """The same as they leave in the convention `boxes`."""
    rows = said(scenes)
    if earlier:
        rows = rows.with_columns(earlier=pl.lit(earlier, TABLES["conversations"].columns()["earlier"].dtype))
    return in_units(rows, scenes.lazy(), boxes).to_dicts()


def in_place(found: Row) -> list[float]:
    return [found[corner] / (WIDE if corner[0] == "x" else HIGH) for corner in ("x1", "y1", "x2", "y2")]


@FEW
@given(frames, st.sampled_from(["unit", "thousand"]))
def test_boxes_read_back_within_rounding_from_words_data_and_reasoning_alike(
    listed: list[Row], boxes: Convention
) -> None:
    scenes, whole = scene(*listed), 1 if boxes == "unit" else 1000
    labelled = {row["scene_id"]: row["instruments"] for row in scenes.to_dicts()}
    for row in told(scenes, boxes):
        answer = json.loads(row["answer"])
        assert (answer["unit"], answer["size"]) == (boxes, [WIDE, HIGH])
        data = [[one[corner] for corner in ("x1", "y1", "x2", "y2")] for one in answer["boxes"]]
        assert len(data) == len(labelled[row["scene_id"]])
        for one, true in zip(data, labelled[row["scene_id"]], strict=True):
            assert one == pytest.approx([part * whole for part in in_place(true)], abs=whole / 1000 * 0.5001)
        texts = ["context"] if row["form"] == "multiple choice" else ["context", "answer_text"]
        for text in texts:
            read = [[float(part) for part in box] for box in re.findall(NUMBERS[boxes], row[text])]
            assert read == data


@FEW
@given(frames)
def test_cells_are_those_that_the_words_tell(listed: list[Row]) -> None:
    scenes = scene(*listed)
    middle = pl.DataFrame(
        [
            {"scene_id": row["scene_id"], "x": (x1 + x2) / 2, "y": (y1 + y2) / 2}
            for row in scenes.to_dicts()
            for x1, y1, x2, y2 in map(in_place, row["instruments"])
        ],
        schema={"scene_id": pl.String, "x": pl.Float64, "y": pl.Float64},
    ).with_columns(cell=area(pl.col("x"), pl.col("y")))
    for row in told(scenes, "grid"):
        cells = middle.filter(pl.col("scene_id") == row["scene_id"])["cell"].to_list()
        assert [one["cell"] for one in json.loads(row["answer"])["boxes"]] == cells
        assert re.findall(CELL, row["context"]) == cells
        if row["form"] != "multiple choice":
            assert re.findall(CELL, row["answer_text"]) == cells


@pytest.mark.parametrize("boxes", CONVENTIONS)
def test_nothing_is_left_of_pixels_in_words_answers_reasoning_and_earlier_turns(boxes: Convention) -> None:
    one = {"instruments": [instrument("hook", 369.4, 0, 853.9, 280.2)], "instruments_complete": True}
    turn = {
        "task": "instrument_localization",
        "question": "Where, in pixels?",
        "answer": "Box: hook (369,0),(854,280).",
    }
    for row in told(scene(*[one] * 120), boxes, [turn]):
        before = [text for turn in row["earlier"] for text in (turn["question"], turn["answer"])]
        whole = " ".join([row["system"], *(row[text] for text in TEXTS), *before, row["answer"]])
        assert "pixel" not in whole
        assert not re.search(r"\b(369|369\.4|853\.9|854,|280\.2)\b", whole.replace("[854,480]", ""))
        place = {"unit": "(0.433,0.000),(1.000,0.584)", "thousand": "(433,0),(1000,584)", "grid": "(upper right)"}[
            boxes
        ]
        assert place in row["earlier"][0]["answer"]
        assert row["context"].endswith(f"Located: hook {place}.")


@FEW
@given(frames)
def test_pixels_are_left_as_they_are(listed: list[Row]) -> None:
    assert told(scene(*listed), "pixel") == said(scene(*listed)).to_dicts()


def test_an_answer_is_asked_for_in_its_convention_whether_or_not_there_is_a_box() -> None:
    shown = {"instruments": [instrument("hook", 1, 1, 9, 9)], "instruments_complete": True}
    asked = [row for row in told(scene(shown, {"instruments_complete": True}), "thousand") if row["form"] == "open"]
    assert len(asked) == 2
    assert all("from 0 to 1000" in row["question"] for row in asked)


def test_a_box_of_a_scene_without_a_size_is_no_guess() -> None:
    scenes = scene({"instruments": [instrument("hook", 1, 1, 9, 9)]})
    with pytest.raises(ValueError, match="VID01/000000"):
        in_units(said(scenes), scenes.with_columns(width=None).lazy(), "unit")
