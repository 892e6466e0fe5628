"""ESAD: surgeon actions with boxes in four robot-assisted radical prostatectomies."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    NUMBER,
    images,
    lines,
    listing,
    named,
    on_lines,
    require,
    spaced,
)

FRAME_RATE = 1.0
LABELS = ("train/set1", "train/set2", "val/obj", "test_labels")
IMAGES = ("train/set1", "train/set2", "val/obj", "test")
NAMES = ("train/obj.names", "val/obj.names")
FRAME = r"(RARP\d{1,3})_frame_[1-9]\d{0,5}"
SIDES = ("x", "y", "width", "height")


class Esad(Adapter):
    """A YOLO text file a frame, frames at 1 fps from 1; obj.names, a class a line, names the ids.

    A line is a row, counted in `boxes`; a box encloses an action, so its field is action, and the action
    lasts its second in `intervals`. An empty file says that the frame shows none of the actions. In val,
    images without a file were not labelled.
    """

    name = "esad"
    title = "SARAS-ESAD"
    specialty = "Urology"
    procedure_type = "procedure/prostatectomy"
    licence = Licence("not stated", redistribution=False)
    citation = "Bawa et al., ESAD, 2020, arXiv:2006.07164"
    url = "https://saras-esad.grand-challenge.org"
    format_source = "users' reports"
    yields = ("boxes:action", "intervals:action")
    empty_says_none = True
    signature = tuple(f"{folder}/RARP*_frame_*.txt" for folder in LABELS)
    splits = {r"^train/": "train", r"^val/": "val", r"^test": "test"}

    def videos(self, root: Path) -> list[NativeVideo]:
        """Procedures that have labels or images."""
        labels = [listing(root, folder, rf"{FRAME}\.txt") for folder in LABELS]
        shown = {folder: listing(root, folder, rf"{FRAME}\.jpg") for folder in IMAGES}
        media = {video: [folder] for folder, found in shown.items() for video in found}
        naming = [file for file in NAMES if (root / file).is_file()]
        videos = self.listed(root, labels, media, "images", FRAME_RATE, shared=naming)
        return [replace(video, first_index=1) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Actions with their boxes, and frames."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        stem = r"(?P<video>RARP\d{1,3})_frame_(?P<frame>[1-9]\d{0,5})"
        shown, copies = images(root, [video.path for video in videos if video.path], stem)
        wanted = pl.col("video").is_in([video.video for video in videos])
        yield {"images": shown.filter(wanted), "rejects": copies.filter(wanted)}
        files = [file for video in videos for file in video.label_files if file.endswith(".txt")]
        rows = spaced(root, files, {"class": INTEGER, **dict.fromkeys(SIDES, NUMBER)})
        frame = pl.col("file").str.extract_groups(r"(?<video>RARP\d+)_frame_(?<frame>\d+)\.txt$").struct
        x, y, width, height = map(pl.col, SIDES)
        for side in SIDES:
            require(rows, pl.col(side).is_between(0, 1), f"{side} from 0 to 1", side)
        if files:
            rows = rows.with_columns(raw_value=named(rows, "class", _names(root), "obj.names"))
            rows = on_lines(rows, frame.field("video")).with_columns(
                frame_index=frame.field("frame").cast(pl.Int64),
                field=pl.lit("action"),
                unit=pl.lit("relative"),
                instance=pl.col("line").cast(pl.String),
                **{"x1": x - width / 2, "y1": y - height / 2, "x2": x + width / 2, "y2": y + height / 2},
            )
            yield {"boxes": rows.drop("width", "height")}
            seconds = pl.col("frame_index").cast(pl.Float64)
            yield {
                "intervals": rows.with_columns(
                    start_frame="frame_index", end_frame="frame_index", start_s=seconds - 1, end_s=seconds
                )
            }


def _names(root: Path) -> dict[int, str]:
    found = [lines(root, file) for file in NAMES if (root / file).is_file()]
    if not found:
        raise SourceError(root, "", "obj.names in train or val, to name the classes", "no such file")
    listed = [rows["content"].str.strip_chars().to_list() for rows in found]
    if listed[0] != listed[-1]:
        raise SourceError(NAMES[1], "", f"the classes of {NAMES[0]} in their order", listed[-1])
    require(found[0], pl.col("content").str.strip_chars().is_first_distinct(), "each class once", "content")
    return dict(enumerate(listed[0]))


ADAPTER = Esad()
