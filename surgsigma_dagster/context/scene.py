"""Scene context: for each available frame, pair of frames or stretch of footage, every label that speaks of it.

Only labels of the scene's own source are joined; a track with two different values is left null instead of choosing.
"""

from collections.abc import Mapping

import polars as pl

from surgsigma_dagster.schema.tables import FRAME_LABELS, TABLES, conform, empty


def scene_context(
    frames: pl.DataFrame,
    labels: Mapping[str, pl.DataFrame],
    procedures: pl.DataFrame,
    videos: pl.DataFrame,
    overruled: pl.DataFrame | None = None,
    rejects: pl.DataFrame | None = None,
    *,
    pairs: pl.DataFrame | None = None,
    footage: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Rows of `scene_context`: for each available frame that a label speaks of, for `pairs` and for `footage`.

    `labels`: unified label tables by kind, of the same videos. `overruled`: what another source is believed against
    (frame_id, field, concept_id, says): such a label says nothing about that frame. `rejects`: of these videos; where
    one leaves something visible unnamed (`frame_id`), no list of a frame is complete. `pairs`: as `context.motion`
    finds them. `footage`: as `context.time` finds them.
    """
    belongs = videos.select("video_id", "procedure_type").join(
        procedures.select("procedure_id", "split", video_id="videos").explode("video_id", empty_as_null=True),
        on="video_id",
    )
    hidden = (empty("rejects") if rejects is None else rejects).select("frame_id").drop_nulls().unique()
    found = [_of_frames(frames, labels, videos, belongs, overruled, hidden)]
    if pairs is not None and pairs.height:
        found.append(_of_pairs(pairs, found[0]))
    if footage is not None and footage.height:
        found.append(_of_footage(footage, labels["intervals"], belongs))
    return conform("scene_context", _without_nulls(pl.concat(found, how="diagonal")))


def _of_frames(
    frames: pl.DataFrame,
    labels: Mapping[str, pl.DataFrame],
    videos: pl.DataFrame,
    belongs: pl.DataFrame,
    overruled: pl.DataFrame | None,
    hidden: pl.DataFrame,
) -> pl.DataFrame:
    shown = (
        frames.filter(pl.col("status") == "available")
        .select("frame_id", "video_id", "source", "frame_index", "pts_s", "width", "height")
        .join(belongs, on="video_id")
        .join(videos.select("video_id", "complete", "partial"), on="video_id")
        .with_columns(partial=pl.col("partial") | pl.col("frame_id").is_in(hidden["frame_id"].implode()))
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
        rows = rows.join(_only_value(during, track, "frame_id"), on="frame_id", how="left")
    for name, kind in (("instruments", "instrument"), ("tissues", "tissue")):
        rows = rows.join(_visible(labels, kind, name), on="frame_id", how="left")
    return (
        rows.join(_acting(labels["triplets"]), on="frame_id", how="left")
        .join(_judged(labels["criteria"]), on="frame_id", how="left")
        .join(_denied(labels["presences"]).join(doubtful, on="frame_id", how="anti"), on="frame_id", how="left")
        .with_columns(
            instruments_complete=~pl.col("partial")
            & (
                pl.col("denied").fill_null(False)
                | (pl.col("complete").list.contains("instrument") & _some("instruments"))
            ),
            tissues_complete=~pl.col("partial") & pl.col("complete").list.contains("tissue") & _some("tissues"),
        )
        .join(used.group_by("frame_id").agg(label_ids=pl.col("label_id").unique().sort()), on="frame_id", how="inner")
        .with_columns(scene_id="frame_id", kind=pl.lit("frame"), start_s="pts_s", cutoff_s="pts_s", end_s="pts_s")
    )


def _of_pairs(pairs: pl.DataFrame, of_frames: pl.DataFrame) -> pl.DataFrame:
    """The earlier frame's scene, and how its instruments move until the later one."""
    own = ["scene_id", "frame_id", "later_frame_id", "motions", "label_ids"]
    return (
        pairs.select(*own, end_s="later_pts_s")
        .join(of_frames.drop("scene_id", "kind", "end_s", "label_ids"), on="frame_id")
        .with_columns(kind=pl.lit("pair"))
    )


def _of_footage(footage: pl.DataFrame, intervals: pl.DataFrame, belongs: pl.DataFrame) -> pl.DataFrame:
    """Stretches of footage, with the phase and step that they lie in."""
    spans = intervals.select("video_id", "track", "concept_id", from_s="start_s", until_s="end_s")
    during = (
        footage.lazy()
        .select("scene_id", "video_id", "start_s", "cutoff_s", "end_s")
        .join(spans.lazy(), on="video_id")
        # What is shown, and no more: the phase that begins after the cutoff belongs to the future.
        .filter(pl.col("from_s") < pl.max_horizontal("cutoff_s", pl.col("start_s") + 1e-6))
        .filter(pl.col("until_s") > pl.col("start_s"))
        .select("scene_id", pl.col("track").cast(pl.String), "concept_id")
        .collect()
    )
    stands_on = pl.concat_list("label_ids", "target_label_id").list.drop_nulls().list.unique().list.sort()
    rows = footage.join(belongs, on="video_id").with_columns(label_ids=stands_on)
    for track in ("phase", "step"):
        rows = rows.join(_only_value(during, track, "scene_id"), on="scene_id", how="left")
    return rows


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
    """`rows` with every column of the table, and empty lists where a scene has nothing of a kind."""
    columns = TABLES["scene_context"].columns()
    for name, column in columns.items():
        if name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, column.dtype).alias(name))
        if isinstance(column.dtype, pl.List):  # polars has no literal of lists of structs
            nothing = pl.Series("nothing", [[]] * rows.height, dtype=column.dtype)
            rows = rows.with_columns(nothing).with_columns(pl.coalesce(name, "nothing").alias(name)).drop("nothing")
    return rows.with_columns(pl.col("instruments_complete", "tissues_complete", "partial").fill_null(False))


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


def _only_value(during: pl.DataFrame, track: str, scene: str) -> pl.DataFrame:
    value = pl.when(pl.col("concept_id").n_unique() == 1).then(pl.col("concept_id").first()).alias(track)
    return during.filter(pl.col("track") == track).group_by(scene).agg(value)


def visible(labels: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """What presences, masks and triplets say is in view: frame_id, concept_id."""
    return pl.concat(
        [
            labels["presences"].filter("present").select("frame_id", "concept_id"),
            labels["masks"].select("frame_id", "concept_id"),
            labels["triplets"].select("frame_id", "concept_id"),
            labels["triplets"].select("frame_id", concept_id="target_concept_id").drop_nulls(),
        ]
    ).unique()


def _visible(labels: Mapping[str, pl.DataFrame], kind: str, name: str) -> pl.DataFrame:
    """Lists of what is visible: an entry a box; one without a box for what only presences or triplets name."""
    is_kind = pl.col("concept_id").str.starts_with(f"{kind}/")
    boxes = labels["boxes"].filter(is_kind).select("frame_id", "concept_id", "x1", "y1", "x2", "y2")
    unboxed = visible(labels).filter(is_kind).join(boxes, on=["frame_id", "concept_id"], how="anti")
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


def _denied(presences: pl.DataFrame) -> pl.DataFrame:
    """Frames of which a label says that an instrument is not there: whoever says so has named those that are.

    Of tissues nobody may conclude so: a mask of one organ says nothing of the others.
    """
    return (
        presences.filter(~pl.col("present"), pl.col("concept_id").str.starts_with("instrument/"))
        .group_by("frame_id")
        .agg(denied=pl.lit(True).first())
    )


def _some(name: str) -> pl.Expr:
    return (pl.col(name).list.len() > 0).fill_null(False)
