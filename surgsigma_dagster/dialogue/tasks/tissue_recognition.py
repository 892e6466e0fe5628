"""Which tissues and organs are visible."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task
from surgsigma_dagster.keys import hashed

_N = pl.col("n_tissues")
_CHOICE = hashed(pl.col("scene_id"), "which tissue") % pl.max_horizontal(_N, 1)

TASK = Task(
    name="tissue_recognition",
    group="U",
    needs=(
        "presences:tissue", "presences:object", "boxes:tissue", "boxes:object", "masks:tissue", "masks:object",
    ),
    grammar="names",
    metric="set_f1",
    every=True,
    # A triplet names the one tissue that is acted on, not the tissues that are visible.
    eligible=(_N > 0)
    & (pl.col("tissues_complete") | (pl.col("tissue_names").list.set_difference("target_names").list.len() > 0)),
    case=pl.when(_N == 1).then(pl.lit("one")).otherwise(pl.lit("many")),
    answer={"tissues": pl.col("tissues").list.eval(pl.element().struct.field("concept_id")).list.unique().list.sort()},
    slots={"tissues": pl.col("tissues_said")},
    weighing=pl.concat_str(in_phase(), pl.lit("Tissues are told by their colour, surface and place.")),
    conclusion=pl.format("Visible in the image: {}.", "tissues_said"),
    correct=pl.col("tissue_names").list.get(_CHOICE, null_on_oob=True),
    wrong=others("tissue_pool", pl.col("tissue_names")),
    # An option is wrong only where its absence is known.
    choosable=pl.col("tissues_complete"),
)  # fmt: skip
