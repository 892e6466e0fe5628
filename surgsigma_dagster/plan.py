"""What a build would do, and what is wrong with its sources, before anything is built."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.listing import Listed
from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.sources.adapter import NativeLabels, adapters, read_labels
from surgsigma_dagster.sources.config import SourceEntry, SourcesConfig
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.video.binary import MediaError
from surgsigma_dagster.video.probe import duration
from surgsigma_dagster.vocabulary.harmonization import known_values, resolve, verbatim_values

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
        seconds, size, pixels = (sum(part) for part in zip(*measured, strict=True)) if measured else (0, 0, 0)
        rows.append(
            {
                "source": entry.name,
                "videos": len(mine),
                "hours": round(seconds / 3600, 2),
                "media_mb": round(size / 1e6, 1),
                "frames_about": round(seconds / entry.frames_every_s),
                "frames_mb_about": round(pixels / entry.frames_every_s * _JPEG_BYTES_PER_PIXEL / 1e6, 1),
                "labels_to_read": sum(labels.get(key) != wanted[key] for key in mine),
                "videos_to_extract": sum(key not in frames or labels.get(key) != wanted[key] for key in mine),
            }
        )
    return rows, {name: str(error) for name, error in listing.failed.items()}


def _measured(listed: Listed) -> tuple[float, int, float]:
    """Seconds, bytes and pixel-seconds of a video file; zeros where images or nothing lie there."""
    path = listed.entry.root / listed.native.path if listed.native.path else None
    if path is None or not path.is_file():
        return 0.0, 0, 0.0
    try:
        seconds, width, height = duration(path)
    except MediaError:
        return 0.0, path.stat().st_size, 0.0
    return seconds, path.stat().st_size, seconds * width * height


def detected(folder: Path) -> list[dict[str, Any]]:
    """Which datasets lie in `folder`, or else in the folders inside it: dataset, root, evidence."""
    for roots in ([folder], sorted(path for path in folder.iterdir() if path.is_dir())):
        found = [
            {"dataset": name, "root": str(root), "evidence": evidence}
            for root in roots
            for name, adapter in adapters().items()
            if (evidence := adapter.detect(root))
        ]
        if found:
            return found
    return []


def checked(config: SourcesConfig) -> dict[str, list[dict[str, Any]]]:
    """Everything that can be said of the sources without building: `sources`, `problems`, `unmapped`."""
    found: dict[str, list[dict[str, Any]]] = {"sources": [], "problems": [], "unmapped": []}
    for entry in config.sources:
        try:
            _check(entry, found)
        except SourceError as error:
            found["problems"].append(
                {"source": entry.name, "severity": "error", "problem": "unreadable", "times": 1, "example": str(error)}
            )
    return found


def _check(entry: SourceEntry, found: dict[str, list[dict[str, Any]]]) -> None:
    if not entry.root.is_dir():
        raise SourceError(entry.root, "", f"the folder of source {entry.name}", "no such folder")
    terms, videos = entry.terms(), entry.adapter.videos(entry.root)

    def problem(severity: str, name: str, times: int, example: str) -> None:
        found["problems"].append(
            {"source": entry.name, "severity": severity, "problem": name, "times": times, "example": example}
        )

    parts = []
    for some, read in read_labels(entry.adapter, entry.root, videos):
        if isinstance(read, SourceError):
            problem("error", "unreadable", 1, f"{some[0].video}: {read}")
        else:
            parts.append(read)
    labels = NativeLabels.concat(parts)
    found["sources"].append(
        {
            "source": entry.name,
            "dataset": entry.dataset,
            "licence": terms.licence.name,
            "may be released": terms.may_be_released,
            "videos": len(videos),
            "records": ", ".join(f"{labels[kind].height} {kind}" for kind in NATIVE if labels[kind].height),
        }
    )
    rejects = labels["rejects"].group_by("rule").agg(pl.len(), pl.col("file", "locator", "reason").first())
    for row in rejects.sort("rule").to_dicts():
        problem("warning", row["rule"], row["len"], f"{row['file']}, {row['locator']}: {row['reason']}")
    for name, lacking in (
        ("missing_media", [video.video for video in videos if video.media == "none"]),
        ("video_without_labels", [video.video for video in videos if not video.label_files]),
    ):
        if lacking:
            problem("warning", name, len(lacking), lacking[0])
    found["unmapped"] += _unmapped(entry, labels)


def _unmapped(entry: SourceEntry, labels: NativeLabels) -> list[dict[str, Any]]:
    named = {kind: labels[kind].with_columns(source=pl.lit(entry.name), video_id=pl.lit("")) for kind in NATIVE}
    values = resolve(verbatim_values(named), known_values(entry)).filter(pl.col("concept_id").is_null())
    return values.select("source", "field", "raw_value", "n_rows").sort("n_rows", descending=True).to_dicts()
