"""Tables: what a cell means does not hang on how fast it was read; objects inside the rows of a document."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import BINARY, INDEX, NAME, TEXT, optional, records, table
from surgsigma_dagster.sources.readers.kinds import Kind

COLUMNS = {"Frame": INDEX, "Phase": TEXT, "Tool": BINARY}
CELLS = {
    "Frame": st.sampled_from(["0", "25", "007", " 5", "5 ", "+5", "-5", "-0", "", '"5"', "5.0", "1e3", "5x", "\u0665"]),
    "Phase": st.sampled_from(["Preparation", "a b", " a", "~a", "é", "\u00a0", "\u3000", " ", "", '"x"', "a+b", "0"]),
    "Tool": st.sampled_from(["0", "1", " 1", "1 ", "01", "+1", "2", "", "true", '"1"']),
}


ROWS = st.lists(st.tuples(*CELLS.values()), min_size=1, max_size=3)
ENDS = st.sampled_from(["", "\n", "\r\n", " ", "\t", "\n\n", " \n", "\n \n", "\x1f", "\u00a0\n"])


def read(folder: Path, columns: dict[str, Kind], *files: str) -> tuple[object, ...]:
    try:
        return (*table(folder, files, columns, separator="\t").rows(),)
    except SourceError as error:
        return (str(error),)


def write(folder: Path, file: str, body: str) -> str:
    (folder / file).write_text("\t".join(COLUMNS) + "\n" + body, "utf-8", newline="")
    return file


@settings(max_examples=200, deadline=None)
@given(ROWS, ENDS)
def test_a_cell_alone_in_its_form_is_read_as_among_ordinary_ones(rows: list[tuple[str, ...]], end: str) -> None:
    # Without `plain`, every cell goes the long way, which is where each kind says what it takes.
    body = "\n".join(map("\t".join, rows)) + end
    longer = {name: Kind(k.expected, k.dtype, k.parse, k.holds, k.nullable) for name, k in COLUMNS.items()}
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder), "f.txt", body)
        assert read(Path(folder), COLUMNS, file) == read(Path(folder), longer, file)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("odd", ["", "1\tb\t2", "x\tb\t1", "1\tb", "1\té\t0", "1\tb\t 1", '1\t"b\t1'])
def test_files_read_together_are_the_files_read_one_by_one(tmp_path: Path, odd: str, end: str) -> None:
    good = ["0\ta\t1", "25\tb\t0", "50\tb\t0"]
    bodies = {"a": good, "b": [good[0], *filter(None, [odd]), *good[1:]], "c": good}
    files = [write(tmp_path, file, end.join(rows)) for file, rows in bodies.items()]
    first, odd_one, last = (read(tmp_path, COLUMNS, file) for file in files)
    failed = isinstance(odd_one[0], str)
    assert read(tmp_path, COLUMNS, *files) == (odd_one if failed else first + odd_one + last)


@pytest.mark.parametrize("cell", ["+5", "-5", "1234567890123456", "x"])
def test_a_cell_that_is_no_frame_number_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    (tmp_path / "f.txt").write_text(f"Frame\tPhase\n0\ta\n{cell}\tb\n", "utf-8")
    with pytest.raises(SourceError) as raised:
        table(tmp_path, "f.txt", {"Frame": INDEX, "Phase": TEXT}, separator="\t")
    assert (raised.value.place, raised.value.found) == ("line 3", repr(cell))


@settings(max_examples=100, deadline=None)
@given(ROWS, ENDS)
def test_names_are_text_that_is_kept_once(rows: list[tuple[str, ...]], end: str) -> None:
    body = "\n".join(map("\t".join, rows)) + end
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder), "f.txt", body)
        assert read(Path(folder), COLUMNS | {"Phase": NAME}, file) == read(Path(folder), COLUMNS, file)


def test_a_plain_file_keeps_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("Frame\tPhase\n0\ta\n1\tb\n", "utf-8")
    rows = table(tmp_path, "f.txt", {"Frame": INDEX, "Phase": TEXT}, separator="\t")
    assert rows.rows() == [("f.txt", 2, 0, "a"), ("f.txt", 3, 1, "b")]
    assert rows.schema == {"file": pl.String, "line": pl.Int64, "Frame": pl.Int64, "Phase": pl.String}


def test_a_member_of_a_member_is_a_field_with_its_own_pointer() -> None:
    rows = [("/shapes/0", {"attributes": {"verb": "cut"}}), ("/shapes/1", {"attributes": {}}), ("/shapes/2", {})]
    assert records("a.json", rows, {"attributes/verb": optional(TEXT)})["attributes/verb"].to_list() == [
        "cut",
        None,
        None,
    ]
    for row, found in (({"attributes": {"verb": 7}}, "7"), ({"attributes": "cut"}, "no such key"), ({}, "no such key")):
        with pytest.raises(SourceError) as error:
            records("a.json", [("/shapes/3", row)], {"attributes/verb": TEXT})
        assert (error.value.place, error.value.found) == ("/shapes/3/attributes/verb", found)
