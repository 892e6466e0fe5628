"""Which sources may show the same patients: what is registered, what is known not to, and what nobody knows."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import polars as pl

from surgsigma_dagster.identity.registry import facts, family_of, is_format
from surgsigma_dagster.schema.tables import TABLES, conform


@dataclass(frozen=True)
class Origin:
    """What is known of where a source comes from."""

    source: str
    dataset: str
    procedure_type: str | None


def relation(one: Origin, other: Origin) -> tuple[str, str]:
    """shared, independent or unknown, and what that stands on."""
    if one.dataset == other.dataset:
        if is_format(one.dataset):
            return "unknown", "two folders of a format: nothing says whose patients they show"
        return "shared", "two copies of one dataset"
    if family := family_of(one.dataset, other.dataset):
        return "shared", f"{family['name']} family: {family['citation']}"
    if one.procedure_type and other.procedure_type and one.procedure_type != other.procedure_type:
        return "independent", "procedures of different kinds"
    sites = facts("sites")["sites"]
    if one.dataset in sites and other.dataset in sites:
        (here, cited), (there, cited_too) = sites[one.dataset], sites[other.dataset]
        if not set(here) & set(there):
            return "independent", f"recorded in {', '.join(here)} ({cited}) and in {', '.join(there)} ({cited_too})"
        return (
            "unknown",
            f"both were recorded in {', '.join(sorted(set(here) & set(there)))}, and no registry pairs them",
        )
    return "unknown", "no registry entry says whether they share patients"


def unknown_pairs(origins: Iterable[Origin]) -> pl.DataFrame:
    """Pairs of sources, both ways, of which nobody knows whether they share patients: source, source_other.

    A folder of a mere format is one with itself: nothing says that its videos are of different operations.
    """
    origins = list(origins)
    doubtful = [
        (one.source, other.source)
        for one in origins
        for other in origins
        if (is_format(one.dataset) if one == other else relation(one, other)[0] == "unknown")
    ]
    return pl.DataFrame(doubtful, schema={"source": pl.String, "source_other": pl.String}, orient="row")


def overlaps(
    origins: Iterable[Origin], videos: pl.DataFrame, frames: pl.DataFrame, by_content: pl.DataFrame
) -> pl.DataFrame:
    """Rows of `source_overlaps`, one a pair of sources.

    `videos`: video_id, source, procedure_id as it is in the end. `frames`: video_id of the frames that can be used.
    `by_content`: `content.shared_pictures`.
    """
    pictured = frames.select("video_id").unique().join(videos, on="video_id")
    compared = dict(pictured.group_by("source").len().iter_rows())
    procedures = {str(source): set(ids) for source, ids in videos.group_by("source").agg("procedure_id").iter_rows()}
    pairs = by_content.with_columns(
        a=pl.col("video_a").str.split("/").list[0], b=pl.col("video_b").str.split("/").list[0]
    )
    rows = []
    for one, other in combinations(sorted(origins, key=lambda origin: origin.source), 2):
        said, why = relation(one, other)
        sources = {one.source, other.source}
        found = pairs.filter(pl.col("a").is_in(sources) & pl.col("b").is_in(sources) & (pl.col("a") != pl.col("b")))
        both = [compared.get(source, 0) for source in sorted(sources)]
        rows.append(
            {
                "source_a": one.source,
                "source_b": other.source,
                "relation": said,
                "why": why,
                "content_check": "run" if all(both) else "not run",
                "n_videos_compared": sum(both) if all(both) else 0,
                "n_shared_procedures": len(procedures.get(one.source, set()) & procedures.get(other.source, set())),
                "found_by_content": [f"{row['video_a']} = {row['video_b']}: {row['why']}" for row in found.to_dicts()],
            }
        )
    types = {name: column.dtype for name, column in TABLES["source_overlaps"].columns().items()}
    return conform("source_overlaps", pl.DataFrame(rows, schema=types))
