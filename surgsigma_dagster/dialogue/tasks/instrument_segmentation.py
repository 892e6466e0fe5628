"""Which pixels are instrument: a mask image, instruments white, the rest black."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.task import Task

_SHOWS = pl.col("instrument_mask_shows")

TASK = Task(
    name="instrument_segmentation",
    group="P",
    needs=("masks:instrument", "masks:object"),
    grammar="instruments",
    metric="mask_iou",
    every=True,
    targets=("instrument_mask",),
    # What is in view and has no mask of its own is missing from the image.
    eligible=(pl.col("n_masked") > 0) & (pl.col("masked_ids").list.unique().list.sort() == _SHOWS).fill_null(True),
    # By instances, not kinds: "one tool" is not two graspers.
    case=pl.when(pl.col("n_masked") == 1).then(pl.lit("one")).otherwise(pl.lit("many")),
    answer={
        "instruments": pl.col("masked_ids"),
        "mask": pl.col("instrument_mask_medium").struct.field("id"),
        "origin": pl.col("instrument_mask_origin"),
    },
    slots={"instruments": pl.col("masked_the")},
    weighing=pl.concat_str(
        in_phase(), pl.lit("What belongs to an instrument is set apart from tissue along its visible outline.")
    ),
    conclusion=pl.format("The mask covers {}.", "masked_the"),
)
