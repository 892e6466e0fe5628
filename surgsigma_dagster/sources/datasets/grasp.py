"""GraSP: 13 robot-assisted radical prostatectomies, phases, steps, instrument masks and actions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    TEXT,
    categories,
    coco,
    document,
    images,
    listing,
    many,
    moments,
    named,
    records,
    regions,
    reject,
    require,
    runs,
    section,
)

FRAME_RATE = 1.0
BASES = ("", "GraSP_1fps/", "GraSP/GraSP_1fps/")
FASTER = ("GraSP_30fps/", "GraSP/GraSP_30fps/")
CASE = r"(CASE\d{3})"
PLACES = ("/annotations/{}", "/annotations/{}..{}")


class Grasp(Adapter):
    """The 1 fps release: COCO-like files of phase and step each second, and of instruments every 35 seconds.

    A long-term annotation is a row, counted in the `intervals`, a run of equal phase and step, that it falls
    in. A short-term annotation is a row, counted in `boxes`; its actions are `triplets` without a target. Its
    phase and step are read for cases that no long-term file has. Regions are read from the grey masks, whose
    values are taken for instrument ids where they are those of the frame's boxes, and rejected where not. The
    folds are halves of train, and read only where train is missing. In the 30 fps release the frames of cases
    have different rates, none of them stated: it is not read.
    """

    name = "grasp"
    title = "GraSP"
    specialty = "Urology"
    procedure_type = "procedure/prostatectomy"
    licence = Licence("not stated", redistribution=False)
    citation = "Ayobi et al., 2024, arXiv:2401.11174"
    url = "https://github.com/BCV-Uniandes/GraSP"
    format_source = "owner's documentation"
    yields = (
        "boxes:instrument",
        "intervals:phase",
        "intervals:step",
        "masks:instrument",
        "presences:instrument",
        "triplets",
    )
    signature = tuple(f"{base}annotations/grasp_*-term_*.json" for base in (*BASES, *FASTER))

    def videos(self, root: Path) -> list[NativeVideo]:
        """Cases that have labels or frames."""
        base = _base(root)
        faster = next((folder for folder in FASTER if (root / folder).is_dir()), None)
        if faster and not (root / base / "annotations").is_dir():
            raise SourceError(root / faster, "", "GraSP_1fps beside it", "the 30 fps release alone, which is not read")
        labels: list[dict[str, list[str]]] = []
        for file in _files(root, base):
            shown = _framed(_images(file, document(root, file)))["video"]
            labels.append({case: [file] for case in shown.unique()})
        cases = listing(root, f"{base}annotations/segmentations", CASE)
        masks = {case: listing(root, folder, r"(\d{5})\.png") for case, (folder,) in cases.items()}
        labels.append({case: [file for (file,) in found.values()] for case, found in masks.items()})
        return self.listed(root, labels, listing(root, f"{base}frames", CASE), "images", FRAME_RATE)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, steps, boxes, masks, instruments with their actions, and frames."""
        wanted = pl.col("video").is_in([video.video for video in videos])
        return NativeLabels.concat(
            {kind: rows.filter(wanted) for kind, rows in part.items()} for part in self._records(root, videos)
        )

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        shown, copies = images(root, [video.path for video in videos if video.path], r"(?P<frame>\d{5})")
        yield {"images": shown, "rejects": copies}
        files = dict.fromkeys(file for video in videos for file in video.label_files)
        timed: set[str] = set()
        for file in [file for file in files if "long-term" in file]:
            rows = _long_term(root, file)
            timed |= set(rows["video"])
            for field in ("phase", "step"):
                spans = runs(rows, "both", field, FRAME_RATE, places=PLACES)
                part = pl.col("raw_value").str.split("\t").list.get(field == "step")
                yield {"intervals": spans.with_columns(raw_value=part)}
        classes: dict[int, str] = {}
        boxed: list[pl.DataFrame] = []
        for file in [file for file in files if "short-term" in file]:
            rows, found = _short_term(root, file)
            if classes and found != classes:
                raise SourceError(file, "/categories", f"the instruments {classes}", found)
            classes = found
            boxed.append(rows.select("video", "frame_index", "category"))
            yield {"boxes": rows.with_columns(field=pl.lit("instrument"), raw_value="category")}
            actions = rows.explode("actions", empty_as_null=False)
            yield {"triplets": actions.with_columns(raw_instrument="category", raw_verb="actions")}
            for field in ("phase", "step"):
                untimed = rows.filter(~pl.col("video").is_in(timed))
                yield {"intervals": moments(untimed, field, field, FRAME_RATE)}
        shapes = [file for file in files if file.endswith(".png")]
        masks = pl.DataFrame({"file": shapes}, schema={"file": pl.String})
        if masks.height and not classes:
            raise SourceError(masks["file"][0], "", "a short-term file that names its values", "no such file")
        place = masks["file"].str.extract_groups(rf"{CASE}/(\d{{5}})\.png$").struct
        masks = masks.with_columns(video=place.field("1"), frame_index=place.field("2").cast(pl.Int64))
        yield _agreeing(regions(root, masks, classes, "instrument"), boxed)


def _agreeing(found: dict[str, pl.DataFrame], boxed: list[pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Records of the masks that show what their frame's boxes name, and rejects: no document says what values mean."""
    if not boxed:
        return found
    frame, names = ["video", "frame_index"], pl.col("raw_value").unique().sort().str.join(", ")
    drawn = found["masks"].group_by("file").agg(drawn=names)
    said = pl.concat(boxed).rename({"category": "raw_value"}).group_by(frame).agg(said=names)
    one = found["presences"].unique("file", maintain_order=True).join(drawn, on="file", how="left").join(said, on=frame)
    apart = one.with_columns(pl.col("drawn").fill_null("nothing")).filter(pl.col("drawn") != pl.col("said"))
    reason = pl.format("The mask shows {}, the boxes of its frame are of {}.", "drawn", "said")
    _, rejects = reject(apart, pl.lit(True), "mask_unlike_boxes", reason)
    kept = {kind: found[kind].join(apart, on="file", how="anti") for kind in ("masks", "presences")}
    return {**kept, "rejects": pl.concat([found["rejects"], rejects])}


def _base(root: Path) -> str:
    return next((base for base in BASES if (root / base / "annotations").is_dir()), BASES[0])


def _files(root: Path, base: str) -> list[str]:
    found = []
    for term in ("long", "short"):
        there = listing(root, f"{base}annotations", rf"grasp_{term}-term_(train|test|fold1|fold2)\.json")
        splits = ("train", "test") if "train" in there else ("fold1", "fold2", "test")
        found += [there[split][0] for split in splits if split in there]
    return found


def _images(file: str, value: Any) -> pl.DataFrame:
    rows = records(file, section(file, value, "images"), {"id": INTEGER, "file_name": TEXT})
    return require(rows, pl.col("id").is_first_distinct(), "an id that no other image has", "id")


def _framed(rows: pl.DataFrame) -> pl.DataFrame:
    frame = pl.col("file_name").str.extract_groups(rf"^{CASE}/(\d{{5}})\.jpg$").struct
    expected = "CASE…/NNNNN.jpg, as in GraSP_1fps, whose frames count seconds"
    require(rows, frame.field("2").is_not_null(), expected, "file_name")
    return rows.with_columns(
        video=frame.field("1"), frame_index=frame.field("2").cast(pl.Int64), n_rows=pl.lit(1, pl.Int64)
    )


def _long_term(root: Path, file: str) -> pl.DataFrame:
    value = document(root, file)
    shown = _framed(_images(file, value)).select("video", "frame_index", image_id="id")
    rows = records(
        file,
        section(file, value, "annotations"),
        {"image_id": INTEGER, "phases": INTEGER, "steps": INTEGER},
    )
    require(rows, pl.col("image_id").is_in(shown["image_id"].implode()), "the id of an image", "image_id")
    require(rows, pl.col("image_id").is_first_distinct(), "one annotation an image", "image_id")
    return (
        _named(rows, file, value)
        .join(shown, on="image_id", how="left", maintain_order="left")
        .with_columns(
            line=pl.col("locator").str.extract(r"(\d+)$").cast(pl.Int64),
            both=pl.format("{}\t{}", "phase", "step"),
        )
    )


def _short_term(root: Path, file: str) -> tuple[pl.DataFrame, dict[int, str]]:
    fields = {"id": INTEGER, "actions": many(INTEGER), "phases": INTEGER, "steps": INTEGER}
    found = coco(root, file, annotation_fields=fields)
    names = categories(file, found.document.get("actions_categories"), "/actions_categories")
    known = pl.Series([*names], dtype=pl.Int64)
    rows = _framed(found.annotations)
    unknown = pl.col("actions").list.set_difference(pl.lit(known.implode()))
    require(rows, unknown.list.len() == 0, "ids of /actions_categories", "actions")
    spoken = pl.element().replace_strict(known, pl.Series([*names.values()], dtype=pl.String), default=None)
    rows = _named(rows, file, found.document).with_columns(
        actions=pl.col("actions").list.eval(spoken),
        instance=pl.col("id").cast(pl.String),
        unit=pl.lit("pixel"),
    )
    return rows, categories(file, found.document.get("categories"), "/categories")


def _named(rows: pl.DataFrame, file: str, value: Any) -> pl.DataFrame:
    return rows.with_columns(
        named(rows, f"{kind}s", categories(file, value.get(f"{kind}s_categories"), f"/{kind}s_categories"), kind).alias(
            kind
        )
        for kind in ("phase", "step")
    )


ADAPTER = Grasp()
