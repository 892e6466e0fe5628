"""What a scene can show or ask for: its frame, a later one, images made for it, and clips, as columns of words."""

import polars as pl

from surgsigma_dagster.context.words import beside
from surgsigma_dagster.keys import clip_id
from surgsigma_dagster.schema.tables import MEDIUM

DENSE = ("instrument_mask", "depth", "smoke")
_SHOWN = pl.Struct({"white": pl.List(pl.String)})  # of an annotated mask's parameters: the concepts that are white


def with_media(
    words: pl.DataFrame, frames: pl.DataFrame, dense_images: pl.DataFrame, clips: pl.DataFrame
) -> pl.DataFrame:
    """`words` with a column `<medium>_medium` for each medium of `dialogue.task.Medium`; null where it is not there.

    A medium tells its kind, its id, the root and path of its file, and when on the video's clock it begins and ends.
    The other tables are the unified ones, of the same videos. `<medium>_licence` is that of the model that made an
    image, `<medium>_shows` the concepts that an annotated mask holds.
    """
    here = frames.filter(pl.col("status").cast(pl.String) == "available")
    picture = here.select("frame_id", medium=_medium("image", "frame_id", pl.col("image_root"), "image_path", "pts_s"))
    rows = beside(words, picture.rename({"medium": "frame_medium"}), "frame_id")
    later = picture.rename({"frame_id": "later_frame_id", "medium": "later_frame_medium"})
    rows = beside(rows, later.join(words, on="later_frame_id", how="semi"), "later_frame_id")
    timed = dense_images.join(here.select("frame_id", "pts_s"), on="frame_id")
    for kind in DENSE:
        made = timed.filter(pl.col("kind").cast(pl.String) == kind).select(
            "frame_id",
            _medium("image", "rendition_id", pl.lit("lake"), "image_path", "pts_s").alias(f"{kind}_medium"),
            pl.col("licence").alias(f"{kind}_licence"),
            pl.col("origin").cast(pl.String).alias(f"{kind}_origin"),
            pl.col("parameters").str.json_decode(_SHOWN).struct.field("white").alias(f"{kind}_shows"),
        )
        rows = beside(rows, made, "frame_id")
    cut = clips.filter(pl.col("status").cast(pl.String) == "available")
    footage = cut.select(
        "clip_id", medium=_medium("clip", "clip_id", pl.lit("lake"), "clip_path", "first_pts_s", "last_pts_s")
    )
    first = cut.select(
        "clip_id", first_frame_medium=_medium("image", "clip_id", pl.lit("lake"), "first_frame_path", "first_pts_s")
    )
    until = {"clip_medium": "cutoff_s", "target_clip_medium": "end_s"}
    for column, end in until.items():
        if cut.height:
            rows = rows.with_columns(clip_id=clip_id(pl.col("video_id"), pl.col("start_s"), pl.col(end)))
        rows = beside(rows, footage.rename({"medium": column}), "clip_id")
    rows = beside(rows, first, "clip_id").drop("clip_id", strict=False)
    # A clip that is to be made begins with its first frame, which is presented at or after the label's begin.
    begun = (pl.col("kind").cast(pl.String) == "conditional") & pl.col("first_frame_medium").is_not_null()
    opening = pl.col("first_frame_medium").struct.field("start_s")
    return rows.with_columns(cutoff_s=pl.when(begun).then(opening).otherwise("cutoff_s"))


def _medium(kind: str, identity: str, root: pl.Expr, path: str, start: str, end: str | None = None) -> pl.Expr:
    return pl.struct(
        kind=pl.lit(kind),
        id=pl.col(identity),
        root=root.cast(pl.String),
        path=pl.col(path),
        start_s=pl.col(start),
        end_s=pl.col(end or start),
    ).cast(MEDIUM.dtype)
