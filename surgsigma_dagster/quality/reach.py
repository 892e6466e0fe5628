"""How far the labels of a video reach: a file that was cut off at the end of a line reads like one that is whole.

Only tracks that go on from begin to end of an operation can end early: phases, steps and actions that count frames, and
presences at one even step. What is labelled here and there (boxes of keyframes, events, actions by the clock) ends
where it ends.
"""

import polars as pl

OF_LABELS = 0.75  # of the furthest track: whoever goes on with one leaves no quarter out of another
OF_FOOTAGE = 0.5  # whoever labels less of a video hardly means to; the camera may run on
_EVEN_STEPS = 5  # frames at one distance that make presences a track


def track_ends(intervals: pl.LazyFrame, presences: pl.LazyFrame, clocks: pl.LazyFrame) -> pl.LazyFrame:
    """Last instant of each track that goes on: video, track, end_s, counted (its labels count frames).

    `intervals` have video, track, start_frame, end_s, where a track begins with its field; `presences` video, track,
    frame_index; `clocks` video, label_rate, first_index.
    """
    counted = pl.col("start_frame").is_not_null()
    field = pl.col("track").cast(pl.String).str.extract(r"^(\w+)")
    spans = (
        intervals.filter((field == "phase") | (counted & field.is_in(["step", "action"])))
        .group_by("video", pl.col("track").cast(pl.String))
        .agg(pl.col("end_s").max(), counted=counted.any())
    )
    steps = pl.col("frame_index").diff()
    seen = (
        presences.unique()
        .sort("video", "track", "frame_index")
        .group_by("video", "track")
        .agg(pl.col("frame_index").max(), n=pl.len(), even=steps.min() == steps.max(), step=steps.max())
        .filter((pl.col("n") >= _EVEN_STEPS) & pl.col("even"))
        .join(clocks.filter(pl.col("label_rate") > 0), on="video")
        .select(
            "video",
            "track",
            end_s=(pl.col("frame_index") + pl.col("step") - pl.col("first_index")) / pl.col("label_rate"),
            counted=pl.lit(True),
        )
    )
    return pl.concat([spans, seen])


def early(ends: pl.LazyFrame) -> pl.LazyFrame:
    """Tracks that end long before another of their video, or before `footage_s` where that is a column and they count
    its frames: the columns of `track_ends`, and until_s.
    """
    others = pl.col("end_s").max().over("video")
    footage = pl.when("counted").then("footage_s") if "footage_s" in ends.collect_schema() else None
    until = others if footage is None else pl.max_horizontal(others, footage)
    return ends.with_columns(until_s=until).filter(
        (pl.col("end_s") < OF_LABELS * others) | (pl.col("end_s") < OF_FOOTAGE * pl.col("until_s"))
    )
