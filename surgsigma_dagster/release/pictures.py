"""Pictures for people: frames with boxes drawn, alone or on a contact sheet."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from surgsigma_dagster.keys import hashed

Resolve = Callable[[str, str, str], Path]  # source, root ("lake" or "source"), path → local file
COLOURS = [(80, 220, 80), (80, 180, 255), (255, 160, 60), (220, 90, 220), (60, 230, 230), (120, 120, 255)]
_SHEET_BYTES = 150_000


def drawn(path: Path, boxes: Iterable[dict[str, Any]], width: int) -> np.ndarray:
    """The image at `path`, `width` pixels wide, with boxes (x1, y1, x2, y2 in its pixels, name) drawn on it.

    Raises `ValueError` where the file is no image.
    """
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"not an image: {path}")
    scale = width / image.shape[1]
    image = cv2.resize(image, (width, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    for number, box in enumerate(boxes):
        colour = COLOURS[number % len(COLOURS)]
        corner = (round(box["x1"] * scale), round(box["y1"] * scale))
        cv2.rectangle(image, corner, (round(box["x2"] * scale), round(box["y2"] * scale)), colour, 1, cv2.LINE_AA)
        written = (max(corner[0] + 2, 2), min(max(corner[1] + 11, 11), image.shape[0] - 3))
        cv2.putText(image, box["name"], written, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(image, box["name"], written, cv2.FONT_HERSHEY_SIMPLEX, 0.36, colour, 1, cv2.LINE_AA)
    return image


def strip(path: Path, boxes: Iterable[dict[str, Any]], width: int, *, frames: int = 6) -> np.ndarray:
    """Frames of the clip at `path`, spread from its first to its last, in two rows, `width` pixels wide in all.

    `boxes` are those of single frames, and not drawn. Raises `OSError` where there is no file, `ValueError` where it is
    no clip.
    """
    path.stat()
    video = cv2.VideoCapture(str(path))
    shown = []
    while (read := video.read())[0]:
        shown.append(read[1])
    video.release()
    if not shown:
        raise ValueError(f"not a clip: {path}")
    columns = frames // 2
    size = (width // columns, round(shown[0].shape[0] * (width // columns) / shown[0].shape[1]))
    chosen = [shown[round(position * (len(shown) - 1) / (frames - 1))] for position in range(frames)]
    tiles = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in chosen]
    return np.vstack([np.hstack(tiles[:columns]), np.hstack(tiles[columns:])])


def jpeg(image: np.ndarray, quality: int = 80) -> bytes:
    """`image` as JPEG."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def contact_sheet(
    frames: pl.DataFrame, boxes: pl.DataFrame, concepts: pl.DataFrame, resolve: Resolve, *, tiles: int = 12
) -> bytes | None:
    """A JPEG under 150 kB of up to `tiles` frames, spread over sources and videos, boxed ones first."""
    if frames.is_empty():
        return None
    chosen = (
        frames.with_columns(
            boxed=pl.col("frame_id").is_in(boxes["frame_id"].implode()), draw=hashed(pl.col("frame_id"), "sheet")
        )
        .sort("boxed", "draw", descending=[True, False])
        .with_columns(turn=pl.int_range(pl.len()).over("source"))
        .sort("turn", "source")
        .head(tiles)
        .sort("frame_id")
    )
    named = boxes.join(concepts.select("concept_id", "name"), on="concept_id")
    pictures = []
    for row in chosen.to_dicts():
        of_frame = named.filter(pl.col("frame_id") == row["frame_id"]).sort("x1", "y1").to_dicts()
        image = drawn(resolve(row["source"], row["image_root"], row["image_path"]), of_frame, 300)
        tile = np.zeros((210, 304, 3), np.uint8)
        image = image[:188]
        tile[: image.shape[0], 2 : 2 + image.shape[1]] = image
        cv2.putText(
            tile, row["frame_id"][-46:], (4, 202), cv2.FONT_HERSHEY_SIMPLEX, 0.34, (230, 230, 230), 1, cv2.LINE_AA
        )
        pictures.append(tile)
    columns = min(4, len(pictures))
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    sheet = np.vstack([np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)])
    for quality in (80, 60, 40, 20):
        encoded = jpeg(sheet, quality)
        if len(encoded) <= _SHEET_BYTES:
            break
    return encoded
