"""What the UI shows of an asset: column lists, row counts, previews, pictures: all that is Dagster's metadata."""

import base64
from typing import Any

import dagster as dg
import polars as pl

from surgsigma_dagster.resources.lake import Lake, Rebuilt
from surgsigma_dagster.schema.lineage import LINEAGE
from surgsigma_dagster.schema.tables import TABLES

_CELL = 60


def column_schema(table: str) -> dg.TableSchema:
    """The documented columns of a unified table."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=str(column.dtype),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=column.primary_key),
            )
            for name, column in TABLES[table].columns().items()
        ]
    )


def markdown_table(frame: pl.DataFrame) -> str:
    """A small frame as a markdown table; long cells are cut."""
    if frame.is_empty():
        return "*no rows*"

    def cell(value: Any) -> str:
        text = str(value).replace("|", "¦").replace("\n", " ")
        return text if len(text) <= _CELL else text[: _CELL - 1] + "…"

    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * frame.width]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in frame.rows()]
    return "\n".join(lines)


def picture(jpeg: bytes) -> dg.MarkdownMetadataValue:
    """A JPEG, inline: the UI shows it without a file server."""
    return dg.MetadataValue.md(f"![frames](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})")


def _column_lineage(table: str) -> dg.TableColumnLineage:
    def dependency(name: str) -> dg.TableColumnDep:
        asset, _, column = name.partition(".")
        return dg.TableColumnDep(dg.AssetKey(asset), column)

    return dg.TableColumnLineage(
        {column: [dependency(name) for name in made] for column, made in LINEAGE[table].items()}
    )


def of_table(lake: Lake, table: str, rebuilt: Rebuilt | None = None) -> dict[str, Any]:
    """Row count, preview and what was made now, of a unified table."""
    rows = lake.scan(table)
    count = rows.select(pl.len()).collect().item()
    shown = rows.head(8).collect()
    metadata: dict[str, Any] = {
        "dagster/row_count": count,
        "preview": dg.MetadataValue.md(markdown_table(shown)),
    }
    if table in LINEAGE:
        metadata["dagster/column_lineage"] = _column_lineage(table)
        # Dagster's open source UI records column lineage and does not draw it: shown as a table, too.
        made_of = [(column, ", ".join(sources)) for column, sources in LINEAGE[table].items()]
        lineage = pl.DataFrame(made_of, schema=["column", "made of"], orient="row")
        metadata["lineage"] = dg.MetadataValue.md(markdown_table(lineage))
    if rebuilt is not None:
        metadata |= {"units_made": len(rebuilt.made), "units_up_to_date": rebuilt.up_to_date}
    return metadata
