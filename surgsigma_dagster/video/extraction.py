"""Extracting frames by index: exactly those asked for, each with its true timestamp."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import ffmpeg

from surgsigma_dagster.video.binary import MediaError, binary, run

_SHOWN = re.compile(r"\bn: *(\d+) +pts: *(-?\d+|NOPTS) +pts_time:")
_TIME_BASE = re.compile(r"config in time_base: (\d+)/(\d+)")
_EXPRESSION_BYTES = 60_000  # Linux takes 128 KiB an argument, and escaping adds to it


def _selection(indices: Sequence[int]) -> str:
    """A filter expression that is true of frame number n where n is in `indices` (sorted, distinct).

    Runs of equal stride become one term each; terms hang in a balanced tree, so that a thousand irregular
    frames cost ten comparisons a frame, not a thousand.
    """
    runs: list[tuple[int, int, int]] = []
    start = 0
    while start < len(indices):
        end = start
        stride = indices[start + 1] - indices[start] if start + 1 < len(indices) else 1
        while end + 1 < len(indices) and indices[end + 1] - indices[end] == stride:
            end += 1
        runs.append((indices[start], indices[end], stride))
        start = end + 1

    def tree(terms: list[tuple[int, int, int]]) -> str:
        if len(terms) == 1:
            first, last, stride = terms[0]
            return f"between(n,{first},{last})*not(mod(n-{first},{stride}))"
        middle = len(terms) // 2
        return f"if(lt(n,{terms[middle][0]}),{tree(terms[:middle])},{tree(terms[middle:])})"

    return tree(runs)


def _passes(indices: Sequence[int]) -> list[Sequence[int]]:
    """`indices` in stretches whose selection fits into an argument: one, but for thousands of irregular frames."""
    if len(_selection(indices)) <= _EXPRESSION_BYTES:
        return [indices]
    middle = len(indices) // 2
    return _passes(indices[:middle]) + _passes(indices[middle:])


def extract(
    path: Path, indices: Sequence[int], folder: Path, *, upper_half: bool = False, timeout_s: float = 7200
) -> list[float]:
    """Write frame `i` of `path` for each of `indices` as `%06d.jpg` of its position in `indices`, from 000000.

    Frames count from 0 in order of presentation. Returns the decoder's timestamps, seconds from the first presented
    frame, one a frame written: fewer than asked for where the video ends early. `upper_half` keeps that of each frame
    alone. Raises `MediaError` where decoding fails.

    `fps=` filters are not used: they invent evenly spaced frames and, on Cholec80, stand half a second off.
    """
    if not indices:
        return []
    if any(later <= earlier for earlier, later in pairwise(indices)) or indices[0] < 0:
        raise ValueError("indices must be sorted, distinct and not negative")
    folder.mkdir(parents=True, exist_ok=True)
    shown: list[float] = []
    for part in _passes(indices):
        found = _extract(path, part, folder, len(shown), upper_half, timeout_s)
        shown += found
        if len(found) < len(part):
            break
    return shown


def _extract(
    path: Path, indices: Sequence[int], folder: Path, first: int, upper_half: bool, timeout_s: float
) -> list[float]:
    chosen = (
        ffmpeg.input(f"file:{path.resolve()}", copyts=None)
        .video.filter("setpts", "PTS-STARTPTS")
        .filter("select", _selection(indices))
        .filter("showinfo", checksum=0)
    )
    if upper_half:
        chosen = chosen.filter("crop", "iw", "ih/2", 0, 0)
    graph = (
        chosen
        # ffmpeg expands % in the whole output path, so it runs in the folder, with a relative pattern.
        .output(
            "%06d.jpg", f="image2", start_number=first, fps_mode="passthrough", vframes=len(indices), **{"q:v": 2},
            fflags="+bitexact", flags="+bitexact", pix_fmt="yuvj420p",
        )
    )  # fmt: skip
    arguments = ["-nostdin", "-y", "-hide_banner", "-v", "info", "-nostats", *graph.get_args()]
    _, said = run([binary("ffmpeg"), *arguments], timeout_s=timeout_s, cwd=folder)
    shown, base = _SHOWN.findall(said), _TIME_BASE.search(said)
    if [int(number) for number, _ in shown] != list(range(len(shown))) or len(shown) > len(indices):
        raise MediaError(f"ffmpeg: {path.name}: {len(indices)} frames asked for, {len(shown)} answered")
    if shown and (base is None or any(ticks == "NOPTS" for _, ticks in shown)):
        raise MediaError(f"ffmpeg: {path.name}: frames without a presentation time")
    # Ticks, since ffmpeg prints seconds with six digits in all: a centisecond after three hours.
    return [round(int(ticks) * int(base[1]) / int(base[2]), 6) for _, ticks in shown] if base else []
