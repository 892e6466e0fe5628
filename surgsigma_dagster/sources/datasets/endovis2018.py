"""EndoVis 2018: scene segmentation of robot-assisted nephrectomies in pigs, 15 sequences of 149 frames."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    TEXT,
    document,
    entries,
    images,
    listing,
    many,
    records,
    regions,
    reject,
    require,
)

LEVELS = ("", "*/", "*/*/")  # as unpacked, each release is a folder, or a folder in a folder of the same name
CLASSES = "labels.json"
FRAME = r"frame(?P<frame>\d{3})"
BACKGROUND = "background-tissue"


class EndoVis2018(Adapter):
    """Colour masks of the left eye; labels.json, a list beside the sequences, names the colours.

    Each mask is a file as a whole: it makes `masks` of the classes it holds (mask_value is 0xRRGGBB) and
    `presences` of all classes but background-tissue. A mask in `repairs/` replaces the one that it corrects.
    Frames were taken at 1 Hz and still ones removed by hand, so their clock is nominal. The test data, whose
    sequences bear the same names, is not read.
    """

    name = "endovis2018"
    title = "EndoVis 2018 scene segmentation"
    specialty = "Urology"
    procedure_type = "procedure/porcine_nephrectomy"
    licence = Licence("challenge registration", redistribution=False)
    citation = "Allan et al., 2018 Robotic Scene Segmentation Challenge, 2020, arXiv:2001.11190"
    url = "https://endovissub2018-roboticscenesegmentation.grand-challenge.org"
    format_source = "owner's documentation"
    timed = False
    complete = ("tissue",)
    yields = ("masks:object", "presences:object")
    signature = tuple(f"{level}seq_*/labels/frame*.png" for level in LEVELS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Sequences that have masks or left frames."""
        labels: dict[str, list[str]] = {}
        media: dict[str, list[str]] = {}
        for video, folder in _sequences(root).items():
            masks = [file for (file,) in listing(root, f"{folder}/labels", r"frame(\d{3})\.png").values()]
            if masks:
                labels[video] = [*masks, *_repairs(root, video).values(), _class_file(root, folder)]
            if listing(root, f"{folder}/left_frames", r"frame(\d{3})\.png"):
                media[video] = [f"{folder}/left_frames"]
        return self.listed(root, [labels], media, "images", frame_rate=1.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Masks, what is visible, and frames."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        for video in videos:
            shown, copies = images(root, [video.path] if video.path else [], FRAME, video=video.video)
            yield {"images": shown, "rejects": copies}
            masks = [file for file in video.label_files if file.endswith(".png")]
            if masks:
                frame = pl.col("file").str.extract(r"frame(\d{3})\.png$").cast(pl.Int64)
                files = pl.DataFrame({"file": masks}).with_columns(
                    video=pl.lit(video.video),
                    frame_index=frame,
                    locator=pl.lit(WHOLE_FILE),
                    n_rows=pl.lit(1, pl.Int64),
                )
                repaired = pl.col("file") != pl.col("file").last().over("frame_index")
                files, replaced = reject(files, repaired, "repaired", "A mask of repairs/ replaces it.")
                classes = _classes(root, video.label_files[-1])
                background = [colour for colour, name in classes.items() if name == BACKGROUND]
                kept = {colour: name for colour, name in classes.items() if name != BACKGROUND}
                yield {"rejects": replaced}
                yield regions(root, files, kept, "object", background, colours=True)


def _sequences(root: Path) -> dict[str, str]:
    """The folder of each sequence. A sequence that lies in two folders is an error: they may differ."""
    found: dict[str, str] = {}
    for folder in sorted(path for level in LEVELS for path in root.glob(f"{level}seq_*") if path.is_dir()):
        place = folder.relative_to(root).as_posix()
        if {"__MACOSX", "test_data"} & set(place.split("/")):
            continue
        if folder.name in found:
            raise SourceError(place, "", "each sequence in one folder", found[folder.name])
        found[folder.name] = place
    return found


def _class_file(root: Path, folder: str) -> str:
    beside = f"{folder}/../{CLASSES}"
    for file in (Path(folder).parent / CLASSES, Path(CLASSES)):
        if (root / file).is_file():
            return file.as_posix()
    raise SourceError(beside, "", "the classes, beside the sequence or at the top", "no such file")


def _classes(root: Path, file: str) -> dict[int, str]:
    rows = records(
        file,
        list(entries(file, document(root, file), "", list)),
        {"name": TEXT, "color": many(INTEGER), "classid": INTEGER},
    )
    channels = pl.col("color").list
    is_colour = (channels.len() == 3) & channels.eval(pl.element().is_between(0, 255)).list.all()
    require(rows, is_colour, "a colour of three numbers from 0 to 255", "color")
    red, green, blue = (channels.get(i, null_on_oob=True) for i in range(3))
    rows = rows.with_columns(colour=red * 65536 + green * 256 + blue)
    require(rows, pl.col("colour").is_first_distinct(), "a colour that no other class has", "color")
    return dict(rows.select("colour", "name").iter_rows())


def _repairs(root: Path, video: str) -> dict[str, str]:
    found = {}
    for folder in ("repairs", "repairs/repairs"):
        for frame, (file,) in listing(root, folder, rf"{video}_frame(\d{{3}})\.png").items():
            found[frame] = file
    return found


ADAPTER = EndoVis2018()
