"""What a build would do, before anything is built."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.listing import Listed
from surgsigma_dagster.video.binary import MediaError
from surgsigma_dagster.video.probe import duration

_PICTURES = {".png", ".jpg", ".jpeg"}
_JPEG_BYTES_PER_PIXEL = 0.25  # at quality 2, measured on endoscopic frames


def planned(corpus: Corpus) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """One row a source: videos, hours, media bytes, frames and their bytes (estimates), what is to be made; and why
    a source cannot be listed, by name.
    """
    listing = corpus.listing()
    labels, frames = corpus.lake.marks("native_labels"), corpus.lake.marks("frames")
    wanted = corpus.ingestion_signatures(listing)
    rows: list[dict[str, Any]] = []
    for entry in corpus.config_.sources:
        if entry.name in listing.failed:
            continue
        mine = {key: one for key, one in listing.videos.items() if one.entry.name == entry.name}
        with ThreadPoolExecutor(4) as pool:
            measured = list(pool.map(_measured, mine.values()))
        seconds, size, pixels, pictures = (sum(part) for part in zip(*measured, strict=True)) if measured else (0,) * 4
        rows.append(
            {
                "source": entry.name,
                "videos": len(mine),
                "hours": round(seconds / 3600, 2),
                "media_mb": round(size / 1e6, 1),
                "frames_about": round(seconds / entry.frames_every_s) + pictures,
                "frames_mb_about": round(pixels / entry.frames_every_s * _JPEG_BYTES_PER_PIXEL / 1e6, 1),
                "labels_to_read": sum(labels.get(key) != wanted[key] for key in mine),
                "videos_to_extract": sum(key not in frames or labels.get(key) != wanted[key] for key in mine),
            }
        )
    return rows, {name: str(error) for name, error in listing.failed.items()}


def _measured(listed: Listed) -> tuple[float, int, float, int]:
    """Seconds, bytes and pixel-seconds of a video file, or bytes and number of pictures of a folder; else zeros."""
    path = listed.entry.root / listed.native.path if listed.native.path else None
    if path is not None and path.is_dir():
        pictures = [file for file in path.rglob("*") if file.suffix.lower() in _PICTURES]
        frames = [file for file in pictures if "mask" not in file.stem]  # CholecSeg8k's masks lie beside its frames
        return 0.0, sum(file.stat().st_size for file in pictures), 0.0, len(frames)
    if path is None or not path.is_file():
        return 0.0, 0, 0.0, 0
    try:
        seconds, width, height, _ = duration(path)
    except MediaError:
        return 0.0, path.stat().st_size, 0.0, 0
    return seconds, path.stat().st_size, seconds * width * height, 0
