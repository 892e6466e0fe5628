"""Cataract-101: 101 cataract operations with the first frame of each phase."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    NUMBER,
    TEXT,
    footage,
    in_order,
    named,
    on_lines,
    require,
    table,
)

ANNOTATIONS, VIDEOS, PHASES = FILES = ("annotations.csv", "videos.csv", "phases.csv")
COLUMNS = {
    ANNOTATIONS: {"VideoID": INDEX, "FrameNo": INDEX, "Phase": INTEGER},
    VIDEOS: {"VideoID": INDEX, "Frames": INDEX, "FPS": NUMBER, "Surgeon": TEXT, "Experience": TEXT},
    PHASES: {"Phase": INTEGER, "Meaning": TEXT},
}


class Cataract101(Adapter):
    """Three tables with semicolons. A line of annotations.csv is a row, counted in `intervals` or `rejects`.

    A phase runs until the next line of its video, the last one to the last frame that videos.csv states;
    frames before the first line have no phase. Frames count from 0. phases.csv names the ids.
    """

    name = "cataract101"
    title = "Cataract-101"
    specialty = "Ophthalmology"
    procedure_type = "procedure/cataract_surgery"
    licence = Licence("CC-BY-NC-4.0", "https://creativecommons.org/licenses/by-nc/4.0/", non_commercial=True)
    citation = "Schoeffmann et al., Cataract-101, ACM MMSys 2018, doi:10.1145/3204949.3208137"
    url = "http://ftp.itec.aau.at/datasets/ovid/cat-101/"
    format_source = "users' reports"
    yields = ("intervals:phase",)
    signature = FILES

    def detect(self, root: Path) -> str | None:
        """Evidence: the annotations with their header."""
        try:
            _table(root, ANNOTATIONS)
        except SourceError:
            return None
        return f"{self.title}: found {ANNOTATIONS}"

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of videos.csv and of annotations.csv, with or without footage."""
        facts = _table(root, VIDEOS)
        rates = {
            f"case_{id_}": rate for id_, rate in facts.filter(pl.col("FPS") > 0).select("VideoID", "FPS").iter_rows()
        }
        named_in = {f"case_{id_}" for rows in (facts, _table(root, ANNOTATIONS)) for id_ in rows["VideoID"]}
        media = footage(root, ["videos/*"], r"videos/(case_\d+)")
        videos = self.listed(root, [dict.fromkeys(named_in, FILES)], media, "video", 25.0)
        return [replace(video, frame_rate=rates.get(video.video, 25.0)) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases. A line that cannot be right is an error of its video alone: the lines of others are not looked at."""
        labelled = [video.video for video in videos if video.label_files]
        if not labelled:
            return NativeLabels()
        names = dict(_table(root, PHASES).select("Phase", "Meaning").iter_rows())
        rows, facts = (
            on_lines(_table(root, file), pl.format("case_{}", "VideoID")).filter(pl.col("video").is_in(labelled))
            for file in (ANNOTATIONS, VIDEOS)
        )
        require(facts, pl.col("VideoID").is_first_distinct(), "each VideoID once", "VideoID")
        require(facts, pl.col("FPS") > 0, "frames a second as FPS", "FPS")
        rows = rows.with_columns(raw_value=named(rows, "Phase", names, PHASES).str.strip_chars())
        rows = rows.join(facts.select("VideoID", "Frames", "FPS"), on="VideoID", how="left", maintain_order="left")
        require(rows, pl.col("Frames").is_not_null(), f"a video of {VIDEOS}", "VideoID")
        require(rows, pl.col("FrameNo") < pl.col("Frames"), f"a frame below Frames of {VIDEOS}", "FrameNo")
        end = pl.col("FrameNo").shift(-1).over("VideoID").fill_null(pl.col("Frames"))
        phases = rows.sort("VideoID", "FrameNo", "line").with_columns(
            field=pl.lit("phase"),
            start_frame="FrameNo",
            end_frame=end - 1,
            start_s=pl.col("FrameNo") / pl.col("FPS"),
            end_s=end / pl.col("FPS"),
        )
        intervals, rejects = in_order(phases)
        return NativeLabels.concat([{"intervals": intervals, "rejects": rejects}])


def _table(root: Path, file: str) -> pl.DataFrame:
    return table(root, file, COLUMNS[file], separator=";")


ADAPTER = Cataract101()
