"""The account of native rows: a row counts once, and is rejected only where it makes no record."""

import polars as pl
import pytest

from surgsigma_dagster.sources.accounting import native_rows
from surgsigma_dagster.sources.adapter import NativeLabels


def intervals(*places: tuple[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [("v", "f", locator, n_rows, "phase", "p", 0.0, 1.0) for locator, n_rows in places],
        schema=["video", "file", "locator", "n_rows", "field", "raw_value", "start_s", "end_s"],
        orient="row",
    ).with_columns(start_frame=pl.lit(None), end_frame=pl.lit(None))


@pytest.mark.parametrize(
    ("places", "n_rows"),
    [
        ([("lines 2-10", 9), ("lines 5-12", 8), ("line 3", 1)], 11),
        ([("line 2", 1), ("line 2", 1), ("line 4", 1)], 2),
        (
            [
                ("/annotations/16..18", 5),
                ("/annotations/17/0", 1),
                ("/annotations/17/1", 1),
                ("/annotations/20/0", 1),
            ],
            6,
        ),
        ([("/annotations/1", 2), ("/annotations/1/0", 1), ("/annotations/10/0", 1)], 3),
        ([("/annotation/object[1]", 1), ("/annotation/object[2]", 1)], 2),
        ([("file", 1)], None),
    ],
)
def test_a_row_counts_once_however_many_places_name_it(places: list[tuple[str, int]], n_rows: int | None) -> None:
    found = native_rows(NativeLabels({"intervals": intervals(*places)}))
    assert found["n_rows"].to_list() == ([] if n_rows is None else [n_rows])


def test_a_row_is_rejected_only_where_it_makes_no_record() -> None:
    rejects = intervals(("line 2", 1), ("line 9", 1)).select("video", "file", "locator", "n_rows")
    rejects = rejects.with_columns(
        rule=pl.lit("r"), reason=pl.lit("s"), raw_value=pl.lit(None), frame_index=pl.lit(None)
    )
    found = native_rows(NativeLabels({"intervals": intervals(("lines 2-5", 4)), "rejects": rejects}))
    assert found.row(0) == ("f", 5, 1)
