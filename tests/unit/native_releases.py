"""Small sources in the formats of question sets, depth, a release of conversations, and web video."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .native import put
from .native_specialties import blocks, picture

QUESTIONS = (
    "What organ is being operated?|kidney\n"
    "What is the state of bipolar_forceps?|Tissue_Manipulation\n"
    "Where is bipolar_forceps located?|left-top\n"
    "What is the state of monopolar_curved_scissors?|Idle\n"
)


def endovis18_vqa(root: Path) -> None:
    for frame in (0, 148):
        put(root, f"seq_2/vqa/Classification/frame{frame:03d}_QA.txt", QUESTIONS)
        put(root, f"seq_2/vqa/Sentence/frame{frame:03d}_QA.txt", "What organ is being operated?|organ is kidney\n")
        put(root, f"seq_2/left_frames/frame{frame:03d}.png", picture(blocks(3, 4)))


def endovis_vqla(root: Path) -> None:
    boxed = (
        "What organ is being operated?|kidney|1, 1, 1280, 1024\n"
        "What is the state of prograsp_forceps?|Grasping|101, 201, 301, 401\n"
        "Where is prograsp_forceps located?|right-bottom|101, 201, 301, 401\n"
    )
    for frame in (0, 148):
        put(root, f"seq_5/vqla/label/frame{frame:03d}_QA.txt", boxed)
    put(root, "vqla/label/seq1_frame010_QA.txt", boxed)


def cholec80_vqa(root: Path) -> None:
    put(root, "Classification/1/0_QA.txt", "what is the phase of image?|preparation\nis hook used?|no\n")
    put(
        root,
        "Classification/1/100_QA.txt",
        "what is the phase of image?|calot triangle dissection\nhow many tools?|2\n",
    )
    put(root, "Classification/40/25_QA.txt", "is grasper used?|yes\n")
    put(root, "Sentence/1/0_QA.txt", "what is the phase of image?|the phase is preparation\n")


def tiff(path: Path, channels: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = np.arange(4 * 6 * channels, dtype=np.float32).reshape(4, 6, channels)
    assert cv2.imwrite(str(path), depth.squeeze())


def scared(root: Path) -> None:
    for frame in (0, 1, 196):
        tiff(root / f"dataset_1/keyframe_1/data/scene_points/scene_points{frame:06d}.tiff")
    tiff(root / "dataset_1/keyframe_1/left_depth_map.tiff")
    tiff(root / "dataset_2/keyframe_3/left_depth_map.tiff")


def anno(id_: int, image: int, answer: str, types: tuple[int, ...] = (2,), **more: Any) -> dict[str, Any]:
    asked = {"question": "Where are the instruments?", "thinking": "Level 1. Level 2. Level 3."}
    return {"id": id_, "task type": [*types], "images": [image], **asked, "answer": answer, **more}


def release(videos: list[str], images: list[str], annos: list[dict[str, Any]]) -> dict[str, Any]:
    """The three tables of a release, of video paths, image paths (ids from 1) and annos."""
    facts = {
        "source dataset": "Cholec80", "source url": "https://example.org", "clinical specialty": "Hepatobiliary",
        "surgical type": "Cholecystectomy",
    }  # fmt: skip
    return {
        "videos": [{"id": n, **facts, "video path": path} for n, path in enumerate(videos)],
        "images": [{"id": n, "image path": path} for n, path in enumerate(images, 1)],
        "annos": annos,
    }


def surgsigma_v01(root: Path) -> None:
    images = [f"CholecT50/videos/VID{video}/{frame:06d}.png" for video in ("02", "110") for frame in (0, 509)]
    quoting = "The hook lies at [315,0,749,272]."
    annos = [
        anno(1, 1, "hook (369,0),(877,567)", thinking=quoting),
        anno(2, 2, "grasper (0,0),(500,500); hook (500,500),(1000,1000)"),
        anno(3, 3, "No tools detected"),
        anno(4, 4, "<|object_ref_start|>clipper<|object_ref_end|>(10,20),(30,40)"),
        anno(5, 4, "clipper (1 is5, 0, 479, 163)"),
        anno(6, 1, "The phase is Preparation.", types=(5,), **{"gt label": "Preparation"}),
    ]
    value = release(["Cholec80/videos/video02.mp4", "Cholec80/videos/vid110.mp4"], images, annos)
    put(root, "SurgSigma_v0.1_T50subset.json", value)
    for path in [*images, "dense_prediction/depth/VID02/000000.png"]:
        put(root, path, picture(blocks(7, 8)))


WEB = (
    "video,url,licence,channel,title,procedure_type\n"
    "lap_chole_01,https://example.org/watch?v=1,CC-BY-4.0,OR channel,A gallbladder,procedure/cholecystectomy\n"
    "lap_chole_02,https://example.org/watch?v=2,CC BY-NC-SA 4.0,OR channel,Another,procedure/cholecystectomy\n"
)
VTT = (
    "WEBVTT\nKind: captions\n\nNOTE made by hand\n\n1\n00:00:00.000 --> 00:00:02.500 align:start\n"
    "We start with <c>the dissection</c>\n\n00:02.500 --> 00:05.000\nWe start with the dissection\nof the triangle\n\n"
    "00:05.000 --> 00:06.000\nof the triangle\n\n00:00:06.000 --> 00:00:07.000\n\n"
)


def web_video(root: Path) -> None:
    put(root, "manifest.csv", WEB)
    put(root, "lap_chole_01.en.vtt", VTT)
    put(root, "lap_chole_02.srt", "1\n00:00:01,000 --> 00:00:03,000\nNow the clip\n")
    put(root, "lap_chole_02.csv", "start,end,track,label\n0,9.5,phase,preparation\n")


WRITERS: Mapping[str, Callable[[Path], None]] = {
    "cholec80_vqa": cholec80_vqa,
    "endovis18_vqa": endovis18_vqa,
    "endovis_vqla": endovis_vqla,
    "scared": scared,
    "surgsigma_v01": surgsigma_v01,
    "web_video": web_video,
}


def _answers(_: str, content: str) -> int:
    """Annotations, and videos that Cholec80 does not have."""
    value = json.loads(content)
    beyond = [video for video in value["videos"] if int(re.findall(r"\d+", video["video path"])[-2]) > 80]
    return len(value["annos"]) + len(beyond)


ROWS: Mapping[tuple[str, str], Callable[[str, str], int]] = {("surgsigma_v01", ".json"): _answers}
