"""What a video file holds: codec, size, and the presentation timestamp of every frame."""

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from surgsigma_dagster.video.binary import MediaError, binary, run

SAME_RATE = 0.01  # share by which the rates of one clock may differ: 29.97 is called 30, but 24 and 25 are two clocks
# Formats that state no presentation time of frames that others are decoded before. Their packets are stored at the
# rate at which frames are shown, and a decoder that is told no other time gives each frame that of its turn.
_STORED_IN_TURN = {"avi", "mpeg"}


@dataclass(frozen=True)
class Probe:
    """A readable video. `timestamps`: frame_index (0-based, order of presentation), pts_s from the first frame."""

    codec: str
    width: int
    height: int
    duration_s: float
    frame_rate: float
    timestamps: pl.DataFrame
    complaint: str | None  # why it must not be trusted: packets missing or damaged
    first_pts_s: float  # the first frame on the decoder's clock: the container's own


def probe(path: Path, *, timeout_s: float = 600) -> Probe:
    """Read every packet header of `path` (nothing is decoded). Raises `MediaError` where there is no video.

    A file whose index promises more frames than its bytes hold is reported in `complaint`: copies that were cut
    off open without an error, and their last labels would silently have no frame.
    """
    out, said = run(
        [
            binary("ffprobe"), "-v", "error", "-select_streams", "v:0", "-of", "json",
            "-show_entries", "stream=codec_name,width,height,nb_frames,has_b_frames:format=format_name"
            ":packet=pts_time,dts_time,duration_time,flags",
            f"file:{path}",
        ],
        timeout_s=timeout_s,
    )  # fmt: skip
    found = json.loads(out)
    if not found.get("streams"):
        raise MediaError(f"ffprobe: {path.name} holds no video stream")
    stream = found["streams"][0]
    packets = pl.DataFrame(
        {
            "pts": [packet.get("pts_time") for packet in found.get("packets", [])],
            "dts": [packet.get("dts_time") for packet in found.get("packets", [])],
            "duration": [packet.get("duration_time") for packet in found.get("packets", [])],
            "flags": [packet.get("flags", "") for packet in found.get("packets", [])],
        },
        schema=dict.fromkeys(("pts", "dts", "duration", "flags"), pl.String),
    ).with_columns(pl.col("pts", "dts", "duration").cast(pl.Float64))
    n_packets = packets.height
    if not n_packets:
        raise MediaError(f"ffprobe: {path.name} holds no frame")
    # What an edit list cuts off (D) is decoded and never presented: it is no frame.
    shown = packets.filter(~pl.col("flags").str.contains("D", literal=True))
    delay = 0
    if found["format"]["format_name"] in _STORED_IN_TURN and shown["pts"].null_count():
        shown, delay = shown.with_columns(pts="dts"), int(stream.get("has_b_frames", 0))
    packets = shown.drop_nulls("pts").sort("pts")
    if packets.is_empty():
        raise MediaError(f"ffprobe: {path.name}: no frame has a presentation time, so no label finds its frame")
    timestamps = packets.select(
        frame_index=pl.int_range(pl.len(), dtype=pl.Int64),
        # Containers count time in ticks: the sixth digit is rounding.
        pts_s=(pl.col("pts") - pl.col("pts").first()).round(6),
    )
    last = packets["duration"].fill_null(0.0)[-1]
    duration = float(timestamps["pts_s"][-1]) + last
    promised = int(stream["nb_frames"]) if str(stream.get("nb_frames", "")).isdigit() else n_packets
    complaint = said.strip().splitlines()[0] if said.strip() else None
    if promised > n_packets + 2:  # ffmpeg versions differ by up to two frames at the end of Cholec80 videos
        complaint = f"its index promises {promised} frames, its bytes hold {n_packets}"
    elif packets.height < shown.height:
        complaint = f"{shown.height - packets.height} of {shown.height} frames have no presentation time"
    return Probe(
        codec=stream.get("codec_name", "unknown"),
        width=int(stream["width"]),
        height=int(stream["height"]),
        duration_s=round(duration, 6),
        frame_rate=round(packets.height / duration, 6) if duration else 0.0,
        timestamps=timestamps,
        complaint=complaint,
        first_pts_s=float(packets["pts"][min(delay, packets.height - 1)]),
    )


def duration(path: Path) -> tuple[float, int, int, float]:
    """Seconds, width, height and frames a second as the container states them, without reading the file.

    Raises `MediaError`.
    """
    out, _ = run(
        [
            binary("ffprobe"), "-v", "error", "-select_streams", "v:0", "-of", "json",
            "-show_entries", "stream=width,height,avg_frame_rate:format=duration", f"file:{path}",
        ],
        timeout_s=60,
    )  # fmt: skip
    found = json.loads(out)
    if not found.get("streams") or "duration" not in found.get("format", {}):
        raise MediaError(f"ffprobe: {path.name} holds no video stream")
    stream = found["streams"][0]
    frames, _, seconds = stream["avg_frame_rate"].partition("/")
    rate = float(frames) / float(seconds or 1) if float(seconds or 1) else 0.0
    return float(found["format"]["duration"]), int(stream["width"]), int(stream["height"]), rate
