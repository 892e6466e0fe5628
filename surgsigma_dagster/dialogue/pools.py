"""Where wrong options come from: what the same source annotates, never another row."""

import polars as pl

from surgsigma_dagster.context.words import UNNAMED
from surgsigma_dagster.vocabulary.maps import basic_actions

AREAS = [
    "upper left", "upper centre", "upper right", "middle left", "centre", "middle right", "lower left",
    "lower centre", "lower right",
]  # fmt: skip
# Pool, kind of concept, and the sections of an alias file that name it.
_POOLS = (
    ("instrument", "instrument", ("instrument",)),
    ("target", "tissue", ("target",)),
    ("tissue", "tissue", ("tissue", "object")),
    ("phase", "phase", ("phase",)),
    ("step", "step", ("step",)),
)
VERDICTS = [
    f"Criterion 1: {a}. Criterion 2: {b}. Criterion 3: {c}."
    for a in ("Yes", "No")
    for b in ("Yes", "No")
    for c in ("Yes", "No")
]


_SEPARATOR = "\x1f"


def with_pools(words: pl.DataFrame, aliases: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """`words` with pools of names beside it: instrument_pool, target_pool, tissue_pool, phase_pool and step_pool of the
    values that the source itself annotates, and area_pool, verdict_pool and action_pool (the ten basic actions), which
    are the same for all.

    A pool is one text, to be read by `others`: lists would be copied row by row whenever rows are filtered.
    """
    unnamed = pl.col("concept_id").str.ends_with("/none") | pl.col("concept_id").is_in(UNNAMED)
    of_source = aliases.join(concepts.select("concept_id", "kind", "name"), on="concept_id").filter(~unnamed)
    pools = words.select("source").unique()
    for name, kind, fields in _POOLS:
        pool = (
            of_source.filter(pl.col("field").is_in(fields) & (pl.col("kind") == kind))
            .group_by("source")
            .agg(pl.col("name").unique().sort().str.join(_SEPARATOR).alias(f"{name}_pool"))
        )
        pools = pools.join(pool, on="source", how="left")
    ten = basic_actions()["basic_action_id"].drop_nulls().unique()
    basic = concepts.filter(pl.col("concept_id").is_in(ten.implode()))
    fixed = {"area": AREAS, "verdict": VERDICTS, "action": basic["name"].sort().to_list()}
    return words.join(pools, on="source", how="left", maintain_order="left").with_columns(
        pl.lit(_SEPARATOR.join(names)).alias(f"{name}_pool") for name, names in fixed.items()
    )


def others(pool: str, *excluded: pl.Expr) -> pl.Expr:
    """The names of `pool` without the lists `excluded`, in a fixed order; none where the source has no such pool."""
    left = pl.col(pool).str.split(_SEPARATOR).fill_null([])
    for names in excluded:
        left = left.list.set_difference(names)
    return left.list.sort()
