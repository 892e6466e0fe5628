"""Which step of the procedure a frame belongs to."""

import polars as pl

from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="step_recognition",
    group="U",
    needs=("intervals:step",),
    grammar="concept",
    metric="accuracy",
    # "No step" is a label, but no step that an image could be asked for.
    eligible=pl.col("step").is_not_null() & ~pl.col("step").str.ends_with("/no_step"),
    case=pl.lit("one"),
    answer={"step": pl.col("step")},
    slots={"step": pl.col("step_name")},
    weighing=pl.concat_str(
        pl.format("The procedure is in the phase {}. ", "phase_name").fill_null(""),
        pl.format("Within it, {} is defined so: {}", "step_name", "step_definition"),
    ),
    conclusion=pl.format("The step is {}.", "step_name"),
    correct=pl.col("step_name"),
    wrong=others("step_pool", pl.concat_list("step_name")),
    concludes="step",
)
