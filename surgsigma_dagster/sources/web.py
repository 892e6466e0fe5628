"""Downloading what a web video manifest lists and the folder lacks, with yt-dlp (extra `[web]`)."""

from pathlib import Path

from surgsigma_dagster.sources.datasets.web_video import MANIFEST, manifest
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import FOOTAGE, composed


def fetch(root: Path) -> tuple[list[str], list[SourceError]]:
    """Download every listed video that has no file yet, and its subtitles; returns what came and what did not.

    The picture is taken as it is offered: nothing is encoded again, so that its timestamps stay. Raises `SourceError`
    for a manifest that cannot be read, and where yt-dlp is not installed.
    """
    try:
        from yt_dlp import YoutubeDL  # type: ignore[import-untyped]
        from yt_dlp.utils import YoutubeDLError  # type: ignore[import-untyped]
    except ImportError as error:
        raise SourceError(root, "", "yt-dlp", 'not installed: pip install "surgsigma-dagster[web]"') from error
    came, failed = [], []
    there = {composed(path.stem) for path in root.iterdir() if path.suffix.lower() in FOOTAGE and path.is_file()}
    for row in manifest(root).to_dicts():
        if row["video"] in there:
            continue
        options = {
            "outtmpl": {"default": str(root / f"{row['video'].replace('%', '%%')}.%(ext)s")},
            "format": "best[ext=mp4]/best",
            "writesubtitles": True,
            "subtitlesformat": "vtt",
            "noplaylist": True,
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "fixup": "never",
            "updatetime": False,
        }
        try:
            with YoutubeDL(options) as downloader:
                downloader.download([row["url"]])
            came.append(row["video"])
        except (YoutubeDLError, OSError) as error:
            failed.append(SourceError(MANIFEST, f"line {row['line']}", f"a video at {row['url']}", str(error)))
    return came, failed
