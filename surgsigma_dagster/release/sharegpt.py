"""Conversations as trainers read them: rows of `from` and `value`, as JSONL and Parquet, a file of each a split.

What is in a release, and where, is the affair of `folder`. Here a row becomes a line. Rows are laid into stretches of
their ids first, and each stretch is sorted and written then: files are the same bytes whatever shards the rows come in,
and memory holds a stretch.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pyarrow as pa
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
    split = pl.col("split").cast(pl.String)
    ids = conversations.select("conversation_id", split).collect(engine="streaming").sort("conversation_id")
    counts = {name: ids.filter(split == name).height for name in SPLITS}
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        stretches = _laid(flat(conversations), ids, Path(beside))
        for name, paths in stretches.items():
            parts = (pl.read_ipc_stream(path).sort("conversation_id") for path in paths)
            rows = (sharegpt(part, reasoning, scenes, boxes) for part in parts)
            _write(rows, folder / f"{name}.jsonl", folder / f"{name}.parquet")
    return counts


def flat(conversations: pl.LazyFrame) -> pl.LazyFrame:
    """What a release needs of `conversations`, media as paths: to move lists of structs about is slow."""
    return conversations.select(
        *("conversation_id", "reasoning_id", "scene_id", "task", pl.col("form").cast(pl.String), "source"),
        *("procedure_id", pl.col("split").cast(pl.String), "licence", "pseudo_label", "label_ids", "template_id"),
        *("system", "earlier", "question", "answer_text", "answer"),
        media=_paths("media"),
        targets=_paths("targets"),
        shown=pl.col("media").list.eval(_token(pl.element().struct.field("kind"))).list.join(""),
    )


def _paths(column: str) -> pl.Expr:
    return pl.col(column).list.eval(released_path(pl.element().struct.field))


def _laid(rows: pl.LazyFrame, ids: pl.DataFrame, folder: Path) -> dict[str, list[Path]]:
    """`rows`, whose sorted `ids` (and splits) these are, as files in `folder`, a file a stretch, in order, by split."""
    first = {
        str(split): part["conversation_id"].gather_every(_ROWS_AT_ONCE)
        for (split,), part in ids.partition_by("split", as_dict=True).items()
    }
    paths = {split: [folder / f"{split}.{k}" for k in range(len(bounds))] for split, bounds in first.items()}
    writers: dict[Path, pa.RecordBatchStreamWriter] = {}
    with ExitStack() as opened:
        for batch in rows.collect_batches(chunk_size=_ROWS_AT_ONCE):
            for (split,), part in batch.partition_by("split", as_dict=True).items():
                stretch = first[split].search_sorted(part["conversation_id"], side="right") - 1
                numbered = part.with_columns(stretch=stretch)
                for (k,), own in numbered.partition_by("stretch", as_dict=True, include_key=False).items():
                    path, table = paths[split][k], own.to_arrow()
                    if path not in writers:
                        options = pa.ipc.IpcWriteOptions(compression="lz4")
                        writers[path] = opened.enter_context(pa.ipc.new_stream(path, table.schema, options=options))
                    writers[path].write_table(table)
    return paths


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


def sharegpt(rows: pl.DataFrame, reasoning: pl.LazyFrame, scenes: pl.LazyFrame, boxes: Convention) -> pl.DataFrame:
    """Rows (as `flat` leaves them) as trainers read them: id, media, targets, conversations, and what to filter by.

    Turns are system, human, gpt, human, gpt, …: the earlier ones, then the last, whose answer the three levels precede.
    """
    near = _spanning("reasoning_id", rows["reasoning_id"])
    levels = reasoning.filter(near).select("reasoning_id", *_LEVELS).collect()
    rows = in_units(rows.join(levels, on="reasoning_id", how="left", maintain_order="left"), scenes, boxes)
    thought = pl.concat_str(*_LEVELS, separator="\n")
    answered = pl.concat_str(
        pl.lit("<think>\n"), thought, pl.lit("\n</think>\n<answer>"), "answer_text", pl.lit("</answer>")
    )
    rows = rows.with_columns(answered=answered, n_earlier=pl.col("earlier").list.len())
    parts = [rows] if rows["n_earlier"].n_unique() == 1 else rows.partition_by("n_earlier")
    spoken = pl.concat(part.with_columns(conversations=_turns(part, part["n_earlier"][0])) for part in parts)
    said = spoken.select(
        *(pl.col("conversation_id").alias("id"), "media", "targets", "conversations", "task", "form", "answer"),
        *("source", "procedure_id", "split", "licence", "pseudo_label", "label_ids", "template_id"),
    )
    return said if len(parts) == 1 else said.sort("id")


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
