"""The warehouse: `surgsigma.duckdb`, rebuilt from the lake's Parquet beside the old file and swapped in one step.

A file that somebody reads stays theirs; the next one to open it sees the new tables. One asset writes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb

from surgsigma_dagster.resources.lake import Lake
from surgsigma_dagster.schema.tables import LABELS, TABLES, empty

# What a conversation's label_ids lead to, whatever kind of label it is.
_LABELS_VIEW = "CREATE VIEW labels AS " + " UNION ALL ".join(
    f"SELECT label_id, '{kind}' AS kind, source, video_id, concept_id, raw_value, file, locator FROM {kind}"
    for kind in LABELS
)


class Warehouse(dg.ConfigurableResource):
    """The DuckDB file at `path`."""

    path: str

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection. Raises `duckdb.IOException` where nothing was built yet."""
        with duckdb.connect(self.path, read_only=True) as connection:
            yield connection

    def rebuild(self, lake: Lake) -> dict[str, int]:
        """Build every unified table anew and swap the file. Returns rows by table.

        Every table's failure is collected and raised at once (`ExceptionGroup`); the old file stays then.
        """
        target = Path(self.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.new")
        beside.unlink(missing_ok=True)
        counts: dict[str, int] = {}
        failures: list[Exception] = []
        with duckdb.connect(str(beside)) as connection:
            connection.execute("SET preserve_insertion_order = true")
            for table in TABLES:
                try:
                    counts[table] = _load(connection, lake, table)
                except Exception as error:
                    error.add_note(f"table {table}")
                    failures.append(error)
            if not failures:
                connection.execute(_LABELS_VIEW)
            connection.execute("CHECKPOINT")
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(TABLES)} tables could not be built", failures)
        beside.replace(target)
        return counts


def _load(connection: duckdb.DuckDBPyConnection, lake: Lake, table: str) -> int:
    schema = TABLES[table]
    shards = [str(path) for path in lake.shard_paths(table)]
    if shards:
        connection.execute(
            f"CREATE TABLE {table} AS SELECT * FROM read_parquet($shards, hive_partitioning = false)",
            {"shards": shards},
        )
    else:
        nothing = empty(table).to_arrow()
        connection.register("nothing", nothing)
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM nothing")
        connection.unregister("nothing")
    connection.execute(f"COMMENT ON TABLE {table} IS '{_quoted((schema.__doc__ or '').splitlines()[0])}'")
    for name, column in schema.columns().items():
        connection.execute(f"COMMENT ON COLUMN {table}.\"{name}\" IS '{_quoted(column.description or '')}'")
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(found[0][0])


def _quoted(text: str) -> str:
    return text.replace("'", "''")
