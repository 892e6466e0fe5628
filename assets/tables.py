"""Tables: the DuckDB file that people and tools query."""

import dagster as dg
import polars as pl

from surgsigma_dagster.assets.ingestion import OWNERS
from surgsigma_dagster.assets.quality import qa_results
from surgsigma_dagster.metadata import markdown_table
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.warehouse import Warehouse


@dg.asset(group_name="tables", owners=OWNERS, deps=[qa_results], kinds={"duckdb"}, pool="duckdb_writer")
def unified_tables(corpus: Corpus, warehouse: Warehouse) -> dg.MaterializeResult:
    """`surgsigma.duckdb`: every unified table, documented column by column, swapped in when it is whole."""
    corpus.write_builds()
    counts = warehouse.rebuild(corpus.lake)
    table = pl.DataFrame({"table": list(counts), "rows": list(counts.values())})
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(counts.values()),
            "tables": dg.MetadataValue.md(markdown_table(table)),
            "path": dg.MetadataValue.path(warehouse.path),
        }
    )
