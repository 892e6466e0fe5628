"""Where wrong options come from: the vocabulary of the same source and procedure, never another row."""

import polars as pl

from surgsigma_dagster.context.words import UNNAMED

AREAS = [
    "upper left", "upper centre", "upper right", "middle left", "centre", "middle right", "lower left",
    "lower centre", "lower right",
]  # fmt: skip
VERDICTS = [
    f"Criterion 1: {a}. Criterion 2: {b}. Criterion 3: {c}."
    for a in ("Yes", "No")
    for b in ("Yes", "No")
    for c in ("Yes", "No")
]


def with_pools(words: pl.DataFrame, aliases: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """`words` with lists of names beside it: instrument_pool and target_pool of the source's vocabulary,
    phase_pool and step_pool of the procedure, area_pool and verdict_pool, which are the same for all.
    """
    named = concepts.select("concept_id", "kind", "name")
    unnamed = pl.col("concept_id").str.ends_with("/none") | pl.col("concept_id").is_in(UNNAMED)
    of_source = aliases.join(named, on="concept_id").filter(~unnamed)
    for column, field, kind in (("instrument_pool", "instrument", "instrument"), ("target_pool", "target", "tissue")):
        pool = (
            of_source.filter((pl.col("field") == field) & (pl.col("kind") == kind))
            .group_by("source")
            .agg(pl.col("name").unique().sort().alias(column))
        )
        words = words.join(pool, on="source", how="left", maintain_order="left")
    of_procedure = named.with_columns(
        procedure_type=pl.format("procedure/{}", pl.col("concept_id").str.split("/").list.get(1, null_on_oob=True))
    )
    for kind in ("phase", "step"):
        pool = (
            of_procedure.filter(pl.col("kind") == kind)
            .group_by("procedure_type")
            .agg(pl.col("name").unique().sort().alias(f"{kind}_pool"))
        )
        words = words.join(pool, on="procedure_type", how="left", maintain_order="left")
    fixed = pl.DataFrame({"area_pool": [AREAS], "verdict_pool": [VERDICTS]})
    return words.join(fixed, how="cross", maintain_order="left").with_columns(pl.col("^.*_pool$").fill_null([]))


def others(pool: str, *excluded: pl.Expr) -> pl.Expr:
    """`pool` without the lists `excluded`, in a fixed order."""
    # Sorting copies: polars panics at a set operation on the tail of a column that a cross join has repeated.
    left = pl.col(pool).list.sort()
    for names in excluded:
        left = left.list.set_difference(names)
    return left.list.sort()
