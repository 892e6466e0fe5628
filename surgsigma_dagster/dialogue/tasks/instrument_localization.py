"""Where the instruments are: boxes in pixels, and the cell of a 3x3 grid."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

_BOXED = pl.col("instruments").list.eval(pl.element().filter(pl.element().struct.field("x1").is_not_null()))
_NONE = pl.col("instruments_complete") & (pl.col("instruments").list.len() == 0)

TASK = Task(
    name="instrument_localization",
    group="U",
    needs=("boxes:instrument", "boxes:object"),
    grammar="boxes",
    metric="box_f1",
    every=True,
    negative=_NONE,
    eligible=((pl.col("n_boxes") > 0) & (pl.col("n_boxes") == pl.col("instruments").list.len())) | _NONE,
    case=pl.when(_NONE).then(pl.lit("none")).when(pl.col("n_boxes") == 1).then(pl.lit("one")).otherwise(pl.lit("many")),
    answer={"boxes": _BOXED, "unit": pl.lit("pixel"), "size": pl.concat_list("width", "height")},
    slots={"boxes": pl.col("boxes")},
    weighing=pl.concat_str(
        in_phase(),
        pl.when(_NONE)
        .then(pl.lit("There is nothing to enclose."))
        .otherwise(pl.lit("Each box encloses the part of the instrument that is in view, from its upper left to its "
                          "lower right corner, in pixels of the image.")),
    ),
    conclusion=pl.when(_NONE).then(pl.lit("No tools detected.")).otherwise(pl.format("Located: {}.", "boxes")),
    correct=pl.col("areas").list.first(),
    wrong=others("area_pool", pl.col("areas")),
    choice_slots={"instrument": pl.col("instrument_names").list.first()},
    # One instrument in one place: "where is the hook" has one answer.
    choosable=(pl.col("n_boxes") == 1) & (pl.col("instruments").list.len() == 1),
)  # fmt: skip
