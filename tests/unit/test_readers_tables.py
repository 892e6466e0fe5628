"""Delimited tables: what a cell means does not hang on how fast it was read."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import BINARY, INDEX, TEXT, table
from surgsigma_dagster.sources.readers.kinds import Kind

COLUMNS = {"Frame": INDEX, "Phase": TEXT, "Tool": BINARY}
CELLS = {
    "Frame": st.sampled_from(["0", "25", "007", " 5", "5 ", "+5", "-5", "-0", "", '"5"', "5.0", "1e3", "5x", "\u0665"]),
    "Phase": st.sampled_from(["Preparation", "a b", " a", "~a", "é", "\u00a0", "\u3000", " ", "", '"x"', "a+b", "0"]),
    "Tool": st.sampled_from(["0", "1", " 1", "1 ", "01", "+1", "2", "", "true", '"1"']),
}


def read(body: str, columns: dict[str, Kind]) -> tuple[object, ...]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "f.txt").write_text("\t".join(columns) + "\n" + body, "utf-8")
        try:
            return (*table(Path(folder), "f.txt", columns, separator="\t").rows(),)
        except SourceError as error:
            return (str(error),)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*CELLS.values()), min_size=1, max_size=3))
def test_a_cell_alone_in_its_form_is_read_as_among_ordinary_ones(rows: list[tuple[str, ...]]) -> None:
    # Without `plain`, every cell goes the long way, which is where each kind says what it takes.
    body = "\n".join(map("\t".join, rows))
    longer = {name: Kind(k.expected, k.dtype, k.parse, k.holds, k.nullable) for name, k in COLUMNS.items()}
    assert read(body, COLUMNS) == read(body, longer)


@pytest.mark.parametrize("cell", ["+5", "-5", "1234567890123456", "x"])
def test_a_cell_that_is_no_frame_number_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    (tmp_path / "f.txt").write_text(f"Frame\tPhase\n0\ta\n{cell}\tb\n", "utf-8")
    with pytest.raises(SourceError) as raised:
        table(tmp_path, "f.txt", {"Frame": INDEX, "Phase": TEXT}, separator="\t")
    assert (raised.value.place, raised.value.found) == ("line 3", repr(cell))


def test_a_plain_file_keeps_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("Frame\tPhase\n0\ta\n1\tb\n", "utf-8")
    rows = table(tmp_path, "f.txt", {"Frame": INDEX, "Phase": TEXT}, separator="\t")
    assert rows.rows() == [("f.txt", 2, 0, "a"), ("f.txt", 3, 1, "b")]
    assert rows.schema == {"file": pl.String, "line": pl.Int64, "Frame": pl.Int64, "Phase": pl.String}
