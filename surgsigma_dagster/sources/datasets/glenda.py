"""GLENDA 1.0: frames of gynecologic laparoscopies, masks of endometriosis by its place."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import images, listing, matching, require
from surgsigma_dagster.sources.readers.mask_images import WHITE, mask_classes, mask_values

CLASSES = ("peritoneum", "ovary", "uterus", "DIE")
SEQUENCE = r"(v_\d+_s_\d+-\d+)"
HEALTHY, ILL, DRAWN = "DS/no_pathology/frames", "DS/pathology/frames", "DS/pathology/annotations"


class Glenda(Adapter):
    """A folder of frames a sequence of a video, and a folder of two-valued masks a frame, one a finding.

    The class in a mask's name is the place of the endometriosis, not the organ. Sequences under no_pathology
    show none of it (`presences`); what frames without masks under pathology show is not known. Frames carry
    their numbers in the video; its frame rate is not published, so they have no time.
    """

    name = "glenda"
    title = "GLENDA"
    specialty = "Gynecology"
    procedure_type = "procedure/gynecologic_laparoscopy"
    licence = Licence("not stated", redistribution=False)
    citation = "Leibetseder et al., GLENDA, MMM 2020, LNCS 11962:439-450"
    url = "http://ftp.itec.aau.at/datasets/GLENDA/"
    format_source = "users' reports"
    timed = False
    yields = ("masks:tissue", "presences:tissue")
    signature = (f"{DRAWN}/v_*_s_*", f"{HEALTHY}/v_*_s_*")

    def videos(self, root: Path) -> list[NativeVideo]:
        """Sequences; those of one video are one procedure."""
        masks = matching(root, [f"{DRAWN}/v_*/f_*/*.png"], rf"{DRAWN}/{SEQUENCE}/f_\d+/.+\.png")
        media = listing(root, ILL, SEQUENCE)
        for sequence, folders in listing(root, HEALTHY, SEQUENCE).items():
            if sequence in media or sequence in masks:
                raise SourceError(folders[0], "", "a sequence with or without pathology", "one that is in both")
            media[sequence] = folders
        videos = self.listed(root, [masks], media, "images", frame_rate=1.0)
        return [replace(video, patient=video.video.partition("_s_")[0]) for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Masks, absences and frames."""
        return NativeLabels.concat(_records(root, videos))


def _records(root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
    shown, copies = images(root, [video.path for video in videos if video.path], r"f_(?P<frame>\d{1,9})(?:_a)?")
    yield {"images": shown, "rejects": copies}
    healthy = shown.filter(pl.col("file").str.starts_with(f"{HEALTHY}/"))
    absent = healthy.join(pl.DataFrame({"raw_value": CLASSES}), how="cross")
    yield {"presences": absent.with_columns(field=pl.lit("tissue"), present=pl.lit(False))}
    name = pl.col("file").str.extract_groups(rf"{SEQUENCE}/f_(\d{{1,9}})/(.+)_a_(\d+)\.png$").struct
    files = [file for video in videos for file in video.label_files]
    masks = pl.DataFrame({"file": files}, schema={"file": pl.String}).with_columns(
        video=name.field("1"),
        frame_index=name.field("2").cast(pl.Int64),
        label=name.field("3"),
        instance=name.field("4"),
        locator=pl.lit("file"),
    )
    require(masks, pl.col("label").is_in(CLASSES), f"class_a_number.png of {', '.join(CLASSES)}", "file")
    values, unreadable = mask_values(root, masks)
    regions, unexpected = mask_classes(values, {WHITE: "endometriosis"})
    yield {
        "masks": regions.with_columns(field=pl.lit("tissue"), raw_value="label"),
        "rejects": pl.concat([unreadable, unexpected]),
    }


ADAPTER = Glenda()
