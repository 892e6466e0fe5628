"""Text files and delimited tables: every cell checked, every row with its line."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.kinds import Kind
from surgsigma_dagster.sources.readers.rows import require


def text(root: Path, file: str) -> str:
    """The file as text: UTF-8, with or without a byte order mark."""
    try:
        return (root / file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(file, "", "a readable file", error.strerror) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(file, f"line {line}", "UTF-8 text", f"byte 0x{error.object[error.start]:02x}") from error


def table(
    root: Path, file: str, columns: Mapping[str, Kind], *, separator: str = ",", header: bool | None = True
) -> pl.DataFrame:
    """A delimited file with exactly `columns`: `file`, `line` and the parsed cells.

    Windows line ends and blank lines at the end are allowed. With `header`, line 1 must name the columns; with
    None it is a header of as many words, whichever they are.
    """
    first, _, rest = text(root, file).rstrip().partition("\n")
    words = [cell.strip() for cell in first.split(separator)]
    if header and words != list(columns):
        raise SourceError(file, "line 1", f"the header {separator.join(columns)!r}", repr(first))
    if header is None and (len(words) != len(columns) or not all(word[:1].isalpha() for word in words)):
        raise SourceError(file, "line 1", f"a header of {len(columns)} words", repr(first))
    headed = header is not False
    body = rest if headed else f"{first}\n{rest}".rstrip("\n")
    first_line = 2 if headed else 1
    plain = _plain(body, columns, separator)
    if plain is not None:
        return plain.select(*_place(file, first_line), pl.all())
    return _parsed(_cells(file, body, list(columns), separator, first_line), columns)


def lines(root: Path, *files: str) -> pl.DataFrame:
    """The lines of text files: `file`, `line`, `content` without its end, but no blank lines at the end."""
    found = [
        (file, number, content.removesuffix("\r"))
        for file in files
        for written in [text(root, file).rstrip()]
        for number, content in enumerate(written.split("\n") if written else [], 1)
    ]
    schema = {"file": pl.String, "line": pl.Int64, "content": pl.String}
    return pl.DataFrame(found, schema=schema, orient="row")


def spaced(root: Path, files: Iterable[str], columns: Mapping[str, Kind]) -> pl.DataFrame:
    """Tables without a header, with blanks between their cells: `file`, `line` and the parsed cells."""
    rows = lines(root, *files).with_columns(cells=pl.col("content").str.extract_all(r"\S+"))
    require(rows, pl.col("cells").list.len() == len(columns), f"{len(columns)} columns", "content")
    cells = [pl.col("cells").list.get(i, null_on_oob=True).alias(name) for i, name in enumerate(columns)]
    return _parsed(rows.select("file", "line", *cells), columns)


def _plain(body: str, columns: Mapping[str, Kind], separator: str) -> pl.DataFrame | None:
    """The parsed cells by the short ways of their kinds, in a third of the time; None where one is in doubt."""
    if not body or "+" in body or "-" in body or not any(kind.plain for kind in columns.values()):
        return None
    ways = {name: kind.plain or (pl.String(), kind.parse) for name, kind in columns.items()}
    schema = {name: dtype for name, (dtype, _) in ways.items()}
    try:
        cells = pl.read_csv(body.encode(), has_header=False, schema=schema, separator=separator)
    except pl.exceptions.PolarsError:
        return None
    values = cells.select(parse(pl.col(name)).alias(name) for name, (_, parse) in ways.items())
    whole = cells.height == body.count("\n") + 1 and not any(column.null_count() for column in values)
    return values if whole else None


def _place(file: str, first_line: int) -> tuple[pl.Expr, pl.Expr]:
    line = pl.int_range(first_line, pl.len() + first_line, dtype=pl.Int64)
    return pl.lit(file).alias("file"), line.alias("line")


def _parsed(cells: pl.DataFrame, columns: Mapping[str, Kind]) -> pl.DataFrame:
    parsed = cells.select("file", "line", *(kind.parse(pl.col(name)).alias(name) for name, kind in columns.items()))
    for name, kind in columns.items():
        if parsed[name].null_count():
            blank = cells[name].fill_null("").str.strip_chars() == ""
            holds = parsed[name].is_not_null() | (blank & kind.nullable)
            require(cells.with_columns(ok=holds), pl.col("ok"), f"{kind.expected} as {name}", name)
    return parsed


def _cells(file: str, body: str, columns: list[str], separator: str, first_line: int) -> pl.DataFrame:
    schema = dict.fromkeys(columns, pl.String)
    n_lines = body.count("\n") + 1 if body else 0
    cells, problem = pl.DataFrame(schema=schema), ""
    try:
        if body:
            cells = pl.read_csv(body.encode(), has_header=False, schema=schema, separator=separator)
    except pl.exceptions.PolarsError as error:
        problem = str(error).partition("\n")[0]
    if problem or cells.height != n_lines:
        for line, content in enumerate(body.split("\n"), first_line):
            try:
                width = len(next(csv.reader([content], delimiter=separator), []))
            except csv.Error:
                width = 0
            if width not in range(1, len(columns) + 1) or content.count('"') % 2:
                raise SourceError(file, f"line {line}", f"{len(columns)} columns", repr(content))
        raise SourceError(file, "", f"{n_lines} rows of {len(columns)} columns", problem or cells.height)
    return cells.select(*_place(file, first_line), pl.all())
