"""Which frames labels mean, and making them: extracted from video, or found where a source ships images."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from PIL import Image, UnidentifiedImageError

from surgsigma_dagster.keys import frame_id
from surgsigma_dagster.quality.rejects import reject_rows, unit_reject
from surgsigma_dagster.schema.tables import FRAME_LABELS, empty
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.video.binary import MediaError
from surgsigma_dagster.video.extraction import extract

_TOLERANCE_S = 0.0015  # Matroska counts milliseconds
BLANK = "blank: one tone all over"
_BLANK_SPREAD = 2.0  # standard deviation of grey levels, 0 to 255

Native = Mapping[str, pl.DataFrame]  # native records by kind, of one video


@dataclass
class FrameSet:
    """Frames of one video: rows of the `frames` and `rejects` tables, and files to put into the lake by name."""

    frames: pl.DataFrame
    rejects: pl.DataFrame
    images: dict[str, Path] = field(default_factory=dict)


def labelled_frames(native: Native) -> pl.Series:
    """Native numbers of the frames that frame-level labels speak of: sorted, distinct."""
    numbers = [native[kind]["frame_index"] for kind in FRAME_LABELS]
    return pl.concat(numbers).unique().sort()


def gridded_frames(native: Native, video: NativeVideo, every_s: float, timestamps: pl.DataFrame) -> pl.Series:
    """Native numbers of the frames at multiples of `every_s` seconds inside labelled stretches of a video file.

    Where labels count frames, the frame is the one of that number (Cholec80: frame 25k at second k), or the nearest
    frame of its stretch that bears labels of its own, where that is less than half of `every_s` away: every 60th frame
    of a 59.94 fps video is near no whole second, and would else have a twin. Where they count seconds, it is the frame
    on screen at that instant, by the file's own timestamps.
    """
    spans = native["intervals"].select("start_s", "end_s", "start_frame", "end_frame")
    if spans.is_empty():
        return pl.Series("frame_index", [], pl.Int64)
    grid = (
        spans.with_columns(
            tick=pl.int_ranges(
                (pl.col("start_s") / every_s - 1e-9).ceil().cast(pl.Int64),
                (pl.col("end_s") / every_s - 1e-9).ceil().cast(pl.Int64),
            )
        )
        .explode("tick")
        .drop_nulls("tick")
        .with_columns(at_s=pl.col("tick") * every_s)
    )
    own = pl.col("labelled")
    near = (own - pl.col("number")).abs() * 2 < every_s * video.frame_rate
    counted = (
        grid.filter(pl.col("start_frame").is_not_null())
        .with_columns(number=(pl.col("at_s") * video.frame_rate).round().cast(pl.Int64) + video.first_index)
        .sort("number")
        .join_asof(
            labelled_frames(native).to_frame("labelled"),
            left_on="number", right_on="labelled", strategy="nearest", coalesce=False,
        )
        .select(frame_index=pl.when(near & own.is_between("start_frame", "end_frame")).then(own).otherwise("number"))
    )  # fmt: skip
    timed = (
        grid.filter(pl.col("start_frame").is_null())
        .select(pl.col("at_s").cast(pl.Float64))
        .unique()
        .sort("at_s")
        .join_asof(timestamps.sort("pts_s"), left_on="at_s", right_on="pts_s", strategy="backward")
        .select(frame_index=pl.col("file_frame") + video.first_index)
        .drop_nulls()
    )
    return pl.concat([counted, timed])["frame_index"].unique().sort()


def looks(path: Path) -> tuple[bool, int | None]:
    """Whether a picture is one tone all over, and its perceptual hash; False and None where it cannot be decoded.

    Blank is black before the camera is in, or blanked for privacy: a spread of grey levels below 2 is what JPEG makes
    of one tone, the dullest endoscopic frames have ten times that. The hash (Zauner, Implementation and benchmarking
    of perceptual image hash functions, 2010) holds the signs of the 63 lowest frequencies against their median: real
    frames differ from their own copies at other sizes and JPEG qualities in at most 8 bits, mostly in 2, and from
    frames of other procedures in at least 16 (measured on 120 frames of three procedures).
    """
    picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if picture is None:
        return False, None
    small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False  # brightness
    return float(picture.std()) < _BLANK_SPREAD, int.from_bytes(np.packbits(bits).tobytes())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def frames_of_video(
    path: Path,
    video: NativeVideo,
    native: Native,
    *,
    source: str,
    video_id: str,
    size: tuple[int, int],
    every_s: float,
    timestamps: pl.DataFrame,
    folder: Path,
) -> FrameSet:
    """Extract the frames of a video file that its labels mean into `folder`.

    A file that cannot be decoded as promised is quarantined: every frame keeps its row, with the reason. Frames
    that labels mean beyond the end of the video are absent.
    """
    grid = gridded_frames(native, video, every_s, timestamps)
    wanted = (
        pl.concat([labelled_frames(native), grid]).unique().sort().to_frame("frame_index")
        .with_columns(file_frame=pl.col("frame_index") - video.first_index)
        .join(timestamps, on="file_frame", how="left")
    )  # fmt: skip
    there = wanted.filter(pl.col("pts_s").is_not_null())
    reason, images, shown = None, {}, []
    try:
        shown = extract(path, there["file_frame"].to_list(), folder, upper_half=video.left_eye_above)
        if len(shown) < there.height:
            reason = f"decoding stopped after {len(shown)} of {there.height} frames"
        else:
            reason = _out_of_step(there["file_frame"], there["pts_s"], shown)
    except MediaError as error:
        reason = str(error)
    hashes: list[str | None] = [None] * there.height
    blank = [False] * there.height
    perceptual: list[int | None] = [None] * there.height
    if reason is None:
        for position, number in enumerate(there["frame_index"].to_list()):
            image = folder / f"{position:06d}.jpg"
            hashes[position] = _sha256(image)
            blank[position], perceptual[position] = looks(image)
            images[f"{number:06d}.jpg"] = image
    found = there.select("frame_index").with_columns(
        sha256=pl.Series(hashes, dtype=pl.String),
        blank=pl.Series(blank, dtype=pl.Boolean),
        perceptual_hash=pl.Series(perceptual, dtype=pl.UInt64),
    )
    frames = _frame_rows(
        wanted.join(found, on="frame_index", how="left").with_columns(
            width=pl.lit(size[0]),
            height=pl.lit(size[1]),
            image_root=pl.lit("lake"),
            image_name=pl.col("frame_index").cast(pl.String).str.zfill(6) + ".jpg",
            reason=pl.when(pl.col("pts_s").is_null())
            .then(pl.lit(f"the video ends with frame {timestamps.height - 1 + video.first_index}"))
            .otherwise(pl.coalesce(pl.lit(reason, pl.String), pl.when("blank").then(pl.lit(BLANK)))),
            status=pl.when(pl.col("pts_s").is_null())
            .then(pl.lit("absent"))
            .when(pl.col("blank") | pl.lit(reason is not None))
            .then(pl.lit("quarantined"))
            .otherwise(pl.lit("available")),
        ),
        source,
        video_id,
    )
    absent = frames.filter(pl.col("status") == "absent")
    rejects = [
        _turned_down(absent, "frame_beyond_video_end", video.path),
        _turned_down(frames.filter(pl.col("reason") == BLANK), "blank_frame", video.path),
    ]
    if reason is not None:
        rejects.append(unit_reject("frames", "undecodable_video", reason, source, video_id=video_id, file=video.path))
    return FrameSet(frames, pl.concat(rejects), images)


def _out_of_step(frames: pl.Series, promised: pl.Series, shown: list[float]) -> str | None:
    """Where packets and decoder disagree on when a frame is presented, so that its number means two frames."""
    decoded = pl.Series("shown", shown, pl.Float64)
    apart = ((decoded - promised).abs() > _TOLERANCE_S).arg_true()
    if apart.is_empty():
        return None
    at = apart[0]
    return f"frame {frames[at]} is presented at {decoded[at]:.3f} s, its packets say {promised[at]:.3f} s"


def frames_of_images(root: Path, video: NativeVideo, native: Native, *, source: str, video_id: str) -> FrameSet:
    """Rows for the images of a sequence: measured and hashed where they lie, never copied.

    A frame that labels mean and no image shows is absent; an image that cannot be read is quarantined. Frames of a
    video that is not `timed` have no `pts_s`: seconds between pictures that are merely numbered would be made up.
    """
    images = native["images"].select("frame_index", "file").unique("frame_index", keep="first", maintain_order=True)
    facts = pl.DataFrame(
        [(file, *_image_facts(root / file)) for file in images["file"].to_list()],
        schema={
            "file": pl.String, "width": pl.Int64, "height": pl.Int64, "sha256": pl.String,
            "perceptual_hash": pl.UInt64, "reason": pl.String,
        },
        orient="row",
    )  # fmt: skip
    wanted = pl.concat([labelled_frames(native), images["frame_index"]]).unique().sort().to_frame("frame_index")
    frames = _frame_rows(
        wanted.join(images, on="frame_index", how="left")
        .join(facts, on="file", how="left")
        .with_columns(
            pts_s=pl.when(video.timed).then((pl.col("frame_index") - video.first_index) / video.frame_rate),
            image_root=pl.lit("source"),
            image_name=pl.col("file"),
            status=pl.when(pl.col("file").is_null())
            .then(pl.lit("absent"))
            .when(pl.col("reason").is_not_null())
            .then(pl.lit("quarantined"))
            .otherwise(pl.lit("available")),
            reason=pl.when(pl.col("file").is_null()).then(pl.lit("no image file")).otherwise("reason"),
        ),
        source,
        video_id,
    )
    blank = pl.col("reason") == BLANK
    broken = frames.filter((pl.col("status") == "quarantined") & ~blank)
    rejects = [_turned_down(broken, "unreadable_image", None), _turned_down(frames.filter(blank), "blank_frame", None)]
    return FrameSet(frames, pl.concat(rejects))


def frames_without_media(native: Native, reason: str, status: str, *, source: str, video_id: str) -> FrameSet:
    """Rows for the frames that labels mean where the video is absent or quarantined."""
    frames = _frame_rows(
        labelled_frames(native).to_frame("frame_index").with_columns(
            pts_s=pl.lit(None, pl.Float64), width=pl.lit(None, pl.Int64), height=pl.lit(None, pl.Int64),
            sha256=pl.lit(None, pl.String), perceptual_hash=pl.lit(None, pl.UInt64),
            image_root=pl.lit(None, pl.String), image_name=pl.lit(None, pl.String),
            status=pl.lit(status), reason=pl.lit(reason),
        ),
        source,
        video_id,
    )  # fmt: skip
    return FrameSet(frames, empty("rejects"))


def _image_facts(path: Path) -> tuple[int | None, int | None, str | None, int | None, str | None]:
    """Width, height, content hash, perceptual hash of a picture, and why it cannot be used."""
    try:
        data = path.read_bytes()
        with Image.open(path) as image:
            width, height, kind = *image.size, image.format
    except (OSError, UnidentifiedImageError) as error:
        return None, None, None, None, f"not a readable image: {type(error).__name__}"
    end = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}.get(kind or "", b"")
    # Interrupted downloads keep a good header: only the end of the file tells.
    if end not in data[-64:]:
        return width, height, None, None, f"{kind} without its end: cut off after {len(data)} bytes"
    blank, perceptual = looks(path)
    return width, height, hashlib.sha256(data).hexdigest(), perceptual, BLANK if blank else None


def _frame_rows(frames: pl.DataFrame, source: str, video_id: str) -> pl.DataFrame:
    usable = pl.col("status") == "available"
    return frames.with_columns(source=pl.lit(source), video_id=pl.lit(video_id)).select(
        frame_id=frame_id(pl.col("video_id"), pl.col("frame_index")),
        video_id="video_id",
        source="source",
        frame_index="frame_index",
        pts_s=pl.col("pts_s").round(6),
        width="width",
        height="height",
        image_root=pl.when(usable).then("image_root"),
        image_path=pl.when(usable).then("image_name"),
        sha256=pl.when(usable).then("sha256"),
        perceptual_hash=pl.when(usable).then("perceptual_hash"),
        status="status",
        reason="reason",
    )


def _turned_down(frames: pl.DataFrame, rule: str, file: str | None) -> pl.DataFrame:
    return reject_rows(
        frames,
        stage="frames",
        rule=rule,
        reason=pl.col("reason"),
        file=pl.lit(file) if file else pl.col("frame_id"),
        locator=pl.format("frame {}", "frame_index"),
        n_rows=0,
    )
