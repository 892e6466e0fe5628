"""Any folder of images with COCO files, and a source.yaml about them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import (
    Adapter,
    Licence,
    NativeLabels,
    NativeVideo,
    Subject,
    Terms,
)
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import INTEGER, SEGMENTATION, coco, coco_masks, composed, repeats, require
from surgsigma_dagster.sources.sidecar import SIDECAR, procedure_types, sidecar

PLACES = ("annotations/*.json", "*.json")
FOLDERS = ("", "images/")
SIDES = ("x1", "y1", "x2", "y2")


class CocoFolder(Adapter):
    """COCO files in `annotations/` or, without it, in the root; images where `file_name` says, or in `images/`.

    An annotation is a row, counted in `boxes`, and its polygons are `masks`. The folder in `file_name` is the
    video, and without a folder the COCO file is; the number of a frame is its image id, which is no time.
    Categories are mapped by the names of concepts and by the user's aliases. Of an image without annotations
    nothing is said. source.yaml states title, specialty, procedure type and licence; unless it says otherwise
    nothing may be released.
    """

    name = "coco"
    title = "COCO folder"
    specialty = "General"
    procedure_type = None
    licence = Licence("stated by source.yaml", redistribution=False)
    citation = "not published"
    url = ""
    format_source = "docs/sources.md"
    timed = False
    yields = ("boxes:object", "masks:object")
    signature = PLACES

    def detect(self, root: Path) -> str | None:
        """Evidence: source.yaml and a COCO file."""
        files = _files(root) if (root / SIDECAR).is_file() else []
        return f"{self.title}: found {SIDECAR} and {files[0]}" if files else None

    def terms(self, root: Path) -> Terms:
        """Licence, and consent where there is one, as source.yaml states them."""
        value = sidecar(root, public=True)
        consent = value.get("consent") or {}
        released = value.get("may_be_released") == "true"
        licence = Licence(value["licence"], redistribution=released)
        return Terms(licence, consent.get("scope"), released, consent.get("reference"))

    def subject(self, root: Path) -> Subject:
        """Title, specialty and procedure type as source.yaml states them."""
        value = sidecar(root, public=True)
        return Subject(value["title"], value["specialty"], procedure_types(value))

    def videos(self, root: Path) -> list[NativeVideo]:
        """Folders of images."""
        value = sidecar(root, public=True)
        labels: list[dict[str, list[str]]] = []
        media: dict[str, list[str]] = {}
        for file in _files(root):
            shown = _placed(root, coco(root, file).images)
            labels.append({video: [file] for video in shown["video"].unique()})
            for video, path in (
                shown.drop_nulls("path").unique("video", keep="first").select("video", "path").iter_rows()
            ):
                media.setdefault(video, [PurePosixPath(path).parent.as_posix()])
        videos = self.listed(root, labels, media, "images", frame_rate=1.0)
        stated = value["videos"]
        if unknown := stated.keys() - {composed(video.video) for video in videos}:
            raise SourceError(SIDECAR, "/videos", "folders of the images", sorted(unknown))
        return [
            replace(
                video,
                procedure_type=stated.get(composed(video.video), {}).get("procedure_type", value["procedure_type"]),
                patient=stated.get(composed(video.video), {}).get("patient"),
            )
            for video in videos
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Boxes, masks and frames."""
        wanted = pl.col("video").is_in([video.video for video in videos])
        files = dict.fromkeys(file for video in videos for file in video.label_files)
        return NativeLabels.concat(
            {kind: rows.filter(wanted)} for part in _records(root, list(files)) for kind, rows in part.items()
        )


def _records(root: Path, files: list[str]) -> Iterator[dict[str, pl.DataFrame]]:
    found = [coco(root, file, annotation_fields={"id": INTEGER, "segmentation": SEGMENTATION}) for file in files]
    if not found:
        return
    frames = pl.concat(_placed(root, file.images) for file in found)
    require(
        frames,
        pl.col("file_name").n_unique().over("video", "frame_index") == 1,
        "image ids that no other file uses for another image of the folder",
        "file_name",
    )
    shown = frames.drop_nulls("path").unique(["video", "frame_index"], keep="first", maintain_order=True)
    yield {"images": shown.with_columns(file="path", locator=pl.lit(WHOLE_FILE))}
    rows = [_placed(root, file.annotations).drop("path") for file in found]
    masks, encoded = zip(*(coco_masks(file, drawn) for file, drawn in zip(found, rows, strict=True)), strict=True)
    place = pl.concat_list(pl.col(side).round(1) for side in SIDES)
    boxes, again = repeats(pl.concat(rows).with_columns(place=place), ["video", "frame_index", "category", "place"])
    kept = boxes.select("file", "locator")
    yield {"boxes": boxes, "rejects": pl.concat([again, *encoded])}
    yield {"masks": pl.concat(masks).join(kept, on=["file", "locator"], how="semi", maintain_order="left")}


def _placed(root: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with the video, the frame, and where the image lies (null where it does not)."""
    inside = ~pl.col("file_name").str.contains(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^\w:")
    require(rows, inside, "a path below the folder as file_name", "file_name")
    names = rows["file_name"].unique().to_list()
    plain = {name: name.replace("\\", "/").removeprefix("./") for name in names}
    paths = {
        name: next((f"{folder}{path}" for folder in FOLDERS if (root / folder / path).is_file()), None)
        for name, path in plain.items()
    }
    folder = pl.col("file_name").replace_strict(plain, return_dtype=pl.String).str.extract(r"^(?:images/)?(.+)/[^/]+$")
    more = {"n_rows": pl.lit(1, pl.Int64), "field": pl.lit("object"), "unit": pl.lit("pixel")}
    if "category" in rows.columns:
        more |= {"raw_value": pl.col("category"), "instance": pl.col("id").cast(pl.String)}
    return rows.with_columns(
        video=pl.coalesce(folder, pl.col("file").str.extract(r"([^/]+)\.json$")),
        frame_index=pl.col("image_id"),
        path=pl.col("file_name").replace_strict(paths, return_dtype=pl.String),
        **more,
    )


def _files(root: Path) -> list[str]:
    for place in PLACES:
        if files := sorted(path.relative_to(root).as_posix() for path in root.glob(place)):
            return files
    return []


ADAPTER = CocoFolder()
