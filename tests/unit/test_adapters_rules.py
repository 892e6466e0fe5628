"""Rules that hold for every adapter: recognised, accounted for, and never a traceback for a bad file.

A dataset takes part by its writer of a small source in its native format.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.sources.adapter import NativeLabels, adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import is_footage
from surgsigma_dagster.vocabulary.concepts import aliases

from . import native_cholec, native_releases, native_robotic, native_specialties
from .native import counted, read

WRITERS = {**native_cholec.WRITERS, **native_robotic.WRITERS, **native_specialties.WRITERS, **native_releases.WRITERS}
# Rows of a file, by its name and content, where `rows_in` does not know better: (dataset, suffix) and how they count.
ROWS = {**native_cholec.ROWS, **native_specialties.ROWS, **native_releases.ROWS}
TEACH = (
    "if the adapter is right, the count is to be taught: put a name into HEADLESS, NO_ROWS, NOT_READ or TEXT here, or "
    "(dataset, suffix) into ROWS beside the writer of its files"
)
HEADLESS = {
    "cholec80_vqa",
    "cholect45",
    "endovis18_vqa",
    "endovis_vqla",
    "esad",
    "heichole",
    "heico",
    "jigsaws",
    "ldpolypvideo",
    "psi_ava",
    "sar_rarp50",
}
# Whose published files hold quotes that do not close, and whose lines are cut at bars: a quote is a letter there.
LINE_BY_LINE = {"surgvu", "cholec80_vqa", "endovis18_vqa", "endovis_vqla"}
PERHAPS_HEADED = {"m2cai16_workflow", "phakir"}
TEXT = {".csv", ".json", ".names", ".srt", ".tsv", ".txt", ".vtt", ".xml", ".yaml"}
NO_ROWS = (
    *("manifest.csv", "source.yaml", "dict/*", "label_mapping.txt", "class_list.txt", "labels.json", "obj.names"),
    *("map_steps.csv", "map_instruments.csv", "videos.csv", "phases.csv", "case_*_video.csv"),
)
NOT_READ = ("*_timestamp.txt", "*_pred.txt", "action_continuous.txt", "weak_labels.csv", "instrument/VID*.txt")
USERS_OWN_VALUES = {"coco", "in_house", "web_video"}
FREE_TEXT = "text"  # the field of values that no alias maps
UNKNOWN_VALUES = {"phakir": {("phase", "P1")}}
MUCH_DAMAGED = {
    *("cholec80", "cholect50", "endoscapes", "in_house"),
    *("m2cai16_tool_locations", "multibypass140", "psi_ava"),
}
EDIT = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(
        st.binary(max_size=3),
        st.sampled_from(
            [b'"', b"\n", b"\t", b" ", b",", b";", b"-1", b"0.5", b"[", b"}", b"9" * 30, b"\r\n"],
        ),
    ),
)


def matches(file: str, patterns: tuple[str, ...]) -> bool:
    return any(Path(file).match(pattern) for pattern in patterns)


def text_files(root: Path) -> list[str]:
    found = (path for path in root.rglob("*") if path.suffix in TEXT and path.stat().st_size)
    files = sorted(path.relative_to(root).as_posix() for path in found)
    return [file for file in files if not matches(file, NOT_READ)]


def tables(root: Path) -> list[str]:
    """Label files with rows: no images, no lists of names."""
    return [file for file in text_files(root) if not matches(file, NO_ROWS)]


def rows_in(name: str, path: Path) -> int:
    """Native rows of a label file, counted without the readers: as its writer declares in ROWS, or else in general."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:  # an error everywhere but in tables that are kept by hand
        content = path.read_bytes().decode("cp1252")
    if own := ROWS.get((name, path.suffix)):
        return own(path.name, content)
    if path.suffix == ".xml":
        return len(ElementTree.fromstring(content).findall("object"))
    if path.suffix == ".json":
        value = json.loads(content)
        assert "annotations" in value, f"{path.name} has no annotations: {TEACH}"
        listed = value["annotations"]
        return sum(map(len, listed.values())) if isinstance(listed, dict) else len(listed)
    if path.suffix in {".srt", ".vtt"}:
        return content.count("-->")
    lines = content.replace("\r", "").rstrip().split("\n")
    headed = lines[0].lstrip()[:1].isalpha() if name in PERHAPS_HEADED else name not in HEADLESS
    if name in LINE_BY_LINE:
        return sum(any(cell.strip() for cell in line.split(",")) for line in lines[headed:])
    separator = "," if path.suffix == ".csv" or name == "cholect45" else "\t"
    return sum(any(cell.strip() for cell in row) for row in csv.reader(lines[headed:], delimiter=separator))


def due(name: str, root: Path) -> dict[str, int]:
    return {file: n_rows for file in tables(root) if (n_rows := rows_in(name, root / file))}


def accounted(labels: NativeLabels) -> dict[str, int]:
    return {file: n_rows for file, (n_rows, _) in counted(labels).items()}


def pairs(labels: NativeLabels, first: str, second: str) -> Iterator[tuple[str, str]]:
    for rows in labels.tables.values():
        if {first, second} <= {*rows.columns}:
            yield from rows.select(first, second).iter_rows()


def test_every_adapter_has_a_writer() -> None:
    lacking = sorted({*adapters()} - {*WRITERS})
    assert not lacking, f"write a small source of each in its native format, in WRITERS of a native_*.py: {lacking}"
    assert {*WRITERS} == {*adapters()}


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_is_recognised_by_its_own_adapter_and_by_no_other(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert [found for found, adapter in adapters().items() if adapter.detect(tmp_path)] == [name]
    assert f"{adapters()[name].title}: found " in str(adapters()[name].detect(tmp_path))


def test_of_a_folder_of_three_sources_no_fourth_is_recognised(tmp_path: Path) -> None:
    three = ["cholec80", "cholect50", "m2cai16_tool_locations"]
    for name in three:
        WRITERS[name](tmp_path)
    assert sorted(found for found, adapter in adapters().items() if adapter.detect(tmp_path)) == three


@pytest.mark.parametrize("name", WRITERS)
def test_an_empty_folder_is_not_recognised_and_an_error_to_list(name: str, tmp_path: Path) -> None:
    assert adapters()[name].detect(tmp_path) is None
    with pytest.raises(SourceError):
        adapters()[name].videos(tmp_path)


@pytest.mark.parametrize("name", WRITERS)
def test_every_native_row_is_counted_once(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert accounted(read(name, tmp_path)) == due(name, tmp_path), f"rows by file, accounted for and counted: {TEACH}"


@pytest.mark.parametrize("name", WRITERS)
def test_an_adapter_yields_the_kinds_of_label_that_it_declares(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    met: set[str] = set()
    for kind, rows in read(name, tmp_path).tables.items():
        if kind not in {"images", "rejects"} and rows.height:
            met |= {f"{kind}:{field}" for field in rows["field"].unique()} if "field" in rows.columns else {kind}
    declared = {*adapters()[name].yields}
    assert met <= declared if name in USERS_OWN_VALUES else met == declared


@pytest.mark.parametrize("name", WRITERS)
def test_records_name_label_files_of_their_own_video(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    labels, videos = read(name, tmp_path), adapters()[name].videos(tmp_path)
    named = {(video.video, file) for video in videos for file in video.label_files}
    folders = {video.video: video.path for video in videos if video.media == "images" and video.path}
    shown = {*labels["images"].select("video", "file").iter_rows()}
    assert all(Path(file).is_relative_to(folders.get(video, "no images")) for video, file in shown - named)
    assert {*pairs(labels, "video", "file")} <= named | shown
    assert [video.video for video in videos] == sorted(video.video for video in videos)


@pytest.mark.parametrize("name", WRITERS)
def test_labels_of_no_videos_are_none(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    assert all(rows.is_empty() for rows in adapters()[name].labels(tmp_path, []).tables.values())


@pytest.mark.parametrize("name", WRITERS)
def test_videos_read_one_by_one_give_what_they_give_together(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    adapter, together = adapters()[name], read(name, tmp_path)
    apart = [adapter.labels(tmp_path, [video]) for video in adapter.videos(tmp_path)]
    for kind, rows in together.tables.items():
        joined = pl.concat([part[kind] for part in apart])
        finer = [column for column in ("raw_value", "frame_index", "mask_value") if column in rows.columns]
        order = ["video", "file", "locator", *finer]
        assert joined.sort(order, maintain_order=True).equals(rows.sort(order, maintain_order=True)), kind


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in USERS_OWN_VALUES])
def test_the_aliases_know_every_value_that_is_documented(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    known = {*aliases(name).select("field", "raw_value").iter_rows()}
    met = {pair for pair in pairs(read(name, tmp_path), "field", "raw_value") if pair[0] != FREE_TEXT}
    assert met - known <= UNKNOWN_VALUES.get(name, set())


@pytest.mark.parametrize("name", WRITERS)
def test_windows_line_ends_a_byte_order_mark_and_blank_last_lines_change_nothing(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    plain = read(name, tmp_path)
    for file in text_files(tmp_path):
        content = (tmp_path / file).read_bytes().replace(b"\n", b"\r\n")
        (tmp_path / file).write_bytes(b"\xef\xbb\xbf" + content + b"\r\n \r\n")
    again = read(name, tmp_path)
    assert all(again[kind].equals(rows) for kind, rows in plain.tables.items())


def damageable(name: str, root: Path) -> list[str]:
    listed = {file for video in adapters()[name].videos(root) for file in video.label_files}
    return sorted({*text_files(root), *listed})


def damage(name: str, root: Path, file: str, edits: list[tuple[int, int, bytes]]) -> None:
    path = root / file
    whole = content = path.read_bytes()
    for place, length, inserted in edits:
        start = place % (len(content) + 1)
        content = content[:start] + inserted + content[start + length :]
    path.write_bytes(content)
    try:
        labels = read(name, root)
        adapters()[name].terms(root)
    except SourceError:
        return
    else:
        assert accounted(labels) == due(name, root)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_bytes_give_all_rows_or_a_source_error(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    files = damageable(name, tmp_path)

    @settings(max_examples=60 if name in MUCH_DAMAGED else 25, deadline=None, derandomize=True)
    @given(choice=st.integers(0, 9), edits=st.lists(EDIT, min_size=1, max_size=3))
    def damaged(choice: int, edits: list[tuple[int, int, bytes]]) -> None:
        damage(name, tmp_path, files[choice % len(files)], edits)

    damaged()


@pytest.mark.parametrize("dataset", sorted(WRITERS))
def test_a_video_file_is_found_whatever_its_suffix_is_written_like(dataset: str, tmp_path: Path) -> None:
    WRITERS[dataset](tmp_path)
    before = adapters()[dataset].videos(tmp_path)
    for video in before:
        if is_footage(video.path) and (tmp_path / str(video.path)).is_file():
            path = tmp_path / str(video.path)
            path.rename(path.with_suffix(path.suffix.upper()))
    after = adapters()[dataset].videos(tmp_path)
    assert [(one.video, one.media) for one in after] == [(one.video, one.media) for one in before]
    assert [str(one.path).lower() for one in after] == [str(one.path).lower() for one in before]
