"""CholecInstanceSeg: outlines of every instrument in 41,900 frames of Cholec80 and CholecT50."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    NUMBER,
    TEXT,
    document,
    exhaustive,
    images,
    many,
    matching,
    member,
    optional,
    records,
    reject,
    repeats,
    section,
)

FRAME_RATES = {"t50": 1.0, "t80": 1.0, "seg8k": 25.0}  # of the frame numbers, by the part that a file is from
CLASSES = ("grasper", "bipolar", "hook", "clipper", "scissors", "irrigator", "snare")
STEM = r"(?P<video>(?:t50|t80|seg8k)_(?:VID|video)\d+)_(?P<frame>\d{6})"
FIELDS = {
    "label": TEXT,
    "points": many(many(NUMBER, 2)),
    "group_id": optional(INTEGER),
    "shape_type": TEXT,
}


class CholecInstanceSeg(Adapter):
    """LabelMe JSON, a file a frame, by part, video and frame: `t80_VID03_000030.json`, `seg8k_video12_015810.json`.

    A JSON file of another name in `ann_dir` is a `SourceError`: it would be a frame that nobody misses.
    A part and a video are a video here, since parts count frames differently: seconds for t50 and t80, the
    25 fps frames of CholecSeg8k for seg8k. A shape is a row, counted in `masks` or `rejects`. group_id counts
    from 1 for each label, and polygons with the same label and group_id are one instance. Every instrument of
    a frame is outlined: `presences` of all classes follow, and `"shapes": []` is a frame without any.
    """

    name = "cholecinstanceseg"
    title = "CholecInstanceSeg"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = Licence(
        "contradictory: CC BY 4.0, CC BY-NC-ND 4.0",
        non_commercial=True,
        share_alike=True,
        no_derivatives=True,
        redistribution=False,
    )
    citation = "Alabi et al., CholecInstanceSeg, 2024, arXiv:2406.16039"
    url = "https://github.com/labdeeman7/cholec_instance_seg"
    format_source = "real files"
    yields = ("masks:instrument", "presences:instrument")
    tested_on_real_files = True
    signature = tuple(f"*/*/ann_dir/{part}_{video}*.json" for part in FRAME_RATES for video in ("VID", "video"))
    splits = {r"^train/": "train", r"^val/": "val", r"^test/": "test"}

    def videos(self, root: Path) -> list[NativeVideo]:
        """Parts of videos that have annotations or images."""
        labels = matching(root, ["*/*/ann_dir/*.json"], rf"[^/]+/[^/]+/ann_dir/{STEM}\.json")
        read = {file for files in labels.values() for file in files}
        for path in sorted(root.glob("*/*/ann_dir/[!.]*.json")):  # not the ._ files of macOS
            if (file := path.relative_to(root).as_posix()) not in read:
                raise SourceError(
                    file, "", "a file named as t80_VID03_000030.json or seg8k_video12_015810.json", path.name
                )
        images = matching(root, ["*/*/img_dir/*.*"], rf"[^/]+/[^/]+/img_dir/{STEM}\.\w+")
        folders = {video: [files[0].rpartition("/")[0]] for video, files in images.items()}
        return [
            replace(video, frame_rate=FRAME_RATES[video.video.partition("_")[0]])
            for video in self.listed(root, [labels], folders, "images", frame_rate=1.0)
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Masks, presences and frames."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        folders = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*/img_dir"))
        shown, copies = images(root, folders, STEM)
        wanted = pl.col("video").is_in([video.video for video in videos])
        yield {"images": shown.filter(wanted), "rejects": copies.filter(wanted)}
        if files := [file for video in videos for file in video.label_files]:
            yield from _shapes(*_read(root, files))


def _read(root: Path, files: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The files with their frame and what they say of their image, and their shapes."""
    stated, shapes = [], []
    for file in files:
        value = document(root, file)
        sizes = [member(file, value, key, optional(INTEGER)) for key in ("imageWidth", "imageHeight")]
        stated.append((file, member(file, value, "imagePath", TEXT), *sizes))
        shapes.append(records(file, section(file, value, "shapes"), FIELDS))
    schema = {"file": pl.String, "image": pl.String, "width": pl.Int64, "height": pl.Int64}
    stem = pl.col("file").str.extract_groups(rf"/{STEM}\.json$").struct
    return (
        pl.DataFrame(stated, schema=schema, orient="row").with_columns(
            video=stem.field("video"),
            frame_index=stem.field("frame").cast(pl.Int64),
            field=pl.lit("instrument"),
            n_rows=pl.lit(1, pl.Int64),
        ),
        pl.concat(shapes),
    )


def _shapes(files: pl.DataFrame, shapes: pl.DataFrame) -> Iterator[dict[str, pl.DataFrame]]:
    rows = shapes.join(files, on="file", maintain_order="left").with_columns(
        polygon=pl.col("points").list.eval(pl.element().explode(empty_as_null=False)),
        instance=pl.format("{} {}", "label", "group_id"),
        raw_value="label",
    )
    image, own = (pl.col(name).str.extract(r"([^/\\]+)\.\w+$") for name in ("image", "file"))
    told = ("labels_of_another_image", pl.format("The file says that it describes {}.", "image"), "image")
    rows, others = reject(rows, image.ne_missing(own), *told)
    described, whole = reject(files.with_columns(locator=pl.lit(WHOLE_FILE)), image.ne_missing(own), *told)
    empty = whole.join(others, on="file", how="anti")  # a file with shapes is told of shape by shape
    yield {"rejects": pl.concat([others, empty])}
    yield {"presences": exhaustive(described, rows, CLASSES, "instrument")}
    rows, others = reject(
        rows, pl.col("shape_type") != "polygon", "no_polygon", "A shape of another type.", "shape_type", hides=True
    )
    rows, points = reject(
        rows, pl.col("points").list.len() < 3, "polygon_without_area", "Fewer than three points.", hides=True
    )
    rows, again = repeats(rows, ["video", "frame_index", "label", "group_id", "polygon"])
    yield from ({"rejects": rejects} for rejects in (others, points, again))
    yield {"masks": rows}


ADAPTER = CholecInstanceSeg()
