"""HeiChole: 24 laparoscopic cholecystectomies of three hospitals; phases, actions and tools of every frame."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    BINARY,
    INDEX,
    INTEGER,
    LINES,
    Kind,
    at,
    footage,
    matching,
    named,
    presences,
    require,
    runs,
    steady,
    table,
)

AT_50_FPS = (16, 17, 18, 19, 20, 23, 24)  # the other videos have 25 fps
PHASES = (  # by id, as the README names them
    "Preparation",
    "Calot triangle dissection",
    "Clipping and cutting",
    "Gallbladder dissection",
    "Gallbladder packaging",
    "Cleaning and coagulation",
    "Gallbladder retraction",
)
ACTIONS = ("Grasp", "Hold", "Cut", "Clip")
IDLE = "no action"
TOOLS = {
    0: "Grasper",
    1: "Clipper",
    2: "Coagulation",
    3: "Scissors",
    4: "Suction-irrigation",
    5: "Specimen bag",
    6: "Stapler",
    20: "Undefined instrument shaft",
}
SLOTS = [TOOLS.get(slot, f"slot {slot}") for slot in range(21)]
COLUMNS: dict[str, dict[str, Kind]] = {
    "phase": {"frame_index": INDEX, "id": INTEGER},
    "action": {"frame_index": INDEX, **dict.fromkeys(ACTIONS, BINARY)},
    "instrument": {"frame_index": INDEX, **dict.fromkeys(SLOTS, BINARY)},
}
LEVELS = ("", "[Pp]hase/", "[Aa]ction/", "[Ii]nstrument/")
FOLDERS = (*LEVELS, *(f"[Aa]nnotations/{level}" for level in LEVELS))
NAMES = ("[Pp]hase", "[Aa]ction", "[Ii]nstrument")


class HeiChole(Adapter):
    """Comma-separated text without a header: frame number from 0, at the video's own rate of 25 or 50 fps.

    Phases are ids, counted in `intervals`. Actions are four columns of 0 or 1, counted in `intervals` too,
    and none of them is one as well. The instrument file has 21 slots of categories, of which 7 to 19 are
    unused and must be 0 (in a file of single tools they are not). Its rows of one second that agree are one
    record of `presences` at the first of them. `*_Detailed.csv`, skill and raw annotations are not read.
    """

    name = "heichole"
    title = "HeiChole"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = Licence("not stated", redistribution=False)
    citation = "Wagner et al., Medical Image Analysis 2023, arXiv:2109.14956"
    url = "https://www.synapse.org/heichole"
    format_source = "users' reports"
    yields = ("intervals:action", "intervals:phase", "presences:instrument")
    signature = tuple(f"{folder}[Hh]ei-[Cc]hole*_[Aa]nnotation_{name}.csv" for folder in FOLDERS for name in NAMES)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have annotations or a video file, by the number in their names."""
        labels = matching(
            root, self.signature, r"(?i)(?:\w+/)*hei-chole(\d+)_annotation_(?:phase|action|instrument)\.csv"
        )
        media = footage(root, ("*", "*/*", "*/*/*", "*/*/*/*"), r"(?i:(?:[^/]+/)*hei-?chole)(\d+)")
        found = self.listed(root, [_by_name(labels)], _by_name(media), "video", 25.0)
        return [
            replace(video, frame_rate=50.0) if int(video.video.removeprefix("Hei-Chole")) in AT_50_FPS else video
            for video in found
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, actions and tool presences."""
        return NativeLabels.concat(
            part for video in videos for file in video.label_files for part in _records(root, video, file)
        )


def _by_name(files: dict[str, list[str]]) -> dict[str, list[str]]:
    return {f"Hei-Chole{int(number)}": found for number, found in files.items()}


def _records(root: Path, video: NativeVideo, file: str) -> Iterator[dict[str, pl.DataFrame]]:
    kind = file.removesuffix(".csv").rpartition("_")[2].lower()
    rows = steady(table(root, file, COLUMNS[kind], header=False)).with_columns(video=pl.lit(video.video))
    if kind == "phase":
        rows = rows.with_columns(phase=named(rows, "id", dict(enumerate(PHASES)), "phases"))
        yield {"intervals": runs(rows, "phase", "phase", video.frame_rate)}
    elif kind == "action":
        rows = rows.with_columns((~pl.any_horizontal(ACTIONS)).alias(IDLE))
        for action in (*ACTIONS, IDLE):
            shown = rows.filter(action).with_columns(action=pl.lit(action))
            yield {"intervals": runs(shown, "action", "action", video.frame_rate)}
    else:
        unused = [slot for slot in SLOTS if slot not in TOOLS.values()]
        require(rows, ~pl.any_horizontal(unused), "0 in the unused slots 7 to 19", "frame_index")
        yield {"presences": presences(_seconds(rows, int(video.frame_rate)), [*TOOLS.values()], "instrument")}


def _seconds(rows: pl.DataFrame, frame_rate: int) -> pl.DataFrame:
    """Rows of one second with the same tools as one row, at the first of their frames."""
    state = [*(pl.col(tool) for tool in TOOLS.values()), pl.col("frame_index") // frame_rate]
    run = pl.any_horizontal(value != value.shift(1) for value in state).fill_null(True).cum_sum()
    return (
        rows.group_by(run.alias("run"), maintain_order=True)
        .agg(
            pl.col("video", "file", "frame_index", *TOOLS.values()).first(),
            first=pl.col("line").first(),
            last=pl.col("line").last(),
            n_rows=pl.len().cast(pl.Int64),
        )
        .with_columns(locator=at(LINES, "first", "last"))
    )


ADAPTER = HeiChole()
