"""Writers of small sources in the native formats of the datasets of robotic surgery."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .native import coco_file, put

PSI = "outputs/data_annotations/psi-ava"

PSI_NAMES: dict[str, list[dict[str, Any]]] = {
    "categories": [{"id": 1, "name": "Bipolar Forceps"}, {"id": 4, "name": "Monopolar Curved Scissors"}],
    "action_categories": [{"id": 10, "name": "Push"}, {"id": 13, "name": "Still"}],
    "phase_categories": [{"id": 0, "name": "Idle"}, {"id": 1, "name": "LPIL"}],
    "step_categories": [{"id": 0, "name": "Idle"}, {"id": 18, "name": "Cut"}],
}


def psi_box(id_: int, image: int, category: int, actions: list[int], phase: int, step: int) -> dict[str, Any]:
    box = {"id": id_, "image_id": image, "category_id": category, "bbox": [128, 80, 256.0, 160]}
    return {**box, "actions": actions, "phase": phase, "step": step}


def psi_ava(root: Path) -> None:
    images = [{"id": 1, "file_name": "CASE001/00211.jpg", "width": 1280, "height": 800}]
    boxes = [psi_box(1, 1, 4, [10, 13], 1, 18), psi_box(2, 1, 1, [13], 1, 18)]
    put(root, f"{PSI}/fold1/coco_anns/train_coco_anns_v3_35s.json", coco_file(images, boxes) | PSI_NAMES)
    rows = ["CASE001,211,1,0.1,0.1,0.3,0.3,10,13,-1,4,18,1", "CASE001,300,2,0.1,0.1,0.3,0.3,13,-1,-1,1,0,0"]
    put(root, f"{PSI}/fold1/annotations/train.csv", "\n".join(rows) + "\n")
    second = "CASE002,{},{},0.0,0.0,0.0,0.0,0,-1,-1,0,{},{}\n"
    labels = [(0, 0), (0, 1), (18, 1), (18, 1)]
    rows = [second.format(i + 1, i + 2, step, phase) for i, (step, phase) in enumerate(labels)]
    put(root, f"{PSI}_extended/fold1/annotations/val.csv", "".join(rows))


CLASSES_2018 = [  # a part of the owner's labels.json
    {"name": "background-tissue", "color": [0, 0, 0], "classid": 0},
    {"name": "instrument-shaft", "color": [0, 255, 0], "classid": 1},
    {"name": "kidney-parenchyma", "color": [255, 55, 0], "classid": 4},
]

TOOLS_HEADER = (
    "index,install_case_part,install_case_time,uninstall_case_part,uninstall_case_time,arm,"
    "commercial_toolname,groundtruth_toolname"
)

TASKS_HEADER = "index,start_part,start_time,stop_part,stop_time,groundtruth_taskname"


def mask(root: Path, file: str, pixels: list[list[Any]]) -> None:
    """A PNG of 8 bits: grey from numbers, in colour from [red, green, blue]."""
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def sar_rarp50(root: Path) -> None:
    actions = [0, 0, 1, 1, 1, 3, 0]
    rows = "".join(f"{6 * i:09d},{action}\n" for i, action in enumerate(actions))
    put(root, "train1/video_02/action_discrete.txt", rows)
    put(root, "train1/video_02/action_continuous.txt", "0,11,0\n12,29,1\n")
    mask(root, "train1/video_02/segmentation/000000000.png", [[0, 0, 3], [1, 4, 3]])
    mask(root, "train1/video_02/segmentation/000000060.png", [[0, 0, 0], [0, 0, 0]])
    put(root, "train1/video_02/video_left.avi", b"")
    put(root, "test/video_11_1/action_discrete.txt", "000000000,7\n")


def jigsaws(root: Path) -> None:
    put(root, "Suturing/transcriptions/Suturing_B001.txt", "80 219 G1 \n220 370 G5 \n371 590 G8 \n")
    put(root, "Suturing/video/Suturing_B001_capture1.avi", b"")
    put(root, "Suturing/video/Suturing_B001_capture2.avi", b"")
    put(root, "Knot_Tying/transcriptions/Knot_Tying_C002.txt", "1 30 G12\n41 41 G15\n")
    put(root, "Knot_Tying/kinematics/AllGestures/Knot_Tying_H002.txt", "")


def esad(root: Path) -> None:
    for split in ("train", "val"):
        put(root, f"{split}/obj.names", "CuttingMesocolon\nPullingVasDeferens\nPullingTissue\n")
    put(root, "train/set1/RARP2_frame_1.txt", "")
    put(root, "train/set1/RARP2_frame_2.txt", "2 0.5 0.5 0.25 0.5\n0 0.1 0.2 0.2 0.4\n")
    put(root, "val/obj/RARP1_frame_7.txt", "2 0.95 0.5 0.2 0.5\n")
    put(root, "test_labels/RARP3_frame_2.txt", "1 0.5 0.5 1 1\n")


def endovis2018(root: Path) -> None:
    (root / "release").mkdir()
    (root / "release/labels.json").write_text(json.dumps(CLASSES_2018))
    black, green, kidney = [0, 0, 0], [0, 255, 0], [255, 55, 0]
    mask(root, "release/seq_1/labels/frame000.png", [[black, green], [kidney, kidney]])
    mask(root, "release/seq_1/labels/frame001.png", [[black, black], [black, [1, 2, 3]]])


def endovis2017(root: Path) -> None:
    truth = "instrument_dataset_1/ground_truth"
    mask(root, f"{truth}/Left_Prograsp_Forceps_labels/frame000.png", [[0, 10], [20, 30]])
    mask(root, f"{truth}/Right_Prograsp_Forceps_labels/frame000.png", [[0, 0], [0, 0]])
    mask(root, f"{truth}/Maryland_Bipolar_Forceps_labels/frame000.png", [[0, 0], [0, 0]])
    mask(root, "instrument_dataset_6/ground_truth/Prograsp_Forceps/frame224.png", [[[10] * 3, [0] * 3]])


GRASP_NAMES: dict[str, Any] = {
    "phases_categories": [{"id": 0, "name": "Idle"}, {"id": 1, "name": "LPIL"}],
    "steps_categories": [{"id": 0, "name": "Idle"}, {"id": 18, "name": "Cut"}],
}

GRASP_SHORT: dict[str, Any] = GRASP_NAMES | {
    "categories": [{"id": 1, "name": "Bipolar Forceps"}, {"id": 4, "name": "Monopolar Curved Scissors"}],
    "actions_categories": [{"id": 11, "name": "Still"}, {"id": 14, "name": "Other"}],
}


def grasp_image(id_: int, name: str) -> dict[str, Any]:
    case, _, frame = name.partition("/")
    more = {"video_name": case, "frame_num": int(frame.split(".")[0])}
    return {"id": id_, "file_name": name, "width": 1280, "height": 800, **more}


def grasp_second(image: int, phase: int, step: int) -> dict[str, Any]:
    return {"id": image, "image_id": image, "image_name": "", "phases": phase, "steps": step}


def grasp_box(image: int, category: int, actions: list[int]) -> dict[str, Any]:
    box = {"bbox": [128.0, 80, 256, 160], "category_id": category, "actions": actions, "iscrowd": 0}
    return grasp_second(image, 1, 18) | box


def grasp(root: Path) -> None:
    images = [grasp_image(i + 1, f"CASE041/{i:05d}.jpg") for i in range(4)]
    seconds = [grasp_second(1, 0, 0), grasp_second(2, 0, 0), grasp_second(3, 0, 18), grasp_second(4, 1, 18)]
    put(root, "annotations/grasp_long-term_test.json", coco_file(images, seconds) | GRASP_NAMES)
    shown = [grasp_image(1, "CASE041/00002.jpg"), grasp_image(2, "CASE001/00035.jpg")]
    boxes = [grasp_box(1, 4, [11, 14]), grasp_box(2, 1, [11])]
    put(root, "annotations/grasp_short-term_test.json", coco_file(shown, boxes) | GRASP_SHORT)
    mask(root, "annotations/segmentations/CASE041/00002.png", [[0, 4], [0, 4]])


def surgvu(root: Path) -> None:
    tasks = ["0,1,30.5,1,162.25,Suturing", "1,1,30.5,1,162.25,suturing", "2,1,900.0,2,60.0,Range of motion"]
    put(root, "labels/case_002/tasks.csv", "\n".join([TASKS_HEADER, *tasks]) + "\n")
    tools = [
        "0,1.0,00:43:36.978000,1.0,01:23:09.478000,USM1,Large Needle Driver,needle driver",
        "1,1.0,00:39:45.278000,1.0,00:46:28.478000,USM2,0 Endoscope,nan(camera in)",
        "2,1.0,00:50:00,2.0,00:00:10.500000,USM3,Large Clip Applier,clip applier ",
        "3,1.0,00:44:00.000000,1.0,00:45:00.000000,USM3,,",
        '4,2.0,00:01:00,2.0,00:02:00,USM3,"Grasper, Single Site",grasper',
        "5,2.0,00:05:00,2.0,00:00:00,USM1,Stapler 45,stapler",
    ]
    put(root, "labels/case_002/tools.csv", "\n".join([TOOLS_HEADER, *tools]) + "\n")
    put(root, "videos/case_002_video_part_001.mp4", b"")


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "endovis2017": endovis2017,
    "endovis2018": endovis2018,
    "esad": esad,
    "grasp": grasp,
    "jigsaws": jigsaws,
    "psi_ava": psi_ava,
    "sar_rarp50": sar_rarp50,
    "surgvu": surgvu,
}
