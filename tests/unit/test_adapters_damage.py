"""Damage planted in the native files of every dataset, one kind after another: all rows, or an error with its place.

Random damage, Windows line ends and byte order marks are in `test_adapters_rules`.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.inspection import checked
from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.sources.adapter import NativeLabels, adapters, read_labels
from surgsigma_dagster.sources.config import load_sources
from surgsigma_dagster.sources.datasets import jigsaws
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import read
from .native_robotic import PSI
from .native_specialties import blocks, picture
from .test_adapters_rules import FREE_TEXT, WRITERS, accounted, due, text_files

TABLES = {".csv", ".txt"}
IMAGES_NAMED_BY_A_DOCUMENT = {"coco", "surgsigma_v01"}  # an image that it does not name is none of the dataset
ONE_CLASS_BY_FORMAT = {"scared", "ldpolypvideo"}  # depth; a box is a polyp: no file states a class

# Files that repeat what another states: without them nothing is missing.
REPEATS = {
    ("cholect50", "label_mapping.txt"), ("m2cai16_tool_locations", "class_list.txt"), ("esad", "obj.names"),
    ("cataract1k", "case_5013_video.csv"), ("scared", "left_depth_map.tiff"),
}  # fmt: skip
NAMED_BY_ANOTHER = {("psi_ava", "train_coco_anns_v3_35s.json")}  # the csv lacks the names of its ids

# A class that the format does not know, put where one stands: text of a file, the name of a file, pixels of a mask.
Unknown = tuple[str, str, str] | tuple[str, int | tuple[int, int, int]]
ABSENT: dict[str, Unknown] = {
    "autolaparo": ("task1/labels/label_01.txt", "3\t1", "3\t9"),
    "cataract101": ("annotations.csv", "270;0;5", "270;0;77"),
    "cataract1k": ("annotations/case_5013/case_5013_annotations_phases.csv", "Incision", "Haircut"),
    "cholec80": ("phase_annotations/video01-phase.txt", "CalotTriangleDissection", "Haircut"),
    "cholec80_vqa": ("Classification/1/0_QA.txt", "preparation", "haircut"),
    "cholecinstanceseg": ("train/VID03_t80_sparse/ann_dir/t80_VID03_000030.json", '"hook"', '"razor"'),
    "cholecseg8k": ("video01/video01_00080/frame_80_endo_watershed_mask.png", 77),
    "cholect45": ("dict/triplet.txt", "7:grasper,grasp,gallbladder", "7:razor,grasp,gallbladder"),
    "cholect50": ("labels/VID68.json", '"8": "liver"', '"8": "spleen"'),
    "cholectrack20": ("Training/VID02/vid02.json", '"instrument": 2', '"instrument": 77'),
    "coco": ("annotations/train.json", '"category_id": 2', '"category_id": 77'),
    "dsad": ("liver", "liver", "thumb"),
    "endoscapes": ("train/annotation_coco.json", '"category_id": 5', '"category_id": 77'),
    "endovis18_vqa": ("seq_2/vqa/Classification/frame000_QA.txt", "kidney", "thumb"),
    "endovis2017": ("instrument_dataset_6/ground_truth/Prograsp_Forceps", "Prograsp_Forceps", "Razor"),
    "endovis2018": ("release/seq_1/labels/frame000.png", (9, 9, 9)),
    "endovis_vqla": ("seq_5/vqla/label/frame000_QA.txt", "kidney", "thumb"),
    "esad": ("train/set1/RARP2_frame_2.txt", "0 0.1", "77 0.1"),
    "glenda": ("DS/pathology/annotations/v_7_s_1299-1300/f_1299/ovary_a_848.png", "ovary", "thumb"),
    "grasp": ("annotations/grasp_short-term_test.json", '"category_id": 4', '"category_id": 77'),
    "heichole": ("Annotations/Phase/Hei-Chole1_Annotation_Phase.csv", "59,1", "59,77"),
    "heico": ("Rectal Resection/1/RectalResection_1_Phase.csv", "4,8", "4,77"),
    "in_house": ("2024/a1.csv", "Stapling", "Haircut"),
    "jigsaws": ("Suturing/transcriptions/Suturing_B001.txt", "G5", "K5"),
    "kvasir_seg": ("kavsir_bboxes.json", '"label": "polyp"', '"label": "razor"'),
    "m2cai16_tool": ("train_dataset/tool_video_01.txt", "Scissors", "Razor"),
    "m2cai16_tool_locations": ("Annotations/v01_002075.xml", "Grasper", "Razor"),
    "m2cai16_workflow": ("train_dataset/workflow_video_01.txt", "TrocarPlacement", "Haircut"),
    "multibypass140": ("labels/bern/labels_by70/BBP01.mp4.json", "preparation", "haircut"),
    "phakir": ("Video_07/Video_07_Masks/0/frame_000000.png", (9, 9, 9)),
    "pitvis": ("annotations_01.csv", "1,4,2", "1,4,77"),
    "psi_ava": (f"{PSI}/fold1/coco_anns/train_coco_anns_v3_35s.json", '"phase": 1', '"phase": 77'),
    "sar_rarp50": ("train1/video_02/action_discrete.txt", "000000030,3", "000000030,77"),
    "surgsigma_v01": ("SurgSigma_v0.1_T50subset.json", "grasper (0,0)", "razor (0,0)"),
    "surgvu": ("labels/case_002/tasks.csv", "Range of motion", "Haircut"),
    "web_video": ("lap_chole_02.csv", "preparation", "haircut"),
}  # fmt: skip


KEPT_BY_HAND = {"2024/a1.csv", "lap_chole_02.csv"}  # of spreadsheets: other columns and encodings are in order


def outcome(name: str, root: Path) -> NativeLabels | SourceError:
    """What a reader of the source gets, terms included: anything but labels or a `SourceError` fails the test."""
    try:
        adapters()[name].terms(root)
        return read(name, root)
    except SourceError as error:
        return error


def each_file(name: str, root: Path, suffixes: set[str] | None = None) -> list[Path]:
    WRITERS[name](root)
    return [root / file for file in text_files(root) if not suffixes or Path(file).suffix in suffixes]


def damaged(name: str, root: Path, path: Path, content: bytes | None) -> NativeLabels | SourceError:
    """The outcome with `content` in place of what stands in `path` (None: no such file), which is put back."""
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        return outcome(name, root)
    finally:
        path.write_bytes(whole)


def told(error: NativeLabels | SourceError, root: Path, path: Path) -> None:
    """An error that names the file that is damaged, or, where another contradicts it, that one and what it expects."""
    assert isinstance(error, SourceError), f"{path.relative_to(root)}: read as if nothing were wrong"
    assert path.relative_to(root).as_posix() in str(error) or path.name in error.expected
    assert error.expected
    assert error.found


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_missing_costs_no_row_of_another(name: str, tmp_path: Path) -> None:
    files = each_file(name, tmp_path)
    before = due(name, tmp_path)
    for path in files:
        file = path.relative_to(tmp_path).as_posix()
        labels = damaged(name, tmp_path, path, None)
        if isinstance(labels, NativeLabels):
            assert accounted(labels) == {other: n_rows for other, n_rows in before.items() if other != file}
        else:
            assert labels.expected


@pytest.mark.parametrize("name", WRITERS)
def test_a_label_file_that_is_gone_when_it_is_read_is_named_and_costs_its_video_alone(
    name: str, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    adapter = adapters()[name]
    videos = adapter.videos(tmp_path)
    for file in sorted({file for video in videos for file in video.label_files}):
        path = tmp_path / file
        whole = path.read_bytes()
        path.unlink()
        parts = read_labels(adapter, tmp_path, videos)
        path.write_bytes(whole)
        errors = {error.file for _, error in parts if isinstance(error, SourceError)}
        rejected = {
            row for _, part in parts if isinstance(part, NativeLabels) for row in part["rejects"]["file"].to_list()
        }
        used = [video.video for video in videos if file in video.label_files]
        failed = [some[0].video for some, part in parts if isinstance(part, SourceError)]
        assert set(failed) <= set(used), file
        assert file in errors | rejected or (name, path.name) in (REPEATS if not failed else NAMED_BY_ANOTHER), file


def _lab(root: Path) -> Path:
    """A sources.yaml of JIGSAWS and Cholec80."""
    for name in ("jigsaws", "cholec80"):
        WRITERS[name](root / name)
    entries = "".join(f"  - {{name: {name}, dataset: {name}, root: {name}}}\n" for name in ("jigsaws", "cholec80"))
    (root / "sources.yaml").write_text(f"sources:\n{entries}")
    return root / "sources.yaml"


@pytest.mark.parametrize("error", [ValueError("'x61'"), KeyError("x61"), pl.exceptions.PanicException("x61")])
def test_a_mistake_in_an_adapter_costs_the_video_that_meets_it_and_is_told_with_its_line(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = jigsaws.spaced

    def mistaken(root: Path, files: list[str], columns: Any) -> pl.DataFrame:
        if any("B001" in file for file in files):
            raise error
        return spaced(root, files, columns)

    config = load_sources(_lab(tmp_path))
    monkeypatch.setattr(jigsaws, "spaced", mistaken)
    found = checked(config)
    (problem,) = [row for row in found["problems"] if row["severity"] == "error"]
    assert (problem["source"], problem["problem"]) == ("jigsaws", "unreadable")
    line = next(n for n, text in enumerate(Path(jigsaws.__file__).read_text().splitlines(), 1) if "spaced(root" in text)
    assert problem["example"] == (
        f"Suturing_B001: surgsigma_dagster/sources/datasets/jigsaws.py, line {line}: expected the adapter jigsaws "
        f"to read the labels of Suturing_B001, found {type(error).__name__}: {error}"
    )
    records = {row["source"]: row["records"] for row in found["sources"]}
    assert records == {"jigsaws": "2 intervals", "cholec80": "3 intervals, 14 presences"}


@pytest.mark.parametrize(("method", "what"), [("videos", "list the videos"), ("terms", "say the terms")])
def test_a_mistake_before_any_video_costs_its_source_alone(
    method: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: Any) -> None:
        raise IndexError("list index out of range")

    config = load_sources(_lab(tmp_path))
    monkeypatch.setattr(jigsaws.Jigsaws, method, mistaken)
    found = checked(config)
    (problem,) = [row for row in found["problems"] if row["severity"] == "error"]
    assert problem["source"] == "jigsaws"
    assert f"expected the adapter jigsaws to {what}, found IndexError: list" in problem["example"]
    assert [row["source"] for row in found["sources"]] == ["cholec80"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_column_too_many_is_an_error_in_that_file(name: str, tmp_path: Path) -> None:
    for path in set(each_file(name, tmp_path, TABLES)) - {tmp_path / file for file in KEPT_BY_HAND}:
        lines = path.read_text("utf-8").splitlines()
        separator = next((mark for mark in "|\t;," if mark in lines[-1]), " ")
        more = "".join(f"{line}{separator}77\n" for line in lines)
        told(damaged(name, tmp_path, path, more.encode()), tmp_path, path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_letter_in_a_number_is_told_or_costs_no_row(name: str, tmp_path: Path) -> None:
    """The first and the last numbers of each file: random damage missed a bare int(). In a name it is another name."""
    for path in each_file(name, tmp_path):
        whole = path.read_bytes()
        found = [*re.finditer(rb"(?P<alone>(?<![\w/-])\d+(?![\w/-]))|\d+", whole)]
        for number in found if len(found) < 60 else [*found[:40], *found[-20:]]:
            content = whole[: number.start()] + b"x" + whole[number.start() :]
            labels = damaged(name, tmp_path, path, content)
            if number["alone"] and isinstance(labels, SourceError):
                told(labels, tmp_path, path)
            elif number["alone"]:
                path.write_bytes(content)
                assert accounted(labels) == due(name, tmp_path), content[number.start() :][:60]
                path.write_bytes(whole)


@pytest.mark.parametrize("name", WRITERS)
def test_a_key_that_nobody_documented_changes_nothing(name: str, tmp_path: Path) -> None:
    """Files of later versions say more: what is known of them stays."""
    files = each_file(name, tmp_path, {".json"})
    plain = read(name, tmp_path)

    def widened(value: Any) -> Any:
        if isinstance(value, dict):
            records = value and all(isinstance(key, str) and not key.isdigit() for key in value)
            more = {"reviewed_by": "J. Doe"} if records and "id" in value else {}
            return {key: widened(one) for key, one in value.items()} | more
        return [widened(one) for one in value] if isinstance(value, list) else value

    for path in files:
        value = widened(json.loads(path.read_bytes()))
        labels = damaged(name, tmp_path, path, json.dumps(value).encode())
        assert isinstance(labels, NativeLabels)
        assert all(labels[kind].equals(plain[kind]) for kind in NATIVE)


@pytest.mark.parametrize("name", WRITERS)
def test_a_document_cut_short_is_an_error_wherever_it_ends(name: str, tmp_path: Path) -> None:
    for path in each_file(name, tmp_path, {".json", ".xml"}):
        whole = path.read_bytes().rstrip()
        for length in {*range(0, len(whole), max(1, len(whole) // 12)), len(whole) - 1}:
            error = damaged(name, tmp_path, path, whole[:length])
            assert isinstance(error, SourceError)
            assert error.file == path.relative_to(tmp_path).as_posix()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding_is_an_error_with_its_line(name: str, encoding: str, tmp_path: Path) -> None:
    for path in set(each_file(name, tmp_path)) - {tmp_path / file for file in KEPT_BY_HAND}:
        content = path.read_text("utf-8")
        foreign = f"é{content}" if encoding == "latin-1" else content
        error = damaged(name, tmp_path, path, foreign.encode(encoding))
        assert isinstance(error, SourceError)
        assert (error.file, error.place) == (path.relative_to(tmp_path).as_posix(), "line 1")
        assert error.expected == "UTF-8 text"


def test_every_dataset_with_classes_has_one_that_is_unknown() -> None:
    due = {*adapters()} - ONE_CLASS_BY_FORMAT
    lacking = sorted(due - {*ABSENT})
    assert not lacking, f"put into ABSENT a file, a class in it, and one that the format does not know: {lacking}"
    assert {*ABSENT} == due


@pytest.mark.parametrize("name", ABSENT)
def test_a_class_that_the_format_does_not_know_is_told_and_never_another_class(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    known = {*aliases(name)["raw_value"]}
    before = _values(read(name, tmp_path))
    file, *change = ABSENT[name]
    _put_unknown(tmp_path / file, *change)
    said = (Path(file).name, str(change[-1]))
    labels = outcome(name, tmp_path)
    if isinstance(labels, SourceError):
        assert any(word in str(labels) for word in said)
        return
    unheard = _values(labels) - before - known
    refused = {*labels["rejects"]["rule"]} & {"unexpected_mask_value"}
    assert unheard or refused


def _put_unknown(path: Path, *change: Any) -> None:
    if len(change) == 1:
        (pixel,) = change
        path.write_bytes(picture(blocks(pixel) if isinstance(pixel, int) else [[pixel] * 8] * 16))
        return
    before, after = change
    if path.is_dir() or path.suffix == ".png":
        path.rename(path.with_name(path.name.replace(before, after)))
        return
    content = path.read_text("utf-8")
    assert before in content
    path.write_text(content.replace(before, after), "utf-8")


def _values(labels: NativeLabels) -> set[str]:
    found: set[str] = set()
    for rows in labels.tables.values():
        for column in {"raw_value", "raw_instrument", "raw_verb", "raw_target"} & {*rows.columns}:
            stated = rows.filter(rows["field"] != FREE_TEXT) if "field" in rows.columns else rows
            found |= {*stated[column].drop_nulls()}
    return found


def _line_twice(path: Path) -> bytes:
    content = path.read_bytes().rstrip()
    return content + b"\n" + content.splitlines()[-1] + b"\n"


def _entry_twice(path: Path) -> bytes:
    def doubled(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], dict) and "id" not in value[0]:
            return [*value, value[-1]]
        return {key: doubled(one) for key, one in value.items()} if isinstance(value, dict) else value

    return json.dumps(doubled(json.loads(path.read_bytes()))).encode()


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("suffixes", "twice"), [(TABLES, _line_twice), ({".json"}, _entry_twice)])
def test_a_frame_that_stands_twice_is_told_or_counted(
    name: str, suffixes: set[str], twice: Callable[[Path], bytes], tmp_path: Path
) -> None:
    for path in each_file(name, tmp_path, suffixes):
        whole = path.read_bytes()
        path.write_bytes(twice(path))
        labels = outcome(name, tmp_path)
        if isinstance(labels, SourceError):
            told(labels, tmp_path, path)
        else:
            assert accounted(labels) == due(name, tmp_path)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", WRITERS)
def test_a_key_that_stands_twice_in_an_object_is_an_error(name: str, tmp_path: Path) -> None:
    for path in each_file(name, tmp_path, {".json"}):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            content = json.dumps(value).replace("{", f"{{{json.dumps(next(iter(value)))}: 0, ", 1)
            told(damaged(name, tmp_path, path, content.encode()), tmp_path, path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_second_download_of_an_image_is_no_second_frame(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path)
    shown = read(name, tmp_path)["images"]
    copies = []
    for file in shown["file"].to_list():
        copy = (tmp_path / file).with_stem(f"{Path(file).stem} (1)")
        shutil.copy(tmp_path / file, copy)
        copies.append(copy.relative_to(tmp_path).as_posix())
    again = read(name, tmp_path)
    assert again["images"].equals(shown)
    if name not in IMAGES_NAMED_BY_A_DOCUMENT:
        assert {*copies} <= {*again["rejects"]["file"]}


# Files as somebody else writes them: another header, other numbering, another clock, another unit. By dataset and file:
# what is replaced by what, and where the error stands and what it expects.
PSI_CSV = f"{PSI}/fold1/annotations/train.csv"
VQLA, BYPASS = "seq_5/vqla/label/frame000_QA.txt", "labels/bern/labels_by70/BBP01.mp4.json"
VARIANTS = [
    ("cholec80", "tool_annotations/video01-tool.txt", ("\t", ","), "line 1", r"the header 'Frame\tGrasper"),
    ("cholec80", "phase_annotations/video01-phase.txt", ("Frame\tPhase\n", ""), "line 1", r"the header 'Frame\tPhase'"),
    ("m2cai16_tool", "train_dataset/tool_video_01.txt", ("25\t", "1\t"), "line 3", "frame 25 (each 25 after"),
    ("cholect50", "labels/VID68.json", ('"fps": 1', '"fps": 25'), "/fps", "1"),
    ("cholect50", "labels/VID68.json", ("0.25", "120.5"), "/annotations/16/0", "x as a share of the image"),
    ("cholectrack20", "Training/VID02/vid02.json", ('"26"', '"25"'), "/annotations/25", "a frame 1, 26, 51"),
    ("psi_ava", PSI_CSV, ("18,1", "1,18"), "line 1", "an id of steps as step_id"),
    ("psi_ava", PSI_CSV, ("0.3", "300"), "line 1", "x2 as a share of the image"),
    ("sar_rarp50", "train1/video_02/action_discrete.txt", (",3", ",8"), "line 6", "an id of actions"),
    ("sar_rarp50", "train1/video_02/action_discrete.txt", ("000000006", "000000002"), "line 2", "frame 6 (each 6"),
    ("heico", "Rectal Resection/1/RectalResection_1_Phase.csv", (",8", ",14"), "line 3", "an id of the 14 phases"),
    ("jigsaws", "Knot_Tying/transcriptions/Knot_Tying_C002.txt", ("1 30", "0 29"), "line 1", "a frame after"),
    ("multibypass140", BYPASS, ("13301", "13.301"), "/phases/0/start", "an integer"),
    ("esad", "train/set1/RARP2_frame_2.txt", ("0.5 0.5 0.25 0.5", "320 240 9 5"), "line 1", "x from 0 to 1"),
    ("grasp", "annotations/grasp_short-term_test.json", ('"phases"', '"phase"'), "/annotations/0/phases", "an integer"),
    ("cataract1k", "annotations/case_5013/case_5013_video.csv", ("59.94005994", "25"), "line 2", "frame within"),
    ("cataract101", "annotations.csv", (";", ","), "line 1", "the header 'VideoID;FrameNo;Phase'"),
    ("cataract101", "videos.csv", ("500;25", "500;0"), "line 2", "frames a second as FPS"),
    ("endovis_vqla", VQLA, ("101, 201, 301, 401", "0.1, 0.2, 0.3, 0.4"), "line 2", "pixels"),
    ("endovis_vqla", VQLA, ("301, 401", "1901, 401"), "line 2", "pixels of an image of 1280"),
    ("pitvis", "annotations_01.csv", ("1,3,1", "1,4,1"), "line 5", "frame 3"),
    ("heichole", "Annotations/Action/Hei-Chole1_Annotation_Action.csv", ("3,0,0,0", "3,0,2,0"), "line 4", "0 or 1"),
    ("autolaparo", "task1/labels/label_01.txt", ("1\t1\n", "0\t1\n"), "line 2", "frame 1"),
    ("endoscapes", "train/annotation_ds_coco.json", ("0.3", "3"), "/images/0", "values from 0 to 1 as ds"),
    ("ldpolypvideo", "TrainValid/Annotations/7/0012.txt", ("2\n10", "3\n10"), "line 1", "as many boxes as line 1 says"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "change", "place", "expected"), VARIANTS)
def test_a_file_of_another_convention_stops_with_what_was_expected_and_where(
    name: str, file: str, change: tuple[str, str], place: str, expected: str, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path)
    content = (tmp_path / file).read_text("utf-8")
    assert change[0] in content
    (tmp_path / file).write_text(content.replace(*change), "utf-8")
    error = outcome(name, tmp_path)
    assert isinstance(error, SourceError)
    assert error.place == place
    assert error.expected.startswith(expected)
