"""Writers of small sources in the native formats of further specialties and of in-house folders."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .native import coco_file, put


def in_house(root: Path) -> None:
    sidecar = (
        "title: Our sleeves\nspecialty: Bariatric and upper GI\n"
        "procedure_type: procedure/sleeve_gastrectomy\nlicence: internal\n"
        "consent:\n  scope: research\n  reference: form 12\n"
        "videos:\n  a1: {patient: 007}\n"
    )
    put(root, "source.yaml", sidecar)
    put(root, "2024/a1.MP4", b"")
    rows = [
        "start,end,track,label",
        "0,60.5,phase,Access",
        "0:01:00.5,0:02:00,phase,Stapling",
        "70,80,event,bleeding",
    ]
    put(root, "2024/a1.csv", "\n".join(rows) + "\n")


def multibypass140(root: Path) -> None:
    def entry(start: int, end: int, name: str, id_: int) -> dict[str, Any]:
        return {"start": start, "end": end, "label_name": name, "label_id": id_}

    phases = [entry(13301, 60000, "preparation", 0), entry(20000, 21500, "out_of_body", 12)]
    steps = [entry(13301, 60000, "s0_null_step", 0)]
    put(root, "labels/bern/labels_by70/BBP01.mp4.json", {"phases": phases, "steps": steps})


PITVIS_HEADER = "int_video,int_time,int_step,int_instrument1,int_instrument2"

PITVIS_ROWS = [(-1, -1, -2), (1, 0, -2), (1, 16, -2), (1, 8, 16), (2, 9, 0), (-1, -1, -2)]

PITVIS_STEPS = (
    "int_step,str_step\n-1,operation_ended\n-1,operation_not_started\n-1,out_of_patient\n"
    "1,nasal_corridor_creation \n2,anterior_sphenoidotomy\n"
)

PITVIS_INSTRUMENTS = (
    "int_instrument,str_instrument\n-2,no_secondary_instrument\n-1,out_of_patient\n0,no_visible_instrument\n"
    "0,occluded_image_inside_patient\n8,kerrisons\n9,micro_doppler\n16,suction\n"
)


def picture(values: Sequence[Sequence[int]] | Any, suffix: str = ".png") -> bytes:
    done, data = cv2.imencode(suffix, np.array(values, dtype=np.uint8))
    assert done
    return bytes(data)


def blocks(*values: int) -> list[list[int]]:
    """A grey image with a block of 8 x 16 pixels for each value."""
    return [[value for value in values for _ in range(8)]] * 16


def pitvis(root: Path, video: int = 1) -> None:
    rows = [f"{video},{second},{','.join(map(str, row))}" for second, row in enumerate(PITVIS_ROWS)]
    put(root, f"annotations_{video:02d}.csv", "\n".join([PITVIS_HEADER, *rows]) + "\n")
    put(root, "map_steps.csv", PITVIS_STEPS)
    put(root, "map_instruments.csv", PITVIS_INSTRUMENTS)
    put(root, f"video_{video:02d}.mp4", b"")


def autolaparo(root: Path) -> None:
    rows = "".join(f"{second}\t{phase}\n" for second, phase in enumerate([1, 1, 1, 2, 2, 1], 1))
    put(root, "task1/labels/label_01.txt", f"Frame\tPhase\n{rows}")
    put(root, "task1/videos/01.mp4", b"")
    for frame, values in ((1, (0, 20, 40, 180)), (125, (0,))):
        put(root, f"AutoLaparo_Task3/masks/007{frame:03d}.png", picture(blocks(*values)))
        put(root, f"AutoLaparo_Task3/imgs/007{frame:03d}.jpg", picture(blocks(90), ".jpg"))


def cataract101(root: Path) -> None:
    put(root, "videos.csv", "VideoID;Frames;FPS;Surgeon;Experience\n269;500;25;1;2\n270;100;25;2;1\n")
    put(root, "phases.csv", "Phase;Meaning\n1;Incision\n2;Viscous agent injection\n5;Phacoemulsificiation\n")
    put(root, "annotations.csv", "VideoID;FrameNo;Phase\n269;70;1\n269;145;2\n269;300;2\n270;0;5\n")
    put(root, "videos/case_269.mp4", b"")


CASE = "annotations/case_5013/case_5013"

STILLS = "Annotations/Images-and-Supervisely-Annotations/case_5013/img"

INSTANCES = "Annotations/Coco-Annotations/case_5013/annotations/instances.json"


def instance(id_: int, image: int, category: int, segmentation: Any, box: Any = (1, 2, 3, 4)) -> dict[str, Any]:
    found = {"id": id_, "image_id": image, "category_id": category, "bbox": list(box), "area": 12, "iscrowd": 0}
    return {**found, "segmentation": segmentation}


def cataract1k(root: Path) -> None:
    put(
        root,
        f"{CASE}_annotations_phases.csv",
        "caseId,comment,frame,endFrame,sec,endSec\n5013,Incision,240,796,4.004,13.28\n"
        "5013,Capsule Pulishing,1013,1013,16.9,16.9\n",
    )
    put(root, f"{CASE}_video.csv", "caseId,width,height,frames,fps\n5013,1024,768,20000,59.94005994\n")
    put(root, "videos/case_5013.mp4", b"")
    images = [{"id": 3, "file_name": "case5013_01.png", "width": 16, "height": 16}]
    shapes = [[[0, 0, 4, 0, 4, 4], [8, 8, 9, 8, 9, 9]], {"counts": [1, 2], "size": [16, 16]}]
    boxes = [instance(1, 3, 7, shapes[0]), instance(2, 3, 2, shapes[1])]
    categories = [{"id": 7, "name": "Pupil"}, {"id": 2, "name": "Slit Knife"}]
    put(root, INSTANCES, coco_file(images, boxes, categories=categories))
    put(root, f"{STILLS}/case5013_01.png", picture(blocks(5)))
    put(root, f"{STILLS}/case5013_02.png", picture(blocks(6)))


def kvasir_seg(root: Path) -> None:
    box = {"label": "polyp", "xmin": 2, "ymin": 3, "xmax": 10, "ymax": 12}
    put(
        root,
        "kavsir_bboxes.json",
        {"cju2": {"height": 16, "width": 24, "bbox": [box, box | {"xmin": 4}]},
         "cju1": {"height": 16, "width": 24, "bbox": [box]}},
    )  # fmt: skip
    for name in ("cju1", "cju2"):
        put(root, f"images/{name}.jpg", picture(blocks(90, 91, 92), ".jpg"))
    put(root, "masks/cju1.jpg", picture(blocks(0, 255, 0), ".jpg"))


def ldpolypvideo(root: Path) -> None:
    put(root, "TrainValid/Annotations/7/0012.txt", "2\n10 20 30 40\n1 2 3 4\n")
    put(root, "TrainValid/Annotations/7/0013.txt", "0")
    put(root, "TrainValid/Images/7/0012.jpg", picture(blocks(90), ".jpg"))
    put(root, "Test/Annotations/101/0001.txt", "0\n")


def dsad(root: Path) -> None:
    put(root, "liver/03/image00.png", picture(blocks(90)))
    put(root, "liver/03/mask00.png", picture(blocks(0, 255)))
    put(root, "liver/03/mask01.png", picture(blocks(0)))
    put(root, "liver/03/weak_labels.csv", "not,read\n")
    put(root, "liver/03/anno_1/mask00.png", picture(blocks(255)))
    put(root, "multilabel/03/mask00_stomach.png", picture(blocks(0, 255)))


def glenda(root: Path) -> None:
    put(root, "DS/pathology/frames/v_7_s_1299-1300/f_1299.jpg", picture(blocks(90), ".jpg"))
    put(root, "DS/pathology/frames/v_7_s_1299-1300/f_1300.jpg", picture(blocks(90), ".jpg"))
    for name in ("ovary_a_848", "DIE_a_849"):
        put(root, f"DS/pathology/annotations/v_7_s_1299-1300/f_1299/{name}.png", picture(blocks(0, 255)))
    put(root, "DS/no_pathology/frames/v_7_s_10-11/f_10.jpg", picture(blocks(90), ".jpg"))


def heico(root: Path, *, footage: bool = True) -> None:
    case = "Rectal Resection/1"
    phases = [0, 0, 8, 8, 8]
    put(root, f"{case}/RectalResection_1_Phase.csv", "".join(f"{i},{phase}\n" for i, phase in enumerate(phases)))
    if footage:
        put(root, f"{case}/RectalResection_1.avi", b"")
    stills = f"{case}/Instrument segmentations"
    for frame in (2, 4):
        put(root, f"{stills}/{frame}/raw.png", picture(blocks(90)))
    put(root, f"{stills}/2/instrument_instances.png", picture(blocks(0, 1, 2)))


COCO_SIDECAR = (
    "title: Our laparoscopies\nspecialty: Colorectal\nprocedure_type: procedure/colorectal_resection\n"
    "licence: CC-BY-4.0\nmay_be_released: true\nvideos:\n  op_1: {patient: P7}\n"
)


def coco(root: Path) -> None:
    images = [{"id": 11, "file_name": "op_1/a.png", "width": 16, "height": 16},
              {"id": 12, "file_name": "b.png", "width": 16, "height": 16}]  # fmt: skip
    shapes = [[[0, 0, 4, 0, 4, 4], [8, 8, 9, 8, 9, 9]], []]
    boxes = [instance(1, 11, 1, shapes[0]), instance(2, 12, 2, shapes[1])]
    categories = [{"id": 1, "name": "Seminal-Vesicles"}, {"id": 2, "name": "grasper"}]
    put(root, "annotations/train.json", coco_file(images, boxes, categories=categories))
    put(root, "images/op_1/a.png", picture(blocks(5, 6)))
    put(root, "source.yaml", COCO_SIDECAR)


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "autolaparo": autolaparo,
    "cataract101": cataract101,
    "cataract1k": cataract1k,
    "coco": coco,
    "dsad": dsad,
    "glenda": glenda,
    "heico": heico,
    "in_house": in_house,
    "kvasir_seg": kvasir_seg,
    "ldpolypvideo": ldpolypvideo,
    "multibypass140": multibypass140,
    "pitvis": pitvis,
}


ROWS: Mapping[tuple[str, str], Callable[[str, str], int]] = {
    ("kvasir_seg", ".json"): lambda _, content: sum(len(image["bbox"]) for image in json.loads(content).values()),
    ("multibypass140", ".json"): lambda _, content: sum(len(json.loads(content)[key]) for key in ("phases", "steps")),
}
