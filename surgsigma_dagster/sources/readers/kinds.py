"""What a value must be, in a cell of a table or in JSON."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

LARGEST = 2**53  # beyond it a float no longer holds every integer
DIGITS_END = 10**15  # the first number of more digits than an index may have


@dataclass(frozen=True)
class Plain:
    """A short way for ordinary cells, as the CSV reader reads them in `dtype`, where all of a column are `sure`.

    What `value` gives then is what the kind's `parse` gives; signs, which the reader takes before a number, are looked
    for before.
    """

    dtype: pl.DataType
    sure: Callable[[pl.Expr], pl.Expr]
    value: Callable[[pl.Expr], pl.Expr] | None = None  # None: the cell itself


@dataclass(frozen=True)
class Kind:
    """What a value must be, in a cell of a table (`parse`: null where it is not) or in JSON (`holds`)."""

    expected: str
    dtype: pl.DataType
    parse: Callable[[pl.Expr], pl.Expr]
    holds: Callable[[Any], bool]
    nullable: bool = False
    plain: Plain | None = None


def optional(kind: Kind) -> Kind:
    """`kind`, or an empty cell, null, or no such key."""
    return replace(kind, nullable=True)


def choice(*values: str) -> Kind:
    """Text that is one of `values`."""
    return replace(TEXT, expected=f"one of {', '.join(values)}", holds=lambda value: value in values)


def many(kind: Kind, size: int | None = None) -> Kind:
    """A JSON list of `kind`, of exactly `size` where given."""
    return Kind(
        f"a list of {size or 'any number'} ({kind.expected} each)",
        pl.List(kind.dtype),
        kind.parse,
        lambda value: isinstance(value, list) and size in (None, len(value)) and all(map(kind.holds, value)),
    )


def _number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST < value < LARGEST


def is_utf8(value: str) -> bool:
    """Whether it can be written as UTF-8: file names and JSON escapes may hold lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def composed(name: str) -> str:
    """A name as it is compared: macOS may write ü as two characters, which look like the one that others write."""
    return unicodedata.normalize("NFC", name)


def _number_cell(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    value = cell.str.strip_chars().cast(dtype, strict=False)
    return pl.when(value.is_between(-LARGEST, LARGEST, closed="none")).then(value)


def _binary_cell(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell == "1").then(True).when(cell == "0").then(False).otherwise(None)


INTEGER = Kind(
    "an integer",
    pl.Int64(),
    lambda cell: _number_cell(cell, pl.Int64()),
    lambda value: _number(value) and value == int(value),
)
INDEX = Kind(
    "a frame number",
    pl.Int64(),
    # Tested, then cast: three times as fast as extracting a group, and most rows of a dataset pass through here.
    lambda cell: pl.when(cell.str.contains(r"^\s*[0-9]{1,15}\s*$")).then(_number_cell(cell, pl.Int64())),
    lambda value: INTEGER.holds(value) and value >= 0,
    plain=Plain(pl.Int64(), lambda number: number < DIGITS_END),
)
NUMBER = Kind("a number", pl.Float64(), lambda cell: _number_cell(cell, pl.Float64()), _number)
TEXT = Kind(
    "text",
    pl.String(),
    lambda cell: pl.when(cell.str.strip_chars() != "").then(cell),
    lambda value: isinstance(value, str) and value.strip() != "" and is_utf8(value),
    # A cell that begins with a visible ASCII character is not blank.
    plain=Plain(pl.String(), lambda cell: cell.is_between(pl.lit("!"), pl.lit("~"))),
)
# Text that is one of a few names over millions of rows: read without a string a row.
NAME = replace(
    TEXT,
    dtype=pl.Categorical(),
    parse=lambda cell: TEXT.parse(cell).cast(pl.Categorical()),
    plain=Plain(
        pl.Categorical(), lambda cell: cell.unique().cast(pl.String).is_between(pl.lit("!"), pl.lit("~")),
    ),
)  # fmt: skip
BINARY = Kind(
    "0 or 1",
    pl.Boolean(),
    lambda cell: _binary_cell(cell.str.strip_chars()),
    lambda value: value in (0, 1),
    plain=Plain(pl.String(), lambda cell: (cell == "1") | (cell == "0"), lambda cell: cell == "1"),
)
FLAG = Kind("true or false", pl.Boolean(), BINARY.parse, lambda value: isinstance(value, bool))
