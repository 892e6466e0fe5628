"""Identity: which videos are one procedure, in which split it is, and whether the sources that show it agree."""

import dagster as dg
import polars as pl

from surgsigma_dagster.assets.frames import frames
from surgsigma_dagster.assets.ingestion import OWNERS, videos
from surgsigma_dagster.metadata import column_schema, markdown_table, of_table
from surgsigma_dagster.resources.identities import Identities
from surgsigma_dagster.schema.tables import LABELS

GROUP = "identity"


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[videos, frames], kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("procedures")},
)  # fmt: skip
def procedures(context: dg.AssetExecutionContext, identities: Identities) -> dg.MaterializeResult:
    """Operations: which videos of which sources show the same one, and the one split that it belongs to.

    Names decide where a registry knows them, pictures where it does not. Beside it: which pairs of sources may
    overlap, and where official splits contradict each other.
    """
    if strangers := identities.write_procedures():
        context.log.warning(f"the split file names {len(strangers)} procedures that no source has, e.g. {strangers[0]}")
    lake = identities.corpus.lake
    overlaps = lake.read("source_overlaps").select(
        "source_a", "source_b", "relation", "content_check", "n_shared_procedures"
    )
    said = pl.format("{}: {}", *(pl.element().struct.field(name) for name in ("dataset", "split")))
    conflicts = lake.read("split_conflicts").with_columns(claims=pl.col("claims").list.eval(said).list.join(", "))
    return dg.MaterializeResult(
        metadata=of_table(lake, "procedures")
        | {
            "overlaps": dg.MetadataValue.md(markdown_table(overlaps)),
            "split_conflicts": dg.MetadataValue.md(markdown_table(conflicts)),
        }
    )


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[procedures, *LABELS], kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("agreements")},
)  # fmt: skip
def agreements(context: dg.AssetExecutionContext, identities: Identities) -> dg.MaterializeResult:
    """Where two sources label the same instant: how often they agree, every contradiction, and who is believed."""
    identities.write_agreements()
    lake = identities.corpus.lake
    conflicts = lake.read("label_conflicts")
    context.log.info(f"agreements: {conflicts.height} contradictions between sources")
    return dg.MaterializeResult(
        metadata=of_table(lake, "agreements")
        | {"conflicts": dg.MetadataValue.md(markdown_table(conflicts.drop("overruled_label_id")))}
    )
