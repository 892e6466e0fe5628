"""LDPolypVideo: 160 colonoscopy videos as frames, with boxes of polyps."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import images, lines, listing, on_lines, require

SPLITS = ("TrainValid", "Test")
SIDES = ("x1", "y1", "x2", "y2")
NUMBER = r"^(-?\d{1,9}(?:\.\d{1,9})?)$"


class LdPolypVideo(Adapter):
    """A folder of frames a video, and a text file a frame: a line with the number of polyps, then their boxes.

    A line is a row: the first is counted in `presences` (0 is a true negative), the others in `boxes`. The
    frame rate is not published, so frames have numbers and no time. Both splits share one numbering of videos.
    """

    name = "ldpolypvideo"
    title = "LDPolypVideo"
    specialty = "Gastroenterology"
    procedure_type = "procedure/colonoscopy"
    licence = Licence("not stated", redistribution=False)
    citation = "Ma et al., LDPolypVideo benchmark, MICCAI 2021, pages 387-396"
    url = "https://github.com/dashishi/LDPolypVideo-Benchmark"
    format_source = "users' reports"
    timed = False
    yields = ("boxes:tissue", "presences:tissue")
    splits: ClassVar = {r"^TrainValid/": "train", r"^Test/": "test"}
    signature = tuple(f"{split}/Annotations/*/*.txt" for split in SPLITS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Video folders of both splits."""
        labels: dict[str, list[str]] = {}
        media: dict[str, list[str]] = {}
        for split in SPLITS:
            for video, (folder,) in listing(root, f"{split}/Annotations", r"(\d+)").items():
                files = [file for (file,) in listing(root, folder, r"(\d+)\.txt").values()]
                if labels.setdefault(video, files) is not files:
                    raise SourceError(folder, "", "each video in one split", labels[video][0])
            for video, (folder,) in listing(root, f"{split}/Images", r"(\d+)").items():
                if media.setdefault(video, [folder]) != [folder]:
                    raise SourceError(folder, "", "each video in one split", media[video][0])
        return self.listed(root, [labels], media, "images", frame_rate=1.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Polyps and frames."""
        return NativeLabels.concat(_records(root, videos))


def _records(root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
    shown, copies = images(root, [video.path for video in videos if video.path], r"(?:.*_)?(?P<frame>\d{1,9})")
    yield {"images": shown, "rejects": copies}
    place = pl.col("file").str.extract_groups(r"/(\d+)/(\d{1,9})\.txt$").struct
    files = [file for video in videos for file in video.label_files]
    rows = lines(root, *files)
    if empty := set(files) - set(rows["file"]):
        raise SourceError(min(empty), "line 1", "the number of polyps", "an empty file")
    rows = on_lines(rows, place.field("1")).with_columns(
        frame_index=place.field("2").cast(pl.Int64), field=pl.lit("tissue"), raw_value=pl.lit("polyp")
    )
    heads, tails = rows.filter(pl.col("line") == 1), rows.filter(pl.col("line") > 1)
    told = pl.col("content").str.extract(r"^\s*(\d{1,3})\s*$").cast(pl.Int64)
    found = tails.group_by("file").agg(found=pl.len().cast(pl.Int64))
    heads = heads.join(found, on="file", how="left", maintain_order="left").with_columns(
        pl.col("found").fill_null(0), told=told
    )
    require(heads, pl.col("told").is_not_null(), "the number of polyps", "content")
    require(heads, pl.col("told") == pl.col("found"), "as many boxes as line 1 says", "content")
    corner = tails.with_columns(side=pl.col("content").str.extract_all(r"\S+"))
    require(corner, pl.col("side").list.len() == 4, "xmin ymin xmax ymax", "content")
    sides = corner.with_columns(
        pl.col("side").list.get(i, null_on_oob=True).str.extract(NUMBER).cast(pl.Float64).alias(side)
        for i, side in enumerate(SIDES)
    )
    require(sides, pl.all_horizontal(pl.col(SIDES).is_not_null()), "four numbers", "content")
    yield {"presences": heads.with_columns(present=pl.col("told") > 0)}
    yield {"boxes": sides.with_columns(unit=pl.lit("pixel"))}


ADAPTER = LdPolypVideo()
