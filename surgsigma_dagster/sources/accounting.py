"""Does every native row end somewhere? One rule for all adapters.

A native row is what the format counts: a line of a table, an annotation of a JSON file, an object of an XML
file. A record or a reject accounts for the rows at its locator, and however many records derive from a row,
it counts once:

- `line 12` is that line, `lines 2-1502` every line from 2 to 1502; ranges may overlap.
- `/annotations/16/0` or `/annotation/object[2]` is one row, `/annotations/16` the rows directly below it, and
  `/annotations/16..20` the rows directly below 16, 17, 18, 19 and 20; the record's `n_rows` says how many
  those are.
- `file` is a file as a whole, such as an image: it is no row, and is left out here.
"""

from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, NativeLabels, NativeVideo

WHOLE_FILE = "file"
_TABLES = {".csv", ".txt", ".json"}
_HEADER_BYTES = 4096


def native_rows(labels: NativeLabels) -> pl.DataFrame:
    """`file`, `n_rows` (native rows accounted for) and `n_rejected` (those of them that make no record)."""
    places = pl.concat(
        frame.select("file", "locator", "n_rows", made=pl.lit(kind != "rejects"))
        for kind, frame in labels.tables.items()
        if kind != "images"
    ).filter(pl.col("locator") != WHOLE_FILE)
    made = _rows(places.filter("made")).rename({"n_rows": "n_made"})
    return (
        _rows(places)
        .join(made, on="file", how="left")
        .select("file", "n_rows", n_rejected=pl.col("n_rows") - pl.col("n_made").fill_null(0))
        .sort("file")
    )


def rowless(adapter: Adapter, root: Path, videos: list[NativeVideo], labels: NativeLabels) -> list[tuple[str, str]]:
    """Video and file of label files that hold a header at most, and of which `labels` say nothing.

    A copy that was cut off behind its header reads like a file that is whole. A format in which an empty file means
    that nothing is to be seen makes a record or a reject of it, or says so (`Adapter.empty_says_none`).
    """
    if adapter.empty_says_none:
        return []
    told = set(pl.concat(frame.select("file") for frame in labels.tables.values())["file"].unique())
    own = [(one.video, file) for one in videos for file in one.label_files if file not in told]
    return [(video, file) for video, file in own if Path(file).suffix in _TABLES and _has_no_row(root / file)]


def _has_no_row(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > _HEADER_BYTES:
        return False
    content = path.read_bytes().strip()
    return content in {b"", b"[]", b"{}"} or (path.suffix != ".json" and b"\n" not in content)


def _rows(places: pl.DataFrame) -> pl.DataFrame:
    places = places.group_by("file", "locator").agg(pl.col("n_rows").max())
    is_line = pl.col("locator").str.starts_with("line")
    counts = pl.concat([_lines(places.filter(is_line)), _pointers(places.filter(~is_line))])
    return counts.group_by("file").agg(pl.col("n_rows").sum())


def _lines(places: pl.DataFrame) -> pl.DataFrame:
    ends = pl.col("locator").str.extract_groups(r"^lines? (?<first>\d+)(?:-(?<last>\d+))?$").struct
    seen = pl.col("last").cum_max().shift(1, fill_value=0).over("file")
    return (
        places.select("file", first=ends.field("first").cast(pl.Int64), last=ends.field("last").cast(pl.Int64))
        .with_columns(pl.col("last").fill_null(pl.col("first")))
        .sort("file", "first")
        .select("file", n_rows=(pl.col("last") - pl.max_horizontal(pl.col("first") - 1, seen)).clip(0))
    )


def _pointers(places: pl.DataFrame) -> pl.DataFrame:
    span = pl.col("locator").str.extract_groups(r"^(?<above>.*/)(?<first>\d+)\.\.(?<last>\d+)$").struct
    first, last = span.field("first").cast(pl.Int64), span.field("last").cast(pl.Int64)
    spans = (
        places.filter(pl.col("locator").str.contains("..", literal=True))
        .select("file", above=span.field("above"), key=pl.int_ranges(first, last + 1))
        .explode("key", empty_as_null=False)
        .select("file", above=pl.format("{}{}", "above", "key"))
    )
    covering = pl.concat([spans, places.select("file", above="locator")])
    return (
        places.with_columns(above=pl.col("locator").str.replace(r"/[^/]*$", ""))
        .join(covering, on=["file", "above"], how="anti")
        .select("file", "n_rows")
    )
