"""All dense pictures of one video: which frames get which, from what, and what is said of each."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from surgsigma_dagster.keys import hashed
from surgsigma_dagster.quality.rejects import reject_rows
from surgsigma_dagster.sources.config import ModelTask
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.synthesis.depth import relative_depth
from surgsigma_dagster.synthesis.masks import Region, class_image, instrument_mask, is_instrument, png, position
from surgsigma_dagster.synthesis.models import Model, predict
from surgsigma_dagster.synthesis.smoke import CLEAR, Image, haziness, is_clear, parameters, smoke_for, smoked

Row = dict[str, Any]
Resolve = Callable[[str, str], Path]  # root ("lake" or "source"), path → file

KINDS = ["smoke", "instrument_mask", "depth"]
ORIGINS = ["rendered", "measured", "annotated", "model"]
ROWS: dict[str, Any] = {
    "rendition_id": pl.String, "frame_id": pl.String, "video_id": pl.String, "source": pl.String,
    "kind": pl.Enum(KINDS), "image_name": pl.String, "width": pl.Int64, "height": pl.Int64, "sha256": pl.String,
    "origin": pl.Enum(ORIGINS), "parameters": pl.String, "licence": pl.String, "label_ids": pl.List(pl.String),
}  # fmt: skip
POSITIONS: dict[str, Any] = {
    "frame_id": pl.String, "video_id": pl.String, "source": pl.String, "concept_id": pl.String, "instance": pl.String,
    "area": pl.Int64, "x": pl.Float64, "y": pl.Float64, "n_parts": pl.Int64, "label_ids": pl.List(pl.String),
}  # fmt: skip
_OWN = ("frame_id", "video_id", "source")
_SEEDS = 2**53  # a JSON reader may hold numbers as floats
_JPEG_QUALITY = 95
_ASPECT = 0.01  # pictures whose proportions differ by more do not show the same


@dataclass
class DenseImages:
    """What was made of one video; files are named by `image_name` and lie in the folder that was given.

    `rows` as in `ROWS`: `parameters` is JSON, `licence` that of a model, or null. `positions` as in `POSITIONS`: where
    each annotated instrument is, in pixels of its frame. `rejects` are rows of the ledger, of stage `synthesis`.
    """

    rows: pl.DataFrame
    positions: pl.DataFrame
    rejects: pl.DataFrame
    files: dict[str, Path] = field(default_factory=dict)


@dataclass
class _Made:
    image: NDArray[Any]
    origin: str
    parameters: Row
    label_ids: list[str] = field(default_factory=list)
    licence: str | None = None
    suffix: str = ".png"
    positions: list[Row] = field(default_factory=list)


class _Job(NamedTuple):
    """One picture to make for a row of `frames`: of which kind, of which file, and how; None where none is due."""

    frame: Row
    kind: str
    file: str
    make: Callable[[], _Made | None]


def dense_images(
    frames: pl.DataFrame,
    masks: pl.DataFrame,
    depths: pl.DataFrame,
    *,
    seed: int,
    resolve: Resolve,
    folder: Path,
    models: Mapping[ModelTask, Model] | None = None,
    not_clear: Collection[str] | pl.Series = (),
    clear_below: float = CLEAR,
    smoke_every: int = 5,
    model_every: int = 5,
) -> DenseImages:
    """Smoked frames, instrument masks and relative depth of one video, written into `folder`.

    `frames`, `masks` and `depths` are rows of the unified tables; only frames that are available count. One frame in
    `smoke_every` gets smoke, unless it is as hazy as `clear_below` (see `smoke.is_clear`) or among the `not_clear` ids
    that labels call smoky. Every frame with an annotated instrument gets a mask, every one with depth of its source a
    depth picture; of those without, one in `model_every` gets a model's, where there is one. Which frames, and what
    smoke, hang on ids and `seed` alone: more frames change nothing for the others. What cannot be read is rejected, and
    the rest goes on.
    """
    usable = frames.filter(pl.col("status") == "available").sort("frame_id")
    marked, measured = _marked(masks), depths.sort("frame_id", pl.col("origin").cast(pl.String) == "model", "label_id")
    smoky = pl.DataFrame({"frame_id": pl.Series(list(not_clear), dtype=pl.String)})
    answered = {"instrument_mask": marked, "depth": measured}
    jobs = chain(
        _smokes(usable.join(smoky, on="frame_id", how="anti"), seed, smoke_every, clear_below, resolve),
        _labelled(usable, "instrument_mask", marked, "mask_path", partial(_mask, resolve=resolve)),
        _labelled(usable, "depth", measured, "depth_path", partial(_depth, resolve=resolve)),
        *(
            _predictions(usable.join(answered[task], on="frame_id", how="anti"), model, seed, model_every, resolve)
            for task, model in (models or {}).items()
        ),
    )
    rows, positions, rejects, files = [], [], [], {}
    folder.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        own = {name: job.frame[name] for name in _OWN}
        try:
            if (made := job.make()) is None:
                continue
        except ValueError as error:
            rejects.append({**own, "kind": job.kind, "file": job.file, "reason": _reason(error)})
            continue
        content = _encoded(made.image, made.suffix)
        name = f"{job.frame['frame_index']:06d}_{job.kind}{made.suffix}"
        files[name] = folder / name
        files[name].write_bytes(content)
        height, width = made.image.shape[:2]
        rows.append(
            {
                **own, "rendition_id": f"{own['frame_id']}/{job.kind}", "kind": job.kind, "image_name": name,
                "width": width, "height": height, "sha256": hashlib.sha256(content).hexdigest(), "origin": made.origin,
                "parameters": json.dumps(made.parameters, sort_keys=True), "licence": made.licence,
                "label_ids": made.label_ids,
            }
        )  # fmt: skip
        positions += [{**own, **one} for one in made.positions]
    return DenseImages(
        pl.DataFrame(rows, schema=ROWS).sort("rendition_id"),
        pl.DataFrame(positions, schema=POSITIONS).sort("frame_id", "concept_id", "instance"),
        reject_rows(
            pl.DataFrame(rejects, schema=dict.fromkeys((*_OWN, "kind", "file", "reason"), pl.String)),
            stage="synthesis", rule=pl.format("unusable_for_{}", "kind"), reason=pl.col("reason"),
            locator=pl.col("frame_id"), n_rows=0,
        ),
        files,
    )  # fmt: skip


def _one_in(every: int, purpose: str, seed: int) -> pl.Expr:
    return hashed(purpose, pl.col("frame_id"), seed=seed) % every == 0


def _smokes(frames: pl.DataFrame, seed: int, every: int, below: float, resolve: Resolve) -> Iterator[_Job]:
    clouds = frames.filter(_one_in(every, "smoke", seed)).with_columns(
        cloud=hashed("cloud", pl.col("frame_id"), seed=seed) % _SEEDS
    )
    for frame in clouds.iter_rows(named=True):
        yield _Job(frame, "smoke", frame["image_path"], partial(_smoke, frame, below, resolve))


def _smoke(frame: Row, below: float, resolve: Resolve) -> _Made | None:
    image, smoke = _read(frame, resolve), smoke_for(frame["cloud"])
    if not is_clear(image, below):
        return None
    hazy = smoked(image, smoke)
    facts = {"haziness_before": round(haziness(image), 4), "haziness": round(haziness(hazy), 4)}
    # A pair must differ in nothing but smoke: a lossless frame gets a lossless partner.
    suffix = ".png" if frame["image_path"].lower().endswith(".png") else ".jpg"
    return _Made(hazy, "rendered", {"render": "atmospheric scattering", **parameters(smoke), **facts}, suffix=suffix)


def _labelled(
    frames: pl.DataFrame, kind: str, labels: pl.DataFrame, path: str, make: Callable[[Row, list[Row]], _Made]
) -> Iterator[_Job]:
    """A picture of `labels` for each of `frames` that has some."""
    groups = labels.partition_by("frame_id", as_dict=True, maintain_order=True)
    for frame in frames.iter_rows(named=True):
        if (group := groups.get((frame["frame_id"],))) is not None:
            rows = group.to_dicts()
            yield _Job(frame, kind, rows[0][path] or rows[0]["file"], partial(make, frame, rows))


def _marked(masks: pl.DataFrame) -> pl.DataFrame:
    """All masks of the frames in which an instrument is annotated, tissues too, in a stable order."""
    white = [one for one in masks["concept_id"].unique().to_list() if is_instrument(one)]
    return masks.filter(pl.col("concept_id").is_in(white).any().over("frame_id")).sort("frame_id", "label_id")


def _mask(frame: Row, rows: list[Row], resolve: Resolve) -> _Made:
    size, notes = (frame["width"], frame["height"]), set()
    named: dict[str, set[int]] = {}
    for row in rows:
        if row["mask_path"]:
            named.setdefault(row["mask_path"], set()).add(row["mask_value"])
    instruments = [row for row in rows if is_instrument(row["concept_id"])]
    images = {}
    for path in sorted({row["mask_path"] for row in instruments if row["mask_path"]}):
        images[path], note = _fitted(class_image(resolve("source", path), named[path]), size)
        notes.add(note)
    regions: dict[tuple[str, str | None], list[tuple[str, Region]]] = {}
    for row in instruments:
        region = row["polygon"] or (images[row["mask_path"]], [row["mask_value"]])
        regions.setdefault((row["concept_id"], row["instance"]), []).append((row["label_id"], region))
    whole = instrument_mask(size, ())
    positions = []
    for (concept, instance), parts in regions.items():
        one = instrument_mask(size, (region for _, region in parts))
        whole |= one
        if lies := position(one):
            label_ids = [label for label, _ in parts]
            where = {"area": lies.area, "x": lies.x, "y": lies.y, "n_parts": lies.parts}
            positions.append({"concept_id": concept, "instance": instance, **where, "label_ids": label_ids})
    facts = {"white": sorted({row["concept_id"] for row in instruments}), **_noted(notes)}
    return _Made(whole, "annotated", facts, [row["label_id"] for row in instruments], positions=positions)


def _depth(frame: Row, rows: list[Row], resolve: Resolve) -> _Made:
    row = rows[0]  # measured before modelled
    size = (frame["width"], frame["height"])
    depth, note = _fitted(relative_depth(resolve("source", row["depth_path"]), row["channel"], size), size)
    facts = {"unit": row["unit"], "measured_share": round(float((depth > 0).mean()), 4), **_noted({note})}
    return _Made(depth, row["origin"], facts, [row["label_id"]])


def _predictions(frames: pl.DataFrame, model: Model, seed: int, every: int, resolve: Resolve) -> Iterator[_Job]:
    for frame in frames.filter(_one_in(every, "model", seed)).iter_rows(named=True):
        yield _Job(frame, model.entry.task, frame["image_path"], partial(_predicted, frame, model, resolve))


def _predicted(frame: Row, model: Model, resolve: Resolve) -> _Made:
    answer = predict(model, _read(frame, resolve))
    return _Made(answer, "model", model.parameters(), licence=model.entry.licence)


def _read(frame: Row, resolve: Resolve) -> Image:
    path = resolve(frame["image_root"], frame["image_path"])
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(path, "", "a picture that can be read", "none" if path.exists() else "no such file")
    return image


def _fitted(image: NDArray[Any], size: tuple[int, int]) -> tuple[NDArray[Any], str | None]:
    """`image` in the frame's size, by nearest neighbour, and what was done to it. SourceError for other proportions."""
    (height, width), (wanted_width, wanted_height) = image.shape, size
    if (width, height) == size:
        return image, None
    if abs(width * wanted_height / (height * wanted_width) - 1) > _ASPECT:
        raise ValueError(f"a picture of {wanted_width}x{wanted_height} is expected, found {width}x{height}")
    rows = (2 * np.arange(wanted_height) + 1) * height // (2 * wanted_height)
    columns = (2 * np.arange(wanted_width) + 1) * width // (2 * wanted_width)
    return image[rows][:, columns], f"resized from {width}x{height} by nearest neighbour"


def _noted(notes: set[str | None]) -> Row:
    said = sorted(note for note in notes if note)
    return {"fitted": "; ".join(said)} if said else {}


def _encoded(image: NDArray[Any], suffix: str) -> bytes:
    if suffix == ".png":
        return png(image)
    return cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _reason(error: ValueError) -> str:
    """Without the folders of this machine: the same ledger everywhere."""
    if isinstance(error, SourceError):
        return f"Expected {error.expected}, found {error.found}."
    return f"{str(error)[:1].upper()}{str(error)[1:]}."
