"""What the adapter tests share: the real label files, and writers of small sources in native formats."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.sources.accounting import native_rows
from surgsigma_dagster.sources.adapter import NativeLabels, adapters

LABELS = Path(__file__).resolve().parents[3] / "shared" / "labels"
TOOLS = ("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag")


def real(folder: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (LABELS / folder).is_dir(), reason=f"no real files in ../shared/labels/{folder}")


def read(adapter: str, root: Path) -> NativeLabels:
    found = adapters()[adapter]
    return found.labels(root, found.videos(root))


def counted(labels: NativeLabels) -> dict[str, tuple[int, int]]:
    """By file: rows accounted for, rows rejected."""
    return {file: (n_rows, n_rejected) for file, n_rows, n_rejected in native_rows(labels).iter_rows()}


def rules(labels: NativeLabels) -> list[str]:
    return labels["rejects"]["rule"].to_list()


def put(root: Path, file: str, content: str | bytes | dict[str, Any]) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, indent=1)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cholec80(root: Path) -> None:
    phases = ["Preparation"] * 30 + ["CalotTriangleDissection"] * 40 + ["Preparation"] * 6
    rows = "".join(f"{i}\t{phase}\n" for i, phase in enumerate(phases))
    put(root, "phase_annotations/video01-phase.txt", f"Frame\tPhase\n{rows}")
    header = "\t".join(("Frame", *TOOLS))
    put(
        root,
        "tool_annotations/video01-tool.txt",
        f"{header}\n0\t1\t0\t0\t0\t0\t0\t0\n25\t1\t0\t1\t0\t0\t0\t0\n",
    )
    put(root, "videos/video01.mp4", b"")


T50_NAMES: dict[str, dict[str, str]] = {
    "instrument": {"0": "grasper", "1": "bipolar", "2": "hook"},
    "verb": {"0": "grasp", "1": "retract", "9": "null_verb"},
    "target": {"0": "gallbladder", "8": "liver", "14": "null_target"},
    "phase": {"0": "preparation", "1": "carlot-triangle-dissection"},
    "triplet": {
        "7": "grasper,grasp,gallbladder",
        "19": "grasper,retract,liver",
        "95": "bipolar,null_verb,null_target",
    },
}
BOX = (0.25, 0.25, 0.5, 0.125)
NO_BOX = (-1.0, -1.0, -1.0, -1.0)


def t50_row(triplet: int, instrument: int, verb: int, target: int, phase: int, box: Any = NO_BOX) -> list[Any]:
    return [triplet, instrument, 1.0, *box, verb, target, 1.0, *NO_BOX, phase]


def t50_file(frames: dict[str, list[list[Any]]], video: int = 68) -> dict[str, Any]:
    return {
        "info": {},
        "video": video,
        "fps": 1,
        "num_frames": 9,
        "categories": T50_NAMES,
        "annotations": frames,
    }


def cholect50(root: Path) -> None:
    frames = {
        "16": [t50_row(7, 0, 0, 0, 0, BOX), t50_row(19, 0, 1, 8, 0)],
        "17": [t50_row(-1, -1, -1, -1, 0)],
        "19": [t50_row(95, 1, 9, 14, 0)],
        "20": [t50_row(7, 0, 0, 0, 1)],
    }
    put(root, "labels/VID68.json", t50_file(frames))
    put(root, "label_mapping.txt", "# IVT, I, V, T, IV, IT\n7,0,0,0,0,0\n95,1,9,14,10,15\n")


def coco_file(images: list[dict[str, Any]], annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"categories": [], "images": images, "annotations": annotations, **more}


ENDOSCAPES_CATEGORIES = [{"id": 5, "name": "gallbladder"}, {"id": 6, "name": "tool"}]


def endoscapes_image(id_: int, name: str, ds: list[float] | None = None) -> dict[str, Any]:
    return {
        "id": id_,
        "file_name": name,
        "width": 854,
        "height": 480,
        "ds": ds,
        "is_ds_keyframe": ds is not None,
    }


def endoscapes_box(image: int, category: int, box: list[float]) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "area": 1}


def endoscapes(root: Path) -> None:
    images = [endoscapes_image(1, "8_14775.jpg", [1, 0.333, 0.0]), endoscapes_image(2, "8_14800.jpg")]
    boxes = [endoscapes_box(1, 5, [10, 20, 30.5, 40]), endoscapes_box(1, 6, [1, 2, 3, 4])]
    more = {"categories": ENDOSCAPES_CATEGORIES}
    put(root, "train/annotation_coco.json", coco_file(images[:1], boxes, **more))
    put(root, "train/annotation_ds_coco.json", coco_file(images, [], **more))
    put(root, "val_seg/annotation_coco.json", coco_file(images[:1], boxes[:1], **more))


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


def voc_object(name: str, xmin: int, ymin: int, xmax: int, ymax: int) -> str:
    sides = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    box = "".join(f"\t\t\t<{side}>{value}</{side}>\n" for side, value in sides.items())
    return f"\t<object>\n\t\t<name>{name}</name>\n\t\t<bndbox>\n{box}\t\t</bndbox>\n\t</object>\n"


def m2cai16_tool_locations(root: Path) -> None:
    objects = voc_object("Grasper", 201, -3, 900, 191) + voc_object("Hook", 1, 2, 3, 4)
    size = "\t<size>\n\t\t<width>596</width>\n\t\t<height>334</height>\n\t</size>\n"
    put(root, "Annotations/v01_002075.xml", f"<annotation>\n{size}{objects}</annotation>")
    put(root, "class_list.txt", "1 Grasper\n3 Hook")


WRITERS: dict[str, Callable[[Path], None]] = {
    "cholec80": cholec80,
    "cholect50": cholect50,
    "endoscapes": endoscapes,
    "in_house": in_house,
    "m2cai16_tool_locations": m2cai16_tool_locations,
    "multibypass140": multibypass140,
    "psi_ava": psi_ava,
}
