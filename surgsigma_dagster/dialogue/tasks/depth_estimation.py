"""How far what is seen lies away: an image of relative depth."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="depth_estimation",
    group="P",
    needs=("depths",),
    grammar="medium",
    metric="depth_error",
    targets=("depth",),
    eligible=pl.lit(True),
    case=pl.lit("one"),
    answer={"depth": pl.col("depth_medium").struct.field("id"), "origin": pl.col("depth_origin")},
    weighing=pl.concat_str(
        in_phase(), pl.lit("Nearer surfaces cover those behind them and catch more of the endoscope's light.")
    ),
    conclusion=pl.lit("The relative depth of every measured pixel is given, darker where it is nearer."),
)
