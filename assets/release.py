"""Release: what leaves, and the report on it."""

import dagster as dg

from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.assets.quality import qa_results
from surgsigma_dagster.assets.tables import unified_tables
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.outputs import Outputs

GROUP = "release"


@dg.asset(group_name=GROUP, owners=OWNERS, deps=[unified_tables], kinds={"parquet", "json"})
def release(context: dg.AssetExecutionContext, corpus: Corpus, outputs: Outputs) -> dg.MaterializeResult:
    """Conversations a split as Parquet and ShareGPT-style JSONL, their pictures, and a manifest with hashes.

    Refuses where a rule that guards a release did not pass, whoever starts it.
    """
    released = outputs.write_release(corpus)
    for source, why in released.held_back.items():
        context.log.warning(f"{source} is held back: {why}")
    if not released.conversations:
        context.log.warning("the release is empty; for training inside your institution, set audience: internal")
    return dg.MaterializeResult(
        metadata={
            "conversations": released.conversations,
            "media": released.media,
            "held_back": dg.MetadataValue.json(dict(released.held_back)),
            "path": dg.MetadataValue.path(str(outputs.release_folder)),
        }
    )


@dg.asset(group_name=GROUP, owners=OWNERS, deps=[qa_results], kinds={"html"})
def report(corpus: Corpus, outputs: Outputs) -> dg.MaterializeResult:
    """`report.html`: counts, distributions, coverage, quality, rejects, and conversations to look at, in one file."""
    path = outputs.write_report(corpus)
    return dg.MaterializeResult(metadata={"path": dg.MetadataValue.path(str(path)), "bytes": path.stat().st_size})
