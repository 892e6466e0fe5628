"""File names that mean something: label files, image folders, second downloads."""

import filecmp
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE

# What ffmpeg reads of footage, whatever a release ships: recorders and tools write suffixes in capitals, and a remuxed
# file gets another one. The first is preferred.
FOOTAGE = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm", ".wmv", ".mpg", ".mpeg", ".mts", ".m2ts")
UNREAD = (".ts", ".vob", ".flv", ".3gp", ".asf", ".dv", ".mxf", ".ogv")


def is_footage(file: str | None) -> bool:
    """Whether a file's name is that of a video."""
    return file is not None and Path(file).suffix.lower() in FOOTAGE


def footage(root: Path, globs: Iterable[str], pattern: str) -> dict[str, list[str]]:
    """Video files below `root`, links that lead nowhere too, by the first group of `pattern`.

    `globs` and `pattern` are of paths without suffix; of each id, files are in the order of `FOOTAGE`, then of `globs`.
    """
    shown = matching(root, [f"{glob}.*" for glob in globs], rf"{pattern}\.(?i:{'|'.join(s[1:] for s in FOOTAGE)})")
    named = {id_: [file for file in files if not Path(file).name.startswith(".")] for id_, files in shown.items()}
    rank = {suffix: number for number, suffix in enumerate(FOOTAGE)}
    return {
        id_: sorted(files, key=lambda file: rank[Path(file).suffix.lower()]) for id_, files in named.items() if files
    }


def listing(root: Path, folder: str, pattern: str) -> dict[str, list[str]]:
    """Files or folders in `folder` whose whole name matches `pattern`, by its first group."""
    found: dict[str, list[str]] = {}
    names = sorted(path.name for path in (root / folder).iterdir()) if (root / folder).is_dir() else []
    for name in names:
        if match := re.fullmatch(pattern, name):
            found.setdefault(match[1], []).append(f"{folder}/{name}")
    return found


def matching(root: Path, globs: Iterable[str], pattern: str) -> dict[str, list[str]]:
    """Files below `root` that match a glob, by the first group of `pattern`, which matches the whole path.

    Of each id they are in the order of `globs`, then of their paths.
    """
    found: dict[str, list[str]] = {}
    paths = (path for glob in globs for path in sorted(path.relative_to(root) for path in root.glob(glob)))
    for file in dict.fromkeys(path.as_posix() for path in paths):
        if match := re.fullmatch(pattern, file):
            found.setdefault(match[1], []).append(file)
    return found


def images(
    root: Path, folders: Iterable[str], stem: str, video: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Image files as `images` records; as rejects, those that repeat or contradict a file of the same frame.

    `stem` matches file names without suffix: group `frame`, and `video` where the folder is not the video and
    not all are of one `video`. A browser names a second download `000030 (1).png`: alone it is frame 30,
    beside `000030.png` it is a copy.
    A frame in several folders is the file in the first of them.
    """
    pattern = re.compile(rf"(?:{stem})(?: \((?P<copy>\d{{1,3}})\))?\.(?i:png|jpe?g)")
    found: dict[tuple[str, int], list[tuple[int, int, str]]] = {}
    for rank, folder in enumerate(folders):
        for path in (root / folder).iterdir() if (root / folder).is_dir() else ():
            if match := pattern.fullmatch(path.name):
                groups = match.groupdict()
                key = video or groups.get("video") or Path(folder).name, int(groups["frame"])
                found.setdefault(key, []).append((rank, int(groups["copy"] or 0), f"{folder}/{path.name}"))
    frames = [(*key, files) for key, paths in sorted(found.items()) for files in [[p for *_, p in sorted(paths)]]]
    kept = pl.DataFrame(
        [(video, files[0], frame) for video, frame, files in frames],
        schema={"video": pl.String, "file": pl.String, "frame_index": pl.Int64},
        orient="row",
    )
    copies = pl.DataFrame(
        [
            (video, copy, files[0], filecmp.cmp(root / copy, root / files[0], shallow=False))
            for video, _, files in frames
            for copy in files[1:]
        ],
        schema={"video": pl.String, "file": pl.String, "first": pl.String, "same": pl.Boolean},
        orient="row",
    )
    whole = {"locator": pl.lit(WHOLE_FILE), "n_rows": pl.lit(1, pl.Int64)}
    rejects = copies.with_columns(
        rule=pl.when("same").then(pl.lit("duplicate_download")).otherwise(pl.lit("conflicting_download")),
        reason=pl.format(
            "The frame is {}, {}.",
            "first",
            pl.when("same").then(pl.lit("with the same bytes")).otherwise(pl.lit("whose bytes differ")),
        ),
        **whole,
    )
    return kept.with_columns(**whole), rejects.drop("first", "same")
