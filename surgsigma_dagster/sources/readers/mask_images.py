"""Regions of pixels: which values stand in a mask image, and polygons of COCO files."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.documents import Coco
from surgsigma_dagster.sources.readers.kinds import NUMBER, Kind
from surgsigma_dagster.sources.readers.rows import exhaustive, reject

WHITE = 255
GREY = ("1", "L", "P", "I;16", "I")
_HALF = 128  # JPEG does not keep two values apart exactly


def mask_values(
    root: Path, rows: pl.DataFrame, *, colours: bool = False, two_valued: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`rows` (`video`, `file` of a mask image, `frame_index`, …) once for each pixel value in the image.

    Adds `mask_file`, `mask_value`, `width`, `height`, `locator` and `n_rows`. With `colours`, a value is
    0xRRGGBB, else a grey level or palette index; with `two_valued`, grey levels from 128 up count as 255 and
    the rest as 0. The rejects are the images that cannot be read as such.
    """
    found = [_values(root / file, colours, two_valued) for file in rows["file"].to_list()]
    schema: dict[str, pl.DataType] = {
        "values": pl.List(pl.Int64()),
        **dict.fromkeys(("width", "height"), pl.Int64()),
        "problem": pl.String(),
    }
    read = rows.hstack(pl.DataFrame(found, schema=schema, orient="row")).with_columns(
        mask_file="file", locator=pl.lit(WHOLE_FILE), n_rows=pl.lit(1, pl.Int64)
    )
    read, unreadable = reject(read, pl.col("problem").is_not_null(), "unreadable_mask", pl.col("problem"), hides=True)
    return read.drop("problem").explode("values", empty_as_null=False).rename({"values": "mask_value"}), unreadable


def mask_classes(
    values: pl.DataFrame, names: Mapping[int, str], background: Iterable[int] = (0,), seams: Iterable[int] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `mask_values` with the name of their value as `raw_value`, without `background`.

    The rejects are values that stand for no class. Those of `seams` lie between regions and hide none.
    """
    reason = pl.format("The mask has pixels of value {}, which stands for no class.", "mask_value")
    known = [*names, *background]
    values, unexpected = reject(
        values, ~pl.col("mask_value").is_in(known), "unexpected_mask_value", reason, "mask_value",
        hides=~pl.col("mask_value").is_in([*seams]),
    )  # fmt: skip
    shown = values.filter(pl.col("mask_value").is_in([*names])).with_columns(
        raw_value=pl.col("mask_value").replace_strict(
            pl.Series([*names], dtype=pl.Int64), pl.Series([*names.values()], dtype=pl.String), default=None
        )
    )
    return shown, unexpected


def regions(
    root: Path,
    files: pl.DataFrame,
    classes: Mapping[int, str],
    field: str,
    background: Iterable[int] = (0,),
    *,
    colours: bool = False,
    seams: Iterable[int] = (),
) -> dict[str, pl.DataFrame]:
    """Records of mask images (`video`, `file`, `frame_index`) in which a value is a class, or background.

    Masks of the classes that an image holds, and presences of all classes: what a mask does not hold is not
    visible, unless it has a value that stands for no class, and is none of `seams`, which are known to mean
    nothing: that may be any class. Rejects are as in `mask_values` and `mask_classes`.
    """
    values, unreadable = mask_values(root, files.select("video", "file", "frame_index"), colours=colours)
    held, unexpected = mask_classes(values, classes, background, seams)
    masks = held.with_columns(field=pl.lit(field))
    presences = exhaustive(values.unique("file", maintain_order=True), held, classes.values(), field)
    unsure = unexpected.filter(~pl.col("raw_value").is_in([*map(str, seams)]))["file"].unique()
    presences = presences.filter(pl.col("present") | ~pl.col("file").is_in(unsure.implode()))
    return {"masks": masks, "presences": presences, "rejects": pl.concat([unreadable, unexpected])}


def value_image(path: Path, *, colours: bool = False, two_valued: bool = False) -> NDArray[Any]:
    """(H, W) of the values that `mask_values` finds in a mask image, with the same options.

    Raises `SourceError` for a file that cannot be read as such.
    """
    try:
        with Image.open(path) as opened:
            image = opened.convert("L") if not colours and opened.mode == "1" else opened
            grey = not colours and image.mode in ("L", "P", "I;16", "I")
            pixels = np.asarray(image if grey else image.convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise SourceError(path, "", "an image that can be read", type(error).__name__) from error
    if pixels.ndim == 3:
        red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
        if colours:
            pixels = (red << 16) + (green << 8) + blue
        elif (red == green).all() and (green == blue).all():
            pixels = pixels[..., 0]
        else:
            raise SourceError(path, "", "a grey image", "colours")
    if two_valued:
        pixels = np.where(pixels >= _HALF, WHITE, 0).astype(np.uint8)
    return pixels


def _values(path: Path, colours: bool, two_valued: bool) -> tuple[list[int] | None, int | None, int | None, str | None]:
    try:
        pixels = value_image(path, colours=colours, two_valued=two_valued)
    except SourceError as error:
        return None, None, None, f"Expected {error.expected}, found {error.found}."
    height, width = pixels.shape
    return _distinct(pixels).tolist(), width, height, None


def _distinct(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.dtype == np.uint8:
        return np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    if pixels.dtype == np.int64:
        seen = np.zeros(1 << 24, bool)
        seen[pixels.ravel()] = True
        return np.flatnonzero(seen)
    return np.unique(pixels)


def _are_polygons(value: Any) -> bool:
    if isinstance(value, dict):
        return "counts" in value
    return isinstance(value, list) and all(
        isinstance(ring, list) and len(ring) >= 6 and len(ring) % 2 == 0 and all(map(NUMBER.holds, ring))
        for ring in value
    )


def _floats(rings: list[list[float]]) -> list[list[float]]:
    return [[float(number) for number in ring] for ring in rings]  # writers of JSON put 3 and 1.5 into one ring


SEGMENTATION = Kind(
    "polygons (lists of x, y, x, y, …) or run lengths",
    pl.Object(),
    lambda cell: cell,
    _are_polygons,
    nullable=True,
)


def coco_masks(found: Coco, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`rows` (of `found.annotations`, with `video`) once for each polygon of their segmentation, as `polygon`.

    The rejects are annotations whose mask is written as run lengths: their boxes stand.
    """
    masks = found.document["annotations"]
    outlines = [
        (f"/annotations/{i}", isinstance(mask, dict), _floats(mask) if isinstance(mask, list) else None)
        for i, mask in enumerate(annotation.get("segmentation") for annotation in masks)
    ]
    schema: dict[str, pl.DataType] = {
        "locator": pl.String(),
        "encoded": pl.Boolean(),
        "polygon": pl.List(pl.List(pl.Float64())),
    }
    outlined = rows.join(
        pl.DataFrame(outlines, schema=schema, orient="row"), on="locator", how="left", maintain_order="left"
    )
    outlined, encoded = reject(outlined, pl.col("encoded"), "run_length_mask", "The mask is written as run lengths.")
    return outlined.explode("polygon", empty_as_null=False).drop_nulls("polygon"), encoded
