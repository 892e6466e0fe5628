from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.quality.rules import RULES, evaluate
from surgsigma_dagster.schema.tables import TURN
from tests.unit.made import corpus

RULE = "answers_parse_back"
OPEN = pl.col("form").cast(pl.String) == "open"


def of(task: str, where: pl.Expr = OPEN) -> pl.Expr:
    """The first conversation of a task."""
    chosen = (pl.col("task") == task) & where
    return chosen & (chosen.cum_sum() == 1)


def failed(talk: pl.DataFrame) -> list[str]:
    found = RULES[RULE].check({"conversations": talk.lazy()}).collect()
    return found["example"].to_list()


def planted(where: pl.Expr, **columns: pl.Expr) -> pl.DataFrame:
    talk = corpus()["conversations"]
    return talk.with_columns(
        pl.when(where).then(value).otherwise(name).cast(talk.schema[name]).alias(name)
        for name, value in columns.items()
    )


def test_what_the_pipeline_says_parses_back_and_every_row_is_looked_at() -> None:
    found = evaluate({name: table.lazy() for name, table in corpus().items()}).filter(pl.col("rule") == RULE)
    row = found.row(0, named=True)
    assert (row["status"], row["n_failed"]) == ("pass", 0)
    assert row["n_checked"] == corpus()["conversations"].height > 0


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        (of("phase_recognition"), {"answer_text": pl.lit("The phase is preparation.")}),
        (of("phase_recognition"), {"answer_text": pl.col("answer_text") + " "}),
        (of("phase_recognition"), {"answer": pl.lit('{"phase":"phase/cholecystectomy/preparation"}')}),
        (of("phase_recognition"), {"answer": pl.lit("no JSON")}),
        (of("phase_recognition"), {"answer": pl.lit('{"step":"step/prostatectomy/suction"}')}),
        (of("instrument_recognition"), {"answer_text": pl.lit("The image shows a hook.")}),
        (of("instrument_localization"), {"answer": pl.col("answer").str.replace(r'"x1":10\.0', '"x1":11.0')}),
        (of("safety_assessment"), {"answer": pl.col("answer").str.replace('"met":true', '"met":false')}),
        (of("phase_recognition", ~OPEN), {"answer": pl.col("answer").str.replace(r'"option":"."', '"option":"E"')}),
        (of("safety_assessment", ~OPEN), {"answer_text": pl.col("answer_text").str.replace("Yes", "No")}),
    ],
)
def test_one_answer_that_its_data_do_not_say_is_found(where: pl.Expr, columns: dict[str, Any]) -> None:
    talk = planted(where, **columns)
    changed = talk.filter(where)["conversation_id"].to_list()
    assert len(changed) == 1
    assert [example.split(": ")[0] for example in failed(talk)] == changed


def test_every_row_with_a_wrong_answer_counts_though_alike_ones_are_read_once() -> None:
    talk = planted(pl.col("task") == "phase_recognition", answer_text=pl.lit("The phase is lunch."))
    n = talk.filter(pl.col("task") == "phase_recognition").height
    assert len(failed(talk)) == n > 1


def test_an_earlier_turn_that_is_no_answer_of_its_task_is_found() -> None:
    def turn(answer: str) -> pl.Expr:
        said = {"task": "instrument_recognition", "question": "Which?", "answer": answer}
        return pl.lit(pl.Series([[said]], dtype=pl.List(TURN.dtype)))

    assert failed(planted(of("phase_recognition"), earlier=turn("The image shows a grasper."))) == []
    (example,) = failed(planted(of("phase_recognition"), earlier=turn("The image shows a chainsaw.")))
    assert example.endswith("The image shows a chainsaw.")
