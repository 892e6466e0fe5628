"""m2cai16-tool: 15 laparoscopic cholecystectomies, seven tools once a second."""

from pathlib import Path
from typing import ClassVar

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.datasets.cholec80 import TOOLS
from surgsigma_dagster.sources.readers import footage, matching, on_lines, presences, repeats, steady, table

FRAME_RATE = 25.0
VIDEO = r"(?:[^/]+/)?((?:test_)?tool_video_\d{2})"
GLOBS = ("tool_video_*", "test_tool_video_*", "*/tool_video_*", "*/test_tool_video_*")


class M2cai16Tool(Adapter):
    """Tab-separated text, like Cholec80's: frames 0, 25, 50, … of the 25 fps video, a column a tool.

    Files lie in the root or a folder below. A row is counted in `presences`, seven a row. `*_pred.txt` are
    results of a method and are not read.
    """

    name = "m2cai16_tool"
    title = "m2cai16-tool"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Twinanda et al., EndoNet, IEEE TMI 2017, arXiv:1602.03012"
    url = "http://camma.u-strasbg.fr/m2cai2016"
    format_source = "users' reports"
    yields = ("presences:instrument",)
    splits: ClassVar = {r"(^|/)test_tool_video": "test"}
    signature = tuple(f"{glob}.txt" for glob in GLOBS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of the training and the test part."""
        labels = matching(root, self.signature, rf"{VIDEO}\.txt")
        media = footage(root, GLOBS, VIDEO)
        return self.listed(root, [labels], media, "video", FRAME_RATE)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Tool presences; a second file of a video repeats the first."""
        parts = []
        for video in videos:
            for file in video.label_files:
                rows = steady(table(root, file, TOOLS, separator="\t").rename({"Frame": "frame_index"}), step=25)
                parts.append(on_lines(rows, video.video))
        if not parts:
            return NativeLabels()
        rows, again = repeats(pl.concat(parts), ["video", "frame_index", *[*TOOLS][1:]])
        return NativeLabels.concat([{"presences": presences(rows, [*TOOLS][1:], "instrument"), "rejects": again}])


ADAPTER = M2cai16Tool()
