"""Which pixels are instrument: a mask image, instruments white, the rest black."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.task import Task

_IDS = pl.col("instruments").list.eval(pl.element().struct.field("concept_id")).list.unique().list.sort()
_SEEN = pl.col("instrument_names").list.len()

TASK = Task(
    name="instrument_segmentation",
    group="P",
    needs=("masks:instrument", "masks:object"),
    grammar="instruments",
    metric="mask_iou",
    targets=("instrument_mask",),
    eligible=_SEEN > 0,
    case=pl.when(_SEEN == 1).then(pl.lit("one")).otherwise(pl.lit("many")),
    answer={
        "instruments": pl.col("instrument_ids"),
        "mask": pl.col("instrument_mask_medium").struct.field("id"),
    },
    slots={"instruments": pl.col("instruments_the")},
    weighing=pl.concat_str(
        in_phase(), pl.lit("What belongs to an instrument is set apart from tissue along its visible outline.")
    ),
    conclusion=pl.format("The mask covers {}.", "instruments_the"),
)
