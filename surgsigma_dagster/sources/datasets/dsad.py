"""DSAD: the Dresden Surgical Anatomy Dataset, stills of 32 robotic rectal operations with organ masks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import images, matching, require
from surgsigma_dagster.sources.readers.mask_images import WHITE, mask_classes, mask_values

ORGANS = (
    *("abdominal_wall", "colon", "inferior_mesenteric_artery", "intestinal_veins", "liver", "pancreas"),
    *("small_intestine", "spleen", "stomach", "ureter", "vesicular_glands"),
)
FOLDERS = (*ORGANS, "multilabel")


class Dsad(Adapter):
    """A folder an organ, in it a folder a surgery with stills and two-valued masks of that organ.

    A mask without white is a true negative (`presences`); of the other organs a mask says nothing. In
    multilabel, masks are named by organ. Stills are numbered within their folder, which is no time, so each
    folder is a sequence; folders of one surgery are one procedure. The raters' own masks (anno_1 to anno_3,
    merged) and weak_labels.csv are not read.
    """

    name = "dsad"
    title = "Dresden Surgical Anatomy Dataset"
    specialty = "Colorectal"
    procedure_type = "procedure/colorectal_resection"
    licence = Licence("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/")
    citation = "Carstens et al., Scientific Data 10, 3, 2023, doi:10.1038/s41597-022-01719-2"
    url = "https://doi.org/10.6084/m9.figshare.21702600"
    format_source = "users' reports"
    timed = False
    yields = ("masks:tissue", "presences:tissue")
    signature = tuple(f"{folder}/[0-9][0-9]/mask*.png" for folder in FOLDERS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Sequences: organ_surgery."""
        for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in FOLDERS):
            if mask := next(folder.glob("[0-9][0-9]/mask*.png"), None):
                found = mask.relative_to(root).as_posix()
                raise SourceError(folder.name, "", f"the folder of an organ, of {', '.join(FOLDERS)}", found)
        masks = _sequences(matching(root, self.signature, r"(\w+/\d\d)/mask\w+\.png"))
        shown = matching(root, [f"{folder}/[0-9][0-9]/image*.png" for folder in FOLDERS], r"(\w+/\d\d)/image\d+\.png")
        videos = self.listed(root, [masks], _sequences({key: [key] for key in shown}), "images", frame_rate=1.0)
        return [replace(video, patient=video.video.rpartition("_")[2]) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Masks, absences and frames."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _sequences(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {key.replace("/", "_"): files for key, files in found.items()}


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    if video.path:
        shown, copies = images(root, [video.path], r"image(?P<frame>\d{1,6})", video.video)
        yield {"images": shown, "rejects": copies}
    name = pl.col("file").str.extract_groups(r"mask(\d{1,6})(?:_(\w+))?\.png$").struct
    organ = pl.lit(video.video.rpartition("_")[0])
    several = organ == "multilabel"
    masks = pl.DataFrame({"file": video.label_files}, schema={"file": pl.String}).with_columns(
        video=pl.lit(video.video),
        frame_index=name.field("1").cast(pl.Int64),
        organ=pl.when(several).then(name.field("2")).when(name.field("2").is_null()).then(organ),
        field=pl.lit("tissue"),
        locator=pl.lit("file"),
    )
    require(masks, pl.col("organ").is_in(ORGANS), "masknumber.png, in multilabel masknumber_organ.png", "file")
    values, unreadable = mask_values(root, masks)
    regions, unexpected = mask_classes(values, {WHITE: "organ"})
    shown_in = pl.col("file").is_in(regions["file"].implode())
    judged = values.filter(pl.col("mask_value") == 0).with_columns(raw_value="organ", present=shown_in)
    sound = ~pl.col("file").is_in(unexpected["file"].implode())
    yield {"masks": regions.with_columns(raw_value="organ"), "rejects": pl.concat([unreadable, unexpected])}
    yield {"presences": judged.filter(sound & ~pl.col("present"))}


ADAPTER = Dsad()
