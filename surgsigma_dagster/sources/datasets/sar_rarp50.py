"""SAR-RARP50: suturing of the dorsal venous complex in 50 robot-assisted radical prostatectomies."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    footage,
    listing,
    named,
    regions,
    require,
    runs,
    steady,
    table,
)

FRAME_RATE = 60.0
FOLDERS = ("train", "train1", "train2", "test")
ACTIONS = {
    0: "Other",
    1: "Picking-up the needle",
    2: "Positioning the needle tip",
    3: "Pushing the needle through the tissue",
    4: "Pulling the needle out of the tissue",
    5: "Tying a knot",
    6: "Cutting the suture",
    7: "Returning/dropping the needle",
}
CLASSES = {
    1: "Tool clasper",
    2: "Tool wrist",
    3: "Tool shaft",
    4: "Suturing needle",
    5: "Thread",
    6: "Suction tool",
    7: "Needle Holder",
    8: "Clamps",
    9: "Catheter",
}


class SarRarp50(Adapter):
    """A folder a video: actions of every sixth frame of the 60 fps video, grey masks of every sixtieth.

    A line of action_discrete.txt is a row, counted in `intervals`; its ids count from 0, in the README from 1.
    action_continuous.txt says the same and is not read. A value of a mask is a class; 0 is background.
    video_11_1 and video_11_2 are two parts of one operation.
    """

    name = "sar_rarp50"
    title = "SAR-RARP50"
    specialty = "Urology"
    procedure_type = "procedure/prostatectomy"
    licence = CC_BY_NC_SA
    citation = "Psychogyios et al., SAR-RARP50, 2023, arXiv:2401.00496"
    url = "https://github.com/surgical-vision/SAR_RARP50-evaluation"
    format_source = "users' reports"
    yields = ("intervals:action", "masks:object", "presences:object")
    signature = tuple(f"{folder}/video_*/action_discrete.txt" for folder in FOLDERS)
    splits = {r"^train": "train", r"^test": "test"}

    def videos(self, root: Path) -> list[NativeVideo]:
        """The video folders of every split."""
        media: dict[str, list[str]] = {}
        labels: dict[str, list[str]] = {}
        for split in FOLDERS:
            for video, (folder,) in listing(root, split, r"(video_\d+(?:_\d+)?)").items():
                if video in labels:
                    raise SourceError(folder, "", "each video in one split", labels[video])
                masks = listing(root, f"{folder}/segmentation", r"(\d{9})\.png").values()
                actions = [f"{folder}/action_discrete.txt"]
                labels[video] = [
                    *(file for file in actions if (root / file).is_file()),
                    *(file for (file,) in masks),
                ]
                media |= footage(root, [f"{folder}/video_left"], rf"[^/]+/({video})/video_left")
        videos = self.listed(root, [labels], media, "video", FRAME_RATE)
        return [replace(video, patient="_".join(video.video.split("_")[:2])) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Actions and masks."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        columns = {"frame_index": INDEX, "class": INTEGER}
        for video in videos:
            masks = [file for file in video.label_files if file.endswith(".png")]
            for file in [file for file in video.label_files if file not in masks]:
                rows = steady(table(root, file, columns, header=False), step=6)
                rows = rows.with_columns(video=pl.lit(video.video), action=named(rows, "class", ACTIONS, "actions"))
                yield {"intervals": runs(rows, "action", "action", FRAME_RATE, step=6)}
            files = pl.DataFrame({"file": masks}, schema={"file": pl.String}).with_columns(
                video=pl.lit(video.video),
                locator=pl.lit("file"),
                frame_index=pl.col("file").str.extract(r"(\d{9})\.png$").cast(pl.Int64),
            )
            require(files, pl.col("frame_index") % 60 == 0, "every sixtieth frame", "frame_index")
            yield regions(root, files, CLASSES, "object")


ADAPTER = SarRarp50()
