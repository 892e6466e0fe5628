"""Instrument masks from what sources annotate, in the one form of the answer: instruments white, the rest black."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import value_image
from surgsigma_dagster.vocabulary.concepts import NO_INSTRUMENTS

Mask = NDArray[Any]  # (H, W) uint8, 0 or 255
Region = Sequence[float] | tuple[NDArray[Any], Collection[int]]  # x0, y0, x1, y1, … or a class image with its values

WHITE = 255
_SHIFT = 4  # OpenCV draws at 1/16 pixel
_SLACK = 1.0  # pixels that an outline may stand outside its picture: the far edge of the last one
_PART = 0.05  # of the area: smaller specks are no part of their own


class Position(NamedTuple):
    """Where a mask lies: its area and centre of gravity in pixels, and of how many separate parts it consists.

    A mask of a class may hold several instruments: with more than one part, the centre may belong to none.
    """

    area: int
    x: float
    y: float
    parts: int


def is_instrument(concept_id: str) -> bool:
    """Whether pixels of this concept are white."""
    return concept_id.startswith("instrument/") and concept_id not in NO_INSTRUMENTS


def class_image(path: Path, values: Collection[int]) -> NDArray[Any]:
    """(H, W) of the values of a source's mask image, read so that `values`, which its labels name, are in it.

    Values are grey levels, palette indices or 0xRRGGBB: the labels do not say which, but only one of these finds all of
    them. JPEG masks have two values, 0 and 255. Raises `SourceError` for a file that cannot be read or lacks a value.
    """
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        readings = [value_image(path, two_valued=True)]
    else:
        try:
            readings = [value_image(path)]
        except SourceError:
            readings = []
        readings += [value_image(path, colours=True)]
    for pixels in readings:
        if all((pixels == value).any() for value in values):
            return pixels
    found = ", ".join(map(str, np.unique(readings[0])[:12].tolist()))
    raise SourceError(path, "", f"pixels of the values {', '.join(map(str, sorted(values)))}", found)


def instrument_mask(size: tuple[int, int], regions: Iterable[Region]) -> Mask:
    """(height, width) uint8 for `size` (width, height): 255 where any of `regions` is, 0 elsewhere.

    An outline's own pixels belong to it, as in labelme's masks. Raises ValueError for an outline that leaves the
    picture or a class image of another size.
    """
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    for region in regions:
        if isinstance(region, tuple) and isinstance(region[0], np.ndarray):
            pixels, values = region
            if pixels.shape != mask.shape:
                raise ValueError(
                    f"a class image of {width}x{height} is expected, not {pixels.shape[1]}x{pixels.shape[0]}"
                )
            mask[np.isin(pixels, [*values])] = WHITE
            continue
        points = np.asarray(region, np.float64).reshape(-1, 2)
        low, high = points.min(axis=0), points.max(axis=0)
        if (low < -_SLACK).any() or (high > np.array(size) - 1 + _SLACK).any():
            reach = ", ".join(f"{value:g}" for value in (*low, *high))
            raise ValueError(f"an outline inside {width}x{height} pixels is expected, it spans {reach}")
        # One by one: outlines that are filled together cancel each other where they overlap.
        cv2.fillPoly(mask, [np.rint(points * (1 << _SHIFT)).astype(np.int32)], WHITE, cv2.LINE_8, _SHIFT)
    return mask


def position(mask: Mask) -> Position | None:
    """Area and centre of the set pixels, or None where there are none."""
    moments = cv2.moments(mask, binaryImage=True)
    area = int(moments["m00"])
    if not area:
        return None
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask)
    parts = int((facts[1:, cv2.CC_STAT_AREA] >= _PART * area).sum())
    return Position(area, round(moments["m10"] / area, 2), round(moments["m01"] / area, 2), parts)


def png(image: NDArray[Any]) -> bytes:
    """PNG of 8 or 16 bits a channel; the same pixels give the same bytes with one release of OpenCV."""
    done, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    if not done:
        raise ValueError(f"no PNG can hold {image.dtype} of shape {image.shape}")
    return encoded.tobytes()
