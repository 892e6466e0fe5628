"""Whether the three criteria of the critical view of safety are met."""

import polars as pl

from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

_ALL = pl.col("n_met") == pl.col("n_judged")

TASK = Task(
    name="safety_assessment",
    group="U",
    needs=("criteria",),
    grammar="criteria",
    metric="criteria_accuracy",
    negative=pl.col("n_met") == 0,
    eligible=pl.col("n_judged") == 3,
    case=pl.when(_ALL).then(pl.lit("achieved")).otherwise(pl.lit("not_achieved")),
    answer={
        "criteria": pl.col("criteria"),
        "critical_view_of_safety": _ALL,
    },
    slots={"criteria": pl.col("criteria_said")},
    weighing=pl.concat_str(
        pl.lit("The critical view of safety asks for three things. "),
        pl.col("criteria_defined"),
        pl.lit(" "),
        pl.when(_ALL)
        .then(pl.lit("All three are met, so the critical view is achieved."))
        .otherwise(pl.lit("Not all three are met, so the critical view is not achieved.")),
    ),
    conclusion=pl.col("criteria_said"),
    correct=pl.col("criteria_said"),
    wrong=others("verdict_pool", pl.concat_list("criteria_said")),
)
