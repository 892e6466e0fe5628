"""Clips: stretches of footage cut into files of their own, frame by frame. Which stretches is decided elsewhere."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from surgsigma_dagster.video.binary import MediaError, binary, run
from surgsigma_dagster.video.probe import probe

_TICKS = 90_000  # a second: whole numbers for 24, 25, 30, 50, 60 and 30000/1001 frames a second, and for milliseconds
_ROUNDING_S = 2e-6  # containers print microseconds, and a difference of two has two roundings
_TOLERANCE_S = 0.0015  # between packets and decoder: Matroska counts milliseconds
_LEAD_S = 5.0  # decoded before a clip: what an open group of pictures or an intra refresh lacks at its begin lies there
_AT_ONCE = 8  # encoders in one process: each holds some fifty frames
_SHOWN = re.compile(r"\[(?:showinfo@)?c(\d+)\] n: *\d+ +pts: *(-?\d+) ")
_TIME_BASE = re.compile(r"\[(?:showinfo@)?c(\d+)\] config in time_base: (\d+)/(\d+)")


@dataclass(frozen=True)
class Cut:
    """One clip file. Times are seconds from the first presented frame of the whole video."""

    name: str  # in the folder
    start_s: float
    end_s: float
    first_pts_s: float
    last_pts_s: float
    n_frames: int
    sha256: str


@dataclass(frozen=True)
class _Part:
    """Frames `first` to `end` (exclusive) of a video with `pts` (seconds, ascending), to be the file `name`."""

    name: str
    span: tuple[float, float]
    pts: np.ndarray
    first: int
    end: int

    @property
    def shown(self) -> np.ndarray:
        return self.pts[self.first : self.end]

    def between(self, offset_s: float) -> str:
        """A filter expression that is true of these frames: its bounds lie halfway to the neighbours."""
        low = self.pts[self.first - 1 : self.first + 1].mean() if self.first else self.pts[0] - 1
        high = self.pts[self.end - 1 : self.end + 1].mean() if self.end < len(self.pts) else self.pts[-1] + 1
        return f"between(t,{low + offset_s:.7f},{high + offset_s:.7f})"

    def cut(self, folder: Path) -> Cut:
        with (folder / self.name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Cut(self.name, *self.span, float(self.shown[0]), float(self.shown[-1]), len(self.shown), sha256)


def cut(path: Path, spans: Sequence[tuple[float, float]], folder: Path, *, timeout_s: float = 7200) -> list[Cut]:
    """Write for each of `spans` an MP4, `%06d.mp4` of its position: H.264 of exactly the frames shown in [start, end).

    Spans are seconds from the first presented frame; they may overlap, come in any order, and reach beyond the last
    frame. A clip's frames keep their distances (a variable rate stays one) and begin at 0. Sound, subtitles, chapters,
    metadata and captions inside the stream are left behind. An odd width or height gets one black column at the right
    or row at the bottom, so that positions in pixels stay true. The same footage, spans and ffmpeg give the same bytes.

    Neighbouring spans share a decode, which begins at a keyframe some seconds before them. Where the decoder then shows
    other frames than the packets promise, it is repeated from the first frame of the video on.

    Raises `MediaError` where a span has no frame, reaches into what a damaged file lacks, or cannot be decoded.
    """
    found = probe(path)
    parts = _parts(path.name, found.timestamps["pts_s"].to_numpy(), spans)
    for part in parts:
        if found.complaint and part.end == len(part.pts) and part.span[1] > found.duration_s:
            raise MediaError(
                f"{path.name}: {_said(part.span)} reaches beyond {found.duration_s:.3f} s: {found.complaint}"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for group in _groups(parts):
        for seek_s in (group[0].shown[0] - _LEAD_S, 0.0):
            video = _input(path, found.first_pts_s, seek_s)
            wrong = _encode(video, group, folder, found.first_pts_s, path.name, timeout_s)
            if wrong is None:
                break
            if seek_s <= 0:
                raise MediaError(wrong)
    return [part.cut(folder) for part in parts]


def _said(span: tuple[float, float]) -> str:
    return f"{span[0]:.3f} to {span[1]:.3f} s"


def _parts(name: str, pts: np.ndarray, spans: Sequence[tuple[float, float]]) -> list[_Part]:
    bounds = np.array(spans, dtype=float).reshape(-1, 2) - _ROUNDING_S
    parts = [
        _Part(f"{number:06d}.mp4", span, pts, int(first), int(end))
        for number, (span, (first, end)) in enumerate(zip(spans, pts.searchsorted(bounds), strict=True))
    ]
    for part in parts:
        if part.end <= part.first:
            raise MediaError(f"{name}: no frame is presented from {_said(part.span)}")
    return parts


def _groups(parts: list[_Part]) -> Iterator[list[_Part]]:
    """`parts` in order of time, in groups that are worth one decode."""
    group: list[_Part] = []
    for part in sorted(parts, key=lambda part: (part.first, part.end)):
        reach = max((one.shown[-1] for one in group), default=0.0)
        if group and (part.shown[0] > reach + _LEAD_S or len(group) == _AT_ONCE):
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _input(path: Path, first_pts_s: float, seek_s: float) -> Any:
    """The video of `path` with its own timestamps, decoded from a keyframe at or before `seek_s` on."""
    where = {"seek_timestamp": 1, "ss": f"{first_pts_s + seek_s:.6f}", "noaccurate_seek": None} if seek_s > 0 else {}
    return ffmpeg.input(f"file:{path.resolve()}", copyts=None, fflags="+discardcorrupt", **where).video


def _encode(
    video: Any,
    parts: list[_Part],
    folder: Path,
    offset_s: float,
    name: str,
    timeout_s: float,
) -> str | None:
    """Encode `parts` of `video`, whose timestamps are those of the parts plus `offset_s`.

    Returns what is wrong where other frames than theirs were shown.
    """
    clean = "filter_units=remove_types=6"  # SEI: captions for the deaf, settings of the encoder
    branches = video.filter_multi_output("split", len(parts))
    outputs = [
        branches[number]
        .filter("select", part.between(offset_s))
        .filter(f"showinfo@c{number}", checksum=0)
        .filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")
        .filter("settb", f"1/{_TICKS}")
        .filter("setpts", "PTS-STARTPTS")
        .output(
            part.name, f="mp4", vframes=len(part.shown), fps_mode="passthrough", enc_time_base=f"1/{_TICKS}",
            video_track_timescale=_TICKS, vcodec="libx264", crf=18, preset="veryfast", pix_fmt="yuv420p",
            bf=0,  # no reordering: the file needs no edit list to begin at 0
            threads=1, movflags="+faststart", fflags="+bitexact", map_metadata=-1, map_chapters=-1, write_tmcd=0,
            **{"flags:v": "+bitexact", "bsf:v": clean},
        )
        for number, part in enumerate(parts)
    ]  # fmt: skip
    arguments = ["-nostdin", "-y", "-hide_banner", "-v", "info", "-nostats", *ffmpeg.merge_outputs(*outputs).get_args()]
    _, said = run([binary("ffmpeg"), *arguments], timeout_s=timeout_s, cwd=folder)
    configured = _TIME_BASE.findall(said)
    if len(configured) > len(parts):  # a second graph would begin its clock anew
        return f"ffmpeg: {name}: the pictures change in size or format"
    base = {number: int(up) / int(down) for number, up, down in configured}
    ticks = [(int(number), int(pts) * base[number]) for number, pts in _SHOWN.findall(said)]
    for number, part in enumerate(parts):
        shown = np.array([at for branch, at in ticks if branch == number]) - offset_s
        if len(shown) != len(part.shown) or (np.abs(shown - part.shown) > _TOLERANCE_S).any():
            found = f"{len(part.shown)} frames promised, {len(shown)} shown in their place"
            return f"ffmpeg: {name}: {_said(part.span)}: {found}"
    return None
