"""Writers of small sources in the native formats of the cholecystectomy datasets."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .native import TOOLS, coco_file, put


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


def voc_object(name: str, xmin: int, ymin: int, xmax: int, ymax: int) -> str:
    sides = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    box = "".join(f"\t\t\t<{side}>{value}</{side}>\n" for side, value in sides.items())
    return f"\t<object>\n\t\t<name>{name}</name>\n\t\t<bndbox>\n{box}\t\t</bndbox>\n\t</object>\n"


def m2cai16_tool_locations(root: Path) -> None:
    objects = voc_object("Grasper", 201, -3, 900, 191) + voc_object("Hook", 1, 2, 3, 4)
    size = "\t<size>\n\t\t<width>596</width>\n\t\t<height>334</height>\n\t</size>\n"
    put(root, "Annotations/v01_002075.xml", f"<annotation>\n{size}{objects}</annotation>")
    put(root, "class_list.txt", "1 Grasper\n3 Hook")


WORKFLOW = "train_dataset/workflow_video_01.txt"

TOOL = "train_dataset/tool_video_01.txt"


def m2cai16_workflow(root: Path) -> None:
    phases = ["TrocarPlacement"] * 3 + ["Preparation"] * 2 + ["CalotTriangleDissection"] * 50
    rows = "".join(f"{i}\t{phase}\n" for i, phase in enumerate(phases))
    put(root, WORKFLOW, f"Frame\tPhase\n{rows}")
    put(root, "train_dataset/workflow_video_01.mp4", b"")
    put(root, "train_dataset/workflow_video_01_timestamp.txt", "0:00:00.000\tTrocarPlacement\n")
    put(root, "train_dataset/workflow_video_01_pred.txt", "Frame\tPhase\n0\tPreparation\n")
    put(root, "test_dataset/test_workflow_video_02.txt", "Frame\tPhase\n0\tPreparation\n1\tPreparation\n")


def m2cai16_tool(root: Path) -> None:
    header = "\t".join(("Frame", *TOOLS))
    put(root, TOOL, f"{header}\n0\t1\t0\t0\t0\t0\t0\t0\n25\t1\t0\t1\t0\t0\t0\t0\n50\t0\t0\t0\t0\t0\t0\t0\n")
    put(root, "train_dataset/tool_video_01.mp4", b"")


T45_TRIPLETS = {7: "grasper,grasp,gallbladder", 19: "grasper,retract,liver", 60: "hook,dissect,gallbladder"}


def t45_names() -> str:
    names = {i: f"grasper,verb{i},target{i}" for i in range(94)} | T45_TRIPLETS
    idle = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator")
    names |= {94 + i: f"{instrument},null_verb,null_target" for i, instrument in enumerate(idle)}
    return "".join(f"{i}:{name}\n" for i, name in names.items())


def t45_row(frame: int, *triplets: int) -> str:
    return ",".join(map(str, (frame, *(int(i in triplets) for i in range(100))))) + "\n"


def cholect45(root: Path) -> None:
    put(root, "triplet/VID01.txt", t45_row(0) + t45_row(1, 7, 60) + t45_row(2, 19))
    put(root, "instrument/VID01.txt", "0,0,0,0,0,0,0\n1,1,0,1,0,0,0\n2,1,0,0,0,0,0\n")
    put(root, "dict/triplet.txt", "-1:null_instrument,null_verb,null_target\n" + t45_names())


def picture(values: Any) -> bytes:
    """PNG bytes of rows of grey values (the same in three channels) or of (red, green, blue)."""
    pixels = np.array(values, np.uint8)
    pixels = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., ::-1]
    return cv2.imencode(".png", pixels)[1].tobytes()


def seg8k(frame: int, kind: str = "_watershed_mask", folder: str = "video01_00080") -> str:
    return f"video01/{folder}/frame_{frame}_endo{kind}.png"


def cholecseg8k(root: Path) -> None:
    for frame, mask in ((80, [[50, 21], [31, 31]]), (81, [[50, 11], [0, 255]])):
        put(root, seg8k(frame), picture(mask))
        put(root, seg8k(frame, ""), picture([[frame, 1], [2, 3]]))
        put(root, seg8k(frame, "_mask"), picture([[0, 0], [0, 5]]))
        put(root, seg8k(frame, "_color_mask"), picture([[[127, 127, 127], [255, 114, 114]]]))


INSTANCES = "train/VID03_t80_sparse"


def labelme(frame: int, *shapes: dict[str, Any], part: str = "t80_VID03", **more: Any) -> dict[str, Any]:
    size = {"imageHeight": 480, "imageWidth": 854}
    path = f"img_dir/{part}_{frame:06d}.png"
    return {"version": "1.0.0", "flags": {}, "shapes": list(shapes), "imagePath": path, **size} | more


def outline(label: str, group: int | None, *points: tuple[float, float]) -> dict[str, Any]:
    corners = [list(point) for point in points or ((1.0, 2.0), (30.0, 2.0), (30.5, 40.0))]
    return {
        **{"label": label, "points": corners, "group_id": group, "description": ""},
        **{"shape_type": "polygon", "flags": None},
    }


def cholecinstanceseg(root: Path) -> None:
    two = (outline("grasper", 1), outline("grasper", 1, (5, 5), (9, 5), (9, 9)), outline("hook", 1))
    put(root, f"{INSTANCES}/ann_dir/t80_VID03_000000.json", labelme(0))
    put(root, f"{INSTANCES}/ann_dir/t80_VID03_000030.json", labelme(30, *two))
    put(root, f"{INSTANCES}/img_dir/t80_VID03_000030.png", b"image")


TRACKED = "Training/VID02/vid02.json"


def tracked(instrument: int, box: list[float], phase: int = 0, **more: Any) -> dict[str, Any]:
    ids = {"verb": -1, "target": -1, "triplet": -1, "operator": 1, "score": 1.0, "area": 99.0, "iscrowd": 0}
    seen = {"bleeding": False, "smoke": 0, "blurred": False, "occluded": True, "visible": 1}
    tracks = {"intraoperative_track": 3, "intracorporeal_track": 4, "visibility_track": 5}
    return {"instrument": instrument, "tool_bbox": box, "phase": phase, **ids, **seen, **tracks} | more


def tracks_file(frames: dict[str, list[dict[str, Any]]], video: str = "VID02") -> dict[str, Any]:
    tools = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen-bag")
    return {
        "info": {"dataset": "CholecTrack20"},
        "video": {"name": video, "split": "training", "width": 854, "height": 480, "num_frames": len(frames)},
        "categories": {
            "tools": [{"id": i, "name": name} for i, name in enumerate(tools)],
            "operators": [{"id": 0, "name": "null"}],
        },
        "annotations": frames,
    }


RELATIVE = [0.25, 0.5, 0.125, 0.25]


def cholectrack20(root: Path) -> None:
    frames = {
        "1": [tracked(0, RELATIVE), tracked(2, [100, 120, 50, 60], bleeding=True)],
        "26": [],
        "51": [tracked(0, RELATIVE, smoke=1)],
        "76": [tracked(0, RELATIVE, phase=1)],
    }
    put(root, TRACKED, tracks_file(frames))


HEI = "Annotations/{}/Hei-Chole1_Annotation_{}.csv"

HEI_FILES = {kind: HEI.format(kind, kind) for kind in ("Phase", "Action", "Instrument")}


def hei_tools(frame: int, *slots: int) -> str:
    return ",".join(map(str, (frame, *(int(i in slots) for i in range(21))))) + "\n"


def heichole(root: Path) -> None:
    put(root, HEI_FILES["Phase"], "".join(f"{i},{0 if i < 20 else 1}\n" for i in range(60)))
    actions = "".join(f"{i},0,{int(i >= 10)},{int(i >= 50)},0\n" for i in range(60))
    put(root, HEI_FILES["Action"], actions)
    tools = "".join(hei_tools(i, *([0, 2] if i >= 30 else [0])) for i in range(60))
    put(root, HEI_FILES["Instrument"], tools)
    put(root, "Videos/Full_SD/Hei-Chole1.mp4", b"")
    put(root, "Videos/Skill/Hei-Chole1_Calot.mp4", b"")
    put(root, "hei-chole16_annotation_phase.csv", "0,0\n1,0\n")


PHAKIR = "Video_07/Video_07_Phases.csv"


def phakir_mask(frame: int) -> str:
    return f"Video_07/Video_07_Masks/{frame // 1000 * 1000}/frame_{frame:06d}.png"


def phakir(root: Path) -> None:
    put(root, PHAKIR, "Frame,Phase\n" + "".join(f"{i},{'Preparation' if i < 30 else 'P1'}\n" for i in range(51)))
    black, grey = [0, 0, 0], [128, 128, 128]
    put(root, phakir_mask(0), picture([[black, grey]]))
    put(root, phakir_mask(25), picture([[[255, 255, 0], grey], [black, [255, 0, 0]]]))
    for frame in (0, 1, 25):
        put(root, f"Video_07/Frames/0/frame_{frame:06d}.png", picture([[frame]]))


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "cholec80": cholec80,
    "cholecinstanceseg": cholecinstanceseg,
    "cholecseg8k": cholecseg8k,
    "cholect45": cholect45,
    "cholect50": cholect50,
    "cholectrack20": cholectrack20,
    "endoscapes": endoscapes,
    "heichole": heichole,
    "m2cai16_tool": m2cai16_tool,
    "m2cai16_tool_locations": m2cai16_tool_locations,
    "m2cai16_workflow": m2cai16_workflow,
    "phakir": phakir,
}


def _with_criteria(file: str, content: str) -> int:
    value = json.loads(content)
    rated = [image for image in value["images"] if image.get("ds")] if "_ds_" in file else []
    return len(value["annotations"]) + len(rated)


ROWS: Mapping[tuple[str, str], Callable[[str, str], int]] = {
    ("cholecinstanceseg", ".json"): lambda _, content: len(json.loads(content)["shapes"]),
    ("endoscapes", ".json"): _with_criteria,
}
