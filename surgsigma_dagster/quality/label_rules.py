"""Rules on what comes in: sources, videos, frames, labels, and who is who."""

from collections import Counter
from itertools import chain

import polars as pl

from surgsigma_dagster.quality.reach import early, track_ends
from surgsigma_dagster.quality.rule import Tables, available, every_medium, orphans, rule
from surgsigma_dagster.schema.tables import FRAME_LABELS, LABELS, TABLES
from surgsigma_dagster.video.probe import SAME_RATE


@rule("sources", checked=("sources", "rejects"))
def sources_readable(tables: Tables) -> pl.LazyFrame:
    """Every source could be listed and every label file read."""
    unreadable = pl.col("rule").is_in(["unreadable_source", "unreadable_labels"])
    return tables["rejects"].filter(unreadable).select(example="reason")


@rule("builds", checked=tuple(name for name in TABLES if name not in {"builds", "qa_results"}))
def tables_keep_their_contract(tables: Tables) -> pl.LazyFrame:
    """Every row of every table satisfies its contract: types, nulls, ranges, unique keys."""
    broken = []
    for name, schema in TABLES.items():
        if name in {"builds", "qa_results"}:
            continue
        counts: Counter[str] = Counter()
        rows = tables[name]
        for part in chain([rows.head(0).collect()], rows.collect_batches(chunk_size=100_000)):
            counts.update(schema.filter(part)[1].counts())
        twice = rows.group_by(schema.primary_key()).len("n").filter(pl.col("n") > 1).select(pl.col("n").sum())
        counts["primary_key"] = twice.collect(engine="streaming").item()  # a key comes twice across parts, too
        broken += [f"{name}: {rule} ({count} rows)" for rule, count in counts.items() if count]
    return pl.LazyFrame({"example": broken}, schema={"example": pl.String})


@rule("frames", checked=FRAME_LABELS)
def frame_labels_have_frames(tables: Tables) -> pl.LazyFrame:
    """Every frame label speaks of a frame that has a row."""
    return pl.concat([orphans(tables, kind, "frame_id", "frames", "frame_id") for kind in FRAME_LABELS])


@rule("videos", checked=("frames", *LABELS))
def rows_have_videos(tables: Tables) -> pl.LazyFrame:
    """Every frame and label belongs to a listed video."""
    return pl.concat([orphans(tables, kind, "video_id", "videos", "video_id") for kind in ("frames", *LABELS)])


@rule("concepts", checked=("sources", "videos", *LABELS))
def concepts_are_closed(tables: Tables) -> pl.LazyFrame:
    """Every concept id of a label is in the vocabulary, and a track holds concepts of its own kind."""
    columns = [(kind, "concept_id") for kind in LABELS] + [
        ("triplets", "verb_concept_id"),
        ("triplets", "target_concept_id"),
    ]
    columns += [("sources", "procedure_type"), ("videos", "procedure_type")]
    unknown = [orphans(tables, kind, column, "concepts", "concept_id") for kind, column in columns]
    stray = tables["intervals"].filter(
        pl.col("concept_id").str.split("/").list.first() != pl.col("track").cast(pl.String)
    )
    return pl.concat([*unknown, stray.select(example=pl.format("{} in track {}", "concept_id", "track"))])


@rule("boxes")
def boxes_inside_image(tables: Tables) -> pl.LazyFrame:
    """Every box has area and lies inside its image."""
    inside = (
        (pl.col("x1") >= 0) & (pl.col("y1") >= 0) & (pl.col("x2") <= pl.col("width"))
        & (pl.col("y2") <= pl.col("height")) & (pl.col("x1") < pl.col("x2")) & (pl.col("y1") < pl.col("y2"))
    )  # fmt: skip
    return tables["boxes"].filter(~inside).select(example="label_id")


@rule("boxes", "warning")
def an_instance_is_boxed_once(tables: Tables) -> pl.LazyFrame:
    """Within a frame and concept, an instance id stands once: two raters' boxes of one instrument are counted as two.
    A warning, since some releases number instances anew in each file or answer: a person sees which it is.
    """
    boxed = pl.format(
        "{} at {}, {}", "file", "locator", pl.concat_list(pl.col("x1", "y1", "x2", "y2").cast(pl.String)).list.join(" ")
    )
    return (
        tables["boxes"]
        .drop_nulls("instance")
        .group_by("frame_id", "concept_id", "instance")
        .agg(pl.len(), boxed=boxed.sort().head(3).str.join(" and "))
        .filter(pl.col("len") > 1)
        .select(example=pl.format("{}: {} {} in {}", "frame_id", "concept_id", "instance", "boxed"))
    )


@rule("intervals", "warning")
def intervals_inside_video(tables: Tables) -> pl.LazyFrame:
    """No interval reaches more than a second beyond the end of its video."""
    return (
        tables["intervals"]
        .join(tables["videos"].select("video_id", "duration_s"), on="video_id")
        .filter(pl.col("end_s") > pl.col("duration_s") + 1)
        .select(example=pl.format("{} ends at {} s, {} at {} s", "label_id", "end_s", "video_id", "duration_s"))
    )


@rule("intervals", "warning", checked=("intervals", "presences", "rejects"))
def labels_reach_the_end(tables: Tables) -> pl.LazyFrame:
    """No track ends long before another of its video or before the footage, and no label file is without rows."""
    videos = tables["videos"].select("label_rate", "first_index", video="video_id", footage_s="duration_s")
    seen = tables["presences"].join(tables["frames"].select("frame_id", "frame_index"), on="frame_id")
    ends = track_ends(
        tables["intervals"].rename({"video_id": "video"}),
        seen.select("frame_index", video="video_id", track=pl.format("presences in {}", "file")),
        videos,
    )
    found = early(ends.join(videos.select("video", "footage_s"), on="video", how="left"))
    at_s = [pl.col(name).round(1) for name in ("end_s", "until_s")]
    said = pl.format("{}: {} ends at {} s of {} s", "video", "track", *at_s)
    without = tables["rejects"].filter(pl.col("rule") == "label_file_without_rows")
    return pl.concat(
        [
            found.select(example=said),
            without.select(example=pl.format("{}, {}: {}", "video_id", pl.col("file").fill_null(""), "reason")),
        ]
    )


@rule("videos", "warning")
def videos_readable(tables: Tables) -> pl.LazyFrame:
    """No video is quarantined or a link to no file; single blank frames are set aside, since they show nothing."""
    status = pl.col("status").cast(pl.String)
    quarantined = (status == "quarantined") & ~pl.col("reason").str.starts_with("blank")
    gone = (status == "absent") & pl.col("media_path").is_not_null()
    frames = tables["frames"].filter(quarantined).select("video_id", "reason")
    videos = tables["videos"].filter(quarantined | gone).select("video_id", "reason")
    return pl.concat([videos, frames]).unique("video_id").select(example=pl.format("{}: {}", "video_id", "reason"))


@rule("aliases", "warning", checked=("alias_coverage",))
def values_are_mapped(tables: Tables) -> pl.LazyFrame:
    """Every verbatim value is mapped to a concept."""
    return (
        tables["alias_coverage"]
        .filter(pl.col("concept_id").is_null())
        .group_by("source", "field", "raw_value")
        .agg(pl.col("n_rows").sum())
        .select(example=pl.format("{}: {} '{}' in {} rows", "source", "field", "raw_value", "n_rows"))
    )


@rule("procedures", checked=("conversations",))
def one_split_per_procedure(tables: Tables) -> pl.LazyFrame:
    """No procedure, no video and no identical picture is in two splits, across all sources and tasks."""
    talk = tables["conversations"].select(
        "conversation_id", "procedure_id", "video_id", "scene_id", pl.col("split").cast(pl.String)
    )
    hashed = pl.concat(
        [
            tables["frames"].select("sha256", id="frame_id"),
            tables["clips"].select("sha256", id="clip_id"),
            tables["dense_images"].select("sha256", id="rendition_id"),
        ]
    )
    media = every_medium(tables["conversations"]).select("scene_id", "id", pl.col("split").cast(pl.String)).unique()
    pictures = media.join(hashed, on="id")
    # What a conversation says of itself is not believed: its video belongs to the procedure that lists it.
    owners = (
        tables["procedures"]
        .select("videos", owner="procedure_id", owner_split=pl.col("split").cast(pl.String))
        .explode("videos", empty_as_null=True)
    )
    told, owned = pl.struct("procedure_id", "split"), pl.struct(procedure_id="owner", split="owner_split")
    astray = talk.join(owners, left_on="video_id", right_on="videos", how="left").filter(told.ne_missing(owned))
    return pl.concat(
        [
            astray.select(
                example=pl.format(
                    "{} is of {} in {}, its video of {}",
                    "conversation_id",
                    "procedure_id",
                    "split",
                    pl.concat_str("owner", pl.lit(" in "), "owner_split").fill_null("no procedure"),
                )
            )
        ]
        + [
            found.drop_nulls(key)
            .group_by(key)
            .agg(pl.col("split").unique().sort(), shown=pl.col("scene_id").unique().sort().head(3))
            .filter(pl.col("split").list.len() > 1)
            .select(
                example=pl.format(
                    "{} in {}: {}", key, pl.col("split").list.join(" and "), pl.col("shown").list.join(", ")
                )
            )
            for key, found in (("procedure_id", talk), ("sha256", pictures))
        ]
    )


@rule("source_overlaps")
def unknown_overlaps_are_looked_into(tables: Tables) -> pl.LazyFrame:
    """Two sources that may share patients, with conversations of both, had their pictures compared."""
    talking = tables["conversations"].select("source").unique()
    return (
        tables["source_overlaps"]
        .filter(pl.col("relation").cast(pl.String) == "unknown", pl.col("content_check").cast(pl.String) == "not run")
        .join(talking, left_on="source_a", right_on="source", how="semi")
        .join(talking, left_on="source_b", right_on="source", how="semi")
        .select(example=pl.format("{} and {}: {}", "source_a", "source_b", "why"))
    )


@rule("label_conflicts", "warning", checked=("agreements",), counted=pl.col("n_compared").sum())
def sources_agree(tables: Tables) -> pl.LazyFrame:
    """No two sources contradict each other about the same instant; where they do, one is overruled there."""
    return tables["label_conflicts"].select(
        example=pl.format(
            "{} at {} s, {}: {} ({}) against {} ({})",
            "procedure_id", "at_s", "field", "kept_source", "kept_place", "overruled_source", "overruled_place",
        )
    )  # fmt: skip


@rule("rejects", "warning", checked=("rejects",))
def clock_of_labels_fits_video(tables: Tables) -> pl.LazyFrame:
    """No label means a frame beyond the end of its video."""
    beyond = pl.col("rule") == "frame_beyond_video_end"
    return tables["rejects"].filter(beyond).select(example=pl.format("{} {}: {}", "video_id", "locator", "reason"))


@rule("videos")
def frame_numbers_are_the_files(tables: Tables) -> pl.LazyFrame:
    """Labels that count frames count as many a second, within 1 %, as their video file has: else frame i of the labels
    is not frame i of the file, and pictures stand beside labels of another instant.
    """
    rate = pl.col("frame_rate")
    apart = tables["videos"].filter(
        available(),
        pl.col("media").cast(pl.String) == "video",
        (pl.col("label_rate") - rate).abs() > SAME_RATE * rate,
    )
    framed = [tables["intervals"].drop_nulls("start_frame"), *(tables[kind] for kind in FRAME_LABELS)]
    # Labels that count seconds alone find their frames by the file's own timestamps, whatever its rate.
    counting = pl.concat(rows.select("video_id").join(apart, on="video_id", how="semi") for rows in framed)
    return apart.join(counting, on="video_id", how="semi").select(
        example=pl.format(
            "{}: labels count {} frames a second, {} has {}", "video_id", "label_rate", "media_path", "frame_rate"
        )
    )
