"""Rules that hold for every adapter: recognised, accounted for, and never a traceback for a bad file."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.accounting import native_rows
from surgsigma_dagster.sources.adapter import NativeLabels, adapters
from surgsigma_dagster.sources.errors import SourceError

from .adapters_native import WRITERS, counted, read


def rows_in(path: Path) -> int:
    """Native rows of a label file, counted without the readers."""
    content = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".xml":
        return len(ElementTree.fromstring(content).findall("object"))
    if path.suffix == ".json":
        value = json.loads(content)
        if "phases" in value:
            return len(value["phases"]) + len(value["steps"])
        if isinstance(value["annotations"], dict):
            return sum(map(len, value["annotations"].values()))
        rated = [image for image in value["images"] if image.get("ds")] if "_ds_" in path.name else []
        return len(value["annotations"]) + len(rated)
    lines = content.rstrip().split("\n")
    if path.name in ("train.csv", "val.csv"):
        return len([line for line in lines if line])
    return sum(any(cell.strip() for cell in row) for row in csv.reader(line.replace("\r", "") for line in lines[1:]))


def is_table_of_rows(file: str) -> bool:
    return Path(file).name not in (
        "label_mapping.txt",
        "class_list.txt",
        "source.yaml",
    ) and not file.endswith(".mp4")


def label_files(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and path.stat().st_size
    )


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_is_recognised_by_its_own_adapter_and_by_no_other(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert [found for found, adapter in adapters().items() if adapter.detect(tmp_path)] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_folder_is_not_recognised_and_an_error_to_list(name: str, tmp_path: Path) -> None:
    assert adapters()[name].detect(tmp_path) is None
    with pytest.raises(SourceError):
        adapters()[name].videos(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_every_native_row_is_counted_once(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    found = {file: n_rows for file, (n_rows, _) in counted(read(name, tmp_path)).items()}
    assert found == {file: rows_in(tmp_path / file) for file in label_files(tmp_path) if is_table_of_rows(file)}


@pytest.mark.parametrize("name", WRITERS)
def test_the_label_files_of_the_videos_are_the_files_that_the_records_name(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    videos = adapters()[name].videos(tmp_path)
    named = {(video.video, file) for video in videos for file in video.label_files}
    labels = read(name, tmp_path)
    used = {pair for kind, rows in labels.tables.items() for pair in rows.select("video", "file").iter_rows()}
    assert used <= named
    assert [video.video for video in videos] == sorted(video.video for video in videos)


@pytest.mark.parametrize("name", WRITERS)
def test_labels_of_no_videos_are_none(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert all(rows.is_empty() for rows in adapters()[name].labels(tmp_path, []).tables.values())


EDIT = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b'"', b"\n", b"\t", b",", b"-1", b"[", b"}", b"9" * 30, b"\r\n"]),
    ),
)


@pytest.mark.parametrize("name", WRITERS)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(choice=st.integers(0, 9), edits=st.lists(EDIT, min_size=1, max_size=3))
def test_damaged_bytes_give_all_rows_or_a_source_error(
    name: str, tmp_path: Path, choice: int, edits: list[tuple[int, int, bytes]]
) -> None:
    WRITERS[name](tmp_path)
    files = label_files(tmp_path)
    path = tmp_path / files[choice % len(files)]
    content = path.read_bytes()
    for place, length, inserted in edits:
        start = place % (len(content) + 1)
        content = content[:start] + inserted + content[start + length :]
    path.write_bytes(content)
    try:
        labels = read(name, tmp_path)
        adapters()[name].terms(tmp_path)
    except SourceError:
        return
    found = {file: n_rows for file, (n_rows, _) in counted(labels).items()}
    due = {file: rows_in(tmp_path / file) for file in files if is_table_of_rows(file)}
    assert found == {file: n_rows for file, n_rows in due.items() if n_rows}


@pytest.mark.parametrize("name", ["cholec80", "in_house"])
def test_windows_line_ends_a_byte_order_mark_and_blank_last_lines_change_nothing(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    plain = read(name, tmp_path)
    for file in label_files(tmp_path):
        if is_table_of_rows(file):
            content = (tmp_path / file).read_bytes().replace(b"\n", b"\r\n")
            (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + content + b"\r\n \r\n")
    again = read(name, tmp_path)
    assert all(again[kind].equals(rows) for kind, rows in plain.tables.items())


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
    rejects = rejects.with_columns(rule=pl.lit("r"), reason=pl.lit("s"), raw_value=pl.lit(None))
    found = native_rows(NativeLabels({"intervals": intervals(("lines 2-5", 4)), "rejects": rejects}))
    assert found.row(0) == ("f", 5, 1)
