"""Frames: exactly those that labels mean, one partition a video."""

import warnings

import dagster as dg

from surgsigma_dagster.assets.ingestion import OWNERS, native_labels, videos
from surgsigma_dagster.metadata import column_schema, of_table, picture
from surgsigma_dagster.partitions import VIDEOS
from surgsigma_dagster.resources.corpus import Corpus

# A backfill policy is what design and scale ask for; that it is beta is nothing a user can act on.
warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy.*")


@dg.asset(
    group_name="frames", owners=OWNERS, deps=[videos, native_labels], kinds={"ffmpeg", "parquet"},
    partitions_def=VIDEOS, backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=100),
    metadata={"dagster/column_schema": column_schema("frames")},
)  # fmt: skip
def frames(context: dg.AssetExecutionContext, corpus: Corpus) -> dg.MaterializeResult:
    """Frames that labels mean, with their true presentation timestamps; images of a source are hashed where they lie.

    A video that cannot be decoded is quarantined with its reason and its partition is made all the same, so that
    one bad file does not hold up the rest.
    """
    rebuilt = corpus.write_frames(list(context.partition_keys))
    context.log.info(f"frames: {rebuilt}")
    metadata = of_table(corpus.lake, "frames", rebuilt)
    sheet = corpus.contact_sheet(list(context.partition_keys))
    return dg.MaterializeResult(metadata=metadata | ({"contact_sheet": picture(sheet)} if sheet else {}))
