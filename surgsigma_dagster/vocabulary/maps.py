"""Temporary: replaced by the branch that brings the maps."""

import polars as pl
from surgsigma_dagster.vocabulary.concepts import concepts


def basic_actions() -> pl.DataFrame:
    ten = concepts().filter(pl.col("citation").str.contains("list of basic surgical actions"))
    return ten.select("concept_id", basic_action_id="concept_id", why=pl.lit("same"))
