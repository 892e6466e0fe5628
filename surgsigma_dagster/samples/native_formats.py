"""The sample sources as the datasets lie on disk: native names, ids, frame clocks and known quirks.

Every label is measured on the rendered frame or read off the script that drew it. The formats are those of
the dataset owners' documentation and files; nothing here imports an adapter, so a sample can prove one wrong.
Sources that label every pixel are in `dense_formats`.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from surgsigma_dagster.samples import cholecystectomy, prostatectomy
from surgsigma_dagster.samples.dense_formats import write_cholecseg8k, write_sar_rarp50, write_scared
from surgsigma_dagster.samples.encode import encode
from surgsigma_dagster.samples.files import seconds, write_picture, write_rows, write_text
from surgsigma_dagster.samples.render import Box, Image, Rendering, render
from surgsigma_dagster.samples.scene import Script

VERSION = "2"  # of the samples' bytes: a folder of another version is written again
FPS = 25
_CHOLEC_SIZE, _ENDOSCAPES_SIZE, _PSI_AVA_SIZE = (480, 272), (640, 360), (640, 400)

SOURCES_YAML = """\
# Written by surgsigma_dagster.samples. Every frame is a drawing made by this package, in the named dataset's
# format: no patient data, none of the datasets' own files, hence the licence.
seed: 7
sources:
  - {name: cholec80, dataset: cholec80, root: cholec80, licence: CC0-1.0}
  - {name: cholect50, dataset: cholect50, root: CholecT50, licence: CC0-1.0}
  - {name: endoscapes, dataset: endoscapes, root: endoscapes, licence: CC0-1.0}
  - {name: psi_ava, dataset: psi_ava, root: psi-ava, licence: CC0-1.0}
  - {name: in_house, dataset: in_house, root: in_house}
  - {name: cholecseg8k, dataset: cholecseg8k, root: cholecseg8k, licence: CC0-1.0}
  - {name: sar_rarp50, dataset: sar_rarp50, root: SAR-RARP50, licence: CC0-1.0}
  - {name: scared, dataset: scared, root: SCARED, licence: CC0-1.0}
"""


def write_samples(root: Path, ffmpeg: str) -> Path:
    """Write the eight sample sources under `root` and return the path of its `sources.yaml`.

    A folder that is complete is left as it is. `ffmpeg` is the path of the binary; raises `MediaError` with
    its words where it fails.
    """
    config, marker = root / "sources.yaml", root / ".complete"
    if marker.is_file() and marker.read_text("utf-8") == VERSION:
        return config
    marker.unlink(missing_ok=True)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the pictures are small, and ffmpeg has the other core
    try:
        _cholec80(root / "cholec80", "video01", cholecystectomy.VIDEO01, ffmpeg)
        _cholec80(root / "cholec80", "video51", cholecystectomy.VIDEO51, ffmpeg)
        _cholect50(root / "CholecT50", 1, cholecystectomy.VIDEO01)
        _endoscapes(root / "endoscapes")
        _psi_ava(root / "psi-ava", "CASE001", prostatectomy.CASE001)
        _in_house(root / "in_house", prostatectomy.IN_HOUSE, ffmpeg)
        write_cholecseg8k(root / "cholecseg8k")
        write_sar_rarp50(root / "SAR-RARP50", ffmpeg)
        write_scared(root / "SCARED", ffmpeg)
    finally:
        cv2.setNumThreads(threads)
    write_text(config, SOURCES_YAML)
    write_text(marker, VERSION)
    return config


# Cholec80 -----------------------------------------------------------------------------------------

CHOLEC80_TOOLS = ("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag")


def _cholec80(root: Path, stem: str, script: Script, ffmpeg: str) -> None:
    """A video, a phase per frame, tools every 25 frames that stop one sample early, as in the real set."""
    n_frames = round(script.seconds * FPS)
    phases: list[tuple[object, ...]] = [("Frame", "Phase")]
    tools: list[tuple[object, ...]] = [("Frame", *CHOLEC80_TOOLS)]

    def frames() -> Iterator[Image]:
        for frame in range(n_frames):
            rendering = render(script.at(frame / FPS), *_CHOLEC_SIZE)
            phases.append((frame, rendering.scene.phase))
            if frame % FPS == 0:
                seen = {tool.kind for tool, _ in rendering.tools()} | ({"specimenbag"} & _bag(rendering))
                tools.append((frame, *(int(name.lower() in seen) for name in CHOLEC80_TOOLS)))
            yield rendering.image

    (root / "videos").mkdir(parents=True, exist_ok=True)
    encode(root / "videos" / f"{stem}.mp4", frames(), _CHOLEC_SIZE, FPS, ffmpeg)
    write_rows(root / "phase_annotations" / f"{stem}-phase.txt", phases, "\t")
    write_rows(root / "tool_annotations" / f"{stem}-tool.txt", tools[:-1], "\t")


def _bag(rendering: Rendering) -> set[str]:
    return {"specimenbag"} if "specimen_bag" in rendering.tissues() else set()


# CholecT50 ----------------------------------------------------------------------------------------

INSTRUMENTS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator")
VERBS = (
    "grasp",
    "retract",
    "dissect",
    "coagulate",
    "clip",
    "cut",
    "aspirate",
    "irrigate",
    "pack",
    "null_verb",
)
TARGETS = (
    *(
        "gallbladder",
        "cystic_plate",
        "cystic_duct",
        "cystic_artery",
        "cystic_pedicle",
        "blood_vessel",
        "fluid",
    ),
    *(
        "abdominal_wall_cavity",
        "liver",
        "adhesion",
        "omentum",
        "peritoneum",
        "gut",
        "specimen_bag",
        "null_target",
    ),
)
CHOLECT50_PHASES = {  # Cholec80's name: CholecT50's, in the order of the ids, "carlot" as in the real files
    "Preparation": "preparation",
    "CalotTriangleDissection": "carlot-triangle-dissection",
    "ClippingCutting": "clipping-and-cutting",
    "GallbladderDissection": "gallbladder-dissection",
    "GallbladderPackaging": "gallbladder-packaging",
    "CleaningCoagulation": "cleaning-and-coagulation",
    "GallbladderRetraction": "gallbladder-extraction",
}
TRIPLETS = {  # the official ids of the triplets that occur here
    **{7: "grasper,grasp,gallbladder", 12: "grasper,grasp,specimen_bag", 13: "grasper,pack,gallbladder"},
    **{
        17: "grasper,retract,gallbladder",
        27: "bipolar,coagulate,cystic_plate",
        57: "hook,dissect,cystic_artery",
    },
    **{58: "hook,dissect,cystic_duct", 59: "hook,dissect,cystic_plate", 60: "hook,dissect,gallbladder"},
    **{68: "scissors,cut,cystic_artery", 69: "scissors,cut,cystic_duct", 78: "clipper,clip,cystic_artery"},
    **{79: "clipper,clip,cystic_duct", 82: "irrigator,aspirate,fluid", 90: "irrigator,irrigate,liver"},
    **{94 + i: f"{instrument},null_verb,null_target" for i, instrument in enumerate(INSTRUMENTS)},
}
_NO_BOX = [-1.0, -1.0, -1.0, -1.0]


def _cholect50(root: Path, number: int, script: Script) -> None:
    """Frame k is Cholec80's frame 25 k; one picture is downloaded twice, as in the real folders."""
    video, annotations = f"VID{number:02d}", {}
    for k, rendering in seconds(script, _CHOLEC_SIZE):
        write_picture(root / "videos" / video / f"{k:06d}.png", rendering.image)
        annotations[str(k)] = _triplet_rows(rendering)
    pictures = root / "videos" / video
    shutil.copyfile(pictures / "000030.png", pictures / "000030 (1).png")
    names = (INSTRUMENTS, VERBS, TARGETS, tuple(CHOLECT50_PHASES.values()))
    categories = {
        kind: {str(i): name for i, name in enumerate(named)}
        for kind, named in zip(("instrument", "verb", "target", "phase"), names, strict=True)
    }
    document = {
        "info": {
            "dataset": "cholect50",
            "version": 1.5,
            "description": "Drawings in the format of CholecT50",
        },
        "licenses": {"id": 1, "name": "CC0-1.0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"},
        "categories": {**categories, "triplet": {str(i): name for i, name in TRIPLETS.items()}},
        **{"video": number, "fps": 1, "num_frames": len(annotations), "annotations": annotations},
    }
    write_text(root / "labels" / f"{video}.json", json.dumps(document))


def _triplet_rows(rendering: Rendering) -> list[list[float]]:
    """The 15 items of every instrument in view; a row of -1 with the phase where there is none."""
    height, width = rendering.labels.shape
    phase = list(CHOLECT50_PHASES).index(rendering.scene.phase)
    ids = {name: number for number, name in TRIPLETS.items()}
    rows: list[list[float]] = []
    for tool, box in rendering.tools():
        verb, target = tool.verb or "null_verb", tool.target or "null_target"
        relative = [box.x / width, box.y / height, box.width / width, box.height / height]
        named = [VERBS.index(verb), TARGETS.index(target), 1.0]
        triplet = ids[f"{tool.kind},{verb},{target}"]
        rows.append([triplet, INSTRUMENTS.index(tool.kind), 1.0, *relative, *named, *_NO_BOX, phase])
    return rows or [[-1, -1, -1.0, *_NO_BOX, -1, -1, -1.0, *_NO_BOX, phase]]


# Endoscapes2023 -----------------------------------------------------------------------------------

ENDOSCAPES_CATEGORIES = (
    "cystic_plate",
    "calot_triangle",
    "cystic_artery",
    "cystic_duct",
    "gallbladder",
    "tool",
)
_LEAST_AREA = 100  # pixels: nobody boxes a sliver
_UNRATED = frozenset({1, 5})  # seconds without criteria


def _endoscapes(root: Path) -> None:
    """Two videos at 1 fps: one in which the critical view is not reached, one in which it is."""
    metadata: list[tuple[object, ...]] = [
        (
            *("vid", "frame", "avg_cvs", "C1", "C2", "C3", "is_ds_keyframe"),
            *(f"cvs_annotator_{i}" for i in (1, 2, 3)),
        )
    ]
    for split, video, first, script in (
        ("train", 2, 14775, cholecystectomy.PARTIAL_VIEW),
        ("test", 162, 30250, cholecystectomy.CRITICAL_VIEW),
    ):
        images, boxes = [], []
        for k, rendering in seconds(script, _ENDOSCAPES_SIZE):
            frame, rated, boxed = first + FPS * k, k not in _UNRATED, k % 2 == 0
            write_picture(root / split / f"{video}_{frame}.jpg", rendering.image)
            votes = list(zip(*cholecystectomy.criteria(rendering.scene.state).values(), strict=True))
            mean = [round(sum(vote) / len(votes), 3) for vote in zip(*votes, strict=True)]
            given = (mean, *mean, True, *map(list, votes)) if rated else ("", "", "", "", False, "", "", "")
            metadata.append((video, frame, *given))
            image = {
                **{"file_name": f"{video}_{frame}.jpg", "height": rendering.labels.shape[0]},
                **{
                    "width": rendering.labels.shape[1],
                    "id": video * 1_000_000 + frame,
                    "is_det_keyframe": boxed,
                },
                **{"ds": mean, "video_id": video, "is_ds_keyframe": rated},
            }
            if rated:
                images.append(image)
            if boxed:
                boxes += [(image["id"], name, box) for name, box in _endoscapes_boxes(rendering)]
        annotations = [
            {
                **{"id": i, "image_id": image_id, "category_id": ENDOSCAPES_CATEGORIES.index(name) + 1},
                **{
                    "bbox": [box.x, box.y, box.width, box.height],
                    "area": box.width * box.height,
                    "iscrowd": 0,
                },
            }
            for i, (image_id, name, box) in enumerate(boxes, start=1)
        ]
        categories = [{"id": i, "name": name} for i, name in enumerate(ENDOSCAPES_CATEGORIES, start=1)]
        boxed_images = [image for image in images if image["is_det_keyframe"]]
        for file, some, labels in (("", boxed_images, annotations), ("_ds", images, [])):
            document = {"images": some, "annotations": labels, "categories": categories}
            write_text(root / split / f"annotation{file}_coco.json", json.dumps(document))
    write_rows(root / "all_metadata.csv", metadata)


def _endoscapes_boxes(rendering: Rendering) -> list[tuple[str, Box]]:
    tissues = [(name, box) for name, box in rendering.tissues().items() if name in ENDOSCAPES_CATEGORIES]
    seen = [(name, box) for name, box in tissues if rendering.tissue(name).sum() >= _LEAST_AREA]
    return [*seen, *(("tool", box) for _, box in rendering.tools())]


# PSI-AVA ------------------------------------------------------------------------------------------

PSI_AVA_INSTRUMENTS = (
    *("Bipolar Forceps", "Prograsp Forceps", "Large Needle Driver", "Monopolar Curved Scissors"),
    *("Suction Instrument", "Clip Applier", "Laparoscopic Grasper"),
)
PSI_AVA_ACTIONS = (
    *(
        "Cauterize",
        "Close",
        "Close Something",
        "Cut",
        "Grasp",
        "Hold",
        "Open",
        "Open Something",
        "Pull",
        "Push",
    ),
    *("Release", "Staple", "Still", "Suction", "Travel", "Wash"),
)
PSI_AVA_PHASES = (
    *(
        "Idle",
        "LPIL",
        "RPIL",
        "Retzius_Space",
        "Dorsal_Venous_Complex",
        "Id_Bladder_Neck",
        "Seminal_Vesicles",
    ),
    *("Denonvilliers_Fascia", "Pedicle_Control", "Severing_Prostate_Urethra", "Bladder_Neck_Rec"),
)
PSI_AVA_STEPS = (
    *("Idle", "Id_Illiac_Vein_Artery", "Dissection_Illiac_Lymph_Nodes", "Dissection_Obturator_Lymph_Nodes"),
    *("Pack_Lymph_Nodes", "Prevessical_Dissection", "Ligation_Dorsal_Venous_Complex", "Prostate_Dissection"),
    *("Seminal_Vessicle_Dissection", "Denon_Dissection", "Cut_Prostate", "Hold_Prostate", "Pack_Prostate"),
    *(
        "Pass_Suture_Urethra",
        "Pass_Suture_Neck",
        "Pull_Suture",
        "Tie_Suture",
        "Suction",
        "Cut",
        "Cut_Bladder",
    ),
    "Clip_Pedicles",
)
_KEYFRAMES = frozenset({5, 10, 16, 21, 25, 28, 32})


def _psi_ava(root: Path, case: str, script: Script) -> None:
    """Frames at 1 fps, boxes and actions at a few keyframes, phase and step at every second."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    keyframe_rows: list[tuple[object, ...]] = []
    extended: list[tuple[object, ...]] = []
    for k, rendering in seconds(script, _PSI_AVA_SIZE):
        (height, width), scene = rendering.labels.shape, rendering.scene
        phase, step = PSI_AVA_PHASES.index(scene.phase), PSI_AVA_STEPS.index(scene.step)
        name = f"{case}/{k:05d}.jpg"
        write_picture(root / "keyframes" / name, rendering.image)
        extended.append((case, k, k + 1, 0.0, 0.0, 0.0, 0.0, 0, -1, -1, 0, step, phase))
        if k not in _KEYFRAMES:
            continue
        images.append({"id": len(images) + 1, "file_name": name, "width": width, "height": height})
        for tool, box in rendering.tools():
            category, action = (
                PSI_AVA_INSTRUMENTS.index(tool.kind) + 1,
                PSI_AVA_ACTIONS.index(tool.verb or "Travel") + 1,
            )
            annotation = {
                **{"id": len(annotations) + 1, "image_id": len(images), "image_name": name, "iscrowd": 0},
                **{"category_id": category, "area": float(box.width * box.height)},
                **{"bbox": [float(box.x), box.y, float(box.width), float(box.height)], "actions": [action]},
                **{"phase": phase, "step": step},
            }
            annotations.append(annotation)
            corners = (
                box.x / width,
                box.y / height,
                (box.x + box.width) / width,
                (box.y + box.height) / height,
            )
            keyframe_rows.append((case, k, annotation["id"], *corners, action, -1, -1, category, step, phase))
    document = {
        "info": {"description": "Drawings in the format of PSI-AVA", "version": "v3_35s", "year": "2026"},
        "licenses": [{"id": 1, "name": "CC0-1.0", "url": ""}],
        "categories": _numbered(PSI_AVA_INSTRUMENTS, 1, "Instrument"),
        "action_categories": _numbered(PSI_AVA_ACTIONS, 1, "action"),
        "phase_categories": _numbered(PSI_AVA_PHASES, 0, "phase"),
        "step_categories": _numbered(PSI_AVA_STEPS, 0, "step"),
        **{"images": images, "annotations": annotations},
    }
    fold = root / "outputs" / "data_annotations" / "psi-ava" / "fold1"
    write_text(fold / "coco_anns" / "train_coco_anns_v3_35s.json", json.dumps(document))
    write_rows(fold / "annotations" / "train.csv", keyframe_rows)
    write_rows(fold.parents[1] / "psi-ava_extended" / "fold1" / "annotations" / "train.csv", extended)


def _numbered(names: Sequence[str], first: int, supercategory: str) -> list[dict[str, object]]:
    return [{"id": i, "name": name, "supercategory": supercategory} for i, name in enumerate(names, first)]


# In-house -----------------------------------------------------------------------------------------

IN_HOUSE_WORDS = {  # PSI-AVA's word: what this hospital's annotators write
    "Id_Bladder_Neck": "Bladder neck identification and transection",
    "Seminal_Vesicles": "Seminal vesicle dissection",
    "Pedicle_Control": "Prostatic pedicle control",
    "Severing_Prostate_Urethra": "Severing of the prostate from the urethra",
    "Bladder_Neck_Rec": "Bladder neck reconstruction",
    "Cut_Bladder": "cutting between the prostate and the bladder neck",
    "Seminal_Vessicle_Dissection": "seminal vesicle dissection",
    "Clip_Pedicles": "vascular pedicle clipping",
    "Cut_Prostate": "cutting between the prostate and the urethra",
    "Pack_Prostate": "prostate packing",
    "Pass_Suture_Urethra": "suture passing through the urethra",
    "Pull_Suture": "suture pulling",
}
IN_HOUSE_ACTIONS = {  # what the leading instrument does: one of ten basic surgical actions
    **{("Cut", target): "Dissection" for target in ("bladder_neck", "seminal_vesicle", "urethra")},
    ("Close Something", "pedicle"): "Clipping",
    ("Pull", "prostate"): "Tissue retraction",
    ("Push", "urethra"): "Needle puncture",
    ("Pull", "suture"): "Suture pulling",
}
IN_HOUSE_SIDECAR = """\
title: Teaching recordings, operating room 3 (drawn)
specialty: Urology
procedure_type: procedure/prostatectomy
licence: CC0-1.0
consent: {scope: research inside this hospital, reference: none needed - a drawing shows no patient}
may_be_released: false
videos:
  or3_2026-01-14: {patient: P-0001}
"""
_DROP = "gte(mod(n*n,11),2)"  # three frames of eleven are lost, at irregular distances


def _in_house(root: Path, script: Script, ffmpeg: str) -> None:
    """A recording with a variable frame rate, intervals beside it, and one label that no vocabulary knows."""
    stem, n_frames = "or3_2026-01-14", round(script.seconds * FPS)
    root.mkdir(parents=True, exist_ok=True)
    frames = (render(script.at(frame / FPS), *_CHOLEC_SIZE).image for frame in range(n_frames))
    encode(root / f"{stem}.mp4", frames, _CHOLEC_SIZE, FPS, ffmpeg, keep=_DROP)
    rows: list[tuple[object, ...]] = [
        ("start", "end", "track", "label"),
        ("0:00:00", "0:00:01.500", "event", "WHO time-out"),
    ]
    for track in ("phase", "step"):
        rows += [(start, end, track, IN_HOUSE_WORDS[label]) for start, end, label in script.stretches(track)]
    rows += [
        (
            round(action.start, 3),
            round(action.end, 3),
            "action",
            IN_HOUSE_ACTIONS[action.use.verb, action.use.target],
        )
        for action in script.actions()
        if action.leads and action.use.verb and action.use.target
    ]
    write_rows(root / f"{stem}.csv", rows)
    write_text(root / "source.yaml", IN_HOUSE_SIDECAR)
