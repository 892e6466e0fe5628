"""PitVis 2023: endoscopic pituitary operations, a step and up to two instruments for each second."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    TEXT,
    footage,
    matching,
    named,
    on_lines,
    presences,
    require,
    runs,
    steady,
    table,
)

FRAME_RATES = {"24": 25.0}  # of the others: 24
STEPS, INSTRUMENTS = "map_steps.csv", "map_instruments.csv"
COLUMNS = {
    **{"int_video": INDEX, "int_time": INDEX},
    **dict.fromkeys(("int_step", "int_instrument1", "int_instrument2"), INTEGER),
}
OUT, UNSEEN, UNUSED = -1, 0, -2  # the three ways to say nothing


class PitVis(Adapter):
    """A csv a video, one line for each second; the line of second t speaks of frame t x frame rate.

    A line is a row, counted in the `intervals` of steps, or of the event out_of_patient: step and first
    instrument are -1 there. Instrument 0 is none visible or an occluded image: it says nothing of any
    instrument. Where a line names its instruments and leaves none open, the others are absent (`presences`).
    The last line of a file has no frame. map_steps.csv and map_instruments.csv name the ids.
    """

    name = "pitvis"
    title = "PitVis 2023"
    specialty = "Neurosurgery"
    procedure_type = "procedure/pituitary_surgery"
    licence = Licence("not stated", redistribution=False)
    citation = "Das et al., PitVis-2023 Challenge, 2024, arXiv:2409.01184"
    url = "https://doi.org/10.5522/04/26531686"
    format_source = "users' reports"
    yields = ("intervals:event", "intervals:step", "presences:instrument")
    signature = ("annotations_[0-9][0-9].csv",)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have annotations (19 has none) or footage."""
        labels = matching(root, self.signature, r"annotations_(\d\d)\.csv")
        media = footage(root, ["video_*"], r"video_(\d\d)")
        videos = self.listed(root, [labels], media, "video", 24.0, shared=(STEPS, INSTRUMENTS))
        return [replace(video, frame_rate=FRAME_RATES.get(video.video, 24.0)) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Steps, time out of the patient, and instruments."""
        annotated = [video for video in videos if video.label_files[0] not in (STEPS, INSTRUMENTS)]
        if not annotated:
            return NativeLabels()
        names = _names(root, STEPS, "step"), _names(root, INSTRUMENTS, "instrument")
        return NativeLabels.concat(part for video in annotated for part in _records(root, video, *names))


def _records(
    root: Path, video: NativeVideo, steps: dict[int, str], instruments: dict[int, str]
) -> Iterator[dict[str, pl.DataFrame]]:
    seconds = steady(table(root, video.label_files[0], COLUMNS).rename({"int_time": "frame_index"}))
    require(seconds, pl.col("int_video") == int(video.video), f"{int(video.video)} as int_video", "int_video")
    out = pl.col("int_instrument1") == OUT
    require(seconds, (pl.col("int_step") == OUT) == out, "-1 in both step and instrument, or in neither", "int_step")
    first = {**instruments, OUT: "out_of_patient", UNSEEN: "none visible"}
    rows = on_lines(seconds, video.video).with_columns(
        frame_index=pl.col("frame_index") * int(video.frame_rate),
        step=named(seconds, "int_step", steps, STEPS, null=OUT),
        first=named(seconds, "int_instrument1", first, INSTRUMENTS),
        second=named(seconds, "int_instrument2", {**instruments, UNSEEN: "none visible"}, INSTRUMENTS, null=UNUSED),
    )
    rate, second = video.frame_rate, int(video.frame_rate)
    yield {"intervals": runs(rows.filter(~out), "step", "step", rate, step=second)}
    yield {"intervals": runs(rows.filter(out), "first", "event", rate, step=second)}
    seen = rows.filter(pl.col("int_instrument1") > UNSEEN).with_columns(
        ((pl.col("first") == name) | (pl.col("second") == name).fill_null(False)).alias(name)
        for name in instruments.values()
    )
    told = presences(seen, [*instruments.values()], "instrument")
    unclear = seen.filter(pl.col("int_instrument2") == UNSEEN)["frame_index"].implode()
    yield {"presences": told.filter(pl.col("present") | ~pl.col("frame_index").is_in(unclear))}


def _names(root: Path, file: str, kind: str) -> dict[int, str]:
    """Names from id 1 up; below, one id stands for several states."""
    rows = table(root, file, {f"int_{kind}": INTEGER, f"str_{kind}": TEXT})
    rows = rows.filter(pl.col(f"int_{kind}") > 0).with_columns(pl.col(f"str_{kind}").str.strip_chars())
    for column in (f"int_{kind}", f"str_{kind}"):
        require(rows, pl.col(column).is_first_distinct(), f"each {column} once", column)
    return dict(rows.select(f"int_{kind}", f"str_{kind}").iter_rows())


ADAPTER = PitVis()
