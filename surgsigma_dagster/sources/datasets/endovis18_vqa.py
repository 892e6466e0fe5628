"""EndoVis-18-VQA: questions and answers on the frames of EndoVis 2018."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import images, matching, reject, repeats
from surgsigma_dagster.sources.readers.questions import questions, stated

NEWER, OLDER = "Classification", "simple"
FORMS = {NEWER: "answer", OLDER: "answer", "Sentence": "text"}
FRAME = r"frame(\d{3})_QA\.txt$"


class EndoVis18Vqa(Adapter):
    """`seq_N/vqa/{Classification,Sentence}/frame%03d_QA.txt` (older: `vqa/simple/`), a line a question.

    A line is a row, counted in `questions`. Of the classification form, the organ, the instruments that are asked for
    and what they do are labels too. Sentences answer the same in words and are kept as text. Some questions ask for an
    instrument that is not in view (known to users): its presence here is the question's word. A line that another copy
    or the older form repeats is among the `rejects`, and so is an older answer that the newer form gives otherwise.
    Frames are those of EndoVis 2018, whose clock is nominal.
    """

    name = "endovis18_vqa"
    title = "EndoVis-18-VQA"
    specialty = "Urology"
    procedure_type = "procedure/porcine_nephrectomy"
    licence = Licence("challenge registration", redistribution=False)
    citation = "Seenivasan et al., Surgical-VQA, MICCAI 2022, arXiv:2206.11053"
    url = "https://github.com/lalithjets/Surgical_VQA"
    format_source = "owner's documentation"
    partial = True  # what nobody asks for is not named
    timed = False
    yields = ("presences:instrument", "presences:tissue", "questions:answer", "questions:text", "triplets")
    signature = tuple(f"{level}seq_*/vqa/{form}/frame*_QA.txt" for level in ("", "*/") for form in FORMS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Sequences that have questions."""
        labels = matching(root, self.signature, r"(?:[^/]+/)?(seq_\d+)/vqa/\w+/frame\d{3}_QA\.txt")
        media = matching(root, ["seq_*/left_frames", "*/seq_*/left_frames"], r"(?:[^/]+/)?(seq_\d+)/left_frames")
        shown = {video: media[video] for video in labels if video in media}
        return self.listed(root, [labels], shown, "images", frame_rate=1.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Questions, what they state, and frames."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    if video.path:
        shown, copies = images(root, [video.path], r"frame(?P<frame>\d{3})", video=video.video)
        yield {"images": shown, "rejects": copies}
    asked = questions(root, video.label_files, video.video, pl.col("file").str.extract(FRAME)).with_columns(
        form=pl.col("file").str.extract(r"/vqa/(\w+)/")
    )
    asked = asked.with_columns(field=pl.col("form").replace_strict(FORMS, return_dtype=pl.String))
    asked, again = repeats(asked, ["frame_index", "field", "question", "raw_value"])
    newer = (pl.col("form") == NEWER).any().over("frame_index", "question")
    asked, older = reject(
        asked, (pl.col("form") == OLDER) & newer, "superseded", "The newer form answers otherwise.", "raw_value"
    )
    yield {"questions": asked, "rejects": pl.concat([again, older])}
    yield stated(asked.filter(pl.col("field") == "answer"))


ADAPTER = EndoVis18Vqa()
