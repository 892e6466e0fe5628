"""Motion: pairs of frames seconds apart, and what each instrument does between them, in words.

The words stand on boxes and masks in both frames, so they are knowledge of the later frame: they may describe a
frame that is to be made, and never one that is to be judged.
"""

import math
from typing import Any

import polars as pl

from surgsigma_dagster.context.words import UNNAMED
from surgsigma_dagster.keys import hashed

AHEAD_S = (1, 10)
STILL, SLIGHT = 0.03, 0.1  # of the diagonal
NEARER = 1.5  # times the area

DIRECTIONS = (
    "up",
    "to the upper right",
    "to the right",
    "to the lower right",
    "down",
    "to the lower left",
    "to the left",
    "to the upper left",
)
MOVES = (
    *(f"moves {direction}" for direction in DIRECTIONS),
    *(f"moves slightly {direction}" for direction in DIRECTIONS),
    "stays where it is",
    "comes closer",
    "draws back",
    "comes into view",
    "leaves the view",
)

PAIR: dict[str, Any] = {
    "scene_id": pl.String,
    "frame_id": pl.String,
    "later_frame_id": pl.String,
    "video_id": pl.String,
    "source": pl.String,
    "delta_s": pl.Float64,
    "pts_s": pl.Float64,
    "later_pts_s": pl.Float64,
    "motions": pl.List(pl.Struct({"concept_id": pl.String, "move": pl.String})),
    "label_ids": pl.List(pl.String),
}
_TOLERANCE_S = 0.0015  # Matroska counts milliseconds
_FLAT = math.tan(math.pi / 8)  # eight directions, 45 degrees each


def frame_pairs(
    frames: pl.DataFrame,
    boxes: pl.DataFrame,
    positions: pl.DataFrame | None = None,
    *,
    seen: pl.DataFrame | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """One row a frame that has a partner 1 to 10 s later, with what its instruments do until then.

    `frames`, `boxes`: unified tables. `positions`: where masks put each instrument (`synthesis.dense`), for instruments
    that have no box in the frame. `seen` (frame_id, concept_id): what other labels say is visible.

    Both frames are available, have a time and an instrument in place. Of the partners whose distance is a whole number
    of tenths of a second, a hash of the two ids and `seed` takes one. Columns: scene_id (`frame_id/+milliseconds`),
    frame_id, later_frame_id, video_id, source, delta_s, pts_s, later_pts_s, motions (concept_id, move), label_ids (of
    the boxes and masks that the motions stand on). Sorted by scene_id; a pair of which nothing can be said has none.

    `move` is one of `MOVES`. An instrument that is there once in both frames `stays where it is` (its centre moves less
    than 3 % of the image's diagonal), `moves slightly …` (less than 10 %) or `moves …`; where its area grows or shrinks
    to more than 1.5 times, it `comes closer` or `draws back`, in an entry behind that, or instead of staying. One that
    is there once in one frame and not at all in the other `leaves the view` or `comes into view`, unless `seen` knows
    better. Of one that is there twice nothing is said, nor of labels that say no kind of instrument. Places are
    fractions of their own image's size, so the two may differ in size; a box is not compared with a mask.
    """
    usable = frames.filter(pl.col("status") == "available", pl.col("pts_s").is_not_null())
    placed = _placed(usable, boxes, positions)
    pairs = _pairs(usable.join(placed, on="frame_id", how="semi"), seed)
    motions = _motions(pairs, placed, seen)
    return (
        pairs.join(motions, on="frame_id")
        .with_columns(
            scene_id=pl.format("{}/+{}", "frame_id", (pl.col("delta_s") * 1000).round().cast(pl.Int64)),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in PAIR.items())
        .sort("scene_id")
    )


def _pairs(frames: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Each of `frames` with the partner that the hash takes: frame_id, later_frame_id, …, width, height."""
    here = frames.select("frame_id", "video_id", "source", "pts_s", "width", "height").with_columns(
        stretch=(pl.col("pts_s") // (AHEAD_S[1] + 1)).cast(pl.Int64)  # a partner lies in the same or the next
    )
    later = here.select(
        "video_id",
        later_frame_id="frame_id",
        later_pts_s="pts_s",
        stretch=pl.concat_list("stretch", pl.col("stretch") - 1),
    ).explode("stretch", empty_as_null=False)
    tenths = ((pl.col("later_pts_s") - pl.col("pts_s")) * 10).round()
    exact = ((pl.col("later_pts_s") - pl.col("pts_s")) - tenths / 10).abs() <= _TOLERANCE_S
    return (
        here.lazy()
        .join(later.lazy(), on=["video_id", "stretch"])
        .filter(tenths.is_between(AHEAD_S[0] * 10, AHEAD_S[1] * 10), exact)
        .with_columns(delta_s=tenths / 10, chance=hashed(pl.col("frame_id"), pl.col("later_frame_id"), seed=seed))
        .sort("chance", "later_frame_id")
        .unique("frame_id", keep="first", maintain_order=True)
        .collect()
    )


def _placed(frames: pl.DataFrame, boxes: pl.DataFrame, positions: pl.DataFrame | None) -> pl.DataFrame:
    """Where each instrument is in each frame: n, and of the first, x, y and area as fractions of the image."""
    is_named = pl.col("concept_id").str.starts_with("instrument/") & ~pl.col("concept_id").is_in(UNNAMED)
    place = ["frame_id", "concept_id"]
    width, height = pl.col("width"), pl.col("height")
    parts = boxes.filter(is_named).select(
        *place,
        label_ids=pl.col("label_id").reshape((-1, 1)).arr.to_list(),
        by=pl.lit("box"),
        x=(pl.col("x1") + pl.col("x2")) / 2 / width,
        y=(pl.col("y1") + pl.col("y2")) / 2 / height,
        area=(pl.col("x2") - pl.col("x1")) * (pl.col("y2") - pl.col("y1")) / (width * height),
    )
    if positions is not None:
        # A mask of a class may hold several instruments: only what hangs together is one for sure.
        whole = positions.filter(is_named, (pl.col("n_parts") == 1).all().over(place))
        regions = whole.join(parts, on=place, how="anti")
        regions = regions.join(frames.select("frame_id", "width", "height"), on="frame_id").select(
            *place,
            "label_ids",
            by=pl.lit("mask"),
            x=pl.col("x") / width,
            y=pl.col("y") / height,
            area=pl.col("area") / (width * height),
        )
        parts = pl.concat([parts, regions])
    return (
        parts.join(frames, on="frame_id", how="semi")
        .sort(*place, pl.col("label_ids").list.first())
        .group_by(place, maintain_order=True)
        .agg(
            pl.len().alias("n"),
            pl.col("by", "x", "y", "area").first(),
            label_ids=pl.col("label_ids").explode(empty_as_null=False),
        )
    )


def _motions(pairs: pl.DataFrame, placed: pl.DataFrame, seen: pl.DataFrame | None) -> pl.DataFrame:
    """What can be said of each pair: frame_id (of the earlier frame), motions, label_ids."""
    scene = ["frame_id", "later_frame_id"]
    after = placed.select(
        "concept_id", *(pl.col(name).alias(f"later_{name}") for name in placed.columns if name != "concept_id")
    )
    both = (
        pairs.select(scene)
        .join(placed, on="frame_id")
        .join(
            pairs.select(scene).join(after, on="later_frame_id"),
            on=[*scene, "concept_id"],
            how="full",
            coalesce=True,
        )
        .join(pairs.select("frame_id", "width", "height"), on="frame_id")
    )
    if seen is not None:
        known = seen.select("frame_id", "concept_id").unique()
        both = both.join(known.with_columns(here=pl.lit(True)), on=["frame_id", "concept_id"], how="left").join(
            known.select("concept_id", later_frame_id="frame_id", there=pl.lit(True)),
            on=["later_frame_id", "concept_id"],
            how="left",
        )
    else:
        both = both.with_columns(here=pl.lit(None, pl.Boolean), there=pl.lit(None, pl.Boolean))
    once, later_once = pl.col("n") == 1, pl.col("later_n") == 1
    compared = once & later_once & (pl.col("by") == pl.col("later_by"))
    change = (
        pl.when(compared & (pl.col("later_area") > NEARER * pl.col("area")))
        .then(pl.lit("comes closer"))
        .when(compared & (pl.col("area") > NEARER * pl.col("later_area")))
        .then(pl.lit("draws back"))
    )
    way = _way(
        (pl.col("later_x") - pl.col("x")) * pl.col("width"), (pl.col("later_y") - pl.col("y")) * pl.col("height")
    )
    move = (
        pl.when(compared)
        .then(pl.when(way.is_not_null()).then(way).when(change.is_null()).then(pl.lit("stays where it is")))
        .when(once & pl.col("later_n").is_null() & pl.col("there").is_null())
        .then(pl.lit("leaves the view"))
        .when(later_once & pl.col("n").is_null() & pl.col("here").is_null())
        .then(pl.lit("comes into view"))
    )
    return (
        both.select("frame_id", "concept_id", "label_ids", "later_label_ids", move=pl.concat_list(move, change))
        .with_columns(pl.col("move").list.drop_nulls())
        .filter(pl.col("move").list.len() > 0)
        .with_columns(
            label_ids=pl.concat_list(pl.col("label_ids", "later_label_ids").fill_null(pl.lit([], pl.List(pl.String))))
        )
        .sort("frame_id", "concept_id")
        .explode("move", empty_as_null=False)
        .group_by("frame_id", maintain_order=True)
        .agg(
            motions=pl.struct("concept_id", "move"),
            label_ids=pl.col("label_ids").explode(empty_as_null=False).unique().sort(),
        )
    )


def _way(right: pl.Expr, down: pl.Expr) -> pl.Expr:
    """`moves …` for a displacement in pixels of an image of `width` and `height`; null for none to speak of."""
    moved = (right**2 + down**2).sqrt() / (pl.col("width") ** 2 + pl.col("height") ** 2).sqrt()
    side = pl.when(right < 0).then(pl.lit("left")).otherwise(pl.lit("right"))
    level = pl.when(down < 0).then(pl.lit("upper")).otherwise(pl.lit("lower"))
    direction = (
        pl.when(down.abs() < _FLAT * right.abs())
        .then(pl.concat_str(pl.lit("to the "), side))
        .when(right.abs() < _FLAT * down.abs())
        .then(pl.when(down < 0).then(pl.lit("up")).otherwise(pl.lit("down")))
        .otherwise(pl.concat_str(pl.lit("to the "), level, pl.lit(" "), side))
    )
    slightly = pl.when(moved < SLIGHT).then(pl.lit("slightly ")).otherwise(pl.lit(""))
    return pl.when(moved >= STILL).then(pl.concat_str(pl.lit("moves "), slightly, direction))
