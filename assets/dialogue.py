"""Dialogue: every task asked of every scene whose labels answer it."""

import dagster as dg
import polars as pl

from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.assets.reasoning import reasoning
from surgsigma_dagster.metadata import column_schema, markdown_table, of_table
from surgsigma_dagster.resources.dialogues import Dialogues


@dg.asset(
    group_name="dialogue", owners=OWNERS, deps=[reasoning], kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("conversations")},
)  # fmt: skip
def conversations(context: dg.AssetExecutionContext, dialogues: Dialogues) -> dg.MaterializeResult:
    """Training-ready conversations, open and multiple choice, each with its answer as data, labels and reasoning."""
    rebuilt = dialogues.write_conversations()
    context.log.info(f"conversations: {rebuilt}")
    lake = dialogues.corpus.lake
    counts = (
        lake.scan("conversations").group_by("task", "form", "split").len("conversations").collect()
        .sort("task", "form", "split")
    )  # fmt: skip
    metadata = of_table(lake, "conversations", rebuilt)
    return dg.MaterializeResult(metadata=metadata | {"by_task": dg.MetadataValue.md(markdown_table(counts))})


@dg.asset(
    group_name="dialogue", owners=OWNERS, deps=[conversations], kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("selection")},
)  # fmt: skip
def selection(context: dg.AssetExecutionContext, dialogues: Dialogues) -> dg.MaterializeResult:
    """Which conversations are kept, by the sampling policy, before and after; and counts that add up."""
    effect = dialogues.write_selection().filter(pl.col("rule") == "all")
    lake = dialogues.corpus.lake
    kept = lake.scan("selection").select(pl.col("kept").sum(), n=pl.len()).collect().row(0, named=True)
    context.log.info(f"selection: {kept['kept']:,} of {kept['n']:,} conversations kept")
    shown = effect.select("task", "form", "n_before", "n_after", "commonest_before", "commonest_after")
    tables = {"before_and_after": shown, "counts": lake.read("conversation_counts")}
    markdown = {name: dg.MetadataValue.md(markdown_table(table)) for name, table in tables.items()}
    return dg.MaterializeResult(metadata=of_table(lake, "selection") | markdown)
