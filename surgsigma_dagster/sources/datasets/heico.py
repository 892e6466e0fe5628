"""HeiCo: 30 laparoscopic colorectal operations, a phase a frame, instrument instances on sampled frames."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    footage,
    matching,
    named,
    reject,
    require,
    runs,
    steady,
    table,
)
from surgsigma_dagster.sources.readers.mask_images import mask_values

FRAME_RATE = 25.0
TYPES = ("Proctocolectomy", "Rectal Resection", "Sigmoid Resection")
STILLS = "Instrument segmentations"
INSTANCES = "instrument_instances"
NAMES = ("raw", INSTANCES)
CASE = rf"((?:{'|'.join(TYPES)})/\d+)"
PHASES = dict(
    enumerate(
        (
            "Preparation and orientation at abdomen",
            "Dissection of lymphnodes and blood vessels",
            "Retroperitoneal preparation to lower pancreatic border",
            "Retroperitoneal preparation of duodenum and pancreatic head",
            "Mobilizing the sigmoid and the descending colon",
            "Mobilizing the spenic flexure",
            "Mobilizing the tranverse colon",
            "Mobilizing the ascending colon",
            "Dissection and resection of rectum",
            "Preparing the anastomosis extraabdominally",
            "Preparing the anastomosis intraabdominally",
            "Placing stoma",
            "Finishing the operation",
            "Exception",
        )
    )
)  # as the challenge of 2017 lists them


class HeiCo(Adapter):
    """A folder a type of surgery, in it a folder a case: csv of phases, video, and a folder a segmented frame.

    A line of the csv (frame, phase; no header; every 25 fps frame from 0) is a row, counted in `intervals`.
    Folders of segmented frames are named by frame number: each value above 0 of their mask is an instance
    (`masks`); where there is no mask file, no instrument is in view (`presences`). Files of 0 bytes are
    interrupted downloads (`rejects`). Frames are those of the video; without it, they are the stills. The
    device csv is not read.
    """

    name = "heico"
    title = "HeiCo"
    specialty = "Colorectal"
    procedure_type = "procedure/colorectal_resection"
    licence = Licence("not stated", redistribution=False)
    citation = "Maier-Hein et al., HeiCo, Scientific Data 8, 101, 2021, arXiv:2005.03501"
    url = "https://www.synapse.org/#!Synapse:syn21903917"
    format_source = "users' reports"
    yields = ("intervals:phase", "masks:instrument", "presences:instrument")
    signature = (
        *(f"{kind}/*/*_Phase.csv" for kind in TYPES),
        *(f"{kind}/*/{STILLS}/*/raw.png" for kind in TYPES),
    )

    def videos(self, root: Path) -> list[NativeVideo]:
        """Cases, e.g. RectalResection_1."""
        labels = (self.signature[:3], [f"{kind}/*/{STILLS}/*/{name}.png" for name in NAMES for kind in TYPES])
        found = [matching(root, globs, rf"{CASE}/.*") for globs in labels]
        stills = {case: [f"{case}/{STILLS}"] for case in found[1]}
        media = footage(root, [f"{kind}/*/*" for kind in TYPES], rf"{CASE}/[\w ]+_\d+")
        cases = self.listed(root, found, {**stills, **media}, "video", FRAME_RATE)
        return sorted(map(_named, cases), key=lambda case: case.video)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, instrument instances, frames without instruments, and stills where there is no video."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _named(case: NativeVideo) -> NativeVideo:
    media = "images" if str(case.path).endswith(STILLS) else case.media
    return replace(case, video=case.video.replace(" ", "").replace("/", "_"), media=media)


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    for file in [file for file in video.label_files if file.endswith(".csv")]:
        rows = steady(table(root, file, {"frame_index": INDEX, "phase": INTEGER}, header=False))
        rows = rows.with_columns(
            video=pl.lit(video.video), phase=named(rows, "phase", PHASES, "the 14 phases of HeiCo")
        )
        yield {"intervals": runs(rows, "phase", "phase", FRAME_RATE)}
    stills, masks = (_frames(root, video, name) for name in NAMES)
    unseen = stills.join(masks, on="frame_index", how="anti").with_columns(present=pl.lit(False))
    stills, lost = reject(stills, pl.col("size") == 0, "empty_file", "The image has 0 bytes.")
    masks, unsaved = reject(masks, pl.col("size") == 0, "empty_file", "The mask has 0 bytes.")
    values, unreadable = mask_values(root, masks)
    drawn = pl.col("mask_value") > 0
    blank = ~drawn.any().over("file")
    values, undrawn = reject(values, blank, "empty_mask", "The mask has no instance, and no frame has an empty mask.")
    instances = values.filter(drawn).with_columns(instance=pl.col("mask_value").cast(pl.String))
    seen = instances.unique("frame_index", maintain_order=True).with_columns(present=pl.lit(True))
    if video.media == "images":
        yield {"images": stills}
    yield {"masks": instances, "presences": seen, "rejects": pl.concat([lost, unsaved, unreadable, undrawn])}
    yield {"presences": unseen.filter(pl.col("size") > 0)}


def _frames(root: Path, video: NativeVideo, name: str) -> pl.DataFrame:
    files = [file for file in video.label_files if file.endswith(f"/{name}.png")]
    sizes = [(root / file).stat().st_size for file in files]
    rows = pl.DataFrame({"file": files, "size": sizes}, schema={"file": pl.String, "size": pl.Int64})
    folder = pl.col("file").str.extract(rf"/([^/]+)/{name}\.png$")
    rows = rows.with_columns(
        video=pl.lit(video.video),
        frame_index=folder.str.extract(r"^(\d{1,9})$").cast(pl.Int64),
        field=pl.lit("instrument"),
        raw_value=pl.lit(INSTANCES),
        locator=pl.lit(WHOLE_FILE),
        n_rows=pl.lit(1, pl.Int64),
    )
    return require(rows, pl.col("frame_index").is_not_null(), "a folder named by a frame number", "file")


ADAPTER = HeiCo()
