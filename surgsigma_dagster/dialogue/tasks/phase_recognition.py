"""Which phase of the procedure a frame belongs to."""

import polars as pl

from surgsigma_dagster.context.words import sentence
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="phase_recognition",
    group="U",
    needs=("intervals:phase",),
    grammar="concept",
    metric="accuracy",
    eligible=pl.col("phase").is_not_null(),
    case=pl.lit("one"),
    answer={"phase": pl.col("phase")},
    slots={"phase": pl.col("phase_name")},
    weighing=pl.format("{} By definition: {}", sentence(pl.format(
        "the image belongs to one part of the procedure, {}", "phase_name")), "phase_definition"),
    conclusion=pl.format("The phase is {}.", "phase_name"),
    correct=pl.col("phase_name"),
    wrong=others("phase_pool", pl.concat_list("phase_name")),
    concludes="phase",
)  # fmt: skip
