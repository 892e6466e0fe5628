"""Which instrument does what to which tissue."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

_CASE = (
    pl.when(pl.col("n_acts") == 0)
    .then(pl.lit("idle"))
    .when(pl.col("n_acts") == 1)
    .then(pl.lit("one"))
    .otherwise(pl.lit("many"))
)
_IDLE = pl.format("{} {} not interacting with any tissue", "idle", "idle_is")

TASK = Task(
    name="triplet_recognition",
    group="U",
    needs=("triplets",),
    grammar="triplets",
    metric="set_f1",
    every=True,
    negative=pl.col("n_acts") == 0,
    eligible=(pl.col("triplets").list.len() > 0) & pl.col("acts_annotated") & pl.col("acts_named"),
    case=_CASE,
    answer={"triplets": pl.col("triplets")},
    slots={"triplets": pl.col("triplets_said"), "instruments": pl.col("idle")},
    weighing=pl.concat_str(
        in_phase(),
        pl.lit("An instrument counts by what its tip is doing and to what."),
    ),
    conclusion=pl.when(pl.col("n_acts") == 0)
    .then(pl.format("So {}.", _IDLE))
    .otherwise(pl.format("So {}.", "triplets_said")),
    correct=pl.col("first_target"),
    wrong=others("target_pool", pl.col("target_names")),
    option_prefix=pl.col("first_doing"),
    choosable=pl.col("first_target").is_not_null(),
)
