"""The same view without the smoke: pairs of a clear frame and that frame under rendered smoke."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="desmoking",
    group="P",
    needs=("frames",),
    grammar="medium",
    metric="psnr",
    inputs=("smoke",),
    targets=("frame",),
    eligible=pl.lit(True),
    case=pl.lit("one"),
    answer={"clear": pl.col("frame_id")},
    weighing=pl.concat_str(
        in_phase(), pl.lit("The haze adds its own light and dims what lies behind it, the more the denser it is.")
    ),
    conclusion=pl.lit("Freed of the haze, the view is clear."),
)
