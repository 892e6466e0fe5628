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


def with_pools(words: pl.DataFrame, aliases: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """`words` with lists of names beside it: instrument_pool, target_pool, tissue_pool, phase_pool and step_pool of the
    values that the source itself annotates, and area_pool, verdict_pool and action_pool (the ten basic actions), which
    are the same for all.
    """
    unnamed = pl.col("concept_id").str.ends_with("/none") | pl.col("concept_id").is_in(UNNAMED)
    of_source = aliases.join(concepts.select("concept_id", "kind", "name"), on="concept_id").filter(~unnamed)
    for name, kind, fields in _POOLS:
        pool = (
            of_source.filter(pl.col("field").is_in(fields) & (pl.col("kind") == kind))
            .group_by("source")
            .agg(pl.col("name").unique().sort().alias(f"{name}_pool"))
        )
        words = words.join(pool, on="source", how="left", maintain_order="left")
    basic = concepts.filter(
        pl.col("concept_id").is_in(basic_actions()["basic_action_id"].drop_nulls().unique().implode())
    )
    actions = basic["name"].sort().to_list()
    fixed = pl.DataFrame({"area_pool": [AREAS], "verdict_pool": [VERDICTS], "action_pool": [actions]})
    return words.join(fixed, how="cross", maintain_order="left").with_columns(pl.col("^.*_pool$").fill_null([]))


def others(pool: str, *excluded: pl.Expr) -> pl.Expr:
    """`pool` without the lists `excluded`, in a fixed order."""
    # Sorting copies: polars panics at a set operation on the tail of a column that a cross join has repeated.
    left = pl.col(pool).list.sort()
    for names in excluded:
        left = left.list.set_difference(names)
    return left.list.sort()
