"""m2cai16-tool-locations: boxes of seven tools in 2,811 frames of ten M2CAI16 cholecystectomy videos."""

from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import images, listing, require, text, voc

FRAME = r"(v\d\d)_(\d{6})"


class M2cai16ToolLocations(Adapter):
    """Pascal VOC files, named by video and 25 fps frame; each <object> is a row, counted in `boxes`.

    Boxes stay as they are written, also where they leave the image. `_flip.jpg` images are mirrored copies
    and are not listed; `ImageSets/Layout` belongs to another dataset.
    """

    name = "m2cai16_tool_locations"
    title = "m2cai16-tool-locations"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = Licence("not stated", redistribution=False)
    citation = "Jin et al., WACV 2018, arXiv:1802.08774"
    url = "https://ai.stanford.edu/~syyeung/tooldetection.html"
    format_source = "real files"
    yields = ("boxes:instrument",)
    tested_on_real_files = True
    signature = ("Annotations/v[0-9][0-9]_[0-9]*.xml",)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have annotations or images."""
        labels = listing(root, "Annotations", rf"{FRAME}\.xml")
        media = dict.fromkeys(listing(root, "JPEGImages", rf"{FRAME}\.jpg"), ("JPEGImages",))
        return self.listed(root, [labels], media, "images", frame_rate=25.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Boxes, in pixels."""
        frame = pl.col("file").str.extract_groups(rf"{FRAME}\.xml$").struct
        boxes = voc(root, (file for video in videos for file in video.label_files)).with_columns(
            video=frame.field("1"),
            frame_index=frame.field("2").cast(pl.Int64),
            n_rows=pl.lit(1, pl.Int64),
            field=pl.lit("instrument"),
            unit=pl.lit("pixel"),
        )
        if (root / "class_list.txt").is_file():
            classes = [line.partition(" ")[2].strip() for line in text(root, "class_list.txt").splitlines()]
            require(boxes, pl.col("raw_value").is_in(classes), f"one of class_list.txt: {classes}", "raw_value")
        shown, rejects = images(root, ["JPEGImages"], r"(?P<video>v\d\d)_(?P<frame>\d{6})")
        of_videos = pl.col("video").is_in([video.video for video in videos])
        parts = {"images": shown.filter(of_videos), "rejects": rejects.filter(of_videos)}
        return NativeLabels.concat([{"boxes": boxes, **parts}])


ADAPTER = M2cai16ToolLocations()
