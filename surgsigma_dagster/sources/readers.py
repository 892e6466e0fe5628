"""Readers that adapters compose: tables, JSON, COCO, VOC XML and image folders in, checked columns out.

A reader takes the source root and a file relative to it, and returns rows that carry `file` and their place
(`line`, or a `locator`). Content that is not what the format says raises `SourceError` with the file, the
place, what was expected and what stands there. What a column of one dataset means belongs in its adapter, not
here.
"""

import csv
import filecmp
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.errors import SourceError

LARGEST = 2**53  # beyond it a float no longer holds every integer
LINES = ("line {}", "lines {}-{}")


# What a value must be


@dataclass(frozen=True)
class Kind:
    """What a value must be, in a cell of a table (`parse`: null where it is not) or in JSON (`holds`)."""

    expected: str
    dtype: pl.DataType
    parse: Callable[[pl.Expr], pl.Expr]
    holds: Callable[[Any], bool]
    nullable: bool = False


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


def _number_cell(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    value = cell.str.strip_chars().cast(dtype, strict=False)
    return pl.when(value.is_between(-LARGEST, LARGEST, closed="none")).then(value)


INTEGER = Kind(
    "an integer",
    pl.Int64(),
    lambda cell: _number_cell(cell, pl.Int64()),
    lambda value: _number(value) and value == int(value),
)
INDEX = Kind(
    "a frame number",
    pl.Int64(),
    lambda cell: cell.str.extract(r"^\s*(\d{1,15})\s*$").cast(pl.Int64),
    lambda value: INTEGER.holds(value) and value >= 0,
)
NUMBER = Kind("a number", pl.Float64(), lambda cell: _number_cell(cell, pl.Float64()), _number)
TEXT = Kind(
    "text",
    pl.String(),
    lambda cell: pl.when(cell.str.strip_chars() != "").then(cell),
    lambda value: isinstance(value, str) and value.strip() != "" and is_utf8(value),
)
BINARY = Kind(
    "0 or 1",
    pl.Boolean(),
    lambda cell: cell.str.strip_chars().replace_strict(
        {"0": False, "1": True}, default=None, return_dtype=pl.Boolean
    ),
    lambda value: value in (0, 1),
)
FLAG = Kind("true or false", pl.Boolean(), BINARY.parse, lambda value: isinstance(value, bool))


# Text and tables


def text(root: Path, file: str) -> str:
    """The file as text: UTF-8, with or without a byte order mark."""
    try:
        return (root / file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(file, "", "a readable file", error.strerror) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(
            file, f"line {line}", "UTF-8 text", f"byte 0x{error.object[error.start]:02x}"
        ) from error


def table(
    root: Path, file: str, columns: Mapping[str, Kind], *, separator: str = ",", header: bool = True
) -> pl.DataFrame:
    """A delimited file with exactly `columns`: `file`, `line` and the parsed cells.

    Windows line ends and blank lines at the end are allowed. With `header`, line 1 must name the columns.
    """
    first, _, rest = text(root, file).rstrip().partition("\n")
    if header and [cell.strip() for cell in first.split(separator)] != list(columns):
        raise SourceError(file, "line 1", f"the header {separator.join(columns)!r}", repr(first))
    body = rest if header else f"{first}\n{rest}".rstrip("\n")
    cells = _cells(file, body, list(columns), separator, 2 if header else 1)
    parsed = cells.select(
        "file", "line", *(kind.parse(pl.col(name)).alias(name) for name, kind in columns.items())
    )
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
    return cells.with_row_index("line", first_line).with_columns(
        pl.col("line").cast(pl.Int64), file=pl.lit(file)
    )


def seconds(time: pl.Expr) -> pl.Expr:
    """Seconds from text: seconds (`754.5`) or `H:MM:SS(.mmm)`; null where it is neither."""
    clock = time.str.extract_groups(r"^\s*(\d{1,6}):([0-5]\d):([0-5]\d(?:\.\d+)?)\s*$").struct
    hours, minutes, rest = (clock.field(str(i)).cast(pl.Float64) for i in (1, 2, 3))
    plain = time.str.extract(r"^\s*(\d{1,9}(?:\.\d+)?)\s*$").cast(pl.Float64)
    return pl.coalesce(plain, hours * 3600 + minutes * 60 + rest)


def divided(value: pl.Expr, by: float) -> pl.Expr:
    """`value` / `by`, correctly rounded.

    By a constant, polars multiplies with 1 / `by`, and 70 / 25 exceeds 2.8; by a column, it divides.
    """
    return value / (value * 0 + by)


# Rules on rows


def require(rows: pl.DataFrame, holds: pl.Expr, expected: str, found: str) -> pl.DataFrame:
    """`rows`, or a `SourceError` at the first one where `holds` is not true, which shows its `found`."""
    wrong = rows.filter(~holds.fill_null(False)).head(1)
    if wrong.height:
        row = wrong.row(0, named=True)
        raise SourceError(
            row["file"], row.get("locator") or f"line {row['line']}", expected, repr(row[found])
        )
    return rows


def reject(
    rows: pl.DataFrame, bad: pl.Expr, rule: str, reason: str | pl.Expr, raw: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into the rows that stand and, where `bad`, rejects, with the column `raw` as offending value."""
    bad = bad.fill_null(False)
    rejects = rows.filter(bad).select(
        "video",
        "file",
        "locator",
        "n_rows",
        rule=pl.lit(rule),
        reason=pl.lit(reason) if isinstance(reason, str) else reason,
        raw_value=pl.col(raw).cast(pl.String) if raw else pl.lit(None, pl.String),
    )
    return rows.filter(~bad), rejects


def repeats(rows: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into first occurrences and rejects: rows that stand, equal in `key`, in a file further up.

    Twice the same row in one file is two rows, which another file repeats once each.
    """
    key = [*key, "nth"]
    rows = rows.with_columns(nth=pl.int_range(pl.len()).over("file", *key[:-1]))
    origin = {f"first_{name}": pl.col(name).first().over(key) for name in ("file", "locator")}
    reason = pl.format("The same label stands in {}, {}.", "first_file", "first_locator")
    kept, rejects = reject(
        rows.with_columns(**origin), pl.col("file") != pl.col("first_file"), "repeats", reason
    )
    return kept.drop("nth", *origin), rejects


def agreeing(rows: pl.DataFrame, value: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into rows whose frame has one `value` in their file, and rejects."""
    several = pl.col(value).n_unique().over("file", "video", "frame_index") > 1
    return reject(rows, several, f"conflicting_{value}", f"The rows of one frame differ in {value}.", value)


def in_order(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split intervals into those that end after they start, and rejects."""
    reason = pl.format("It ends at {} s and starts at {} s.", "end_s", "start_s")
    return reject(rows, pl.col("end_s") <= pl.col("start_s"), "empty_interval", reason, "raw_value")


def steady(rows: pl.DataFrame, first: int = 0, step: int = 1) -> pl.DataFrame:
    """`rows`, where `frame_index` counts first, first + step, …; else a `SourceError` at the first gap."""
    due = pl.int_range(pl.len(), dtype=pl.Int64) * step + first
    wrong = rows.with_columns(due=due).filter(pl.col("frame_index") != pl.col("due")).head(1)
    expected = f"frame {wrong['due'].item()} (each {step} after the last)" if wrong.height else ""
    return require(rows, pl.col("frame_index") == due, expected, "frame_index")


def named(
    rows: pl.DataFrame, column: str, names: Mapping[int, str], declared: str, null: int | None = None
) -> pl.Expr:
    """The name of each id in `column`, null for `null`; an id not among `names` is a `SourceError`."""
    known = pl.col(column).is_in([*names] if null is None else [*names, null])
    require(rows, known, f"an id of {declared} as {column}", column)
    return pl.col(column).replace_strict(
        pl.Series([*names], dtype=pl.Int64), pl.Series([*names.values()], dtype=pl.String), default=None
    )


# From rows to records


def at(template: tuple[str, str], first: str, last: str) -> pl.Expr:
    """Locators from numbers in two columns, e.g. `line 7` or `lines 7-9` with the template `LINES`."""
    one, several = template
    return (
        pl.when(pl.col(first) == pl.col(last))
        .then(pl.format(one, first))
        .otherwise(pl.format(several, first, last))
    )


def on_lines(rows: pl.DataFrame, video: str | pl.Expr) -> pl.DataFrame:
    """Rows of a table as records of one line each."""
    video = pl.lit(video) if isinstance(video, str) else video
    return rows.with_columns(video=video, locator=pl.format("line {}", "line"), n_rows=pl.lit(1, pl.Int64))


def runs(
    rows: pl.DataFrame,
    value: str,
    field: str,
    frame_rate: float,
    *,
    first_index: int = 0,
    step: int = 1,
    places: tuple[str, str] = LINES,
) -> pl.DataFrame:
    """Intervals of equal `value` over rows (`video`, `file`, `line`, `frame_index`) that label a frame each.

    A run goes on while the next line's frame is the same or `step` further; the last frame lasts `step`
    frames. `places` says how the numbers in `line` become a locator. `n_rows` of the rows, where present, is
    summed.
    """
    changed = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in ("video", "file", value))
    follows = pl.col("frame_index").diff().is_in([0, step]) & (pl.col("line").diff() == 1)
    run = (changed | ~follows).fill_null(True).cum_sum()
    return (
        rows.group_by(run.alias("run"), maintain_order=True)
        .agg(
            pl.col("video", "file").first(),
            raw_value=pl.col(value).first(),
            start_frame=pl.col("frame_index").first(),
            end_frame=pl.col("frame_index").last() + step - 1,
            first=pl.col("line").first(),
            last=pl.col("line").last(),
            n_rows=pl.col("n_rows").sum() if "n_rows" in rows.columns else pl.len().cast(pl.Int64),
        )
        .with_columns(
            locator=at(places, "first", "last"),
            field=pl.lit(field),
            start_s=divided(pl.col("start_frame") - first_index, frame_rate),
            end_s=divided(pl.col("end_frame") + 1 - first_index, frame_rate),
        )
        .drop("run", "first", "last")
    )


def moments(
    rows: pl.DataFrame, value: str, field: str, frame_rate: float, *, first_index: int = 0
) -> pl.DataFrame:
    """Intervals of one frame, from rows that label sparse frames; a frame's first row stands for it."""
    return rows.unique(["file", "video", "frame_index"], keep="first", maintain_order=True).with_columns(
        field=pl.lit(field),
        raw_value=pl.col(value),
        start_frame="frame_index",
        end_frame="frame_index",
        start_s=divided(pl.col("frame_index") - first_index, frame_rate),
        end_s=divided(pl.col("frame_index") + 1 - first_index, frame_rate),
    )


def presences(rows: pl.DataFrame, columns: Sequence[str], field: str) -> pl.DataFrame:
    """Presences from one true-or-false column a class."""
    index = ["video", "file", "locator", "n_rows", "frame_index"]
    return rows.unpivot(columns, index=index, variable_name="raw_value", value_name="present").with_columns(
        field=pl.lit(field)
    )


def corners(x: pl.Expr, y: pl.Expr, width: pl.Expr, height: pl.Expr) -> dict[str, pl.Expr]:
    """x1, y1, x2, y2 from a corner and a size."""
    return {"x1": x, "y1": y, "x2": x + width, "y2": y + height}


# JSON


def document(root: Path, file: str) -> Any:
    """A JSON file. A key that stands twice in one object is an error: one of its values would be lost."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
            raise SourceError(file, "", "each key of an object once", f"{twice!r} twice")
        return found

    def number(constant: str) -> NoReturn:
        raise SourceError(file, "", "finite numbers", constant)

    content = text(root, file)
    try:
        return json.loads(content, object_pairs_hook=unique, parse_constant=number)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        found = (
            repr(content[error.pos : error.pos + 20]) if error.pos < len(content) else "the end of the file"
        )
        raise SourceError(file, place, f"JSON ({error.msg})", found) from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(file, "", "JSON of reasonable depth and numbers", error) from error


def below(pointer: str, key: object) -> str:
    """The JSON pointer (RFC 6901) of a member."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def member(file: str, value: Any, key: str, kind: Kind, pointer: str = "") -> Any:
    """One member of a JSON object; None where it is absent and `kind` is optional."""
    if not isinstance(value, dict):
        raise SourceError(file, pointer, "an object", repr(value))
    found = value.get(key)
    if not (kind.nullable if found is None else kind.holds(found)):
        raise SourceError(
            file, below(pointer, key), kind.expected, repr(found) if key in value else "no such key"
        )
    return found


def entries(
    file: str, value: Any, pointer: str, within: type[list] | type[dict]
) -> Iterator[tuple[str, Any]]:
    """Each entry of a JSON list or object with its pointer."""
    if not isinstance(value, within):
        raise SourceError(file, pointer, "a list" if within is list else "an object", repr(value))
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        yield below(pointer, key), entry


def section(file: str, value: Any, key: str, within: type[list] | type[dict] = list) -> list[tuple[str, Any]]:
    """The entries of a list or object that is a member of the document's top object."""
    if not isinstance(value, dict):
        raise SourceError(file, "", "an object", repr(value))
    return list(entries(file, value.get(key), f"/{key}", within))


def records(
    file: str, rows: Sequence[tuple[str, Any]], fields: Mapping[str, Kind], *, positional: bool = False
) -> pl.DataFrame:
    """Rows (pointer, object) as columns `file`, `locator` and `fields`; rows are lists if `positional`."""
    for pointer, row in rows:
        if not isinstance(row, list if positional else dict) or (positional and len(row) != len(fields)):
            raise SourceError(
                file, pointer, f"a list of {len(fields)}" if positional else "an object", repr(row)
            )
    columns = {"file": pl.repeat(file, len(rows), dtype=pl.String, eager=True)}
    columns["locator"] = pl.Series([pointer for pointer, _ in rows], dtype=pl.String)
    for position, (name, kind) in enumerate(fields.items()):
        key = position if positional else name
        values = [row[key] for _, row in rows] if positional else [row.get(key) for _, row in rows]
        for (pointer, row), value in zip(rows, values, strict=True):
            if not (kind.nullable if value is None else kind.holds(value)):
                found = repr(value) if positional or key in row else "no such key"
                raise SourceError(file, below(pointer, key), kind.expected, found)
        columns[name] = pl.Series(values, dtype=kind.dtype, strict=False)
    return pl.DataFrame(columns)


def categories(file: str, found: Any, pointer: str) -> dict[int, str]:
    """Names by id, from a list of objects with `id` and `name` (COCO) or from an object `{"id": "name"}`."""
    rows = list(entries(file, found, pointer, dict if isinstance(found, dict) else list))
    if isinstance(found, dict):
        rows = [
            (place, {"id": _integer(key), "name": name})
            for key, (place, name) in zip(found, rows, strict=True)
        ]
    names = records(file, rows, {"id": INTEGER, "name": TEXT})
    require(names, pl.col("id").is_first_distinct(), "an id that no other category has", "id")
    return dict(names.select("id", "name").iter_rows())


def _integer(key: str) -> int | str:
    return int(key) if re.fullmatch(r"-?\d{1,15}", key) else key


@dataclass(frozen=True)
class Coco:
    """A COCO file: images, and annotations with what their image says and boxes in pixels."""

    document: dict[str, Any] = field(repr=False)
    images: pl.DataFrame  # file, locator, image_id, file_name, width, height and the fields asked for
    annotations: pl.DataFrame  # file, locator, the image's columns, category, x1…y2, the fields asked for


def coco(
    root: Path,
    file: str,
    *,
    image_fields: Mapping[str, Kind] = {},
    annotation_fields: Mapping[str, Kind] = {},
) -> Coco:
    """A COCO file; every annotation must name an image and a category that the file declares."""
    value = document(root, file)
    sections = dict(entries(file, value, "", dict))
    names = categories(file, sections.get("/categories"), "/categories")
    images = records(
        file,
        section(file, value, "images"),
        {"id": INTEGER, "file_name": TEXT, "width": INTEGER, "height": INTEGER, **image_fields},
    ).rename({"id": "image_id"})
    require(images, pl.col("image_id").is_first_distinct(), "an id that no other image has", "image_id")
    annotations = records(
        file,
        section(file, value, "annotations"),
        {"image_id": INTEGER, "category_id": INTEGER, "bbox": many(NUMBER, 4), **annotation_fields},
    )
    require(
        annotations, pl.col("image_id").is_in(images["image_id"].implode()), "the id of an image", "image_id"
    )
    box = [pl.col("bbox").list.get(i) for i in range(4)]
    annotations = annotations.with_columns(
        category=named(annotations, "category_id", names, "/categories"), **corners(*box)
    ).join(images.drop("file", "locator"), on="image_id", how="left", maintain_order="left")
    return Coco(value, images, annotations)


# XML


def voc(root: Path, files: Iterable[str]) -> pl.DataFrame:
    """The objects of Pascal VOC files: `file`, `locator` (XPath), class, pixel corners, stated image size."""
    found = [row for file in files for row in _voc_objects(root, file)]
    schema = {"file": pl.String(), "locator": pl.String(), "raw_value": pl.String()}
    schema |= dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float64()) | dict.fromkeys(
        ("width", "height"), pl.Int64()
    )
    return pl.DataFrame(found, schema=schema, orient="row")


def _voc_objects(root: Path, file: str) -> Iterator[tuple[Any, ...]]:
    try:
        annotation = ElementTree.fromstring(text(root, file))
    except ElementTree.ParseError as error:
        raise SourceError(
            file, f"line {error.position[0]} column {error.position[1] + 1}", "XML", error
        ) from error
    except ValueError as error:
        raise SourceError(file, "", "XML", error) from error
    if annotation.tag != "annotation":
        raise SourceError(file, "", "the element <annotation>", f"<{annotation.tag}>")

    def number(element: ElementTree.Element, path: str, above: str) -> float:
        content = (element.findtext(path) or "").strip()
        if not re.fullmatch(r"-?\d{1,9}(\.\d+)?", content):
            raise SourceError(file, f"{above}/{path}", "a number", repr(content))
        return float(content)

    size = [int(number(annotation, f"size/{side}", "/annotation")) for side in ("width", "height")]
    for i, element in enumerate(annotation.findall("object"), 1):
        locator = f"/annotation/object[{i}]"
        name = element.findtext("name") or ""
        if not name.strip():
            raise SourceError(file, f"{locator}/name", "a class name", repr(name))
        box = [number(element, f"bndbox/{side}", locator) for side in ("xmin", "ymin", "xmax", "ymax")]
        yield (file, locator, name, *box, *size)


# Folders


def listing(root: Path, folder: str, pattern: str) -> dict[str, list[str]]:
    """Files or folders in `folder` whose whole name matches `pattern`, by its first group."""
    found: dict[str, list[str]] = {}
    names = sorted(path.name for path in (root / folder).iterdir()) if (root / folder).is_dir() else []
    for name in names:
        if match := re.fullmatch(pattern, name):
            found.setdefault(match[1], []).append(f"{folder}/{name}")
    return found


def images(root: Path, folders: Iterable[str], stem: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Image files as `images` records; as rejects, those that repeat or contradict a file of the same frame.

    `stem` matches file names without suffix: group `frame`, and `video` where the folder is not the video. A
    browser names a second download `000030 (1).png`: alone it is frame 30, beside `000030.png` it is a copy.
    A frame in several folders is the file in the first of them.
    """
    pattern = re.compile(rf"(?:{stem})(?: \((?P<copy>\d{{1,3}})\))?\.(?i:png|jpe?g)")
    found: dict[tuple[str, int], list[tuple[int, int, str]]] = {}
    for rank, folder in enumerate(folders):
        for path in (root / folder).iterdir() if (root / folder).is_dir() else ():
            if match := pattern.fullmatch(path.name):
                groups = match.groupdict()
                key = groups.get("video") or Path(folder).name, int(groups["frame"])
                found.setdefault(key, []).append((rank, int(groups["copy"] or 0), f"{folder}/{path.name}"))
    frames = [
        (*key, files) for key, paths in sorted(found.items()) for files in [[p for *_, p in sorted(paths)]]
    ]
    kept = pl.DataFrame(
        [(video, files[0], frame) for video, frame, files in frames],
        schema={"video": pl.String, "file": pl.String, "frame_index": pl.Int64},
        orient="row",
    )
    copies = pl.DataFrame(
        [
            (video, copy, files[0], filecmp.cmp(root / copy, root / files[0], shallow=False))
            for video, _, files in frames
            for copy in files[1:]
        ],
        schema={"video": pl.String, "file": pl.String, "first": pl.String, "same": pl.Boolean},
        orient="row",
    )
    whole = {"locator": pl.lit(WHOLE_FILE), "n_rows": pl.lit(1, pl.Int64)}
    rejects = copies.with_columns(
        rule=pl.when("same").then(pl.lit("duplicate_download")).otherwise(pl.lit("conflicting_download")),
        reason=pl.format(
            "The frame is {}, {}.",
            "first",
            pl.when("same").then(pl.lit("with the same bytes")).otherwise(pl.lit("whose bytes differ")),
        ),
        **whole,
    )
    return kept.with_columns(**whole), rejects.drop("first", "same")
