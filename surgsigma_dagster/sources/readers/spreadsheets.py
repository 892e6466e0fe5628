"""Tables that people keep by hand, as spreadsheets write them: columns by name, in any order, delimiter, encoding.

What programs write for programs is `tables.table`'s, which takes exactly the columns that a format says. Here nothing
is guessed either: a delimiter is the one that finds every column in the header, a file is Windows-1252 only where it is
no UTF-8, and a comma is a decimal comma only where the file shows that it can be nothing else.
"""

import codecs
import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.tables import bytes_of, decoded

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_HEADER_BYTES = 1 << 14
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_THOUSANDS = r"^[1-9]\d{0,2}[.,]\d{3}$"  # 1.234 and 1,234: a thousand or a fraction


@dataclass(frozen=True)
class Sheet:
    """A table as it was found."""

    rows: pl.DataFrame  # file, line, the columns asked for as text, null where a cell is empty
    delimiter: str
    encoding: str  # UTF-8, UTF-16 or Windows-1252
    ignored: tuple[str, ...]  # other columns, as their header has them


def sheet(root: Path, file: str, columns: Mapping[str, Sequence[str]]) -> Sheet:
    """The table `file`, whose first line names `columns` by name or synonym, in any order and case.

    A row is a line. Raises `SourceError` where a column is missing or stands twice, where a line has more cells than
    the header or a quote that nothing closes, and where the file is no text.
    """
    text, encoding = _in_any_encoding(file, bytes_of(root, file))
    written = [line.removesuffix("\r") for line in text.split("\n")]
    above = _lines_above(written)
    header, *lines = written[above:]
    delimiter = _delimiter(header, columns)
    if delimiter is None:
        raise SourceError(file, f"line {above + 1}", f"a header with the columns {', '.join(columns)}", repr(header))
    names = _cells(header, delimiter) or []
    place = {name: [k for k, cell in enumerate(names) if _is(cell, name, columns[name])] for name in columns}
    if twice := [name for name, found in place.items() if len(found) > 1]:
        raise SourceError(file, f"line {above + 1}", f"one column {twice[0]}", repr(header))
    rows = []
    for number, line in enumerate(lines, above + 2):
        cells = _cells(line, delimiter)
        if cells is None or any(cell.strip() for cell in cells[len(names) :]):
            raise SourceError(file, f"line {number}", f"{len(names)} cells between {DELIMITERS[delimiter]}", repr(line))
        cells = [cell.strip() for cell in cells] + [""] * len(names)
        rows.append((file, number, *(cells[found[0]] or None for found in place.values())))
    schema = {"file": pl.String, "line": pl.Int64, **dict.fromkeys(columns, pl.String)}
    used = {found[0] for found in place.values()}
    ignored = tuple(cell.strip() for k, cell in enumerate(names) if k not in used and cell.strip())
    return Sheet(pl.DataFrame(rows, schema=schema, orient="row"), delimiter, encoding, ignored)


def has_columns(path: Path, columns: Mapping[str, Sequence[str]]) -> bool:
    """Whether the first line of a file names all `columns`."""
    with path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
    name = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    written = content.decode(name, "replace").splitlines()
    return bool(written) and _delimiter(written[_lines_above(written)], columns) is not None


def with_points(found: Sheet, names: Sequence[str]) -> pl.DataFrame:
    """The rows with the columns `names` as numbers with a decimal point where the file has decimal commas.

    Only where the delimiter is no comma, and the comma stands where no thousand ends (5,5 but not 1,234), and no point
    does. What could be a fraction or a thousand becomes null, unless other cells of the file say which.
    """
    if found.delimiter == ",":
        return found.rows
    cells = pl.concat([found.rows[name] for name in names])
    told = cells.filter(~cells.str.contains(_THOUSANDS))
    comma, point = told.str.contains(",", literal=True).any(), told.str.contains(".", literal=True).any()
    cell = pl.col(names)
    if comma and not point:
        pointed = pl.when(~cell.str.contains(".", literal=True)).then(cell.str.replace(",", ".", literal=True))
    else:
        pointed = pl.when(~cell.str.contains(_THOUSANDS) | pl.lit(point and not comma)).then(cell)
    return found.rows.with_columns(pointed.name.keep())


def _lines_above(written: Sequence[str]) -> int:
    """How many lines stand above the header: Excel may write one that names the delimiter (`sep=;`)."""
    return int(len(written) > 1 and written[0].lower().startswith("sep="))


def _in_any_encoding(file: str, content: bytes) -> tuple[str, str]:
    if content.startswith(_UTF_16):
        try:
            return content.decode("utf-16"), "UTF-16"
        except UnicodeDecodeError as error:
            raise SourceError(file, "", "UTF-16 text", f"byte {error.start}: {error.reason}") from error
    try:
        return decoded(file, content), "UTF-8"
    except SourceError as error:
        no_utf_8 = error
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = "\0"
    if _NO_TEXT.search(text):
        raise SourceError(file, no_utf_8.place, "UTF-8 or Windows-1252 text", no_utf_8.found)
    return text, "Windows-1252"


def _delimiter(header: str, columns: Mapping[str, Sequence[str]]) -> str | None:
    """The delimiter that finds every column."""
    for delimiter in DELIMITERS:
        cells = _cells(header, delimiter) or []
        if all(any(_is(cell, name, also) for cell in cells) for name, also in columns.items()):
            return delimiter
    return None


def _is(cell: str, name: str, synonyms: Sequence[str]) -> bool:
    return " ".join(re.split(r"[\s_]+", cell.strip().casefold())) in (name, *synonyms)


def _cells(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line; None where a quote is open at its end."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None
