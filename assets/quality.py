"""Quality: the reject ledger, and every rule's result."""

import dagster as dg
import polars as pl

from surgsigma_dagster.assets.dialogue import selection
from surgsigma_dagster.assets.harmonization import basic_actions
from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.metadata import column_schema, markdown_table, of_table
from surgsigma_dagster.resources.corpus import Corpus

GROUP = "quality"


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[selection], kinds={"parquet"},
    metadata={"dagster/column_schema": column_schema("rejects")},
)  # fmt: skip
def rejects(corpus: Corpus) -> dg.MaterializeResult:
    """Everything that was turned down, by stage, rule and place, and which verbatim values no alias maps."""
    found = corpus.write_rejects()
    counts = found.group_by("stage", "rule", "source").len("rejects").sort("stage", "rule", "source")
    unmapped = corpus.unmapped_values()
    return dg.MaterializeResult(
        metadata=of_table(corpus.lake, "rejects")
        | {
            "by_rule": dg.MetadataValue.md(markdown_table(counts)),
            "unmapped_values": dg.MetadataValue.md(markdown_table(unmapped)),
        }
    )


@dg.asset(
    group_name=GROUP, owners=OWNERS, deps=[rejects, basic_actions], kinds={"polars", "parquet"},
    metadata={"dagster/column_schema": column_schema("qa_results")},
)  # fmt: skip
def qa_results(context: dg.AssetExecutionContext, corpus: Corpus) -> dg.MaterializeResult:
    """One row a rule: pass, fail or not run, how many rows were looked at, how many break it, and which."""
    found = corpus.write_qa_results()
    for row in found.filter(pl.col("status").cast(pl.String) != "pass").to_dicts():
        counts = f"{row['n_failed']} of {row['n_checked']} rows"
        context.log.warning(f"{row['rule']} ({row['severity']}): {row['status']}, {counts}, e.g. {row['examples'][0]}")
    return dg.MaterializeResult(metadata=of_table(corpus.lake, "qa_results"))
