"""Scene context: for each available frame, every label that speaks of it, joined into one row.

Only labels of the frame's own source are joined; a track with two different values at one instant is left null
instead of choosing.
"""

from collections.abc import Mapping

import polars as pl

from surgsigma_dagster.schema.tables import ACTING, FRAME_LABELS, JUDGED, VISIBLE, conform


def scene_context(
    frames: pl.DataFrame,
    labels: Mapping[str, pl.DataFrame],
    procedures: pl.DataFrame,
    videos: pl.DataFrame,
    overruled: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Rows of `scene_context` for the available frames of `frames` that at least one label speaks of.

    `labels`: unified label tables by kind, of the same videos. `overruled`: what another source is believed against
    (frame_id, field, concept_id, says): such a label says nothing about that frame.
    """
    shown = (
        frames.filter(pl.col("status") == "available")
        .select("frame_id", "video_id", "source", "frame_index", "pts_s", "width", "height")
        .join(videos.select("video_id", "procedure_type"), on="video_id")
        .join(procedures.select("procedure_id", "split", video_id="videos").explode("video_id"), on="video_id")
    )
    during = _during(shown, labels["intervals"])
    doubtful = shown.select("frame_id").clear()
    if overruled is not None and not overruled.is_empty():
        during = during.join(
            overruled.select("frame_id", "concept_id", track="field"),
            on=["frame_id", "concept_id", "track"],
            how="anti",
        )
        labels = {**labels, **{kind: _believed(labels[kind], overruled) for kind in FRAME_LABELS}}
        # Who is wrong about one absence is not believed to have named all that is there.
        doubtful = overruled.filter((pl.col("field") == "instrument") & ~pl.col("says")).select("frame_id").unique()
    used = pl.concat(
        [
            during.select("frame_id", "label_id"),
            *(labels[kind].select("frame_id", "label_id") for kind in FRAME_LABELS),
        ]
    )
    rows = shown
    for track in ("phase", "step", "action"):
        rows = rows.join(_only_value(during, track), on="frame_id", how="left")
    for name, kind in (("instruments", "instrument"), ("tissues", "tissue")):
        rows = rows.join(_visible(labels, kind, name), on="frame_id", how="left")
    rows = (
        rows.join(_acting(labels["triplets"]), on="frame_id", how="left")
        .join(_judged(labels["criteria"]), on="frame_id", how="left")
        .join(_complete(labels["presences"]).join(doubtful, on="frame_id", how="anti"), on="frame_id", how="left")
        .join(used.group_by("frame_id").agg(label_ids=pl.col("label_id").unique().sort()), on="frame_id", how="inner")
    )
    return conform("scene_context", _without_nulls(rows))


def _believed(labels: pl.DataFrame, overruled: pl.DataFrame) -> pl.DataFrame:
    """Frame labels without those that are overruled; silence where a yes or a no is not believed."""
    says = next((pl.col(name) for name in ("present", "met") if name in labels.columns), pl.lit(True))
    against = overruled.select("frame_id", "concept_id", "says")
    return (
        labels.with_columns(says=says)
        .join(against, on=["frame_id", "concept_id", "says"], how="anti", maintain_order="left")
        .drop("says")
    )


def _without_nulls(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with empty lists where a frame has nothing of a kind. (polars has no literal of lists of structs.)"""
    for name, entry in (("instruments", VISIBLE), ("tissues", VISIBLE), ("triplets", ACTING), ("criteria", JUDGED)):
        nothing = pl.Series("nothing", [[]] * rows.height, dtype=pl.List(entry.dtype))
        rows = rows.with_columns(nothing).with_columns(pl.coalesce(name, "nothing").alias(name)).drop("nothing")
    return rows.with_columns(pl.col("instruments_complete").fill_null(False))


def _during(frames: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Pairs of frame and interval: by frame number where the label counts frames, by time where it does not."""
    counted = pl.col("start_frame").is_not_null()
    by_number = pl.col("frame_index").is_between(pl.col("start_frame"), pl.col("end_frame"))
    by_time = (pl.col("pts_s") >= pl.col("start_s") - 1e-6) & (pl.col("pts_s") < pl.col("end_s") - 1e-6)
    spans = intervals.select(
        "video_id", "track", "concept_id", "label_id", "start_s", "end_s", "start_frame", "end_frame"
    )
    return (
        frames.lazy()
        .select("frame_id", "video_id", "frame_index", "pts_s")
        .join(spans.lazy(), on="video_id")
        .filter(pl.when(counted).then(by_number).otherwise(by_time))
        .select("frame_id", pl.col("track").cast(pl.String), "concept_id", "label_id")
        .collect()
    )


def _only_value(during: pl.DataFrame, track: str) -> pl.DataFrame:
    value = pl.when(pl.col("concept_id").n_unique() == 1).then(pl.col("concept_id").first()).alias(track)
    return during.filter(pl.col("track") == track).group_by("frame_id").agg(value)


def _visible(labels: Mapping[str, pl.DataFrame], kind: str, name: str) -> pl.DataFrame:
    """Lists of what is visible: an entry a box; one without a box for what only presences or triplets name."""
    is_kind = pl.col("concept_id").str.starts_with(f"{kind}/")
    boxes = labels["boxes"].filter(is_kind).select("frame_id", "concept_id", "x1", "y1", "x2", "y2")
    named = pl.concat(
        [
            labels["presences"].filter(is_kind & pl.col("present")).select("frame_id", "concept_id"),
            labels["masks"].filter(is_kind).select("frame_id", "concept_id"),
            labels["triplets"].filter(is_kind).select("frame_id", "concept_id"),
            labels["triplets"].select("frame_id", concept_id="target_concept_id").filter(is_kind),
        ]
    ).unique()
    unboxed = named.join(boxes, on=["frame_id", "concept_id"], how="anti")
    entry = ["concept_id", "x1", "y1", "x2", "y2"]
    return (
        pl.concat([boxes, unboxed], how="diagonal")
        .sort("frame_id", *entry)
        .group_by("frame_id", maintain_order=True)
        .agg(pl.struct(entry).alias(name))
    )


def _acting(triplets: pl.DataFrame) -> pl.DataFrame:
    entry = {"instrument": "concept_id", "verb": "verb_concept_id", "target": "target_concept_id"}
    return (
        triplets.select("frame_id", **entry)
        .unique()
        .sort("frame_id", *entry)
        .group_by("frame_id", maintain_order=True)
        .agg(triplets=pl.struct(list(entry)))
    )


def _judged(criteria: pl.DataFrame) -> pl.DataFrame:
    agreed = criteria.unique(["frame_id", "concept_id", "met"]).unique(["frame_id", "concept_id"], keep="none")
    return (
        agreed.sort("frame_id", "concept_id")
        .group_by("frame_id", maintain_order=True)
        .agg(criteria=pl.struct("concept_id", "met"))
    )


def _complete(presences: pl.DataFrame) -> pl.DataFrame:
    """Frames whose instruments were judged one by one, absences included."""
    return (
        presences.filter(pl.col("concept_id").str.starts_with("instrument/"))
        .group_by("frame_id")
        .agg(instruments_complete=pl.lit(True).first())
    )
