"""Reasoning: three levels for each scene and task, written from labels and judged by the verifier."""

import dagster as dg

from surgsigma_dagster.assets.context import scene_context
from surgsigma_dagster.assets.harmonization import vocabulary
from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.assets.synthesis import clips, dense_images
from surgsigma_dagster.metadata import column_schema, of_table
from surgsigma_dagster.resources.dialogues import Dialogues


@dg.asset(
    group_name="reasoning", owners=OWNERS, deps=[scene_context, vocabulary, clips, dense_images],
    kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("reasoning")},
)  # fmt: skip
def reasoning(context: dg.AssetExecutionContext, dialogues: Dialogues) -> dg.MaterializeResult:
    """Perception, relation, context: what is visible, who does what, what it means. Each row pass, fail or not run."""
    rebuilt = dialogues.write_reasoning()
    context.log.info(f"reasoning: {rebuilt}")
    return dg.MaterializeResult(metadata=of_table(dialogues.corpus.lake, "reasoning", rebuilt))
