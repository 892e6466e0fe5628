"""Rows of the reject ledger: nothing is dropped silently."""

import polars as pl

from surgsigma_dagster.keys import hashed_id
from surgsigma_dagster.schema.tables import conform, empty


def reject_rows(
    frame: pl.DataFrame,
    *,
    stage: str,
    rule: str | pl.Expr,
    reason: str | pl.Expr,
    file: pl.Expr | None = None,
    locator: pl.Expr | None = None,
    raw_value: pl.Expr | None = None,
    frame_id: pl.Expr | None = None,
    n_rows: int | pl.Expr = 1,
) -> pl.DataFrame:
    """Rows of `rejects`, one for each row of `frame`, which has `source` and `video_id`.

    `file`, `locator` and `raw_value` are the frame's own columns of that name unless given; `frame_id` is null.
    """

    if frame.is_empty():
        return empty("rejects")

    def own(name: str, given: pl.Expr | None) -> pl.Expr:
        if given is not None:
            return given
        return pl.col(name) if name in frame.columns else pl.lit(None, pl.String)

    said = frame.select(
        source="source",
        video_id="video_id",
        stage=pl.lit(stage),
        rule=pl.lit(rule) if isinstance(rule, str) else rule,
        reason=pl.lit(reason) if isinstance(reason, str) else reason,
        file=own("file", file),
        locator=own("locator", locator),
        raw_value=own("raw_value", raw_value),
        frame_id=pl.lit(None, pl.String) if frame_id is None else frame_id,
        n_rows=pl.lit(n_rows) if isinstance(n_rows, int) else n_rows,
    )
    identity = ("stage", "rule", "source", "video_id", "file", "locator", "raw_value", "reason", "frame_id")
    rows = said.with_columns(reject_id=hashed_id(*map(pl.col, identity)))
    # One native row can break one rule twice (two identical rows): it counts, under one id.
    return conform(
        "rejects",
        rows.group_by("reject_id", maintain_order=True).agg(
            pl.all().exclude("reject_id", "n_rows").first(), pl.col("n_rows").sum()
        ),
    )


def unit_reject(
    stage: str,
    rule: str,
    reason: str,
    source: str,
    *,
    video_id: str | None = None,
    file: str | None = None,
    locator: str | None = None,
) -> pl.DataFrame:
    """One row of `rejects` for a whole file or video."""
    return reject_rows(
        pl.DataFrame(
            {"source": [source], "video_id": [video_id], "file": [file], "locator": [locator]},
            schema=dict.fromkeys(("source", "video_id", "file", "locator"), pl.String),
        ),
        stage=stage,
        rule=rule,
        reason=reason,
        n_rows=0,
    )
