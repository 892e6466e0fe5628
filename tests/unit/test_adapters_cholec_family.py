"""Rules that hold for the adapters of further cholecystectomy datasets, as for every adapter."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .adapters_cholec_native import CHOLEC_WRITERS
from .adapters_native import WRITERS, counted, read

PHRASES = ("phase", "step", "action", "event", "instrument", "object", "tissue")
EDIT = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b'"', b"\n", b"\t", b",", b"-1", b"[", b"}", b"9" * 30, b"\r\n"]),
    ),
)


def tables(name: str, root: Path) -> list[str]:
    """Label files with rows: no mask images, no lists of names."""
    files = {file for video in adapters()[name].videos(root) for file in video.label_files}
    return sorted(file for file in files if not file.endswith(".png") and not file.startswith("dict/"))


def rows_in(path: Path) -> int:
    """Native rows of a label file, counted without the readers."""
    content = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".json":
        value = json.loads(content)
        return len(value["shapes"]) if "shapes" in value else sum(map(len, value["annotations"].values()))
    lines = content.replace("\r", "").rstrip().split("\n")
    headed = path.parent.name != "triplet" and lines[0].lstrip()[:1].isalpha()
    return sum(any(cell.strip() for cell in row) for row in csv.reader(lines[headed:], delimiter="\t"))


@pytest.mark.parametrize("name", CHOLEC_WRITERS)
def test_a_source_is_recognised_by_its_own_adapter_and_by_no_other(name: str, tmp_path: Path) -> None:
    CHOLEC_WRITERS[name](tmp_path)
    assert [found for found, adapter in adapters().items() if adapter.detect(tmp_path)] == [name]
    assert f"{adapters()[name].title}: found " in str(adapters()[name].detect(tmp_path))


@pytest.mark.parametrize("name", CHOLEC_WRITERS)
def test_other_sources_and_empty_folders_are_not_recognised_and_an_error_to_list(name: str, tmp_path: Path) -> None:
    for other in ("cholec80", "cholect50", "m2cai16_tool_locations"):
        WRITERS[other](tmp_path)
    assert adapters()[name].detect(tmp_path) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError):
        adapters()[name].videos(tmp_path / "empty")


@pytest.mark.parametrize("name", CHOLEC_WRITERS)
def test_every_native_row_is_counted_once(name: str, tmp_path: Path) -> None:
    CHOLEC_WRITERS[name](tmp_path)
    due = {file: rows_in(tmp_path / file) for file in tables(name, tmp_path)}
    found = {file: n_rows for file, (n_rows, _) in counted(read(name, tmp_path)).items()}
    assert found == {file: n_rows for file, n_rows in due.items() if n_rows}


@pytest.mark.parametrize("name", CHOLEC_WRITERS)
def test_records_name_label_files_of_their_own_video(name: str, tmp_path: Path) -> None:
    CHOLEC_WRITERS[name](tmp_path)
    videos = adapters()[name].videos(tmp_path)
    named = {(video.video, file) for video in videos for file in video.label_files}
    labels = read(name, tmp_path)
    used = {
        pair
        for kind, rows in labels.tables.items()
        if kind != "images"
        for pair in rows.select("video", "file").iter_rows()
    }
    assert used <= named
    assert all(rows.is_empty() for rows in adapters()[name].labels(tmp_path, []).tables.values())


@pytest.mark.parametrize("name", CHOLEC_WRITERS)
def test_the_aliases_know_every_value_that_is_documented(name: str, tmp_path: Path) -> None:
    CHOLEC_WRITERS[name](tmp_path)
    labels = read(name, tmp_path)
    known = set(aliases(name).select("field", "raw_value").iter_rows())
    met = {
        pair
        for kind, rows in labels.tables.items()
        if "field" in rows.columns and kind != "rejects"
        for pair in rows.select("field", "raw_value").iter_rows()
    }
    assert met - known <= {("phase", "P1")}


@pytest.mark.parametrize("name", CHOLEC_WRITERS)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(choice=st.integers(0, 9), edits=st.lists(EDIT, min_size=1, max_size=3))
def test_damaged_bytes_give_all_rows_or_a_source_error(
    name: str, tmp_path: Path, choice: int, edits: list[tuple[int, int, bytes]]
) -> None:
    CHOLEC_WRITERS[name](tmp_path)
    files = sorted({file for video in adapters()[name].videos(tmp_path) for file in video.label_files})
    path = tmp_path / files[choice % len(files)]
    content = path.read_bytes()
    for place, length, inserted in edits:
        start = place % (len(content) + 1)
        content = content[:start] + inserted + content[start + length :]
    path.write_bytes(content)
    try:
        labels = read(name, tmp_path)
    except SourceError:
        return
    due = {file: rows_in(tmp_path / file) for file in tables(name, tmp_path)}
    found = {file: n_rows for file, (n_rows, _) in counted(labels).items()}
    assert found == {file: n_rows for file, n_rows in due.items() if n_rows}


@pytest.mark.parametrize("name", ["cholect45", "heichole", "m2cai16_tool", "m2cai16_workflow", "phakir"])
def test_windows_line_ends_a_byte_order_mark_and_blank_last_lines_change_nothing(name: str, tmp_path: Path) -> None:
    CHOLEC_WRITERS[name](tmp_path)
    plain = read(name, tmp_path)
    for file in tables(name, tmp_path):
        content = (tmp_path / file).read_bytes().replace(b"\n", b"\r\n")
        (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + content + b"\r\n \r\n")
    again = read(name, tmp_path)
    assert all(again[kind].equals(rows) for kind, rows in plain.tables.items())
