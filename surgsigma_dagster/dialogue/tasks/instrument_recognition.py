"""Which instruments are visible."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task
from surgsigma_dagster.keys import hashed

_N = pl.col("instruments").list.len()
_SEEN = pl.col("instrument_names").list.len()

TASK = Task(
    name="instrument_recognition",
    group="U",
    needs=(
        "presences:instrument", "presences:object", "boxes:instrument", "boxes:object", "masks:instrument",
        "masks:object", "triplets",
    ),
    grammar="names",
    metric="set_f1",
    every=True,
    negative=_N == 0,
    # Without a word on absences, an empty list is a gap; an instrument of unknown kind has no name to give,
    # and thread and needle are none.
    eligible=((_N > 0) | pl.col("instruments_complete")) & pl.col("instruments_named"),
    case=pl.when(_N == 0).then(pl.lit("none")).when(_N == 1).then(pl.lit("one")).otherwise(pl.lit("many")),
    answer={"instruments": pl.col("instrument_ids")},
    slots={"instruments": pl.col("instruments_said")},
    weighing=pl.concat_str(
        in_phase(),
        pl.when(_SEEN == 0)
        .then(pl.lit("Nothing in the field has the shaft and tip of an instrument."))
        .otherwise(pl.lit("Each kind is told by its shape.")),
    ),
    conclusion=pl.when(_N == 0)
    .then(pl.lit("No instrument is visible."))
    .otherwise(pl.format("Visible in the image: {}.", "instruments_said")),
    # By hash, not the first of the list: else one instrument is right whenever it is offered.
    correct=pl.col("instrument_names").list.get(
        hashed(pl.col("scene_id"), "which instrument") % pl.max_horizontal(_SEEN, 1), null_on_oob=True
    ),
    wrong=others("instrument_pool", pl.col("instrument_names")),
    # An option is wrong only where its absence is known.
    choosable=pl.col("instruments_complete") & (_SEEN > 0),
)  # fmt: skip
