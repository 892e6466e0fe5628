"""Temporal scenes: which stretch of footage a temporal task shows, where it stops, and what comes of it.

What is known of a stretch is not all to be seen: `cutoff_s` ends what a model may see, `end_s` ends what the answer
speaks of. Cutting the footage and saying it in words is done elsewhere.
"""

from typing import Any

import polars as pl

from surgsigma_dagster.keys import hashed

LONGEST_ACTION_S = 10  # whole seconds: see `_shown_action`
REMAINING_FROM_S, REMAINING_SEEN_S = 4, 20
NEXT_GAP_S, NEXT_SEEN_S = 10, 30
CAPTION_GAP_S, CAPTION_S, CAPTION_ACTIONS = 5, 30, 5
CONDITIONAL_S = 10
SHORTEST_S = 1

SCENE: dict[str, Any] = {
    "scene_id": pl.String,
    "video_id": pl.String,
    "source": pl.String,
    "kind": pl.String,
    "start_s": pl.Float64,
    "cutoff_s": pl.Float64,
    "end_s": pl.Float64,
    "action": pl.String,
    "actions": pl.List(pl.Struct({"concept_id": pl.String, "start_s": pl.Float64, "end_s": pl.Float64})),
    "remaining_s": pl.Float64,
    "label_ids": pl.List(pl.String),
    "target_label_id": pl.String,
}
_CLOCKS_S = 1  # by which labels reach beyond their video where both end: PitVis has a row more than seconds
_UNSAID = ["action/other"]  # an action of which nobody says which


def temporal_scenes(intervals: pl.DataFrame, videos: pl.DataFrame, basic: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """One row a temporal scene of the actions in `intervals`, by the construction rules that SurgΣ states.

    `intervals`: the unified table; its track `action` is read. `videos`: video_id, duration_s (null: not known);
    actions end with their video. `basic`: concept_id, basic_action_id (null: no counterpart), one row a concept.

    Columns, in seconds from the first presented frame: scene_id (`video_id/kind/start in milliseconds`), video_id,
    source, kind, start_s, cutoff_s, end_s; action: the answer, or the current action of `remaining`, null where all of
    `actions` is the answer; actions: what [start_s, cutoff_s) shows or, for `conditional`, what the clip to be made
    shows, in order; remaining_s: of `remaining`; label_ids: of `actions`, in order; target_label_id: what the answer
    stands on, null where that is all of them. Sorted by scene_id.

    | kind | shown | answer | where |
    |---|---|---|---|
    | action | [s, e), at most the middle 10 s | its class | no other action is seen in it |
    | remaining | up to 20 s before a cutoff within the action | whole seconds from there to its end | 4 s or longer |
    | next_action | A1 and A2, at most the 30 s before A2 ends | class of A3 | gaps of at most 10 s |
    | caption | 2 to 5 actions, at most 30 s | all of them, in order | gaps of at most 5 s |
    | conditional | the first frame at or after start_s | the clip of a caption, at most its first 10 s | |

    What the rules leave open is decided so:

    - `action`, `remaining` and `next_action` speak of basic actions; a class without one is never their answer, yet it
      is seen, and stands under its own name in `actions`. The other kinds speak of the source's own classes.
    - Stretches of one class that touch or overlap are one action, by whichever hands or files: also two classes
      with the same basic action. A class named `none` is no action.
    - While two hands act, no single answer is right: `action`, `remaining` and `next_action` show nothing in which
      another action overlaps; where two actions begin at one instant, neither is the next. Captions say all that
      happens: they take actions that overlap as a whole or not at all, and none that is merely "other".
    - A next action differs from A2, and A1 is in view for some time. Nothing shorter than 1 s is shown, but for the
      first frame of `conditional`.
    - Whether an action goes on beyond the end of its video is not known from it: none such has a `remaining`.
    - Windows of captions are filled one after the other from the beginning of each video, as far as they reach. The
      same holds for `conditional`, of 2 actions at least.
    """
    own = _actions(intervals, videos)
    known = own.join(basic.select("concept_id", "basic_action_id"), on="concept_id", how="left").with_columns(
        mapped=pl.col("basic_action_id").is_not_null(), concept_id=pl.coalesce("basic_action_id", "concept_id")
    )
    basics = _in_order(known)
    windows = _windows(_in_order(own.with_columns(mapped=pl.lit(True))))
    return pl.concat(
        _as_scenes(kind, rows)
        for kind, rows in (
            ("action", _shown_action(basics)),
            ("remaining", _remaining(basics, seed)),
            ("next_action", _next_action(basics)),
            ("caption", _caption(windows)),
            ("conditional", _conditional(windows)),
        )
    ).sort("scene_id")


def _as_scenes(kind: str, rows: pl.DataFrame) -> pl.DataFrame:
    milliseconds = (pl.col("start_s") * 1000).round().cast(pl.Int64).cast(pl.String).str.zfill(8)
    rows = rows.with_columns(kind=pl.lit(kind), scene_id=pl.format(f"{{}}/{kind}/{{}}", "video_id", milliseconds))
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCENE.items()
    )


def _actions(intervals: pl.DataFrame, videos: pl.DataFrame) -> pl.DataFrame:
    """Stretches of the track `action` inside their videos.

    Columns video_id, source, concept_id, label_id, start_s, end_s, ended (before the video, or with it).
    """
    is_action = (pl.col("track").cast(pl.String) == "action") & ~pl.col("concept_id").str.ends_with("/none")
    return (
        intervals.filter(is_action)
        .join(videos.select("video_id", "duration_s"), on="video_id")
        .select(
            "video_id",
            "source",
            "concept_id",
            "label_id",
            # Microseconds: what two files mean as one instant differs in the last digits.
            start_s=pl.col("start_s").clip(0).round(6),
            end_s=pl.min_horizontal("end_s", "duration_s").round(6),
            ended=(pl.col("end_s") - pl.col("duration_s") <= _CLOCKS_S).fill_null(True),
        )
        .filter(pl.col("end_s") > pl.col("start_s"))
    )


def _in_order(stretches: pl.DataFrame) -> pl.DataFrame:
    """Actions of each video in order of time: what touches or overlaps within a class is one.

    Adds label_ids; ending, the label that reaches furthest; quiet_from_s, when all earlier ones are over; quiet_to_s,
    when the next one begins.
    """
    one = ["video_id", "concept_id"]
    reached = pl.col("end_s").cum_max().shift(1).over(one)
    return (
        stretches.sort(*one, "start_s", "end_s", "label_id")
        .with_columns(begins=(pl.col("start_s") > reached).fill_null(False))
        .group_by("video_id", "source", "concept_id", pl.col("begins").cum_sum().over(one), maintain_order=True)
        .agg(
            pl.col("start_s").min(),
            pl.col("end_s").max(),
            pl.col("mapped").any(),
            pl.col("ended").all(),
            label_ids=pl.col("label_id"),
            ending=pl.col("label_id").sort_by("end_s", "label_id").last(),
        )
        .sort("video_id", "start_s", "end_s", "concept_id")
        .with_columns(
            quiet_from_s=pl.col("end_s").cum_max().shift(1).over("video_id").fill_null(0.0),
            quiet_to_s=pl.col("start_s").shift(-1).over("video_id").fill_null(float("inf")),
        )
    )


def _seen(concept: str, start: str, end: str) -> pl.Expr:
    """An entry of `actions`: as much of an action as [start_s, cutoff_s) shows."""
    return pl.struct(
        pl.col(concept).alias("concept_id"),
        pl.max_horizontal(start, "start_s").alias("start_s"),
        pl.min_horizontal(end, "cutoff_s").alias("end_s"),
    )


def _alone() -> pl.Expr:
    """Whether [start_s, cutoff_s) shows no other action than the row's own."""
    return (pl.col("quiet_from_s") <= pl.col("start_s")) & (pl.col("quiet_to_s") >= pl.col("cutoff_s"))


def _shown_action(actions: pl.DataFrame) -> pl.DataFrame:
    # Whole seconds from the start: on a frame where the start is on one, whatever whole rate the labels count.
    skipped = ((pl.col("end_s") - pl.col("start_s") - LONGEST_ACTION_S).clip(0) / 2).floor()
    return (
        actions.filter("mapped")
        .with_columns(start_s=(pl.col("start_s") + skipped).round(6))
        .with_columns(end_s=pl.min_horizontal("end_s", (pl.col("start_s") + LONGEST_ACTION_S).round(6)))
        .with_columns(cutoff_s="end_s")
        .filter(_alone(), (pl.col("end_s") - pl.col("start_s")).round(6) >= SHORTEST_S)
        .with_columns(
            action="concept_id",
            actions=pl.concat_list(_seen("concept_id", "start_s", "end_s")),
            target_label_id=pl.col("label_ids").list.first(),
        )
    )


def _remaining(actions: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The cutoff leaves between a quarter and three quarters of the action, in whole seconds."""
    lasts = (pl.col("end_s") - pl.col("start_s")).round(6)
    least, most = (lasts / 4).ceil().cast(pl.UInt64), (lasts * 3 / 4).floor().cast(pl.UInt64)
    chosen = hashed(pl.col("video_id"), "remaining", (pl.col("start_s") * 1000).round().cast(pl.Int64), seed=seed)
    return (
        actions.filter("mapped", "ended", lasts >= REMAINING_FROM_S)
        .with_columns(remaining_s=(least + chosen % (most - least + 1)).cast(pl.Float64))
        .with_columns(cutoff_s=(pl.col("end_s") - pl.col("remaining_s")).round(6))
        .with_columns(start_s=pl.max_horizontal("start_s", (pl.col("cutoff_s") - REMAINING_SEEN_S).round(6)))
        .filter(_alone())
        .with_columns(
            action="concept_id",
            actions=pl.concat_list(_seen("concept_id", "start_s", "end_s")),
            target_label_id="ending",
        )
    )


def _next_action(actions: pl.DataFrame) -> pl.DataFrame:
    def of(column: str, place: int) -> pl.Expr:
        return pl.col(column).shift(2 - place).over("video_id").alias(f"{column}_{place}")

    columns = ("concept_id", "start_s", "end_s", "mapped", "label_ids", "quiet_from_s", "quiet_to_s")
    triples = actions.select("video_id", "source", *(of(column, place) for column in columns for place in (1, 2, 3)))

    def follows(place: int) -> pl.Expr:
        begin, quiet = pl.col(f"start_s_{place}"), pl.col(f"quiet_from_s_{place}")
        return (quiet <= begin) & ((begin - quiet).round(6) <= NEXT_GAP_S)

    return (
        triples.filter("mapped_3", follows(2), follows(3), pl.col("concept_id_2") != pl.col("concept_id_3"))
        .filter(pl.col("quiet_to_s_3") > pl.col("start_s_3"))
        .with_columns(cutoff_s="end_s_2", end_s="end_s_3")
        .with_columns(start_s=pl.max_horizontal("start_s_1", (pl.col("cutoff_s") - NEXT_SEEN_S).round(6)))
        .filter(pl.col("end_s_1") > pl.col("start_s"), pl.col("quiet_from_s_1") <= pl.col("start_s"))
        .filter((pl.col("cutoff_s") - pl.col("start_s")).round(6) >= SHORTEST_S)
        .with_columns(
            action="concept_id_3",
            actions=pl.concat_list(
                _seen("concept_id_1", "start_s_1", "end_s_1"), _seen("concept_id_2", "start_s_2", "end_s_2")
            ),
            label_ids=pl.concat_list("label_ids_1", "label_ids_2"),
            target_label_id=pl.col("label_ids_3").list.first(),
        )
    )


def _windows(actions: pl.DataFrame) -> pl.DataFrame:
    """Blocks (actions that overlap, in one) of the windows of captions: window, and of each block its own columns.

    Columns video_id, source, window (a number), begin_s (of the window), start_s, end_s, entries, label_ids.
    """
    entry = pl.struct("concept_id", "start_s", "end_s")
    blocks = (
        actions.with_columns(block=(pl.col("start_s") >= pl.col("quiet_from_s")).cum_sum())
        .group_by("video_id", "source", "block", maintain_order=True)
        .agg(
            entries=entry,
            n=pl.len().cast(pl.Int64),
            said=~pl.col("concept_id").is_in(_UNSAID).any(),
            start_s=pl.col("start_s").min(),
            end_s=pl.col("end_s").max(),
            label_ids=pl.col("label_ids").explode(empty_as_null=False),
        )
        .with_row_index("at")
        .with_columns(pl.col("at").cast(pl.Int64), gap_s=pl.col("start_s") - pl.col("end_s").shift(1).over("video_id"))
    )

    def ahead(column: str, k: int) -> pl.Expr:
        return pl.col(column).shift(-k).over("video_id")

    fits, n, reach = pl.lit(True), pl.lit(0), pl.lit(0)
    for k in range(CAPTION_ACTIONS):
        n = n + ahead("n", k)
        near = (ahead("gap_s", k).round(6) <= CAPTION_GAP_S) if k else pl.lit(True)
        lasts = (ahead("end_s", k) - pl.col("start_s")).round(6)
        fits = fits & (ahead("said", k) & near & (n <= CAPTION_ACTIONS) & (lasts <= CAPTION_S)).fill_null(False)
        reach = reach + fits.cast(pl.Int64)
    blocks = blocks.with_columns(reach=reach).with_columns(then=pl.col("at") + pl.col("reach").clip(1))
    # Which blocks begin a window: those that hops lead to from the first of a video. Hops double in length each time.
    begun = blocks.filter(pl.col("at") == pl.col("at").min().over("video_id")).select("at")
    hops = blocks.filter(pl.col("then") <= pl.col("at").max().over("video_id")).select("at", "then")
    while hops.height:
        begun = pl.concat([begun, begun.join(hops, on="at").select(at="then")]).unique()
        hops = hops.join(hops.select(then="at", last="then"), on="then").select("at", then="last")
    return (
        blocks.filter(pl.col("reach") > 0)
        .join(begun, on="at", how="semi")
        .select(window="at", begin_s="start_s", at=pl.int_ranges("at", pl.col("at") + pl.col("reach")))
        .explode("at", empty_as_null=False)
        .join(blocks, on="at")
        .sort("at")
    )


def _caption(windows: pl.DataFrame) -> pl.DataFrame:
    return (
        windows.group_by("video_id", "source", "window", maintain_order=True)
        .agg(
            start_s=pl.col("begin_s").first(),
            end_s=pl.col("end_s").last(),
            actions=pl.col("entries").explode(empty_as_null=False),
            label_ids=pl.col("label_ids").explode(empty_as_null=False),
        )
        .filter(pl.col("actions").list.len() >= 2, (pl.col("end_s") - pl.col("start_s")).round(6) >= SHORTEST_S)
        .with_columns(cutoff_s="end_s")
    )


def _conditional(windows: pl.DataFrame) -> pl.DataFrame:
    begun = windows.filter((pl.col("end_s") - pl.col("begin_s")).round(6) <= CONDITIONAL_S)
    return _caption(begun).with_columns(cutoff_s="start_s")
