"""PSI-AVA: COCO keyframes, csv files that repeat them, phase and step at 1 fps."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import LABELS, coco_file, counted, put, read, real, rules
from .native_robotic import PSI, PSI_NAMES, psi_ava, psi_box

COCO = f"{PSI}/fold1/coco_anns/train_coco_anns_v3_35s.json"
TRAIN = f"{PSI}/fold1/annotations/train.csv"
VAL = f"{PSI}_extended/fold1/annotations/val.csv"


@real("psi-ava")
def test_every_row_of_the_real_files_is_accounted_for() -> None:
    labels = read("psi_ava", LABELS / "psi-ava")
    assert counted(labels) == {COCO: (3181, 0), TRAIN: (3181, 3181), VAL: (35213, 0)}
    assert labels["boxes"].height == 3181
    assert set(rules(labels)) == {"repeats"}
    seconds = labels["intervals"].filter(file=VAL, field="phase")
    assert (seconds["end_s"] - seconds["start_s"]).sum() == 35213
    assert "Tiempo_muerto" not in labels["intervals"]["raw_value"]


def test_keyframes_give_boxes_and_one_pair_of_instrument_and_verb_an_action(tmp_path: Path) -> None:
    psi_ava(tmp_path)
    labels = read("psi_ava", tmp_path)
    boxes = labels["boxes"].filter(file=COCO).select("frame_index", "raw_value", "x1", "y1", "x2", "y2", "width")
    assert boxes.row(0) == (211, "Monopolar Curved Scissors", 128.0, 80.0, 384.0, 240.0, 1280)
    triplets = labels["triplets"].filter(file=COCO).select("raw_instrument", "raw_verb", "raw_target", "instance")
    assert triplets.rows() == [
        ("Monopolar Curved Scissors", "Push", None, "1"),
        ("Monopolar Curved Scissors", "Still", None, "1"),
        ("Bipolar Forceps", "Still", None, "2"),
    ]


def test_the_phase_and_step_of_a_keyframe_last_its_second(tmp_path: Path) -> None:
    psi_ava(tmp_path)
    columns = ["field", "raw_value", "start_s", "end_s", "locator"]
    assert read("psi_ava", tmp_path)["intervals"].filter(file=COCO).select(columns).rows() == [
        ("phase", "LPIL", 211.0, 212.0, "/annotations/0"),
        ("step", "Cut", 211.0, 212.0, "/annotations/0"),
    ]


def test_a_csv_row_that_repeats_an_annotation_is_rejected_and_one_that_does_not_is_a_record(
    tmp_path: Path,
) -> None:
    psi_ava(tmp_path)
    labels = read("psi_ava", tmp_path)
    rejects = labels["rejects"].filter(file=TRAIN).select("locator", "rule", "reason")
    assert rejects.rows() == [("line 1", "repeats", f"The same label stands in {COCO}, /annotations/0.")]
    boxes = labels["boxes"].filter(file=TRAIN).select("locator", "frame_index", "raw_value", "x2", "unit")
    assert boxes.rows() == [("line 2", 300, "Bipolar Forceps", 0.3, "relative")]


def test_the_extended_csv_gives_runs_of_phase_and_step_and_no_box(tmp_path: Path) -> None:
    psi_ava(tmp_path)
    labels = read("psi_ava", tmp_path)
    columns = ["field", "raw_value", "start_frame", "end_frame", "locator", "n_rows"]
    assert labels["intervals"].filter(file=VAL).select(columns).rows() == [
        ("phase", "Idle", 1, 1, "line 1", 1),
        ("phase", "LPIL", 2, 4, "lines 2-4", 3),
        ("step", "Idle", 1, 2, "lines 1-2", 2),
        ("step", "Cut", 3, 4, "lines 3-4", 2),
    ]
    assert VAL not in labels["boxes"]["file"]
    assert counted(labels)[VAL] == (4, 0)


def test_fold_2_repeats_fold_1_and_doubles_nothing(tmp_path: Path) -> None:
    psi_ava(tmp_path)
    once = read("psi_ava", tmp_path)
    for file in (COCO, TRAIN, VAL):
        put(tmp_path, file.replace("fold1", "fold2"), (tmp_path / file).read_bytes())
    twice = read("psi_ava", tmp_path)
    for kind in ("intervals", "boxes", "triplets"):
        assert twice[kind].equals(once[kind])
    assert counted(twice)[VAL.replace("fold1", "fold2")] == (4, 4)
    assert counted(twice)[COCO.replace("fold1", "fold2")] == (2, 2)


def test_ids_are_named_in_spanish_by_the_pbtxt_where_there_is_no_json(tmp_path: Path) -> None:
    psi_ava(tmp_path)
    (tmp_path / COCO).unlink()
    names = {"TOOLS": {1: "Bipolar Forceps", 4: "Tijera"}, "ACTIONS": {10: "Push", 13: "Still"}}
    names |= {"PHASES": {0: "Tiempo_muerto", 1: "LPAI"}, "STEPS": {0: "Tiempo_muerto", 18: "Corte"}}
    for list_, of_list in names.items():
        labels = "\n\n".join(f'label {{\n  name: "{name}"\n  label_id: {id_}\n}}' for id_, name in of_list.items())
        put(tmp_path, f"{PSI}/fold1/annotations/surgery_{list_}_list.pbtxt", labels)
    found = read("psi_ava", tmp_path)
    assert set(found["intervals"]["raw_value"]) == {"Tiempo_muerto", "LPAI", "Corte"}
    assert found["boxes"]["raw_value"].to_list() == ["Tijera", "Bipolar Forceps"]


def test_rows_of_one_keyframe_that_differ_in_phase_give_no_phase(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "CASE001/00211.jpg", "width": 1280, "height": 800}]
    boxes = [psi_box(1, 1, 4, [10], 0, 18), psi_box(2, 1, 1, [13], 1, 18)]
    put(tmp_path, COCO, coco_file(images, boxes) | PSI_NAMES)
    labels = read("psi_ava", tmp_path)
    assert labels["intervals"]["field"].to_list() == ["step"]
    assert rules(labels) == ["conflicting_phase", "conflicting_phase"]
    assert labels["boxes"].height == 2


def test_keyframes_are_listed_as_images(tmp_path: Path) -> None:
    psi_ava(tmp_path)
    put(tmp_path, "keyframes/CASE001/00211.jpg", b"")
    put(tmp_path, "keyframes/CASE001/00212.jpg", b"")
    assert read("psi_ava", tmp_path)["images"].select("video", "frame_index").rows() == [
        ("CASE001", 211),
        ("CASE001", 212),
    ]
    videos = adapters()["psi_ava"].videos(tmp_path)
    assert [(video.video, video.path) for video in videos] == [
        ("CASE001", "keyframes/CASE001"),
        ("CASE002", None),
    ]
    assert VAL not in videos[0].label_files


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("CASE002,1,2,0.0,0.0,0.0,0.0,0,-1,-1,0,18", "an integer as phase_id"),
        ("CASE002,1,2,0.0,0.0,0.0,0.0,0,-1,-1,0,18,1,1", "13 columns"),
        ("CASE002,1,2,0.0,0.0,0.0,nan,0,-1,-1,0,18,1", "a number as y2"),
        ("CASE002,-1,2,0.0,0.0,0.0,0.0,0,-1,-1,0,18,1", "a frame number as frame_index"),
        ("CASE002,1,2,0.0,0.0,0.0,0.0,0,-1,-1,0,1,18", "an id of steps as step_id"),
        ("CASE002,1,2,0.1,0.1,0.2,0.2,99,-1,-1,1,18,1", "ids of actions"),
    ],
)
def test_a_bad_csv_row_is_an_error_at_its_line(row: str, expected: str, tmp_path: Path) -> None:
    psi_ava(tmp_path)
    put(tmp_path, VAL, f"CASE002,0,1,0.0,0.0,0.0,0.0,0,-1,-1,0,18,1\n{row}\n")
    with pytest.raises(SourceError) as error:
        read("psi_ava", tmp_path)
    assert (error.value.file, error.value.place, error.value.expected) == (VAL, "line 2", expected)
