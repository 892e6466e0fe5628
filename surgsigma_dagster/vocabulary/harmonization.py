"""From native records to unified labels: concepts beside verbatim values, pixels, ids, and rejects for the rest.

Values are mapped by name through the source's aliases alone. What is not listed there, or listed as saying nothing,
is turned down with its place, and counted in the coverage table; nothing is guessed and list positions mean nothing.
"""

from collections.abc import Mapping

import polars as pl

from surgsigma_dagster.keys import frame_id, hashed_id
from surgsigma_dagster.quality.rejects import once, reject_rows
from surgsigma_dagster.schema.tables import FRAME_LABELS, LABELS, TABLES, conform, empty, row_order
from surgsigma_dagster.sources.config import SourceEntry
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import NOTHING, aliases, normalised

HARMONIZED = (*LABELS, "alias_coverage")
UNMAPPED = "text"  # the field of values that are kept as they are and mean no concept
_UNKNOWN, _NO_LABEL = "unmapped_value: no alias for", "no_label: the alias file says that nothing is meant by"
_VALUE = ["source", "field", "raw_value"]
_OF_VIDEO = ["video_id", "field", "raw_value"]
_OWN = (
    "start_s",
    "end_s",
    "raw_verb",
    "raw_target",
    "instance",
    "mask_file",
    "mask_value",
    "outline",
    "present",
    "score",
    "x1",
    "y1",
    "x2",
    "y2",
    "question",
    "depth_file",
)  # what tells records of one place apart


def known_values(entry: SourceEntry, *, strict: bool = True) -> pl.DataFrame:
    """What the verbatim values of a source mean: source, field, raw_value, concept_id, by_name, procedure_types.

    Where it accepts concept names, phases and steps are those of the video's own procedure alone: "preparation" is one
    thing in a cholecystectomy and another in a gastric bypass. Raises `SourceError` for a faulty alias file; unless
    `strict`, entries whose target is no concept are left out.
    """
    try:
        procedure_types = entry.subject().procedure_types
    except SourceError:
        procedure_types = ()
    return aliases(entry.dataset, entry.aliases, procedure_types, strict=strict).select(
        pl.lit(entry.name).alias("source"), "field", "raw_value", "concept_id", "by_name", "procedure_types"
    )


def harmonize(
    native: Mapping[str, pl.DataFrame], videos: pl.DataFrame, aliases: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Unified label tables, alias coverage and rejects of the videos that `native` speaks of.

    `native`: native records by kind, with `source` and `video_id`. `videos`: the `videos` table. `aliases`: of
    these sources, as `known_values` gives them.
    """
    records = _with_fields(native)
    kinds = videos.select("video_id", "procedure_type")
    values = verbatim_values(native).join(kinds, on="video_id", how="left")
    coverage = resolve(values, aliases).drop("procedure_type")
    found = coverage.select(*_OF_VIDEO, "concept_id")
    done: dict[str, pl.DataFrame] = {"alias_coverage": coverage}
    rejects = [
        reject_rows(native["rejects"], stage="ingestion", rule=pl.col("rule"), reason=pl.col("reason"),
                    frame_id=frame_id(pl.col("video_id"), pl.col("frame_index")), n_rows=pl.col("n_rows"))
    ]  # fmt: skip
    for kind in LABELS:
        if records[kind].is_empty():  # most kinds of most sources: not a query of a dozen steps each
            done[kind] = empty(kind)
            continue
        frame = _with_concepts(records[kind], kind, found)
        if kind == "boxes":
            frame = _in_pixels(frame, videos)
        faults = _faults(kind)
        if frame.select(pl.any_horizontal(wrong for wrong, _ in faults).any()).item():
            frame = frame.with_columns(fault=pl.coalesce(pl.when(wrong).then(reason) for wrong, reason in faults))
            rejects.append(
                reject_rows(
                    frame.filter(pl.col("fault").is_not_null()),
                    stage="harmonization",
                    rule=pl.col("fault").str.split(": ").list.first(),
                    reason=pl.col("fault"),
                    raw_value=_offending(kind),
                    frame_id=_hidden_in(kind),
                    n_rows=pl.col("n_rows"),
                )
            )
            frame = frame.filter(pl.col("fault").is_null())
        done[kind] = _labels(kind, frame)
    done["rejects"] = once(pl.concat(rejects))
    return done


def resolve(values: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """`values` (source, field, raw_value, procedure_type, …) with `concept_id`: null where no alias says, `NOTHING`
    where one says that nothing is meant.

    A verbatim alias wins. Sources that accept concept names (in-house ones) also match by the normalised name, which
    may depend on the kind of procedure that the video shows.
    """
    verbatim = (
        aliases.filter(~pl.col("by_name")).select(*_VALUE, verbatim="concept_id").rename({"raw_value": "spelled"})
    )
    named = aliases.filter("by_name").explode("procedure_types").rename({"raw_value": "name"})
    name, anywhere = ["source", "field", "name"], pl.col("procedure_types").is_null()
    general = named.filter(anywhere).select(*name, general="concept_id")
    special = named.filter(~anywhere).select(*name, procedure_type="procedure_types", special="concept_id")
    return (
        values.with_columns(spelled=pl.col("raw_value").str.normalize("NFC"), name=normalised(pl.col("raw_value")))
        .join(verbatim, on=["source", "field", "spelled"], how="left")
        .join(general, on=name, how="left")
        .join(special, on=[*name, "procedure_type"], how="left")
        .with_columns(concept_id=pl.coalesce("verbatim", "general", "special"))
        .drop("verbatim", "general", "special", "name", "spelled")
    )


def _with_fields(native: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Native label records with the columns `field` and `raw_value` on every kind."""
    return {
        **{kind: native[kind] for kind in LABELS},
        "triplets": native["triplets"].rename({"raw_instrument": "raw_value"}).with_columns(field=pl.lit("instrument")),
        "criteria": native["criteria"].with_columns(field=pl.lit("criterion")),
        "captions": native["captions"].with_columns(field=pl.lit(UNMAPPED)),
        "depths": native["depths"].with_columns(field=pl.lit(UNMAPPED), raw_value="depth_file"),
    }


def verbatim_values(native: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Every verbatim value met, by video, with the native rows of the records that hold it.

    Columns source, video_id, field, raw_value, n_rows.
    """
    parts = []
    for part in _spoken(native):
        # Fewer strings a row are compared faster, and most of millions of rows are of one field.
        key = _OF_VIDEO if _one_field(part) is None else ["video_id", "raw_value"]
        others = [name for name in ("source", "field") if name not in key]
        counted = part.group_by(key).agg(pl.col(others).first(), pl.col("n_rows").sum())
        parts.append(counted.select("source", *_OF_VIDEO, "n_rows"))
    return pl.concat(parts).group_by("source", *_OF_VIDEO).agg(pl.col("n_rows").sum())


def unmapped_values(native: Mapping[str, pl.DataFrame], videos: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """The verbatim values that `aliases` do not know: source, field, raw_value, n_rows, the most frequent first.

    `videos`: video_id, procedure_type. A native row counts once, whatever records are made of it: a box, a presence
    and a triplet share their place.
    """
    values = resolve(verbatim_values(native).join(videos, on="video_id", how="left"), aliases)
    unknown = values.filter(pl.col("concept_id").is_null())
    spoken = pl.concat(_spoken(native, "file", "locator", "frame_index"), how="diagonal")
    places = spoken.join(unknown, on=_OF_VIDEO, how="semi")
    return (
        places.group_by(*_VALUE, "file", "locator", "frame_index")
        .agg(pl.col("n_rows").max())
        .group_by(_VALUE)
        .agg(pl.col("n_rows").sum())
        .sort("n_rows", "field", "raw_value", descending=[True, False, False])
    )


def _spoken(native: Mapping[str, pl.DataFrame], *more: str) -> list[pl.DataFrame]:
    """The verbatim values of every record, by kind and part of it: source, video_id, field, raw_value, n_rows, and
    `more` where it has them.
    """
    records = _with_fields(native)
    columns = ["source", "video_id", "field", "raw_value", "n_rows", *more]
    parts = [
        records[kind].select(name for name in columns if name in records[kind].columns)
        .filter(pl.col("field") != UNMAPPED)
        for kind in LABELS
    ]  # fmt: skip
    for field in ("verb", "target"):
        said = records["triplets"].filter(pl.col(f"raw_{field}").is_not_null())
        parts.append(said.with_columns(field=pl.lit(field), raw_value=f"raw_{field}").select(columns))
    return parts


def _one_field(rows: pl.DataFrame) -> str | None:
    """The field that all of `rows` are of, where they are of one."""
    field = rows["field"].first()
    return field if isinstance(field, str) and (rows["field"] == field).all() else None


def _with_concepts(frame: pl.DataFrame, kind: str, found: pl.DataFrame) -> pl.DataFrame:
    meaning, on = _meaning(frame, found)
    frame = frame.join(meaning, on=on, how="left", maintain_order="left")
    if kind == "triplets":
        for field in ("verb", "target"):
            frame = frame.join(
                found.filter(pl.col("field") == field).select(
                    "video_id",
                    pl.col("raw_value").alias(f"raw_{field}"),
                    pl.col("concept_id").alias(f"{field}_concept_id"),
                ),
                on=["video_id", f"raw_{field}"],
                how="left",
                maintain_order="left",
            )  # fmt: skip
    return frame


def _meaning(frame: pl.DataFrame, found: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """What the values of `frame` mean (`concept_id`), by as few columns as tell it: mostly the value alone does."""
    if (field := _one_field(frame)) is not None:
        found = found.filter(pl.col("field") == field)
    keys = (["raw_value"], ["field", "raw_value"], _OF_VIDEO)
    told = ((found.select(*on, "concept_id").unique(), on) for on in keys)
    return next((meaning, on) for meaning, on in told if meaning.select(on).is_unique().all())


def _in_pixels(boxes: pl.DataFrame, videos: pl.DataFrame) -> pl.DataFrame:
    """Boxes in pixels of their image, clipped to it. The file's own image size wins over the video's."""
    sized = boxes.join(
        videos.select("video_id", video_width="width", video_height="height"), on="video_id", how="left"
    ).with_columns(width=pl.coalesce("width", "video_width"), height=pl.coalesce("height", "video_height"))
    relative = pl.col("unit").cast(pl.String) == "relative"
    for side, size in (("x", "width"), ("y", "height")):
        sized = sized.with_columns(
            pl.when(relative).then(pl.col(f"{side}{end}") * pl.col(size)).otherwise(f"{side}{end}").round(3)
            .alias(f"{side}{end}")
            for end in (1, 2)
        )  # fmt: skip
    sides = (("x1", "width"), ("y1", "height"), ("x2", "width"), ("y2", "height"))
    inside = [pl.col(side).clip(0, pl.col(size)).alias(side) for side, size in sides]
    out = pl.any_horizontal([(pl.col(side) < 0) | (pl.col(side) > pl.col(size)) for side, size in sides])
    return sized.with_columns(*inside, clipped=out.fill_null(False))


def _faults(kind: str) -> list[tuple[pl.Expr, pl.Expr]]:
    """When a record makes no label, and why (`rule: reason`); the first that holds counts."""

    def worded(raw: str, field: pl.Expr, concept: pl.Expr, said: pl.Expr) -> list[tuple[pl.Expr, pl.Expr]]:
        """Of a value that is `said`: nobody knows it, or it is known to say nothing."""
        return [
            (concept.is_null() & said, pl.format(f"{_UNKNOWN} {{}} '{{}}'", field, raw)),
            (concept == NOTHING, pl.format(f"{_NO_LABEL} {{}} '{{}}'", field, raw)),
        ]

    faults = worded("raw_value", pl.col("field"), pl.col("concept_id"), pl.col("field") != UNMAPPED)
    if kind == "triplets":
        for field in ("verb", "target"):
            raw = f"raw_{field}"
            faults += worded(raw, pl.lit(field), pl.col(f"{field}_concept_id"), pl.col(raw).is_not_null())
    if kind == "boxes":
        unknown = pl.lit("unknown_image_size: neither the file nor the image tells the size in pixels")
        faults.append((pl.col("width").is_null() | pl.col("height").is_null(), unknown))
        outside = pl.lit("box_without_area: nothing of it lies inside the image")
        faults.append(((pl.col("x2") <= pl.col("x1")) | (pl.col("y2") <= pl.col("y1")), outside))
        # One object is not boxed twice at the very same pixels: two rows would make two instruments of it.
        same = ["video_id", "frame_index", "concept_id", "x1", "y1", "x2", "y2"]
        length = pl.col("locator").str.len_chars().cast(pl.String).str.zfill(3)  # line 2 before line 10
        place = pl.concat_str("file", length, "locator", pl.col("instance").fill_null(""), separator="\t")
        first = [pl.col(name).sort_by(place).first().over(same) for name in ("file", "locator")]
        again = place != place.min().over(same)
        faults.append((again, pl.format("repeated_box: the same box stands in {}, {}", *first)))
    if kind in {"intervals", "captions"}:
        empty_span = pl.lit("interval_without_length: it ends before it begins")
        faults.append((pl.col("end_s") <= pl.col("start_s"), empty_span))
    return faults


def _hidden_in(kind: str) -> pl.Expr | None:
    """The frame in which something visible goes unnamed, since its record makes no label."""
    if kind not in {"presences", "boxes", "masks", "triplets"}:
        return None
    seen = pl.col("present") if kind == "presences" else ~pl.col("fault").str.starts_with("repeated_box")
    seen &= ~pl.col("fault").str.starts_with(_NO_LABEL)
    return pl.when(seen).then(frame_id(pl.col("video_id"), pl.col("frame_index")))


def _offending(kind: str) -> pl.Expr:
    """The value that `fault` speaks of."""
    value = pl.col("raw_value")
    if kind == "triplets":
        for field in ("target", "verb"):
            value = (
                pl.when(pl.col("fault").str.contains(f"^({_UNKNOWN}|{_NO_LABEL}) {field} '"))
                .then(f"raw_{field}")
                .otherwise(value)
            )
    return value


def _labels(kind: str, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` as rows of the label table `kind`. Records that are alike in everything become one label."""
    if kind in FRAME_LABELS:
        frame = frame.with_columns(frame_id=frame_id(pl.col("video_id"), pl.col("frame_index")))
    if kind == "intervals":
        frame = frame.with_columns(track="field")
    if kind == "criteria":
        frame = frame.with_columns(met=pl.col("score") >= 0.5)
    if kind == "masks":
        outline = pl.col("polygon").cast(pl.List(pl.String)).list.join(" ")
        frame = frame.with_columns(mask_path="mask_file", outline=outline)
    if kind == "questions":
        frame = frame.with_columns(free_text=pl.col("field") == UNMAPPED)
    if kind == "depths":
        frame = frame.with_columns(depth_path="depth_file")
    own = [name for name in _OWN if name in frame.columns]
    # A frame's id names its source, video and number, a video's id its source.
    whose = "frame_id" if kind in FRAME_LABELS else "video_id"
    identity = (_written(name, frame) for name in (whose, "file", "locator", "concept_id", "raw_value", *own))
    frame = conform(kind, frame.with_columns(label_id=hashed_id(kind, *identity)))
    if (frame["label_id"] == frame["label_id"].shift()).any():  # what is alike stands together
        plain = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
        frame = (
            frame.sort(*row_order(TABLES[kind]), *plain)
            .group_by("label_id", maintain_order=True)
            .agg(
                pl.col(name).sum() if name == "n_rows" else pl.col(name).first()
                for name in frame.columns
                if name != "label_id"
            )
        )
    return frame.select(*TABLES[kind].columns())


def _written(name: str, frame: pl.DataFrame) -> pl.Expr:
    """A column as it goes into ids. Words for true and false: they join twice as fast as what the cast makes."""
    if frame.schema[name] == pl.Boolean:
        return pl.when(name).then(pl.lit("true")).when(~pl.col(name)).then(pl.lit("false"))
    return pl.col(name)
