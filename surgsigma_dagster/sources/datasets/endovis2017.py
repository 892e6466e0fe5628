"""EndoVis 2017: instrument segmentation in robot-assisted porcine surgery, eight sequences of 225 frames."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import images, listing, mask_classes, mask_values, reject

LEVELS = ("", "*/", "*/*/")
SEQUENCE = r"instrument_dataset_\d{1,2}"
SIDED = r"(?:(Left|Right)_)?([^/]+?)(?:_(Left|Right))?(?:_labels)?"
PARTS = {10: "shaft", 20: "wrist", 30: "claspers", 40: "probe"}
SWAPPED = ("Prograsp_Forceps", "Vessel_Sealer")


class EndoVis2017(Adapter):
    """A folder of grey masks an instrument, named by it, and by its side where there are two of a kind.

    Each mask is a file as a whole: it makes a `masks` record a part that it holds (10 shaft, 20 wrist,
    30 claspers, 40 probe), all of them of the instrument, and `presences` of each kind of instrument that
    the sequence has a folder of. In sequence 9 the labels of ProGrasp forceps and vessel sealer are swapped, as
    users report: they are `rejects`, and of its frames nobody is asked for all instruments. Masks are as large as
    the video image, 1920x1080, which the camera's does not fill.
    """

    name = "endovis2017"
    title = "EndoVis 2017 instrument segmentation"
    specialty = "General"
    procedure_type = "procedure/porcine_robotic_surgery"
    licence = Licence("challenge registration", redistribution=False)
    citation = "Allan et al., 2017 Robotic Instrument Segmentation Challenge, 2019, arXiv:1902.06426"
    url = "https://endovissub2017-roboticinstrumentsegmentation.grand-challenge.org"
    format_source = "users' reports"
    complete = ("instrument",)
    yields = ("masks:instrument", "presences:instrument")
    signature = tuple(f"{level}instrument_dataset_*/ground_truth/*/frame*.png" for level in LEVELS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Sequences that have masks or left frames."""
        labels: dict[str, list[str]] = {}
        media: dict[str, list[str]] = {}
        for video, folder in _folders(root, "ground_truth"):
            for (instrument,) in listing(root, f"{folder}/ground_truth", r"(\w+)").values():
                masks = listing(root, instrument, r"frame(\d{3})\.png").values()
                labels.setdefault(video, []).extend(file for (file,) in masks)
        for video, folder in _folders(root, "left_frames"):
            media.setdefault(video, []).append(f"{folder}/left_frames")
        return self.listed(root, [labels], media, "images", frame_rate=2.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Masks, what is visible, and frames."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        shown = _folders(root, "left_frames")
        for video in videos:
            folders = [f"{folder}/left_frames" for name, folder in shown if name == video.video]
            frames, copies = images(root, folders, r"frame(?P<frame>\d{3})", video=video.video)
            yield {"images": frames, "rejects": copies}
            if video.label_files:
                yield from _instruments(root, video)


def _folders(root: Path, inside: str) -> list[tuple[str, str]]:
    """Sequence and folder. Frames of a sequence may lie in several (training and testing), masks in one."""
    found: dict[str, str] = {}
    for path in sorted({path for level in LEVELS for path in root.glob(f"{level}instrument_dataset_*/{inside}")}):
        video, folder = path.parent.name, path.parent.relative_to(root).as_posix()
        if re.fullmatch(SEQUENCE, video) and "__MACOSX" not in folder:
            if inside == "ground_truth" and video in found.values():
                raise SourceError(folder, "", "the masks of each sequence in one folder", video)
            found[folder] = video
    return [(video, folder) for folder, video in found.items()]


def _instruments(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    place = pl.col("file").str.extract_groups(rf"/{SIDED}/frame(\d{{3}})\.png$").struct
    files = pl.DataFrame({"file": video.label_files}).with_columns(
        video=pl.lit(video.video),
        locator=pl.lit(WHOLE_FILE),
        n_rows=pl.lit(1, pl.Int64),
        frame_index=place.field("4").cast(pl.Int64),
        field=pl.lit("instrument"),
        kind=place.field("2"),
        instance=pl.coalesce(place.field("1"), place.field("3")),
    )
    swapped = pl.col("kind").is_in(SWAPPED) & (pl.col("video") == "instrument_dataset_9")
    reason = "The labels of two instruments are swapped in this sequence."
    files, untrue = reject(files, swapped, "swapped_labels", reason, "kind", hides=True)
    values, unreadable = mask_values(root, files)
    held, other = mask_classes(values, PARTS)
    for rejects in (untrue, unreadable, other):
        yield {"rejects": rejects}
    yield {"masks": held.with_columns(raw_value="kind")}
    present = pl.col("mask_value").is_in([*PARTS])
    kinds = values.sort(~present, maintain_order=True).group_by(
        "video", "frame_index", "field", raw_value="kind", maintain_order=True
    )
    yield {"presences": kinds.agg(pl.col("file", "locator", "n_rows").first(), present=present.any())}


ADAPTER = EndoVis2017()
