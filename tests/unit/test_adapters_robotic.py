"""Rules that hold for the adapters of the robotic data sets: recognised, accounted for, no traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .adapters_native import counted, read
from .adapters_robotic import WRITERS

NO_ROWS = ("labels.json", "obj.names", "action_continuous.txt")


def label_files(root: Path) -> list[str]:
    found = [path for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    return sorted(path.relative_to(root).as_posix() for path in found)


def rows_in(path: Path) -> int:
    """Native rows of a label file, counted without the readers."""
    if path.name in NO_ROWS or path.suffix == ".png":
        return 0
    content = path.read_bytes().decode("utf-8-sig").rstrip()
    if path.suffix == ".json":
        return len(json.loads(content)["annotations"])
    return (content.count("\n") + 1 if content else 0) - (path.suffix == ".csv")


def rows_due(root: Path, files: list[str]) -> dict[str, int]:
    return {file: n_rows for file in files if (n_rows := rows_in(root / file))}


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_is_recognised_by_its_own_adapter_and_by_no_other(name: str, tmp_path: Path) -> None:
    assert adapters()[name].detect(tmp_path) is None
    with pytest.raises(SourceError):
        adapters()[name].videos(tmp_path)
    WRITERS[name](tmp_path)
    assert [found for found, adapter in adapters().items() if adapter.detect(tmp_path)] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_every_native_row_is_counted_once_and_its_file_belongs_to_its_video(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    labels = read(name, tmp_path)
    found = {file: n_rows for file, (n_rows, _) in counted(labels).items()}
    assert found == rows_due(tmp_path, label_files(tmp_path))
    videos = adapters()[name].videos(tmp_path)
    named = {(video.video, file) for video in videos for file in video.label_files}
    assert {pair for rows in labels.tables.values() for pair in rows.select("video", "file").iter_rows()} <= named
    assert [video.video for video in videos] == sorted(video.video for video in videos)
    assert all(rows.is_empty() for rows in adapters()[name].labels(tmp_path, []).tables.values())


EDIT = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b'"', b"\n", b" ", b",", b"-1", b"[", b"}", b"9" * 30, b"\r\n", b"0.5"]),
    ),
)


@pytest.mark.parametrize("name", WRITERS)
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(choice=st.integers(0, 9), edits=st.lists(EDIT, min_size=1, max_size=3))
def test_damaged_bytes_give_all_rows_or_a_source_error(
    name: str, tmp_path: Path, choice: int, edits: list[tuple[int, int, bytes]]
) -> None:
    WRITERS[name](tmp_path) if not any(tmp_path.iterdir()) else None
    files = label_files(tmp_path)
    path = tmp_path / files[choice % len(files)]
    whole = content = path.read_bytes()
    for place, length, inserted in edits:
        start = place % (len(content) + 1)
        content = content[:start] + inserted + content[start + length :]
    path.write_bytes(content)
    try:
        labels = read(name, tmp_path)
    except SourceError:
        return
    else:
        found = {file: n_rows for file, (n_rows, _) in counted(labels).items()}
        assert found == rows_due(tmp_path, files)
    finally:
        path.write_bytes(whole)
