"""Text files and delimited tables: every cell checked, every row with its line."""

import codecs
import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.kinds import Kind, Plain
from surgsigma_dagster.sources.readers.rows import require


def text(root: Path, file: str) -> str:
    """The file as text: UTF-8, with or without a byte order mark."""
    return decoded(file, bytes_of(root, file))


def table(
    root: Path,
    files: str | Sequence[str],
    columns: Mapping[str, Kind],
    *,
    separator: str = ",",
    header: bool | None = True,
) -> pl.DataFrame:
    """Delimited files with exactly `columns`, one after the other: `file`, `line` and the parsed cells.

    Windows line ends and blank lines at the end are allowed. With `header`, line 1 must name the columns; with
    None it is a header of as many words, whichever they are. Many files are read fastest in one call.
    """
    contents = {file: bytes_of(root, file) for file in ([files] if isinstance(files, str) else files)}
    form = _Form(columns, separator, header)
    plain = _plain(contents, form)
    if plain is not None:
        return plain
    parts = []
    for file, content in contents.items():
        alone = _plain({file: content}, form) if len(contents) > 1 else None
        parts.append(_checked(file, content, form) if alone is None else alone)
    return pl.concat(parts)


def lines(root: Path, *files: str) -> pl.DataFrame:
    """The lines of text files: `file`, `line`, `content` without its end, but no blank lines at the end."""
    found = [
        (file, number, content.removesuffix("\r"))
        for file in files
        for written in [_whole(text(root, file))]
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


@dataclass(frozen=True)
class _Form:
    """What `table` was told of its files."""

    columns: Mapping[str, Kind]
    separator: str
    header: bool | None

    @property
    def first_line(self) -> int:
        return 1 if self.header is False else 2

    def n_rows(self, content: bytes) -> int:
        """How many rows a file has that ends with its last row."""
        ends = np.frombuffer(content, np.uint8) == ord("\n")  # twice as fast as `bytes.count`, and others may run
        return int(np.count_nonzero(ends)) + (content[-1:] != b"\n") - self.first_line + 1

    def must_begin(self, file: str, first: str) -> None:
        """Raises `SourceError` where the first line is not the header that it should be."""
        words = [cell.strip() for cell in first.split(self.separator)]
        if self.header and words != list(self.columns):
            raise SourceError(file, "line 1", f"the header {self.separator.join(self.columns)!r}", repr(first))
        if self.header is None and (len(words) != len(self.columns) or not all(word[:1].isalpha() for word in words)):
            raise SourceError(file, "line 1", f"a header of {len(self.columns)} words", repr(first))


def bytes_of(root: Path, file: str) -> bytes:
    """The file without UTF-8's byte order mark."""
    try:
        return (root / file).read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise SourceError(file, "", "a readable file", error.strerror) from error


def decoded(file: str, content: bytes) -> str:
    """`content` of a file as UTF-8. Raises `SourceError` at the first byte that is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(file, f"line {line}", "UTF-8 text", f"byte 0x{error.object[error.start]:02x}") from error


def _whole(text: str) -> str:
    """`text` without blank lines at the end, and without its last line's end."""
    ink = text.rstrip()
    return ink + text[len(ink) :].partition("\n")[0].removesuffix("\r") if ink else ""


def _plain(contents: Mapping[str, bytes], form: _Form) -> pl.DataFrame | None:
    """The parsed cells by the short ways of their kinds, in a third of the time; None where one is in doubt."""
    if not any(kind.plain for kind in form.columns.values()) or not all(map(_is_plain, contents.values())):
        return None
    if form.header is not False:
        for file, content in contents.items():
            form.must_begin(file, content[: content.find(b"\n")].decode())
    ways = {name: kind.plain or _long_way(kind) for name, kind in form.columns.items()}
    schema = {name: way.dtype for name, way in ways.items()}
    scans = [
        pl.scan_csv(content, has_header=form.header is not False, schema=schema, separator=form.separator).select(
            *_place(file, form.first_line), pl.all()
        )
        for file, content in contents.items()
    ]
    try:
        parts = pl.collect_all(scans)
    except pl.exceptions.PolarsError:
        return None
    if any(part.height != form.n_rows(content) for part, content in zip(parts, contents.values(), strict=True)):
        return None
    cells = pl.concat(parts)
    sure = cells.select(way.sure(pl.col(name)).all(ignore_nulls=False).alias(name) for name, way in ways.items())
    if not all(value is True for value in sure.row(0)):
        return None
    return cells.with_columns(way.value(pl.col(name)).alias(name) for name, way in ways.items() if way.value)


def _long_way(kind: Kind) -> Plain:
    return Plain(pl.String(), lambda cell: kind.parse(cell).is_not_null(), kind.parse)


def _is_plain(content: bytes) -> bool:
    """Whether it has lines, no sign, no letter beyond ASCII, and nothing but a line's end at its own."""
    if b"\n" not in content or b"+" in content or b"-" in content or not content.isascii():
        return False
    return content[-3:].removesuffix(b"\n").removesuffix(b"\r")[-1:].strip() != b""


def _checked(file: str, content: bytes, form: _Form) -> pl.DataFrame:
    """The parsed cells of one file, each looked at. Raises `SourceError` at the first that is not of its kind."""
    body = _whole(decoded(file, content))
    if form.header is not False:
        first, _, body = body.partition("\n")
        form.must_begin(file, first)
    return _parsed(_cells(file, body, list(form.columns), form.separator, form.first_line), form.columns)


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
