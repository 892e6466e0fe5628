"""EndoVis-18-VQLA and EndoVis-17-VQLA: questions with an answer and the box that it is about."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import images, matching, require
from surgsigma_dagster.sources.readers.questions import questions, stated

WIDTH, HEIGHT = 1280, 1024  # of the images that the authors' loader expects
FLAT = "vqla/label"
FLAT_RATE = 2.0  # of EndoVis 2017
STEM = r"(seq_?\d+|instrument_dataset_\d+)_frame(\d{3})"
NUMBER = r"^\s*(-?\d{1,5}(?:\.\d+)?)\s*$"


class EndoVisVqla(Adapter):
    """`seq_N/vqla/label/frame%03d_QA.txt` (18), or one folder `vqla/label` (17): `question|answer|x1, y1, x2, y2`.

    A line is a row, counted in `questions`. Corners are pixels of a 1280 x 1024 image, counted from 1 (the authors'
    loader subtracts 1). The box is of the instrument that the question asks for, or of the organ, and becomes one in
    `boxes`. How the flat folder names its sequences is not documented: names must begin with the sequence, and
    `seq_1` there is `17_seq_1`, since it is another animal than EndoVis 2018's; it is taken for EndoVis 2017's first.
    The authors use it for validation alone, so it is in test. EndoVis 2018's clock is nominal.
    """

    name = "endovis_vqla"
    title = "EndoVis-17-VQLA and EndoVis-18-VQLA"
    specialty = "General"
    procedure_type = "procedure/porcine_robotic_surgery"
    licence = Licence("challenge registration", redistribution=False)
    citation = "Bai et al., Surgical-VQLA, ICRA 2023, arXiv:2305.11692"
    url = "https://github.com/longbai1006/Surgical-VQLA"
    format_source = "owner's documentation"
    splits: ClassVar = {rf"^{FLAT}/": "test"}
    partial = True  # what nobody asks for is not named
    timed = False
    yields = (
        "boxes:instrument",
        "boxes:tissue",
        "presences:instrument",
        "presences:tissue",
        "questions:answer",
        "triplets",
    )
    signature = ("seq_*/vqla/label/frame*_QA.txt", "*/seq_*/vqla/label/frame*_QA.txt", f"{FLAT}/*_QA.txt")

    def videos(self, root: Path) -> list[NativeVideo]:
        """Sequences that have questions."""
        labels = matching(root, self.signature[:2], r"(?:[^/]+/)?(seq_\d+)/vqla/label/frame\d{3}_QA\.txt")
        flat = matching(root, self.signature[2:], rf"{FLAT}/{STEM}_QA\.txt")
        strange = matching(root, self.signature[2:], r"(.*)").keys() - {file for one in flat.values() for file in one}
        flat = {f"17_{video}" if video.startswith("seq") else video: files for video, files in flat.items()}
        if strange:
            raise SourceError(min(strange), "", "<sequence>_frame<three digits>_QA.txt", Path(min(strange)).name)
        media = matching(root, ["seq_*/left_frames", "*/seq_*/left_frames"], r"(?:[^/]+/)?(seq_\d+)/left_frames")
        shown = {video: media[video] for video in labels if video in media}
        if (root / "left_frames").is_dir():
            shown |= {video: ["left_frames"] for video in flat}
        found = self.listed(root, [labels, flat], shown, "images", frame_rate=1.0)
        return [replace(one, frame_rate=FLAT_RATE) if one.video in flat else one for one in found]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Questions, what they state, boxes and frames."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    if video.path:
        sequence = "" if video.path != "left_frames" else f"{video.video.removeprefix('17_')}_"
        shown, copies = images(root, [video.path], rf"{sequence}frame(?P<frame>\d{{3}})", video=video.video)
        yield {"images": shown, "rejects": copies}
    frame = pl.col("file").str.extract(r"frame(\d{3})_QA\.txt$")
    asked = questions(root, video.label_files, video.video, frame, parts=3).with_columns(field=pl.lit("answer"))
    sides = pl.col("rest").list.first().str.split(",")
    corners = {side: sides.list.get(i, null_on_oob=True) for i, side in enumerate(("x1", "y1", "x2", "y2"))}
    boxed = asked.with_columns(
        n_sides=sides.list.len(),
        **{side: value.str.extract(NUMBER).cast(pl.Float64) - 1 for side, value in corners.items()},
    )
    numbers = (pl.col("n_sides") == 4) & pl.all_horizontal(pl.col(corners).is_not_null())
    require(boxed, numbers, "x1, y1, x2, y2", "content")
    pixels = (pl.col("x2") > 0) & (pl.col("y2") > 0) & (pl.col("x2") <= WIDTH) & (pl.col("y2") <= HEIGHT)
    require(boxed, pixels, f"pixels of an image of {WIDTH} x {HEIGHT}, from 1", "content")
    made = stated(boxed)
    yield {"questions": asked, **made}
    # A state and a place of one instrument come with one box.
    boxes = made["presences"].with_columns(
        unit=pl.lit("pixel"), width=pl.lit(WIDTH, pl.Int64), height=pl.lit(HEIGHT, pl.Int64)
    )
    yield {"boxes": boxes.unique(["file", "raw_value", *corners], keep="first", maintain_order=True)}


ADAPTER = EndoVisVqla()
