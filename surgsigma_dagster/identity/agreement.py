"""Do sources that label the same instants agree? Every contradiction with both places, and which one is believed."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from surgsigma_dagster.identity.registry import families
from surgsigma_dagster.schema.tables import conform

_TRACKS = ("phase", "step")
_MS = 1_000


def comparable(datasets: Mapping[str, str]) -> list[list[str]]:
    """Groups of sources (of `datasets`: dataset by source) whose seconds are the same instants of their procedures."""
    groups = [
        sorted(source for source, dataset in datasets.items() if dataset in family.get("one_clock", ()))
        for family in families()
    ]
    return [group for group in groups if len(group) > 1]


def precedence(datasets: Mapping[str, str], declared: Mapping[Any, list[str]]) -> pl.DataFrame:
    """Columns field, source, rank, rule: the lower rank is believed.

    `declared` (sources by field, of `sources.yaml`) wins over the family's; whom neither names comes last, by name.
    """
    rows = []
    for field in (*_TRACKS, "instrument", "criterion"):
        by_family = {
            dataset: rank
            for family in families()
            for rank, dataset in enumerate(family.get("precedence", {}).get(field, []))
        }
        order = declared.get(field, [])
        last = len(datasets) + len(by_family)
        ranked = sorted(
            datasets,
            key=lambda source: (
                order.index(source) if source in order else last,
                by_family.get(datasets[source], last),
                source,
            ),
        )
        for rank, source in enumerate(ranked):
            named = (
                "sources.yaml" if source in order else "family" if datasets[source] in by_family else "none: by name"
            )
            rows.append((field, source, rank, named))
    return pl.DataFrame(rows, schema=["field", "source", "rank", "named"], orient="row")


def statements(labels: Mapping[str, pl.DataFrame], videos: pl.DataFrame, frames: pl.DataFrame) -> pl.DataFrame:
    """What labels say at whole milliseconds: procedure_id, source, at_ms, field, concept_id, says, place, label_id.

    `labels`: unified label tables by kind. `videos`: video_id, procedure_id. `frames`: frame_id, at_s on the labels'
    own clock. Labels over time speak at every whole second that they cover.
    """
    place = pl.concat_str("file", pl.lit(", "), "locator")
    over_time = (
        labels["intervals"]
        .filter(pl.col("track").cast(pl.String).is_in(_TRACKS))
        .with_columns(
            at_ms=pl.int_ranges(
                (pl.col("start_s") - 1e-6).ceil().cast(pl.Int64), (pl.col("end_s") - 1e-6).ceil().cast(pl.Int64)
            )
        )
        .explode("at_ms")
        .drop_nulls("at_ms")
        .select(
            "video_id", "source", at_ms=pl.col("at_ms") * _MS, field=pl.col("track").cast(pl.String),
            concept_id="concept_id", says=pl.lit(True), place=place, label_id="label_id",
        )
    )  # fmt: skip
    is_instrument = pl.col("concept_id").str.starts_with("instrument/")
    on_frames = [
        labels[kind]
        .filter(is_instrument if field == "instrument" else pl.lit(True))
        .join(frames, on="frame_id")
        .select(
            "video_id", "source", at_ms=(pl.col("at_s") * _MS).round().cast(pl.Int64), field=pl.lit(field),
            concept_id="concept_id", says=says, place=place, label_id="label_id",
        )
        for kind, field, says in (
            ("presences", "instrument", pl.col("present")),
            ("boxes", "instrument", pl.lit(True)),
            ("masks", "instrument", pl.lit(True)),
            ("triplets", "instrument", pl.lit(True)),
            ("criteria", "criterion", pl.col("met")),
        )
    ]  # fmt: skip
    return pl.concat([over_time, *on_frames]).join(videos.select("video_id", "procedure_id"), on="video_id")


def compared(said: pl.DataFrame, groups: list[list[str]], ranks: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """`agreements` and `label_conflicts` of what sources of one group say (`statements`).

    A track holds one value at an instant: two different ones contradict each other. An instrument or a criterion is a
    statement of its own: a yes and a no contradict each other, and silence says nothing.
    """
    once = said.unique(
        ["procedure_id", "source", "at_ms", "field", "concept_id", "says"], keep="first", maintain_order=True
    )
    one_value = pl.col("field").is_in(_TRACKS)
    topic = pl.when(one_value).then(pl.lit("")).otherwise("concept_id")
    grouped = pl.concat(
        [once.filter(pl.col("source").is_in(group)).with_columns(group=pl.lit(n)) for n, group in enumerate(groups)]
        or [once.clear().with_columns(group=pl.lit(0))]
    ).with_columns(topic=topic)
    # What one source contradicts in itself is no statement.
    settled = grouped.filter(pl.len().over("procedure_id", "source", "at_ms", "field", "topic") == 1)
    ranked = settled.join(ranks, on=["field", "source"])
    both = ranked.join(ranked, on=["group", "procedure_id", "at_ms", "field", "topic"], suffix="_other").filter(
        pl.col("rank") < pl.col("rank_other")
    )
    agrees = (pl.col("concept_id") == pl.col("concept_id_other")) & (pl.col("says") == pl.col("says_other"))
    counted = (
        both.with_columns(
            source_a=pl.min_horizontal("source", "source_other"), source_b=pl.max_horizontal("source", "source_other")
        )
        .group_by("source_a", "source_b", "field")
        .agg(n_compared=pl.len(), n_agreed=agrees.sum())
    )
    conflicts = both.filter(~agrees).select(
        "procedure_id",
        "field",
        at_s=pl.col("at_ms") / _MS,
        kept_source="source",
        kept_concept_id="concept_id",
        kept_says="says",
        kept_place="place",
        overruled_source="source_other",
        overruled_concept_id="concept_id_other",
        overruled_says="says_other",
        overruled_place="place_other",
        overruled_label_id="label_id_other",
        rule=pl.format("precedence of {}: {}", "field", "named"),
    )
    return {"agreements": conform("agreements", counted), "label_conflicts": conform("label_conflicts", conflicts)}
