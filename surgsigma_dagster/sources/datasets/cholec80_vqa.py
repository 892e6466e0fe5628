"""Cholec80-VQA: questions and answers on frames of the first forty Cholec80 videos."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import matching, reject
from surgsigma_dagster.sources.readers.questions import questions

FRAME_RATE = 25.0  # of Cholec80, whose frame numbers the files bear
FORMS = {"Classification": "answer", "Sentence": "text"}
USED = 100  # the authors use every hundredth frame


class Cholec80Vqa(Adapter):
    """`{Classification,Sentence}/<video 1 to 40>/<frame>_QA.txt`, a line a question; frames as Cholec80 counts them.

    A line is a row, counted in `questions`; lines of frames that are no multiple of 100, which the authors' loader
    passes over, are `rejects`. What the questions state, Cholec80 states itself, so no other label is made of them.
    """

    name = "cholec80_vqa"
    title = "Cholec80-VQA"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = Licence("not stated", redistribution=False)  # of questions and answers: Cholec80's own is no word on them
    citation = "Seenivasan et al., Surgical-VQA, MICCAI 2022, arXiv:2206.11053"
    url = "https://github.com/lalithjets/Surgical_VQA"
    format_source = "owner's documentation"
    yields = ("questions:answer", "questions:text")
    signature = tuple(f"{form}/[0-9]*/*_QA.txt" for form in FORMS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have questions: their media are Cholec80's."""
        found = matching(root, self.signature, r"\w+/(\d{1,2})/\d+_QA\.txt")
        named = {f"video{int(number):02d}": files for number, files in found.items()}
        return [replace(video, media="none") for video in self.listed(root, [named], {}, "video", FRAME_RATE)]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Questions."""
        return NativeLabels.concat(_records(root, video) for video in videos)


def _records(root: Path, video: NativeVideo) -> dict[str, pl.DataFrame]:
    frame = pl.col("file").str.extract(r"/(\d{1,7})_QA\.txt$")
    asked = questions(root, video.label_files, video.video, frame).with_columns(
        field=pl.col("file").str.extract(r"^(\w+)/").replace_strict(FORMS, return_dtype=pl.String)
    )
    between = pl.col("frame_index") % USED != 0
    asked, unused = reject(asked, between, "frame_not_used", f"Only frames at multiples of {USED} are part of it.")
    return {"questions": asked, "rejects": unused}


ADAPTER = Cholec80Vqa()
