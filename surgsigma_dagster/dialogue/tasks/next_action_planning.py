"""Which basic action comes after the two that a clip shows."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="next_action_planning",
    group="P",
    needs=("intervals:action",),
    grammar="concept",
    metric="accuracy",
    scene="next_action",
    inputs=("clip",),
    eligible=pl.col("action").is_not_null(),
    case=pl.lit("one"),
    answer={"action": pl.col("action"), "after": pl.col("actions").list.eval(pl.element().struct.field("concept_id"))},
    slots={"action": pl.col("action_name")},
    weighing=pl.concat_str(
        in_phase(), pl.format("What comes next is judged from what has been done: {}. ", "sequence"),
        pl.format("By definition, {} is this: {}", "action_name", "action_definition"),
    ),
    conclusion=pl.format("The next action is {}.", "action_name"),
    correct=pl.col("action_name"),
    wrong=others("action_pool", pl.concat_list("action_name")),
    concludes="action",
)  # fmt: skip
