"""Endoscapes2023: 201 laparoscopic cholecystectomies, critical view of safety and boxes on sampled frames."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    FLAG,
    NUMBER,
    Coco,
    coco,
    images,
    listing,
    many,
    optional,
    reject,
    repeats,
    require,
)

SPLITS = ("train", "val", "test", "train_seg", "val_seg", "test_seg")
BOXES, CRITERIA = "annotation_coco.json", "annotation_ds_coco.json"
FIELDS = {
    "ds": optional(many(NUMBER, 3)),
    "is_det_keyframe": optional(FLAG),
    "is_ds_keyframe": optional(FLAG),
}


class Endoscapes(Adapter):
    """COCO files in one folder a split; images are named by video and 25 fps frame.

    An annotation is a row, counted in `boxes`; an image of annotation_ds_coco.json that has `ds` is a row,
    counted in `criteria`, three a row: C1 two structures, C2 hepatocystic triangle, C3 cystic plate, each the
    mean of three raters. Rows that another split or file repeats are `rejects`. annotation_coco_vid.json is
    not read: on the frames between keyframes it repeats the last label, which nobody gave them. Nor are the masks
    of semseg/ and insseg/, all_metadata.csv, and the folders 12_5/ and 25/.
    """

    name = "endoscapes"
    title = "Endoscapes2023"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Murali et al., The Endoscapes Dataset, 2023, arXiv:2312.12429"
    url = "https://github.com/CAMMA-public/Endoscapes"
    format_source = "owner's documentation"
    complete = ("tissue",)
    yields = ("boxes:object", "criteria")
    signature = (f"*/{CRITERIA}", f"train/{BOXES}", f"val/{BOXES}", f"test/{BOXES}")

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have images or labels in any split."""
        labels = []
        for file in [f"{split}/{name}" for name in (BOXES, CRITERIA) for split in SPLITS]:
            if (root / file).is_file():
                labels.append({video: [file] for video in _framed(coco(root, file).images)["video"].unique()})
        folders = {split: listing(root, split, r"(\d{1,6})_\d{1,9}\.jpg") for split in reversed(SPLITS)}
        media = {video: [split] for split, found in folders.items() for video in found}
        return self.listed(root, labels, media, "images", frame_rate=25.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Boxes, safety criteria and frames."""
        wanted = pl.col("video").is_in([video.video for video in videos])
        return NativeLabels.concat(
            {kind: rows.filter(wanted)} for part in self._records(root, videos) for kind, rows in part.items()
        )

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        shown, copies = images(root, SPLITS, r"(?P<video>\d{1,6})_(?P<frame>\d{1,9})")
        yield {"images": shown, "rejects": copies}
        files = {file for video in videos for file in video.label_files}
        ordered = [f"{split}/{name}" for name in (BOXES, CRITERIA) for split in SPLITS]
        read = {file: coco(root, file, image_fields=FIELDS) for file in ordered if file in files}
        if read:
            yield from _boxes(list(read.values()))
        if rated := [found for file, found in read.items() if file.endswith(CRITERIA)]:
            yield from _criteria(rated)


def _boxes(found: list[Coco]) -> Iterator[dict[str, pl.DataFrame]]:
    rows = _framed(pl.concat(file.annotations for file in found)).with_columns(
        place=pl.concat_list(pl.col(side).round(1) for side in ("x1", "y1", "x2", "y2"))
    )
    rows, unseen = reject(rows, ~pl.col("is_det_keyframe"), "not_a_keyframe", "Nobody drew boxes in this frame.")
    rows, again = repeats(rows, ["video", "frame_index", "category", "place"])
    yield from ({"rejects": rejects} for rejects in (unseen, again))
    yield {"boxes": rows.with_columns(field=pl.lit("object"), raw_value="category", unit=pl.lit("pixel"))}


def _criteria(found: list[Coco]) -> Iterator[dict[str, pl.DataFrame]]:
    rows = _framed(pl.concat(file.images for file in found).drop_nulls("ds"))
    within = pl.col("ds").list.eval(pl.element().is_between(0, 1)).list.all()
    require(rows, within, "values from 0 to 1 as ds", "ds")
    rows, unrated = reject(rows, ~pl.col("is_ds_keyframe"), "not_a_keyframe", "Nobody rated this frame.")
    rows, again = repeats(rows, ["video", "frame_index", "ds"])
    yield from ({"rejects": rejects} for rejects in (unrated, again))
    scores = rows.with_columns(pl.col("ds").list.get(i).alias(f"C{i + 1}") for i in range(3)).unpivot(
        ["C1", "C2", "C3"],
        index=["video", "file", "locator", "n_rows", "frame_index"],
        variable_name="raw_value",
        value_name="score",
    )
    yield {"criteria": scores.with_columns(n_raters=pl.lit(3, pl.Int64))}


def _framed(rows: pl.DataFrame) -> pl.DataFrame:
    frame = pl.col("file_name").str.extract_groups(r"^(\d{1,6})_(\d{1,9})\.\w+$").struct
    require(rows, frame.field("2").is_not_null(), "video_frame.jpg as file_name", "file_name")
    return rows.with_columns(
        video=frame.field("1"), frame_index=frame.field("2").cast(pl.Int64), n_rows=pl.lit(1, pl.Int64)
    )


ADAPTER = Endoscapes()
