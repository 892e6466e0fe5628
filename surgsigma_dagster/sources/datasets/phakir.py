"""PhaKIR: laparoscopic cholecystectomies of three hospitals, a phase for each frame, masks of 19 instruments."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    INDEX,
    TEXT,
    exhaustive,
    footage,
    images,
    is_footage,
    mask_classes,
    mask_values,
    matching,
    runs,
    steady,
    table,
    text,
)

FRAME_RATE = 25.0
STEP = 25  # of masks
CLASSES = {
    0x3C3232: "argonbeamer",
    0x5986B3: "bipolar-clamp",
    0x808080: "blunt-grasper",
    0xC866EB: "blunt-grasper-curved",
    0xB366EB: "blunt-grasper-spec.",
    0x0000FF: "clip_applicator",
    0x508C00: "dissection-hook",
    0xFF6400: "drainage",
    0xFF8200: "grasper",
    0xFF0099: "hf-coag-probe",
    0x005050: "hook-clamp",
    0xCC9999: "needle-probe",
    0xFFC8AA: "overholt",
    0xFF66FF: "palpation-probe",
    0x1E9001: "pe-forceps",
    0xFFFF00: "scissor",
    0x287850: "sponge-clamp",
    0x9900CC: "suction-rod",
    0x996600: "trocar-tip",
}
PHASES = {"frame_index": INDEX, "phase": TEXT}
MASKS = "Video_*/Video_*_Masks/*/frame_*.png"


class Phakir(Adapter):
    """A folder a video: a CSV with the phase of each 25 fps frame, from 0, and a colour mask of every 25th.

    A CSV line is a row, counted in `intervals`; its two columns are frame and phase, under whichever header,
    or none. Phases are told by the words that stand there. A mask is a file as a whole: it gives `masks` of
    the instruments it holds (mask_value is 0xRRGGBB) and, unless it has a colour of none, `presences` of all
    19. Of Frames/, the frames that may have masks, every 25th, are listed. Keypoints and cuts are not read:
    their fields are not documented.
    """

    name = "phakir"
    title = "PhaKIR"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = Licence("not stated", redistribution=False)
    citation = "Rueckert et al., PhaKIR dataset, 2025, arXiv:2511.06549"
    url = "https://doi.org/10.5281/zenodo.15740620"
    format_source = "owner's documentation"
    yields = ("intervals:phase", "masks:instrument", "presences:instrument")
    signature = ("Video_*/Video_*_Phases.csv", MASKS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have labels, frames or a video file; frames are preferred."""
        labels = matching(root, self.signature, r"(Video_\d+)/\1_(?:Phases\.csv|Masks/\d+/frame_\d{6}\.png)")
        films = footage(root, ["Video_*", "Video_*/Video_*"], r"(?:Video_\d+/)?(Video_\d+)")
        media = {**films, **matching(root, ["Video_*/Frames"], r"(Video_\d+)/Frames")}
        return [
            replace(video, media="video") if is_footage(video.path) else video
            for video in self.listed(root, [labels], media, "images", FRAME_RATE)
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, masks, presences and frames."""
        return NativeLabels.concat(part for video in videos for part in self._records(root, video))

    def _records(self, root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
        if video.media == "images" and video.path:
            groups = sorted(path.name for path in (root / video.path).iterdir() if path.is_dir())
            folders = [video.path, *(f"{video.path}/{group}" for group in groups)]
            shown, copies = images(root, folders, r"frame_(?P<frame>\d{6})", video=video.video)
            yield {"images": shown.filter(pl.col("frame_index") % STEP == 0), "rejects": copies}
        for file in video.label_files:
            if file.endswith(".csv"):
                headed = None if text(root, file).lstrip()[:1].isalpha() else False
                rows = steady(table(root, file, PHASES, header=headed)).with_columns(video=pl.lit(video.video))
                yield {"intervals": runs(rows, "phase", "phase", FRAME_RATE)}
        masks = [file for file in video.label_files if file.endswith(".png")]
        yield from _masks(root, pl.DataFrame({"file": masks}, schema={"file": pl.String}), video.video)


def _masks(root: Path, files: pl.DataFrame, video: str) -> Iterator[dict[str, pl.DataFrame]]:
    files = files.with_columns(
        video=pl.lit(video),
        frame_index=pl.col("file").str.extract(r"frame_(\d{6})").cast(pl.Int64),
        locator=pl.lit(WHOLE_FILE),
        n_rows=pl.lit(1, pl.Int64),
    )
    values, unreadable = mask_values(root, files, colours=True)
    masks, unexpected = mask_classes(values, CLASSES)
    yield from ({"rejects": rejects} for rejects in (unreadable, unexpected))
    yield {"masks": masks.with_columns(field=pl.lit("instrument"))}
    seen = files.join(pl.concat([unreadable, unexpected]), on="file", how="anti")
    yield {"presences": exhaustive(seen, masks, CLASSES.values(), "instrument")}


ADAPTER = Phakir()
