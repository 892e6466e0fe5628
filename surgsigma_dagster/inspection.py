"""What is wrong with sources: everything that can be said of them before a build."""

from collections import defaultdict
from typing import Any

import polars as pl

from surgsigma_dagster.detection import may_be_listed
from surgsigma_dagster.quality.reach import OF_FOOTAGE, early, track_ends
from surgsigma_dagster.resources.listing import LABELS_ONLY, Listed, list_sources
from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.tables import FRAME_LABELS
from surgsigma_dagster.sources.accounting import rowless
from surgsigma_dagster.sources.adapter import NativeLabels, NativeVideo, Terms, read_labels
from surgsigma_dagster.sources.config import SourceEntry, SourcesConfig
from surgsigma_dagster.sources.errors import SourceError, unreadable
from surgsigma_dagster.video.binary import MediaError
from surgsigma_dagster.video.probe import SAME_RATE, duration
from surgsigma_dagster.vocabulary.harmonization import known_values, unmapped_values

_NAMED = 3  # examples of a problem that is told by names alone


def checked(config: SourcesConfig) -> dict[str, list[dict[str, Any]]]:
    """Everything that can be said of the sources without building: `sources`, `problems`, `unmapped`."""
    found: dict[str, list[dict[str, Any]]] = {"sources": [], "problems": [], "unmapped": []}
    for entry in config.sources:
        try:
            _check(entry, found)
        except (SourceError, OSError) as error:
            said = str(unreadable(error, entry.root) if isinstance(error, OSError) else error)
            found["problems"].append(
                {"source": entry.name, "severity": "error", "problem": "unreadable", "times": 1, "example": said}
            )
    found["problems"] += _shown_twice(config)
    return found


def _shown_twice(config: SourcesConfig) -> list[dict[str, Any]]:
    """Sources of one dataset that hold the same videos, files of one name and size: a copy doubles a corpus."""
    datasets = [entry.dataset for entry in config.sources]
    several = [entry for entry in config.sources if datasets.count(entry.dataset) > 1]
    listing = list_sources(config.model_copy(update={"sources": several}))
    first: dict[tuple[Any, ...], Listed] = {}
    again: dict[tuple[str, str], list[str]] = {}
    for one in listing.videos.values():
        files = [one.entry.root / file for file in (one.native.path, *one.native.label_files) if file]
        sizes = tuple((file.name, file.stat().st_size) for file in files if file.is_file())
        other = first.setdefault((one.entry.dataset, one.native.video, sizes), one)
        if other is not one:
            again.setdefault((one.entry.name, other.entry.name), []).append(one.native.video)
    return [
        {
            "source": name, "severity": "warning", "problem": "shown_twice", "times": len(videos),
            "example": f"{', '.join(videos[:_NAMED])}: as in {other}",
        }
        for (name, other), videos in again.items()
    ]  # fmt: skip


def _check(entry: SourceEntry, found: dict[str, list[dict[str, Any]]]) -> None:
    entry.fetch()
    if not entry.root.is_dir():
        raise SourceError(entry.root, "", f"the folder of source {entry.name}", "no such folder")
    try:
        terms, videos = entry.terms(), entry.videos()
    except SourceError as error:
        raise SourceError(error.file, error.place, error.expected, f"{error.found}{_lies_deeper(entry)}") from error

    def problem(severity: str, name: str, times: int, example: str) -> None:
        found["problems"].append(
            {"source": entry.name, "severity": severity, "problem": name, "times": times, "example": example}
        )

    parts, read_whole = [], []
    for some, read in read_labels(entry.adapter, entry.root, videos):
        if isinstance(read, SourceError):
            problem("error", "unreadable", 1, f"{some[0].video}: {read}")
        else:
            parts.append(read)
            read_whole += some
    labels = NativeLabels.concat(parts)
    found["sources"].append(
        {
            "source": entry.name,
            "dataset": entry.dataset,
            "licence": terms.licence.name,
            "terms": ", ".join(_attributes(terms)) or "none stated",
            "may be released": terms.may_be_released,
            "videos": len(videos),
            "records": ", ".join(f"{labels[kind].height} {kind}" for kind in NATIVE if labels[kind].height),
        }
    )
    rejects = labels["rejects"].group_by("rule").agg(pl.len(), pl.col("file", "locator", "reason").first())
    for row in rejects.sort("rule").to_dicts():
        problem("warning", row["rule"], row["len"], f"{row['file']}, {row['locator']}: {row['reason']}")
    lacks = {one.video: why for one in videos if (why := Listed(entry, one).lacks)}
    missing = [f"{video} ({why})" for video, why in lacks.items() if why != LABELS_ONLY]
    missing += [video for video, why in lacks.items() if why == LABELS_ONLY]
    for name, lacking in (
        ("missing_media", missing),
        ("video_without_labels", [video.video for video in videos if not video.label_files]),
        ("label_file_without_rows", [file for _, file in rowless(entry.adapter, entry.root, read_whole, labels)]),
        ("labels_cut_off", _cut_off(entry, videos, labels)),
    ):
        if lacking:
            problem("warning", name, len(lacking), ", ".join(lacking[:_NAMED]))
    remarks = entry.adapter.remarks(entry.root, videos)
    for name in sorted({name for name, _ in remarks}):
        examples = [example for one, example in remarks if one == name]
        problem("warning", name, len(examples), examples[0])
    for name, apart in _clock_disagreements(entry, videos, labels).items():
        problem("warning", name, len(apart), apart[0])
    try:
        known = known_values(entry)
    except SourceError as error:
        known = known_values(entry, strict=False)  # raises again where it is not a concept alone that is wrong
        problem("error", "unknown_concept", 1, str(error))
    kinds = pl.DataFrame(
        [(video.video, video.procedure_type or entry.adapter.procedure_type) for video in videos],
        schema={"video_id": pl.String, "procedure_type": pl.String}, orient="row",
    )  # fmt: skip
    named = {kind: labels[kind].with_columns(source=pl.lit(entry.name), video_id="video") for kind in NATIVE}
    found["unmapped"] += unmapped_values(named, kinds, known).to_dicts()


def _lies_deeper(entry: SourceEntry) -> str:
    """Which folders below a root hold its dataset, where the root itself does not."""
    if entry.adapter.detect(entry.root):
        return ""
    below = [path for glob in ("*", "*/*") for path in sorted(entry.root.glob(glob)) if path.is_dir()]
    right = [path for path in below if may_be_listed(path) and entry.adapter.detect(path)]
    return (
        f"; {entry.dataset} lies in {', '.join(str(path.relative_to(entry.root)) for path in right[:_NAMED])}"
        if right
        else ""
    )


def _attributes(terms: Terms) -> list[str]:
    licence = terms.licence
    said = {
        "non-commercial": licence.non_commercial,
        "share-alike": licence.share_alike,
        "no derivatives": licence.no_derivatives,
        "no redistribution": not licence.redistribution,
        f"consent: {terms.consent_scope}": terms.consent_scope is not None,
    }
    return [name for name, holds in said.items() if holds]


def _cut_off(entry: SourceEntry, videos: list[NativeVideo], labels: NativeLabels) -> list[str]:
    """Label files that end long before another of their video does: the others hide it from the footage's clock."""
    track = pl.format("{} in {}", "field", "file").alias("track")
    ends = track_ends(
        labels["intervals"].lazy().select("video", "start_frame", "end_s", track),
        labels["presences"].lazy().select("video", "frame_index", track),
        pl.LazyFrame(
            [(one.video, one.frame_rate, one.first_index) for one in videos],
            schema={"video": pl.String, "label_rate": pl.Float64, "first_index": pl.Int64}, orient="row",
        ),
    )  # fmt: skip
    found = early(ends).sort("video", "track").collect()
    return [
        f"{row['video']}: {row['track']} ends at {row['end_s']:.1f} s, another goes on until {row['until_s']:.1f} s"
        for row in found.to_dicts()
    ]


def _clock_disagreements(entry: SourceEntry, videos: list[NativeVideo], labels: NativeLabels) -> dict[str, list[str]]:
    """Video files whose frame rate is not that of their labels, or whose labels end after them or long before: a
    sentence a video, by what is wrong.

    A label file that was cut off between two lines looks like any other: only its video tells.
    """
    counting = pl.col("start_frame").is_not_null()
    framed = [labels["intervals"].filter(counting).select("video", frame_index="end_frame")]
    framed += [labels[kind].select("video", "frame_index") for kind in FRAME_LABELS]
    last = dict(pl.concat(framed).group_by("video").agg(pl.col("frame_index").max()).iter_rows())
    timed = labels["intervals"].filter(~counting).group_by("video").agg(pl.col("end_s").max())
    until = dict(timed.iter_rows())
    found = defaultdict(list)
    for one in videos:
        path = entry.root / one.path if one.path and one.media == "video" else None
        if path is None or not path.is_file():
            continue
        try:
            seconds, _, _, rate = duration(path)
        except MediaError as error:
            found["unreadable_media"].append(f"{one.video}: {error}")
            continue
        end_s = until.get(one.video, 0.0)
        if one.video in last:
            if abs(rate - one.frame_rate) > SAME_RATE * rate:
                said = f"{one.video}: labels count {one.frame_rate:g} frames a second, {one.path} has {rate:g}"
                found["clock_disagreement"].append(said)
            end_s = max(end_s, (last[one.video] - one.first_index) / max(rate, 1e-6))
        if end_s > seconds + 1:
            said = f"{one.video}: labels until {end_s:.1f} s, {one.path} ends at {seconds:.1f} s"
            found["labels_end_late"].append(said)
        elif end_s < seconds * OF_FOOTAGE and last.get(one.video, one.first_index) > one.first_index:
            said = f"{one.video}: labels end at {end_s:.1f} s, {one.path} goes on until {seconds:.1f} s"
            found["labels_end_early"].append(said)
    return found
