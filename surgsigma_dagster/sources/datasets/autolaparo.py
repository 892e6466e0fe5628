"""AutoLaparo: laparoscopic hysterectomies, phases of 21 videos (task 1), masks of 300 short clips (task 3)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    footage,
    images,
    matching,
    named,
    regions,
    require,
    runs,
    steady,
    table,
)

FRAME_RATE = 25.0
PHASE_BASES = ("", "task1/", "AutoLaparo_Task1/")
MASK_BASES = ("", "task3/", "AutoLaparo_Task3/")
PHASES = {
    1: "Preparation",
    2: "Dividing Ligament and Peritoneum",
    3: "Dividing Uterine Vessels and Ligament",
    4: "Transecting the Vagina",
    5: "Specimen Removal",
    6: "Suturing",
    7: "Washing",
}
CLASSES = {
    **{20: "tool1m", 40: "tool1s", 60: "tool2m", 80: "tool2s", 100: "tool3m", 120: "tool3s"},
    **{140: "tool4m", 160: "tool4s", 180: "uterus"},
}  # m: manipulator, s: shaft
CLIP_FRAMES = [1, 25, 50, 75, 100, 125]


class AutoLaparo(Adapter):
    """Task 1: a text file a video, a line for each second from 1; task 3: a grey mask a frame of a clip.

    A line of a label file is a row, counted in `intervals`; its phase is an id. The labels of task 1 count
    seconds: frame numbers stay null. Images of task 3 are named by clip and by frame of the 25 fps clip, from
    1; every class is annotated, so `presences` of all follow, and one without pixels in a mask is absent. Task 2
    is not read.

    Which of task 1's operations a clip shows is not published, so clips are procedures of their own, and all in
    test (`identity/splits.yaml`): no clip of a test operation is trained on. What a model scores on clips is of
    unseen operations only where it was not trained on task 1.
    """

    name = "autolaparo"
    title = "AutoLaparo"
    specialty = "Gynecology"
    procedure_type = "procedure/hysterectomy"
    licence = CC_BY_NC_SA
    citation = "Wang et al., AutoLaparo, MICCAI 2022, arXiv:2208.02049"
    url = "https://autolaparo.github.io"
    format_source = "owner's documentation"
    yields = ("intervals:phase", "masks:object", "presences:object")
    signature = (
        *(f"{base}labels/label_[0-9][0-9].txt" for base in PHASE_BASES),
        *(f"{base}imgs/{'[0-9]' * 6}.jpg" for base in MASK_BASES),
    )

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of task 1 (two digits) and clips of task 3 (three digits)."""
        labels = matching(root, self.signature[:3], r".*/?label_(\d\d)\.txt")
        media = footage(root, [f"{base}videos/*" for base in PHASE_BASES], r"(?:.*/)?(\d\d)")
        masks = matching(root, [f"{base}masks/*.png" for base in MASK_BASES], r"(?:.*/)?(\d{3})\d{3}\.png")
        shown = matching(root, self.signature[3:], r"(?:.*/)?(\d{3})\d{3}\.jpg")
        folders = {clip: [Path(files[0]).parent.as_posix()] for clip, files in shown.items()}
        videos = self.listed(root, [labels, masks], {**media, **folders}, "video", FRAME_RATE)
        return [_clip(video) if len(video.video) == 3 else video for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, masks and frames of clips."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        for video in videos:
            for file in [file for file in video.label_files if file.endswith(".txt")]:
                rows = table(root, file, {"frame_index": INDEX, "phase": INTEGER}, separator="\t", header=None)
                rows = steady(rows, first=1).with_columns(
                    video=pl.lit(video.video), phase=named(rows, "phase", PHASES, "AutoLaparo's phases")
                )
                yield {"intervals": runs(rows, "phase", "phase", 1.0, first_index=1).drop("start_frame", "end_frame")}
        clips = [video for video in videos if video.media == "images"]
        shown, copies = images(root, {str(clip.path): None for clip in clips}, r"(?P<video>\d{3})(?P<frame>\d{3})")
        wanted = pl.col("video").is_in([clip.video for clip in clips])
        yield {"images": shown.filter(wanted), "rejects": copies.filter(wanted)}
        name = pl.col("file").str.extract_groups(r"(\d{3})(\d{3})\.png$").struct
        files = [file for video in videos for file in video.label_files if file.endswith(".png")]
        masks = pl.DataFrame({"file": files}, schema={"file": pl.String}).with_columns(
            video=name.field("1"), frame_index=name.field("2").cast(pl.Int64), locator=pl.lit(WHOLE_FILE)
        )
        require(masks, pl.col("frame_index").is_in(CLIP_FRAMES), f"one of the frames {CLIP_FRAMES}", "frame_index")
        yield regions(root, masks, CLASSES, "object")


def _clip(video: NativeVideo) -> NativeVideo:
    media = "images" if video.media == "video" else video.media
    return replace(video, media=media, first_index=1)


ADAPTER = AutoLaparo()
