"""Ingestion: the sources, their videos, and their labels in the sources' own words."""

import dagster as dg

from surgsigma_dagster.metadata import column_schema, markdown_table, of_table
from surgsigma_dagster.partitions import register
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.schema.native import NATIVE

GROUP = "ingestion"
OWNERS = ["team:data"]


@dg.asset(
    group_name=GROUP, owners=OWNERS, kinds={"yaml", "parquet"},
    metadata={"dagster/column_schema": column_schema("sources")},
)  # fmt: skip
def sources(corpus: Corpus) -> dg.MaterializeResult:
    """What `sources.yaml` names: each source's dataset, specialty, licence and consent."""
    corpus.write_sources()
    return dg.MaterializeResult(metadata=of_table(corpus.lake, "sources"))


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[sources], kinds={"ffmpeg", "parquet"},
    metadata={"dagster/column_schema": column_schema("videos")},
)  # fmt: skip
def videos(context: dg.AssetExecutionContext, corpus: Corpus) -> dg.MaterializeResult:
    """Every video and image sequence of the sources: probed, hashed, quarantined where it cannot be trusted.

    Registers one partition a video, and forgets units of videos that no source holds any more.
    """
    listing = corpus.listing()
    changes = register(context.instance, set(listing.videos), listing.failed)
    pruned = corpus.lake.prune(set(listing.videos) | changes.kept)
    rebuilt = corpus.write_videos(listing)
    context.log.info(f"videos: {rebuilt}; {len(changes.added)} new, {len(pruned)} gone")
    return dg.MaterializeResult(metadata=of_table(corpus.lake, "videos", rebuilt))


@dg.asset(group_name=GROUP, owners=OWNERS, deps=[sources], kinds={"polars", "parquet"})
def native_labels(context: dg.AssetExecutionContext, corpus: Corpus) -> dg.MaterializeResult:
    """Typed label records in the sources' own words and frame numbers, each with its file and place in it."""
    rebuilt = corpus.write_native_labels(corpus.listing())
    context.log.info(f"native labels: {rebuilt}")
    counts = corpus.row_counts([f"native_{kind}" for kind in NATIVE])
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": int(counts["n_rows"].sum()),
            "records": dg.MetadataValue.md(markdown_table(counts)),
            "units_made": len(rebuilt.made),
            "units_up_to_date": rebuilt.up_to_date,
        }
    )
