"""Where tissues are: boxes in pixels, and the cell of a 3x3 grid."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

_BOXED = pl.col("tissues").list.eval(pl.element().filter(pl.element().struct.field("x1").is_not_null()))
_N = pl.col("n_tissue_boxes")

TASK = Task(
    name="tissue_localization",
    group="U",
    needs=("boxes:tissue", "boxes:object"),
    grammar="boxes",
    metric="box_f1",
    every=True,
    eligible=(_N > 0) & (pl.col("tissues").list.len() == _N),
    case=pl.when(_N == 1).then(pl.lit("one")).otherwise(pl.lit("many")),
    answer={"boxes": _BOXED, "unit": pl.lit("pixel"), "size": pl.concat_list("width", "height")},
    slots={"boxes": pl.col("tissue_boxes")},
    weighing=pl.concat_str(
        in_phase(),
        pl.lit("Each box encloses the part of the tissue that is in view, from its upper left to its lower right "
               "corner, in pixels of the image."),
    ),
    conclusion=pl.format("Located: {}.", "tissue_boxes"),
    correct=pl.col("tissue_areas").list.first(),
    wrong=others("area_pool", pl.col("tissue_areas")),
    choice_slots={"tissue": pl.col("tissue_names").list.first()},
    # One tissue in one place: "where is the gallbladder" has one answer.
    choosable=(_N == 1) & (pl.col("tissues").list.len() == 1),
)  # fmt: skip
