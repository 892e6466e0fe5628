"""Kvasir-SEG: 1,000 stills of polyps from colonoscopies, with boxes and masks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    NUMBER,
    TEXT,
    below,
    document,
    entries,
    matching,
    member,
    records,
    reject,
)
from surgsigma_dagster.sources.readers.mask_images import WHITE, mask_values

BOXES, VIDEO = "kavsir_bboxes.json", "images"
BOX = {"label": TEXT, **dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), NUMBER)}


class KvasirSeg(Adapter):
    """One JSON file with the size and the boxes of every image; images and masks are JPEG, named alike.

    A box is a row, counted in `boxes`. Which images show the same examination is not published, so all are
    one sequence; an image's number is the place of its entry in the JSON file, from 0, and is no time. Of a
    mask, grey levels from 128 up are the polyp: JPEG does not keep two values apart.
    """

    name = "kvasir_seg"
    title = "Kvasir-SEG"
    specialty = "Gastroenterology"
    procedure_type = "procedure/colonoscopy"
    licence = Licence("research and education only", non_commercial=True, redistribution=False)
    citation = "Jha et al., Kvasir-SEG, MultiMedia Modeling 2020, arXiv:1911.07069"
    url = "https://datasets.simula.no/kvasir-seg/"
    format_source = "users' reports"
    timed = False
    yields = ("boxes:tissue", "masks:tissue")
    signature = (BOXES,)

    def videos(self, root: Path) -> list[NativeVideo]:
        """The sequence."""
        labels = matching(root, [BOXES, "masks/*.jpg"], r"()(?:.+)")
        if BOXES not in labels.get("", []):
            raise SourceError(root, "", BOXES, "no such file")
        media = {VIDEO: [VIDEO]} if (root / VIDEO).is_dir() else {}
        return self.listed(root, [{VIDEO: labels[""]}], media, "images", frame_rate=1.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Boxes, masks and frames."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    listed = list(entries(BOXES, document(root, BOXES), "", dict))
    sizes = [_size(pointer, entry) for pointer, entry in listed]
    boxes = [box for pointer, entry in listed for box in _boxes(pointer, entry)]
    schema = {"entry": pl.String, "stem": pl.String, "width": pl.Int64, "height": pl.Int64}
    numbered = pl.DataFrame(sizes, schema=schema, orient="row").with_columns(
        frame_index=pl.int_range(pl.len(), dtype=pl.Int64)
    )
    drawn = records(BOXES, boxes, BOX).with_columns(entry=pl.col("locator").str.replace(r"/bbox/\d+$", ""))
    yield {
        "boxes": drawn.join(numbered, on="entry", how="left", maintain_order="left").with_columns(
            video=pl.lit(VIDEO),
            n_rows=pl.lit(1, pl.Int64),
            field=pl.lit("tissue"),
            raw_value="label",
            unit=pl.lit("pixel"),
            **{"x1": "xmin", "y1": "ymin", "x2": "xmax", "y2": "ymax"},
        )
    }
    named = numbered.select("stem", "frame_index")
    shown, strange = _of_entries(matching(root, [f"{VIDEO}/*.jpg"], rf"{VIDEO}/(.+)\.jpg"), named)
    masks = {Path(file).stem: [file] for file in video.label_files if file != BOXES}
    drawn_over, stranger = _of_entries(masks, named)
    values, unreadable = mask_values(root, drawn_over, two_valued=True)
    polyps = values.filter(pl.col("mask_value") == WHITE)
    yield {"images": shown, "rejects": pl.concat([strange, stranger, unreadable])}
    yield {"masks": polyps.with_columns(field=pl.lit("tissue"), raw_value=pl.lit("polyp"))}


def _size(pointer: str, entry: Any) -> tuple[str, str, int, int]:
    width, height = (int(member(BOXES, entry, side, INTEGER, pointer)) for side in ("width", "height"))
    return pointer, pointer.removeprefix("/").replace("~1", "/").replace("~0", "~"), width, height


def _boxes(pointer: str, entry: Any) -> Iterator[tuple[str, Any]]:
    return entries(BOXES, entry.get("bbox"), below(pointer, "bbox"), list)


def _of_entries(files: dict[str, list[str]], named: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = [(stem, file) for stem, (file,) in files.items()]
    rows = pl.DataFrame(found, {"stem": pl.String, "file": pl.String}, orient="row")
    rows = rows.join(named, on="stem", how="left", maintain_order="left").with_columns(
        video=pl.lit(VIDEO), locator=pl.lit(WHOLE_FILE), n_rows=pl.lit(1, pl.Int64)
    )
    return reject(rows, pl.col("frame_index").is_null(), "image_without_entry", f"{BOXES} does not list it.")


ADAPTER = KvasirSeg()
