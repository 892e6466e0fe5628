"""JSON, COCO and VOC XML: every value checked, with its JSON pointer or XPath."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import polars as pl

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.kinds import INTEGER, NUMBER, TEXT, Kind, many
from surgsigma_dagster.sources.readers.rows import corners, named, require
from surgsigma_dagster.sources.readers.tables import text


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
        found = repr(content[error.pos : error.pos + 20]) if error.pos < len(content) else "the end of the file"
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
        raise SourceError(file, below(pointer, key), kind.expected, repr(found) if key in value else "no such key")
    return found


def entries(file: str, value: Any, pointer: str, within: type[list] | type[dict]) -> Iterator[tuple[str, Any]]:
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
    """Rows (pointer, object) as columns `file`, `locator` and `fields`; rows are lists if `positional`.

    The field `attributes/verb` is the member `verb` of the row's member `attributes`.
    """
    for pointer, row in rows:
        if not isinstance(row, list if positional else dict) or (positional and len(row) != len(fields)):
            raise SourceError(file, pointer, f"a list of {len(fields)}" if positional else "an object", repr(row))
    columns = {"file": pl.repeat(file, len(rows), dtype=pl.String, eager=True)}
    columns["locator"] = pl.Series([pointer for pointer, _ in rows], dtype=pl.String)
    for position, (name, kind) in enumerate(fields.items()):
        keys: list[Any] = [position] if positional else name.split("/")
        *above, key = keys
        holders = [_inside(row, above) for _, row in rows] if above else [row for _, row in rows]
        values = [row[key] for row in holders] if positional else [row.get(key) for row in holders]
        for (pointer, _), row, value in zip(rows, holders, values, strict=True):
            if not (kind.nullable if value is None else kind.holds(value)):
                found = repr(value) if positional or key in row else "no such key"
                raise SourceError(file, reduce(below, [*above, key], pointer), kind.expected, found)
        columns[name] = pl.Series(values, dtype=kind.dtype, strict=False)
    return pl.DataFrame(columns)


def _inside(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The object below `keys`; an empty one where there is none."""
    for key in keys:
        inner = row.get(key)
        row = inner if isinstance(inner, dict) else {}
    return row


def categories(file: str, found: Any, pointer: str) -> dict[int, str]:
    """Names by id, from a list of objects with `id` and `name` (COCO) or from an object `{"id": "name"}`."""
    rows = list(entries(file, found, pointer, dict if isinstance(found, dict) else list))
    if isinstance(found, dict):
        rows = [(place, {"id": _integer(key), "name": name}) for key, (place, name) in zip(found, rows, strict=True)]
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
    require(annotations, pl.col("image_id").is_in(images["image_id"].implode()), "the id of an image", "image_id")
    box = [pl.col("bbox").list.get(i) for i in range(4)]
    annotations = annotations.with_columns(
        category=named(annotations, "category_id", names, "/categories"), **corners(*box)
    ).join(images.drop("file", "locator"), on="image_id", how="left", maintain_order="left")
    return Coco(value, images, annotations)


# XML


def voc(root: Path, files: Iterable[str]) -> pl.DataFrame:
    """The objects of Pascal VOC files: `file`, `locator` (XPath), class, pixel corners, stated image size.

    VOC counts pixels from 1 (Everingham et al., VOC2012 development kit); the corners here count from 0.
    """
    found = [row for file in files for row in _voc_objects(root, file)]
    schema: dict[str, pl.DataType] = dict.fromkeys(("file", "locator", "raw_value"), pl.String())
    schema |= dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float64()) | dict.fromkeys(("width", "height"), pl.Int64())
    return pl.DataFrame(found, schema=schema, orient="row")


def _voc_objects(root: Path, file: str) -> Iterator[tuple[Any, ...]]:
    content = text(root, file)
    try:
        annotation = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise SourceError(file, f"line {error.position[0]} column {error.position[1] + 1}", "XML", error) from error
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
        box = [number(element, f"bndbox/{side}", locator) - 1 for side in ("xmin", "ymin", "xmax", "ymax")]
        yield (file, locator, name, *box, *size)
