"""Context: correlated labels of one scene joined."""

import dagster as dg

from surgsigma_dagster.assets.frames import frames
from surgsigma_dagster.assets.identity import agreements, procedures
from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.assets.synthesis import dense_images
from surgsigma_dagster.metadata import column_schema, of_table
from surgsigma_dagster.resources.dialogues import Dialogues
from surgsigma_dagster.schema.tables import LABELS


@dg.asset(
    group_name="context", owners=OWNERS, deps=[frames, procedures, agreements, dense_images, *LABELS],
    kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("scene_context")},
)  # fmt: skip
def scene_context(context: dg.AssetExecutionContext, dialogues: Dialogues) -> dg.MaterializeResult:
    """All that labels say of one scene: a frame, a frame and a later one, or a stretch of footage with its actions."""
    rebuilt = dialogues.write_scene_context()
    context.log.info(f"scene context: {rebuilt}")
    return dg.MaterializeResult(metadata=of_table(dialogues.corpus.lake, "scene_context", rebuilt))
