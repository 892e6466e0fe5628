"""Dialogue: every task asked of every frame whose labels answer it."""

import dagster as dg

from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.assets.reasoning import reasoning
from surgsigma_dagster.metadata import column_schema, markdown_table, of_table
from surgsigma_dagster.resources.corpus import Corpus


@dg.asset(
    group_name="dialogue", owners=OWNERS, deps=[reasoning], kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("conversations")},
)  # fmt: skip
def conversations(context: dg.AssetExecutionContext, corpus: Corpus) -> dg.MaterializeResult:
    """Training-ready conversations, open and multiple choice, each with its answer as data, labels and reasoning."""
    rebuilt = corpus.write_conversations()
    context.log.info(f"conversations: {rebuilt}")
    counts = (
        corpus.lake.scan("conversations").group_by("task", "form", "split").len("conversations").collect()
        .sort("task", "form", "split")
    )  # fmt: skip
    metadata = of_table(corpus.lake, "conversations", rebuilt)
    return dg.MaterializeResult(metadata=metadata | {"by_task": dg.MetadataValue.md(markdown_table(counts))})
