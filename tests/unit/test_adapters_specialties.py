"""Rules that hold for every adapter: recognised, accounted for, and never a traceback for a bad file."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .adapters_native import WRITERS as OTHERS
from .adapters_native import counted, read
from .adapters_specialties import WRITERS

HEADLESS = ("RectalResection_1_Phase.csv",)
NO_ROWS = ("map_steps.csv", "map_instruments.csv", "videos.csv", "phases.csv", "case_5013_video.csv", "source.yaml")


def label_files(root: Path) -> list[str]:
    """Text files; images and videos are no rows."""
    files = sorted(path for path in root.rglob("*") if path.suffix in (".csv", ".txt", ".json", ".yaml"))
    return [path.relative_to(root).as_posix() for path in files if "weak_labels" not in path.name]


def rows_in(path: Path) -> int:
    """Native rows of a label file, counted without the readers."""
    content = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".json":
        value: Any = json.loads(content)
        return len(value["annotations"]) if "annotations" in value else sum(len(v["bbox"]) for v in value.values())
    n_lines = len(content.rstrip().split("\n")) if content.strip() else 0
    return n_lines - (path.name not in HEADLESS and "Annotations/" not in path.as_posix())


def due(root: Path) -> dict[str, int]:
    files = [file for file in label_files(root) if Path(file).name not in NO_ROWS]
    return {file: n_rows for file in files if (n_rows := rows_in(root / file))}


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_is_recognised_by_its_own_adapter_and_by_no_other(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert [found for found, adapter in adapters().items() if adapter.detect(tmp_path)] == [name]


@pytest.mark.parametrize("name", OTHERS)
def test_no_new_adapter_takes_the_folder_of_another_for_its_own(name: str, tmp_path: Path) -> None:
    OTHERS[name](tmp_path)
    assert not [found for found in WRITERS if adapters()[found].detect(tmp_path)]


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_folder_is_not_recognised_and_an_error_to_list(name: str, tmp_path: Path) -> None:
    assert adapters()[name].detect(tmp_path) is None
    with pytest.raises(SourceError):
        adapters()[name].videos(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_every_native_row_is_counted_once_and_its_file_belongs_to_its_video(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    labels, videos = read(name, tmp_path), adapters()[name].videos(tmp_path)
    assert {file: n_rows for file, (n_rows, _) in counted(labels).items()} == due(tmp_path)
    named = {(video.video, file) for video in videos for file in video.label_files}
    shown = set(labels["images"].select("video", "file").iter_rows())
    used = {pair for rows in labels.tables.values() for pair in rows.select("video", "file").iter_rows()}
    assert used <= named | shown
    assert [video.video for video in videos] == sorted(video.video for video in videos)
    nothing = adapters()[name].labels(tmp_path, [])
    assert all(rows.is_empty() for rows in nothing.tables.values())


@pytest.mark.parametrize("name", WRITERS)
def test_videos_read_one_by_one_give_what_they_give_together(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    adapter, together = adapters()[name], read(name, tmp_path)
    apart = [adapter.labels(tmp_path, [video]) for video in adapter.videos(tmp_path)]
    for kind, rows in together.tables.items():
        joined = pl.concat([part[kind] for part in apart])
        order = [
            "video",
            "file",
            "locator",
            *(c for c in ("raw_value", "frame_index", "mask_value") if c in rows.columns),
        ]
        assert joined.sort(order, maintain_order=True).equals(rows.sort(order, maintain_order=True)), kind


@pytest.mark.parametrize("name", WRITERS)
def test_every_value_of_the_small_source_is_a_concept(name: str, tmp_path: Path) -> None:
    if adapters()[name].procedure_type is None:
        pytest.skip("its categories are the user's")
    WRITERS[name](tmp_path)
    labels = read(name, tmp_path)
    found = {
        pair
        for rows in labels.tables.values()
        if {"field", "raw_value"} <= {*rows.columns}
        for pair in rows.select("field", "raw_value").iter_rows()
    }
    assert found - set(aliases(name).select("field", "raw_value").iter_rows()) == set()


EDIT = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b'"', b"\n", b"\t", b",", b";", b"-1", b"[", b"}", b"9" * 30, b"\r\n"]),
    ),
)


@pytest.mark.parametrize("name", WRITERS)
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
    WRITERS[name](tmp_path)
    files = label_files(tmp_path) or [next(tmp_path.rglob("*.png")).relative_to(tmp_path).as_posix()]
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
    assert {file: n_rows for file, (n_rows, _) in counted(labels).items()} == due(tmp_path)
