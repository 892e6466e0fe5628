"""Rules on rows, and from rows to records: rejects, runs of equal labels, locators."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from surgsigma_dagster.sources.errors import SourceError

LINES = ("line {}", "lines {}-{}")


def seconds(time: pl.Expr) -> pl.Expr:
    """Seconds from text: seconds (`754.5`) or `H:MM:SS(.mmm)`; null where it is neither."""
    clock = time.str.extract_groups(r"^\s*(\d{1,6}):([0-5]\d):([0-5]\d(?:\.\d+)?)\s*$").struct
    hours, minutes, rest = (clock.field(str(i)).cast(pl.Float64) for i in (1, 2, 3))
    plain = time.str.extract(r"^\s*(\d{1,9}(?:\.\d+)?)\s*$").cast(pl.Float64)
    return pl.coalesce(plain, hours * 3600 + minutes * 60 + rest)


def divided(value: pl.Expr, by: float) -> pl.Expr:
    """`value` / `by`, correctly rounded.

    By a constant, polars multiplies with 1 / `by`, and 70 / 25 exceeds 2.8; by a column, it divides.
    """
    return value / (value * 0 + by)


def require(rows: pl.DataFrame, holds: pl.Expr, expected: str, found: str) -> pl.DataFrame:
    """`rows`, or a `SourceError` at the first one where `holds` is not true, which shows its `found`."""
    wrong = rows.filter(~holds.fill_null(False)).head(1)
    if wrong.height:
        row = wrong.row(0, named=True)
        raise SourceError(row["file"], row.get("locator") or f"line {row['line']}", expected, repr(row[found]))
    return rows


def require_relative(rows: pl.DataFrame, sides: Sequence[str]) -> pl.DataFrame:
    """`rows`, or a `SourceError` at the first box whose numbers cannot be shares of an image: pixels, most likely.

    Boxes that reach out of their image a little are met in published files, and clipped later.
    """
    for side in sides:
        require(rows, pl.col(side).is_between(-1, 2), f"{side} as a share of the image, 0 to 1", side)
    return rows


def reject(
    rows: pl.DataFrame,
    bad: pl.Expr,
    rule: str,
    reason: str | pl.Expr,
    raw: str | None = None,
    *,
    hides: bool | pl.Expr = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into the rows that stand and, where `bad`, rejects, with the column `raw` as offending value.

    Where one `hides` what may be visible, its `frame_index` goes with it: of that frame no list is complete.
    """
    hidden = pl.lit(hides) if isinstance(hides, bool) else hides
    nowhere = pl.lit(None, pl.Int64)
    bad = bad.fill_null(False)
    rejects = rows.filter(bad).select(
        "video",
        "file",
        "locator",
        "n_rows",
        rule=pl.lit(rule),
        reason=pl.lit(reason) if isinstance(reason, str) else reason,
        raw_value=pl.col(raw).cast(pl.String) if raw else pl.lit(None, pl.String),
        frame_index=nowhere if hides is False else pl.when(hidden).then("frame_index"),
    )
    return rows.filter(~bad), rejects


def repeats(rows: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into first occurrences and rejects: rows that stand, equal in `key`, in a file further up.

    Twice the same row in one file is two rows, which another file repeats once each.
    """
    key = [*key, "nth"]
    rows = rows.with_columns(nth=pl.int_range(pl.len()).over("file", *key[:-1]))
    origin = {f"first_{name}": pl.col(name).first().over(key) for name in ("file", "locator")}
    reason = pl.format("The same label stands in {}, {}.", "first_file", "first_locator")
    kept, rejects = reject(rows.with_columns(**origin), pl.col("file") != pl.col("first_file"), "repeats", reason)
    return kept.drop("nth", *origin), rejects


def agreeing(rows: pl.DataFrame, value: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split into rows whose frame has one `value` in their file, and rejects."""
    several = pl.col(value).n_unique().over("file", "video", "frame_index") > 1
    return reject(rows, several, f"conflicting_{value}", f"The rows of one frame differ in {value}.", value)


def in_order(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split intervals into those that end after they start, and rejects."""
    reason = pl.format("It ends at {} s and starts at {} s.", "end_s", "start_s")
    return reject(rows, pl.col("end_s") <= pl.col("start_s"), "empty_interval", reason, "raw_value")


def steady(rows: pl.DataFrame, first: int = 0, step: int = 1) -> pl.DataFrame:
    """`rows` of whole tables, where `frame_index` counts first, first + step, …; a `SourceError` at the first gap."""
    ahead = pl.col("frame_index") - pl.col("line") * step
    wrong = rows.filter(ahead != first - pl.col("line").first() * step).head(1)
    if wrong.height:
        due = first + (wrong["line"].item() - rows["line"][0]) * step
        require(wrong, pl.lit(False), f"frame {due} (each {step} after the last)", "frame_index")
    return rows


def named(rows: pl.DataFrame, column: str, names: Mapping[int, str], declared: str, null: int | None = None) -> pl.Expr:
    """The name of each id in `column`, null for `null`; an id not among `names` is a `SourceError`."""
    known = pl.col(column).is_in([*names] if null is None else [*names, null])
    require(rows, known, f"an id of {declared} as {column}", column)
    return pl.col(column).replace_strict(
        pl.Series([*names], dtype=pl.Int64), pl.Series([*names.values()], dtype=pl.String), default=None
    )


# From rows to records


def at(template: tuple[str, str], first: str, last: str) -> pl.Expr:
    """Locators from numbers in two columns, e.g. `line 7` or `lines 7-9` with the template `LINES`."""
    one, several = template
    return pl.when(pl.col(first) == pl.col(last)).then(pl.format(one, first)).otherwise(pl.format(several, first, last))


def on_lines(rows: pl.DataFrame, video: str | pl.Expr) -> pl.DataFrame:
    """Rows of a table as records of one line each."""
    video = pl.lit(video) if isinstance(video, str) else video
    return rows.with_columns(video=video, locator=pl.format("line {}", "line"), n_rows=pl.lit(1, pl.Int64))


def runs(
    rows: pl.DataFrame,
    value: str,
    field: str,
    frame_rate: float,
    *,
    first_index: int = 0,
    step: int = 1,
    places: tuple[str, str] = LINES,
    unbroken: bool = False,
) -> pl.DataFrame:
    """Intervals of equal `value` over rows (`file`, `line`, `frame_index`) that label a frame each.

    Rows have a `video`, unless each file is one video's: its name is cheaper to add to the few intervals. A run goes
    on while the next line's frame is the same or `step` further; the last frame lasts `step` frames. `places` says how
    the numbers in `line` become a locator. `n_rows` of the rows, where present, is summed. `unbroken` rows are `steady`
    ones: no gap is looked for.
    """
    whose = [name for name in ("video", "file") if name in rows.columns]
    begins = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in (*whose, value))
    if not unbroken:
        further = pl.col("frame_index").diff()
        begins |= ~(((further == 0) | (further == step)) & (pl.col("line").diff() == 1))
    # The first and the last row of each run, rather than a group_by: a third of the time over millions of rows.
    starts = rows.select(begins.fill_null(True).arg_true()).to_series()
    ends = starts.shift(-1, fill_value=rows.height) - 1
    first, last = rows[starts], rows[ends]
    counted = pl.Series(ends + 1, dtype=pl.Int64)
    if "n_rows" in rows.columns:
        counted = rows["n_rows"].cum_sum()[ends]
    return first.select(
        *whose,
        raw_value=value,
        start_frame="frame_index",
        end_frame=last["frame_index"] + step - 1,
        first="line",
        last=last["line"],
        n_rows=counted - counted.shift(1, fill_value=0),
    ).select(
        pl.all().exclude("first", "last"),
        locator=at(places, "first", "last"),
        field=pl.lit(field),
        start_s=divided(pl.col("start_frame") - first_index, frame_rate),
        end_s=divided(pl.col("end_frame") + 1 - first_index, frame_rate),
    )


def moments(rows: pl.DataFrame, value: str, field: str, frame_rate: float, *, first_index: int = 0) -> pl.DataFrame:
    """Intervals of one frame, from rows that label sparse frames; a frame's first row stands for it."""
    return rows.unique(["file", "video", "frame_index"], keep="first", maintain_order=True).with_columns(
        field=pl.lit(field),
        raw_value=pl.col(value),
        start_frame="frame_index",
        end_frame="frame_index",
        start_s=divided(pl.col("frame_index") - first_index, frame_rate),
        end_s=divided(pl.col("frame_index") + 1 - first_index, frame_rate),
    )


def presences(rows: pl.DataFrame, columns: Sequence[str], field: str) -> pl.DataFrame:
    """Presences from one true-or-false column a class: frame by frame, its classes by name."""
    names = sorted(columns)
    classes = pl.Series([names], dtype=pl.Array(pl.String, len(names)))
    return (
        rows.select("video", "file", "locator", "n_rows", "frame_index",
                    raw_value=pl.lit(classes).first(), present=pl.concat_arr(names))
        .explode("raw_value", "present", empty_as_null=False)
        .with_columns(field=pl.lit(field))
    )  # fmt: skip


def exhaustive(frames: pl.DataFrame, held: pl.DataFrame, classes: Iterable[str], field: str) -> pl.DataFrame:
    """Presences of all `classes` in `frames`, in which everything visible is labelled.

    What `held` (`file`, `frame_index`, `raw_value`) does not name in a frame is not visible there.
    """
    key = ["file", "frame_index", "raw_value"]
    names = pl.DataFrame({"raw_value": list(classes)}, schema={"raw_value": pl.String})
    return (
        frames.select("video", "file", "locator", "n_rows", "frame_index")
        .join(names, how="cross", maintain_order="left_right")
        .join(held.select(*key, present=pl.lit(True)).unique(), on=key, how="left", maintain_order="left")
        .with_columns(pl.col("present").fill_null(False), field=pl.lit(field))
    )


def corners(x: pl.Expr, y: pl.Expr, width: pl.Expr, height: pl.Expr) -> dict[str, pl.Expr]:
    """x1, y1, x2, y2 from a corner and a size."""
    return {"x1": x, "y1": y, "x2": x + width, "y2": y + height}
