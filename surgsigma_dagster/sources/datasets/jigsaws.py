"""JIGSAWS: gestures of dry-lab suturing, needle passing and knot tying with a da Vinci robot."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import INDEX, TEXT, divided, footage, listing, on_lines, require, spaced

FRAME_RATE = 30.0
TASKS = {
    "Suturing": "procedure/dry_lab_suturing",
    "Needle_Passing": "procedure/dry_lab_needle_passing",
    "Knot_Tying": "procedure/dry_lab_knot_tying",
}
COLUMNS = {"start_frame": INDEX, "end_frame": INDEX, "raw_value": TEXT}


class Jigsaws(Adapter):
    """A text file a trial: first frame, last frame (inclusive), gesture; frames count from 1 at 30 fps.

    A line is a row, counted in `intervals`. Frames before the first and after the last gesture have none. The
    left camera is the video (`_capture1`). Kinematics and skill scores have no record kind and are not read.
    """

    name = "jigsaws"
    title = "JIGSAWS"
    specialty = "General"
    procedure_type = "procedure/dry_lab_training"
    licence = Licence("research agreement", redistribution=False)
    citation = "Ahmidi et al., IEEE Trans. Biomed. Eng. 64:2025-2041, 2017"
    url = "https://cirl.lcsr.jhu.edu/research/hmm/datasets/jigsaws_release/"
    format_source = "owner's documentation"
    yields = ("intervals:action",)
    signature = tuple(f"{task}/transcriptions/{task}_*.txt" for task in TASKS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Trials that have a transcription or a video."""
        labels: list[dict[str, list[str]]] = []
        media: dict[str, list[str]] = {}
        for task in TASKS:
            labels.append(listing(root, f"{task}/transcriptions", rf"({task}_[A-Z]\d{{3}})\.txt"))
            media |= footage(root, [f"{task}/video/*"], rf"{task}/video/({task}_[A-Z]\d{{3}})_capture1")
        return [
            replace(video, first_index=1, procedure_type=TASKS[video.video.rpartition("_")[0]])
            for video in self.listed(root, labels, media, "video", FRAME_RATE)
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Gestures."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        first, last = pl.col("start_frame"), pl.col("end_frame")
        for video in videos:
            rows = spaced(root, video.label_files, COLUMNS)
            later, gesture = first > last.shift(1, fill_value=0), pl.col("raw_value").str.contains(r"^G\d{1,2}$")
            require(rows, later, "a frame after the gesture before", "start_frame")
            require(rows, last >= first, "a last frame that is not before the first", "end_frame")
            require(rows, gesture, "a gesture, G1 to G15", "raw_value")
            intervals = on_lines(rows, video.video).with_columns(
                field=pl.lit("action"),
                start_s=divided(first - 1, FRAME_RATE),
                end_s=divided(last, FRAME_RATE),
            )
            yield {"intervals": intervals}


ADAPTER = Jigsaws()
