"""Question files: a line a question, `question|answer`, and from some forms of question a label."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.readers.rows import on_lines, require
from surgsigma_dagster.sources.readers.tables import lines

ORGAN = r"^what organ is being operated"
OF_INSTRUMENT = r"^(?:what is the state of|where is)\s+(?:the\s+)?([a-z][a-z_ ]*?)(?:\s+located)?\s*\?*$"
STATE = r"^what is the state of"


def questions(root: Path, files: Iterable[str], video: str | pl.Expr, frame: pl.Expr, parts: int = 2) -> pl.DataFrame:
    """Lines with `parts` cells between bars, as records: question, raw_value (the answer), `rest` (list of the others).

    `frame` is the native frame number, from `file`. Blank lines hold no question.
    """
    rows = on_lines(lines(root, *files), video).filter(pl.col("content").str.strip_chars() != "")
    cells = rows.with_columns(cells=pl.col("content").str.split("|").list.eval(pl.element().str.strip_chars()))
    full = (pl.col("cells").list.len() == parts) & pl.col("cells").list.eval(pl.element() != "").list.all()
    require(cells, full, "|".join(["question", "answer", *["x1, y1, x2, y2"] * (parts - 2)]), "content")
    numbered = cells.with_columns(
        frame_index=frame.cast(pl.Int64),
        question=pl.col("cells").list.get(0, null_on_oob=True),
        raw_value=pl.col("cells").list.get(1, null_on_oob=True),
        rest=pl.col("cells").list.slice(2),
    )
    return require(numbered, pl.col("frame_index").is_not_null(), "a frame number in the file name", "file")


def stated(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Labels that questions of robotic VQA state: `presences` of the organ and of instruments, `triplets` of states.

    The forms are those of Seenivasan et al., Surgical-VQA, MICCAI 2022, arXiv:2206.11053: which organ is operated on,
    what an instrument does, where it is. Any other question states nothing.
    """
    asked = rows.with_columns(form=pl.col("question").str.to_lowercase())
    organ = asked.filter(pl.col("form").str.contains(ORGAN)).with_columns(field=pl.lit("tissue"))
    named = asked.with_columns(
        instrument=pl.col("form").str.extract(OF_INSTRUMENT).str.strip_chars().str.replace_all(" ", "_")
    ).drop_nulls("instrument")
    seen = named.with_columns(field=pl.lit("instrument"), raw_value="instrument")
    acting = named.filter(pl.col("form").str.contains(STATE)).with_columns(
        raw_instrument="instrument", raw_verb="raw_value"
    )
    present = pl.concat([organ, seen], how="diagonal").with_columns(present=pl.lit(True))
    return {"presences": present, "triplets": acting}
