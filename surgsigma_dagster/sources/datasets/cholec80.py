"""Cholec80: 80 laparoscopic cholecystectomies, a phase for each 25 fps frame, seven tools once a second."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    BINARY,
    INDEX,
    NAME,
    footage,
    listing,
    on_lines,
    presences,
    runs,
    steady,
    table,
)

FRAME_RATE = 25.0
TOGETHER = 32  # videos whose files are read in one go: a few hundred megabytes
PHASES = {"Frame": INDEX, "Phase": NAME}
TOOLS = {
    "Frame": INDEX,
    **dict.fromkeys(("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag"), BINARY),
}


class Cholec80(Adapter):
    """Tab-separated text with headers: phase rows 0, 1, 2, … and tool rows 0, 25, 50, … of the 25 fps video.

    Phase rows are counted in `intervals` (one run of equal names each), tool rows in `presences`, seven a
    row. The tool file ends a sample before the phase file: those frames have no presence.
    """

    name = "cholec80"
    title = "Cholec80"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Twinanda et al., EndoNet, IEEE TMI 2017, arXiv:1602.03012"
    url = "http://camma.u-strasbg.fr/datasets"
    format_source = "users' reports"
    yields = ("intervals:phase", "presences:instrument")
    signature = ("phase_annotations/video*-phase.txt", "tool_annotations/video*-tool.txt")

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of `videos/` and of both annotation folders."""
        phases = listing(root, "phase_annotations", r"(video\d+)-phase\.txt")
        tools = listing(root, "tool_annotations", r"(video\d+)-tool\.txt")
        media = footage(root, ["videos/*"], r"videos/(video\d+)")
        return self.listed(root, [phases, tools], media, "video", FRAME_RATE)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases and tool presences, the files of several videos at a time: 4.6 million rows are worth it."""
        groups = (videos[start : start + TOGETHER] for start in range(0, len(videos), TOGETHER))
        return NativeLabels.concat(record for group in groups for record in self._records(root, group))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        whose = {file: video.video for video in videos for file in video.label_files}
        video = pl.col("file").replace_strict(whose, return_dtype=pl.String)
        if phases := [file for file in whose if file.endswith("-phase.txt")]:
            rows = steady(table(root, phases, PHASES, separator="\t").rename({"Frame": "frame_index"}))
            yield {"intervals": runs(rows, "Phase", "phase", FRAME_RATE, unbroken=True).with_columns(video=video)}
        if tools := [file for file in whose if file.endswith("-tool.txt")]:
            rows = steady(table(root, tools, TOOLS, separator="\t").rename({"Frame": "frame_index"}), step=25)
            yield {"presences": presences(on_lines(rows, video), [*TOOLS][1:], "instrument")}


ADAPTER = Cholec80()
