"""Synthesis: what tasks show or ask for and no source ships: clips cut out of footage, images made for frames."""

import dagster as dg

from surgsigma_dagster.assets.frames import frames
from surgsigma_dagster.assets.ingestion import OWNERS, videos
from surgsigma_dagster.metadata import column_schema, markdown_table, of_table, picture
from surgsigma_dagster.resources.footage import Footage

GROUP = "synthesis"


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[videos, "intervals"], kinds={"ffmpeg", "parquet"},
    metadata={"dagster/column_schema": column_schema("clips")},
)  # fmt: skip
def clips(context: dg.AssetExecutionContext, footage: Footage) -> dg.MaterializeResult:
    """Stretches of footage that a task shows or asks for, cut at their timestamps, without sound and metadata."""
    rebuilt = footage.write_clips()
    context.log.info(f"clips: {rebuilt}")
    return dg.MaterializeResult(metadata=of_table(footage.corpus.lake, "clips", rebuilt))


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[frames, "masks", "depths"], kinds={"opencv", "parquet"},
    metadata={"dagster/column_schema": column_schema("dense_images")},
)  # fmt: skip
def dense_images(context: dg.AssetExecutionContext, footage: Footage) -> dg.MaterializeResult:
    """Instrument masks, relative depth, and clear frames under rendered smoke; a model's are marked so."""
    rebuilt = footage.write_dense_images()
    context.log.info(f"dense images: {rebuilt}")
    lake = footage.corpus.lake
    kinds = ["kind", "origin", "source"]
    counts = lake.scan("dense_images").group_by(kinds).len("images").sort(kinds).collect()
    metadata = of_table(lake, "dense_images", rebuilt) | {"by_kind": dg.MetadataValue.md(markdown_table(counts))}
    sheet = footage.contact_sheet()
    return dg.MaterializeResult(metadata=metadata | ({"contact_sheet": picture(sheet)} if sheet else {}))
