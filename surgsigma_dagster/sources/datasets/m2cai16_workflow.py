"""m2cai16-workflow: 41 laparoscopic cholecystectomies of two hospitals, one of eight phases a frame."""

from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import INDEX, TEXT, footage, matching, repeats, runs, steady, table

FRAME_RATE = 25.0
COLUMNS = {"frame_index": INDEX, "phase": TEXT}
VIDEO = r"(?:[^/]+/)?((?:test_)?workflow_video_\d{2})"
GLOBS = ("workflow_video_*", "test_workflow_video_*", "*/workflow_video_*", "*/test_workflow_video_*")


class M2cai16Workflow(Adapter):
    """Tab-separated text with a header of two words: a row for each frame of the 25 fps video, from 0.

    Files lie in the root or a folder below. A row is counted in `intervals` (one run of equal names each).
    Results of a method (`*_pred.txt`) and timestamped copies, which are subtitles, are not read. Unlike
    Cholec80, it begins with TrocarPlacement: phases are told by name, never by position.
    """

    name = "m2cai16_workflow"
    title = "m2cai16-workflow"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Stauder et al., The TUM LapChole dataset, 2016, arXiv:1610.09278; Twinanda et al., arXiv:1602.03012"
    url = "http://camma.u-strasbg.fr/m2cai2016"
    format_source = "owner's documentation"
    yields = ("intervals:phase",)
    signature = tuple(f"{glob}.txt" for glob in GLOBS)
    splits = {r"(^|/)workflow_": "train", r"(^|/)test_workflow_": "test"}

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of the training and the test part."""
        labels = matching(root, self.signature, rf"{VIDEO}\.txt")
        media = footage(root, GLOBS, VIDEO)
        return self.listed(root, [labels], media, "video", FRAME_RATE)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases; a second file of a video repeats the first."""
        parts = []
        for video in videos:
            for file in video.label_files:
                rows = steady(table(root, file, COLUMNS, separator="\t", header=None))
                rows = rows.with_columns(video=pl.lit(video.video))
                parts.append(runs(rows, "phase", "phase", FRAME_RATE))
        if not parts:
            return NativeLabels()
        key = ["video", "raw_value", "start_frame", "end_frame"]
        intervals, again = repeats(pl.concat(parts), key)
        return NativeLabels.concat([{"intervals": intervals, "rejects": again}])


ADAPTER = M2cai16Workflow()
