"""Cataract-1K: phases of 56 cataract operations, instances of instruments and eye parts in still images."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    NUMBER,
    SEGMENTATION,
    TEXT,
    coco,
    coco_masks,
    footage,
    images,
    in_order,
    matching,
    on_lines,
    require,
    table,
)

NTSC = 60000 / 1001  # frames a second, where no case_…_video.csv states them
BASES = ("", "*/")
PHASES = tuple(f"{base}annotations/case_*/case_*_annotations_phases.csv" for base in BASES)
CLOCKS = tuple(f"{base}annotations/case_*/case_*_video.csv" for base in BASES)
COCO = tuple(f"{base}Annotations/Coco-Annotations/case_*/annotations/instances.json" for base in BASES)
STILLS = "Annotations/Images[-_]and[-_]Supervisely[-_]Annotations/case_*/img"  # "-" on disk, "_" in the README
EXTENDED, EXTENDED_HEADER = "annotations.csv", ["VideoID", "FrameNo", "Phase"]
COLUMNS = {"caseId": INDEX, "comment": TEXT, "frame": INDEX, "endFrame": INDEX, "sec": NUMBER, "endSec": NUMBER}
CLOCK = {"caseId": INDEX, "width": INDEX, "height": INDEX, "frames": INDEX, "fps": NUMBER}


class Cataract1K(Adapter):
    """A csv of phases a video, and a COCO file for the stills of a case.

    A line of the csv is a row, counted in `intervals`; time between its lines is idle. An annotation is a row,
    counted in `boxes`, and its polygons are `masks`; COCO files number their categories each in its own way.
    Stills are named by case and a running number, which is no time: they are an image sequence beside the
    video of the same case. In the masks, Cornea is the iris and Lens is the artificial lens.

    The extended release of 303 videos (one annotations.csv, a line a second) is recognised and not read: nothing
    that is published names its phases.
    """

    name = "cataract1k"
    title = "Cataract-1K"
    specialty = "Ophthalmology"
    procedure_type = "procedure/cataract_surgery"
    licence = Licence("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/")
    citation = "Ghamsarian et al., Cataract-1K, 2023, arXiv:2312.06295"
    url = "https://github.com/Negin-Ghamsarian/Cataract-1K"
    format_source = "users' reports"
    timed = False  # of the stills
    yields = ("boxes:object", "intervals:phase", "masks:object")
    signature = (*PHASES, *COCO)

    def detect(self, root: Path) -> str | None:
        """Evidence: a file of the release that is read, or else the table of the one that is not."""
        if _is_extended(root):
            return super().detect(root) or f"{self.title}: found {EXTENDED} of the extended release, which is not read"
        return super().detect(root)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos (case_5013) of the phases, and sequences of stills (case5013)."""
        phases = matching(root, PHASES, r"(?:.*/)?(case_\d+)_annotations_phases\.csv")
        clocks = matching(root, CLOCKS, r"(?:.*/)?(case_\d+)_video\.csv")
        media = footage(root, [f"{base}videos/case_*" for base in BASES], r"(?:.*/)?(case_\d+)")
        drawn = matching(root, COCO, r".*/case_(\d+)/annotations/instances\.json")
        shown = matching(root, [f"{base}{STILLS}" for base in BASES], r".*/case_(\d+)/img")
        labels = [phases, {case: files for case, files in clocks.items() if case in phases}]
        labels.append({f"case{case}": files for case, files in drawn.items()})
        folders = {f"case{case}": files for case, files in shown.items()}
        if phases:
            media = {video: files for video, files in media.items() if video in phases}
        if not phases and not drawn and _is_extended(root):
            expected = "the release of 56 videos, with a case_…_annotations_phases.csv each, or Coco-Annotations"
            raise SourceError(EXTENDED, "line 1", expected, "the extended release of 303 videos, which is not read")
        videos = self.listed(root, labels, {**media, **folders}, "video", NTSC)
        return [_sequence(video) if "_" not in video.video else _timed(root, video) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases; boxes, masks and frames of stills."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _is_extended(root: Path) -> bool:
    try:
        with (root / EXTENDED).open(encoding="utf-8-sig") as rows:
            return [cell.strip() for cell in rows.readline(200).split(",")][:3] == EXTENDED_HEADER
    except (OSError, UnicodeDecodeError):
        return False


def _sequence(video: NativeVideo) -> NativeVideo:
    media = "images" if video.media == "video" else video.media
    return replace(video, media=media, frame_rate=1.0, patient=video.video.removeprefix("case"))


def _timed(root: Path, video: NativeVideo) -> NativeVideo:
    rate = NTSC
    for file in [file for file in video.label_files if file.endswith("_video.csv")]:
        facts = table(root, file, CLOCK)
        require(facts, (pl.col("fps") > 0) & (pl.col("line") == 2), "one line, with frames a second as fps", "fps")
        rate = dict(facts.select("line", "fps").iter_rows()).get(2, NTSC)
    return replace(video, frame_rate=rate, patient=video.video.removeprefix("case_"), timed=True)


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    if video.media == "images":
        shown, copies = images(root, [str(video.path)], r"case\d+_(?P<frame>\d+)", video.video)
        yield {"images": shown, "rejects": copies}
    for file in video.label_files:
        if file.endswith("_annotations_phases.csv"):
            yield _phases(root, video, file)
        elif file.endswith(".json"):
            yield from _instances(root, video, file)


def _phases(root: Path, video: NativeVideo, file: str) -> dict[str, pl.DataFrame]:
    rows = on_lines(table(root, file, COLUMNS), video.video)
    require(rows, pl.format("case_{}", "caseId") == video.video, f"the number of {video.video} as caseId", "caseId")
    for frame, second in (("frame", "sec"), ("endFrame", "endSec")):
        near = (pl.col(frame) - pl.col(second) * video.frame_rate).abs() <= 1.5
        require(rows, near, f"{frame} within a frame of {second} x {video.frame_rate:.2f} frames a second", frame)
    rows = rows.with_columns(
        field=pl.lit("phase"),
        raw_value=pl.col("comment").str.strip_chars(),
        **{"start_frame": "frame", "end_frame": "endFrame", "start_s": "sec", "end_s": "endSec"},
    )
    intervals, rejects = in_order(rows)
    return {"intervals": intervals, "rejects": rejects}


def _instances(root: Path, video: NativeVideo, file: str) -> Iterator[dict[str, pl.DataFrame]]:
    found = coco(root, file, annotation_fields={"id": INTEGER, "segmentation": SEGMENTATION})
    name = pl.col("file_name").str.extract_groups(r"^(?:.*/)?(case\d+)_(\d{1,9})\.\w+$").struct
    rows = require(
        found.annotations, name.field("1") == video.video, f"{video.video}_number.png as file_name", "file_name"
    ).with_columns(
        video=name.field("1"),
        frame_index=name.field("2").cast(pl.Int64),
        n_rows=pl.lit(1, pl.Int64),
        field=pl.lit("object"),
        raw_value="category",
        unit=pl.lit("pixel"),
        instance=pl.col("id").cast(pl.String),
    )
    masks, encoded = coco_masks(found, rows)
    yield {"boxes": rows, "masks": masks, "rejects": encoded}


ADAPTER = Cataract1K()
