"""Conversations as trainers read them: rows of `from` and `value`, as JSONL and Parquet, a file of each a split.

What is in a release, and where, is the affair of `folder`. Here a row becomes a line. Rows are taken in stretches of
their ids, so that files are sorted by id, and the same bytes, whatever shards the rows come in, in bounded memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from surgsigma_dagster.release.units import Convention, in_units
from surgsigma_dagster.schema.tables import SPLITS

_ROWS_AT_ONCE = 100_000  # a row takes some six kilobytes while it is written
_LEVELS = ("perception", "relation", "context")


def write_conversations(
    folder: Path,
    conversations: pl.LazyFrame,
    reasoning: pl.LazyFrame,
    scenes: pl.LazyFrame,
    *,
    boxes: Convention = "pixel",
) -> dict[str, int]:
    """Write `<split>.jsonl` and `<split>.parquet` into `folder`; how many rows each split has.

    `conversations`, `reasoning` and `scenes` (of `scene_context`) are the unified tables. A split
    without conversations has no file.
    """
    counts = {}
    for split in SPLITS:
        own = conversations.filter(pl.col("split").cast(pl.String) == split)
        ids = own.select("conversation_id").collect(engine="streaming")["conversation_id"].sort()
        counts[split] = len(ids)
        if len(ids):
            rows = (sharegpt(part, reasoning, scenes, boxes) for part in _stretches(own, ids))
            _write(rows, folder / f"{split}.jsonl", folder / f"{split}.parquet")
    return counts


def _stretches(rows: pl.LazyFrame, ids: pl.Series) -> Iterator[pl.DataFrame]:
    """`rows` in stretches of `ids`, which are all of theirs, sorted."""
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        stretch = ids.slice(start, _ROWS_AT_ONCE)
        yield rows.filter(_spanning("conversation_id", stretch)).collect().sort("conversation_id")


def _spanning(column: str, ids: pl.Series) -> pl.Expr:
    """Whether `column` lies between the first and the last of `ids`: statistics of Parquet spare what does not."""
    return pl.col(column).is_between(pl.lit(ids.min()), pl.lit(ids.max()))


def _write(parts: Iterator[pl.DataFrame], lines: Path, table: Path) -> None:
    writer = None
    with lines.open("wb") as file:
        for rows in parts:
            # One encoded column, written as it is: a quarter of the time of write_ndjson, a seventh of DuckDB's.
            encoded = rows.select(pl.struct(pl.all()).struct.json_encode())
            encoded.write_csv(file, include_header=False, quote_style="never")
            arrow = rows.to_arrow()
            writer = writer or pq.ParquetWriter(table, arrow.schema, compression="zstd")
            writer.write_table(arrow)
    if writer:
        writer.close()


def sharegpt(
    conversations: pl.DataFrame, reasoning: pl.LazyFrame, scenes: pl.LazyFrame, boxes: Convention = "pixel"
) -> pl.DataFrame:
    """Rows as trainers read them, in the order of `conversations`: id, media, conversations, and what to filter by.

    Turns are system, human, gpt, human, gpt, …: the earlier ones, then the last, whose answer the three levels precede.
    """
    near = _spanning("reasoning_id", conversations["reasoning_id"])
    levels = reasoning.filter(near).select("reasoning_id", *_LEVELS).collect()
    rows = conversations.join(levels, on="reasoning_id", how="left", maintain_order="left")
    rows = in_units(rows, scenes, boxes)
    thought = pl.concat_str(*_LEVELS, separator="\n")
    said = rows.with_columns(
        shown=pl.col("media").list.eval(_token(pl.element().struct.field("kind"))).list.join(""),
        answered=pl.concat_str(
            pl.lit("<think>\n"), thought, pl.lit("\n</think>\n<answer>"), "answer_text", pl.lit("</answer>")
        ),
        n_earlier=pl.col("earlier").list.len(),
    )
    parts = said.partition_by("n_earlier", maintain_order=True)
    said = pl.concat(part.with_columns(conversations=_turns(part, part["n_earlier"][0])) for part in parts)
    return said.sort("conversation_id").select(
        id="conversation_id",
        media=pl.col("media").list.eval(released_path(pl.element().struct.field)),
        targets=pl.col("targets").list.eval(released_path(pl.element().struct.field)),
        conversations="conversations",
        task="task",
        form=pl.col("form").cast(pl.String),
        answer="answer",
        pseudo_label="pseudo_label",
        source="source",
        procedure_id="procedure_id",
        split=pl.col("split").cast(pl.String),
        licence="licence",
        label_ids="label_ids",
        template_id="template_id",
    )


def _token(kind: pl.Expr) -> pl.Expr:
    return pl.when(kind == "clip").then(pl.lit("<video>\n")).otherwise(pl.lit("<image>\n"))


def _turns(rows: pl.DataFrame, n_earlier: int) -> pl.Series:
    """The turns of rows with `n_earlier` earlier ones each, a list of (from, value) a row.

    The k-th turns of all rows are laid one below the other and then dealt out: `concat_list` of structs takes
    microseconds a row.
    """
    before = [
        (role, pl.col("earlier").list.get(k).struct.field(part))
        for k in range(n_earlier)
        for role, part in (("human", "question"), ("gpt", "answer"))
    ]
    spoken = [*before, ("human", pl.col("question")), ("gpt", pl.col("answered"))]
    spoken[0] = ("human", pl.concat_str("shown", spoken[0][1]))
    spoken = [("system", pl.col("system")), *spoken]
    columns = [rows.select(pl.struct(pl.lit(role).alias("from"), said.alias("value"))) for role, said in spoken]
    n, width = rows.height, len(spoken)
    order = pl.int_range(n * width, eager=True)
    stacked = pl.concat([column.to_series().alias("turns") for column in columns])
    return stacked.gather(order % width * n + order // width).reshape((n, width)).arr.to_list()


def released_path(part: Callable[[str], pl.Expr]) -> pl.Expr:
    """Where a file lies in the release: media/source/video/…, or the source's own path for its images.

    Files of the lake are `images/source__video/…`, `clips/…` and `dense/…`; their names differ among these.
    """
    source = part("id").str.split("/").list.first()
    in_lake = part("path").str.replace(r"^\w+/", "").str.replace("__", "/", literal=True)
    in_source = pl.concat_str(source, pl.lit("/"), part("path"))
    return pl.concat_str(pl.lit("media/"), pl.when(part("root") == "lake").then(in_lake).otherwise(in_source))
