"""Harmonization: one vocabulary, and labels that speak it beside the verbatim values."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from surgsigma_dagster.assets.ingestion import OWNERS, native_labels, videos
from surgsigma_dagster.metadata import column_schema, markdown_table, of_table, picture
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.schema.tables import LABELS, TABLES

GROUP = "harmonization"


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=["sources"], kinds={"yaml", "parquet"},
    metadata={"dagster/column_schema": column_schema("concepts")},
)  # fmt: skip
def vocabulary(corpus: Corpus) -> dg.MaterializeResult:
    """Concepts with definitions and citations, and the aliases that map each source's verbatim values to them."""
    _, aliases = corpus.write_vocabulary()
    by_source = aliases.group_by("source", "field").len("values").sort("source", "field")
    return dg.MaterializeResult(
        metadata=of_table(corpus.lake, "concepts") | {"aliases": dg.MetadataValue.md(markdown_table(by_source))}
    )


@dg.multi_asset(
    name="harmonized_labels",
    can_subset=True,
    specs=[
        dg.AssetSpec(
            kind,
            description=TABLES[kind].__doc__,
            deps=[native_labels, videos, vocabulary],
            group_name=GROUP,
            owners=OWNERS,
            kinds={"polars", "parquet"},
            metadata={"dagster/column_schema": column_schema(kind)},
            skippable=True,
        )
        for kind in LABELS
    ],
)
def harmonized_labels(context: dg.AssetExecutionContext, corpus: Corpus) -> Iterator[dg.MaterializeResult]:
    """Native records as concepts, pixels and ids; what no alias maps goes to the rejects with its place."""
    rebuilt = corpus.write_harmonized()
    context.log.info(f"harmonization: {rebuilt}")
    for kind in sorted(key.path[-1] for key in context.selected_asset_keys):
        metadata = of_table(corpus.lake, kind, rebuilt)
        sheet = corpus.contact_sheet() if kind == "boxes" else None
        if sheet:
            metadata["contact_sheet"] = picture(sheet)
        yield dg.MaterializeResult(asset_key=kind, metadata=metadata)


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=["intervals", "triplets"], kinds={"yaml", "parquet"},
    metadata={"dagster/column_schema": column_schema("basic_actions")},
)  # fmt: skip
def basic_actions(corpus: Corpus) -> dg.MaterializeResult:
    """Which of the ten basic surgical actions each verb and action is, with the reason; what is none stays unmapped."""
    made = corpus.write_basic_actions()
    unmapped = made.filter(pl.col("basic_action_id").is_null(), pl.col("n_labels") > 0).drop("basic_action_id")
    return dg.MaterializeResult(
        metadata=of_table(corpus.lake, "basic_actions")
        | {
            "unmapped_labels": int(unmapped["n_labels"].sum()),
            "unmapped": dg.MetadataValue.md(markdown_table(unmapped.sort("n_labels", descending=True))),
        }
    )
