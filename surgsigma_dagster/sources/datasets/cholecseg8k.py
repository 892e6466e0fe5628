"""CholecSeg8k: 8,080 frames of 17 Cholec80 videos, every pixel one of thirteen classes."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    images,
    listing,
    matching,
    regions,
    repeats,
)

BACKGROUND = 50
SEAMS = (0, 255)
CLASSES = {
    11: "Abdominal Wall",
    21: "Liver",
    13: "Gastrointestinal Tract",
    12: "Fat",
    31: "Grasper",
    23: "Connective Tissue",
    24: "Blood",
    25: "Cystic Duct",
    32: "L-hook Electrocautery",
    22: "Gallbladder",
    33: "Hepatic Vein",
    5: "Liver Ligament",
}
FRAME = r"(video\d+)/\1_\d+/frame_\d{1,9}_endo"
MASKS = "video*/video*_*/frame_*_endo_watershed_mask.png"


class CholecSeg8k(Adapter):
    """Watershed masks, a grey value a class, in folders of consecutive frames of Cholec80's 25 fps videos.

    A mask is a file as a whole. Each gives `masks` (the classes that it holds, but not its background)
    and `presences` of every class. Values that no class has are `rejects`: 0 and 255 lie at seams.
    Beside them lie a colour mask, which shows the same, and a sparse `_endo_mask.png`: neither is read.
    """

    name = "cholecseg8k"
    title = "CholecSeg8k"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Hong et al., CholecSeg8k, 2020, arXiv:2012.12453"
    url = "https://www.kaggle.com/datasets/newslab/cholecseg8k"
    format_source = "users' reports"
    complete = ("tissue",)
    yields = ("masks:object", "presences:object")
    signature = (MASKS,)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have masks or images."""
        labels = matching(root, [MASKS], rf"{FRAME}_watershed_mask\.png")
        shown = matching(root, ["video*/video*_*/frame_*"], rf"{FRAME}.*\.png")
        return self.listed(root, [labels], {video: [video] for video in shown}, "images", frame_rate=25.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Masks, presences and frames."""
        return NativeLabels.concat(part for video in videos for part in self._records(root, video))

    def _records(self, root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
        folders = [file for (file,) in listing(root, video.video, rf"({video.video}_\d+)").values()]
        shown, copies = images(root, folders, r"frame_(?P<frame>\d{1,9})_endo", video=video.video)
        yield {"images": shown, "rejects": copies}
        files = pl.DataFrame({"file": video.label_files}, schema={"file": pl.String}).with_columns(
            video=pl.lit(video.video),
            frame_index=pl.col("file").str.extract(r"frame_(\d+)_").cast(pl.Int64),
            locator=pl.lit(WHOLE_FILE),
            n_rows=pl.lit(1, pl.Int64),
        )
        files, again = repeats(files, ["video", "frame_index"])
        yield {"rejects": again}
        yield regions(root, files, CLASSES, "object", [BACKGROUND], seams=SEAMS)


ADAPTER = CholecSeg8k()
