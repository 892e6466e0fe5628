"""The sample sources that label every pixel: masks as in CholecSeg8k and SAR-RARP50, depth as in SCARED.

As in `native_formats`, a label is measured on the rendered frame or read off the script, and no adapter is imported.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.samples import cholecystectomy, suturing
from surgsigma_dagster.samples.encode import encode
from surgsigma_dagster.samples.files import seconds, write_picture, write_rows
from surgsigma_dagster.samples.instruments import part_of
from surgsigma_dagster.samples.render import Image, Rendering, outside, render
from surgsigma_dagster.samples.scene import Scene, Script

# CholecSeg8k --------------------------------------------------------------------------------------

CHOLECSEG8K_CLASSES = {  # name: grey value of the watershed mask, RGB of the colour mask
    "Black Background": (50, (127, 127, 127)),
    "Abdominal Wall": (11, (210, 140, 140)),
    "Liver": (21, (255, 114, 114)),
    "Gastrointestinal Tract": (13, (231, 70, 156)),
    "Fat": (12, (186, 183, 75)),
    "Grasper": (31, (170, 255, 0)),
    "Connective Tissue": (23, (255, 85, 0)),
    "Blood": (24, (255, 0, 0)),
    "Cystic Duct": (25, (255, 255, 0)),
    "L-hook Electrocautery": (32, (169, 255, 184)),
    "Gallbladder": (22, (255, 160, 165)),
    "Hepatic Vein": (33, (0, 50, 128)),
    "Liver Ligament": (5, (111, 74, 0)),
}
_SEEN_AS = {  # what is drawn: the class of it; an artery has none of its own and runs in connective tissue
    **{"gut": "Gastrointestinal Tract", "omentum": "Fat", "adhesion": "Fat", "ligament": "Liver Ligament"},
    **{"liver": "Liver", "gallbladder": "Gallbladder", "cystic_duct": "Cystic Duct", "blood": "Blood"},
    **dict.fromkeys(("calot_triangle", "cystic_plate", "cystic_artery"), "Connective Tissue"),
    **{"grasper": "Grasper", "hook": "L-hook Electrocautery"},
}
_SEG8K_FPS, _SEG8K_SIZE, _SEG8K_FRAMES = 25, (480, 272), 3
_SEG8K_FOLDERS = (  # frames of Cholec80's video at which a folder begins: before the first clip, which has no class
    ("video01", cholecystectomy.VIDEO01, (150, 200, 250, 300, 340)),
    ("video12", cholecystectomy.VIDEO12, (25, 75, 125, 200)),
)


def write_cholecseg8k(root: Path) -> None:
    """Folders of consecutive frames of two videos, the first of them the sample of Cholec80.

    The real set's sparse `_endo_mask.png` is left out, since what it holds is nowhere said.
    """
    colours = np.zeros((256, 1, 3), np.uint8)
    for value, rgb in CHOLECSEG8K_CLASSES.values():
        colours[value, 0] = rgb[::-1]
    for video, script, starts in _SEG8K_FOLDERS:
        for start in starts:
            for frame in range(start, start + _SEG8K_FRAMES):
                rendering = render(script.at(frame / _SEG8K_FPS), *_SEG8K_SIZE)
                grey = cv2.cvtColor(_watershed(rendering), cv2.COLOR_GRAY2BGR)
                stem = root / video / f"{video}_{start:05d}" / f"frame_{frame}_endo"
                write_picture(stem.with_name(f"{stem.name}.png"), rendering.image)
                write_picture(stem.with_name(f"{stem.name}_watershed_mask.png"), grey)
                write_picture(stem.with_name(f"{stem.name}_color_mask.png"), cv2.LUT(grey, colours))


def _watershed(rendering: Rendering) -> Image:
    value = {drawn: CHOLECSEG8K_CLASSES[name][0] for drawn, name in _SEEN_AS.items()}
    kinds = [tool.kind for tool in rendering.scene.tools]
    classes = rendering.painted(value.__getitem__, lambda tool, _: value[kinds[tool]])
    classes[classes == 0] = CHOLECSEG8K_CLASSES["Abdominal Wall"][0]  # what is behind everything
    classes[outside(classes.shape)] = CHOLECSEG8K_CLASSES["Black Background"][0]
    return classes


# SAR-RARP50 ---------------------------------------------------------------------------------------

SAR_RARP50_ACTIONS = (
    *("Other", "Picking-up the needle", "Positioning the needle tip", "Pushing the needle through the tissue"),
    *("Pulling the needle out of the tissue", "Tying a knot", "Cutting the suture", "Returning/dropping the needle"),
)
SAR_RARP50_CLASSES = {"clasper": 1, "wrist": 2, "shaft": 3, "needle": 4, "thread": 5, "Suction Instrument": 6}
_SAR_FPS, _SAR_SIZE, _SHOWN = 60, (480, 272), 6  # a drawing stands for six frames, the distance of the labels


def write_sar_rarp50(root: Path, ffmpeg: str) -> None:
    """Two videos of 60 frames a second, an action every sixth frame and a mask every sixtieth."""
    _sar_rarp50(root / "train1" / "video_02", suturing.VIDEO02, ffmpeg)
    _sar_rarp50(root / "test" / "video_41", suturing.VIDEO41, ffmpeg)


def _sar_rarp50(folder: Path, script: Script, ffmpeg: str) -> None:
    scenes = [script.at(i * _SHOWN / _SAR_FPS) for i in range(round(script.seconds * _SAR_FPS / _SHOWN))]
    folder.mkdir(parents=True, exist_ok=True)
    frames = (render(scene, *_SAR_SIZE).image for scene in scenes)
    encode(folder / "video_left.avi", frames, _SAR_SIZE, _SAR_FPS, ffmpeg, times=_SHOWN)
    actions = [(f"{i * _SHOWN:09d}", SAR_RARP50_ACTIONS.index(scene.step)) for i, scene in enumerate(scenes)]
    write_rows(folder / "action_discrete.txt", actions)
    stretches = [
        (round(start * _SAR_FPS), round(end * _SAR_FPS) - 1, SAR_RARP50_ACTIONS.index(step))
        for start, end, step in script.stretches("step")
    ]
    write_rows(folder / "action_continuous.txt", stretches)
    for k, rendering in seconds(script, _SAR_SIZE):
        write_picture(folder / "segmentation" / f"{k * _SAR_FPS:09d}.png", _sar_classes(rendering))


def _sar_classes(rendering: Rendering) -> Image:
    kinds = [tool.kind for tool in rendering.scene.tools]
    return rendering.painted(
        lambda name: SAR_RARP50_CLASSES.get(name, 0),
        lambda tool, polygon: SAR_RARP50_CLASSES.get(kinds[tool]) or SAR_RARP50_CLASSES[part_of(polygon)],
    )


# SCARED -------------------------------------------------------------------------------------------

_SCARED_SIZE, _SCARED_FPS, _SCARED_FRAMES = (320, 256), 25, 10
_NEAR_MM, _RANGE_MM = 30.0, 90.0  # depth at the eye's end of the drawing, and from there to the far wall
_FOCAL_PX, _BASELINE_MM = 259.0, 4.2  # of the da Vinci endoscope, a quarter of its 1280 pixels (Allan et al., 2021)
_SCARED_KEYFRAMES = (  # dataset, keyframe, what is seen, from when on
    (1, 1, cholecystectomy.PARTIAL_VIEW, 0.0),
    (1, 2, cholecystectomy.PARTIAL_VIEW, 9.0),
    (2, 1, cholecystectomy.CRITICAL_VIEW, 4.0),
    (2, 2, cholecystectomy.CRITICAL_VIEW, 10.0),
)


def write_scared(root: Path, ffmpeg: str) -> None:
    """Keyframes: a short video of both eyes, one above the other, and the points that the left one sees at first."""
    for dataset, keyframe, script, since in _SCARED_KEYFRAMES:
        folder = root / f"dataset_{dataset}" / f"keyframe_{keyframe}"
        (folder / "data").mkdir(parents=True, exist_ok=True)
        scenes = [replace(script.at(since + i / _SCARED_FPS), tools=()) for i in range(_SCARED_FRAMES)]
        width, height = _SCARED_SIZE
        encode(folder / "data" / "rgb.mp4", _both_eyes(scenes), (width, 2 * height), _SCARED_FPS, ffmpeg)
        write_picture(folder / "left_depth_map.tiff", _points(_millimetres(render(scenes[0], *_SCARED_SIZE))))


def _millimetres(rendering: Rendering) -> NDArray[np.float32]:
    """(H, W) distance along the optical axis; NaN where nothing is seen, as where nothing could be measured."""
    return np.asarray(_NEAR_MM + _RANGE_MM * rendering.depth(), np.float32)


def _points(z: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 3) x, y, z in millimetres from the left camera, in the order in which OpenCV writes x, y, z."""
    height, width = z.shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = ((u - width / 2) * z / _FOCAL_PX, (v - height / 2) * z / _FOCAL_PX)
    return np.stack([z, y, x], axis=2)


def _both_eyes(scenes: list[Scene]) -> Iterator[Image]:
    """The left picture above the right one, which is the left shifted by its disparity."""
    for scene in scenes:
        left = render(scene, *_SCARED_SIZE)
        v, u = np.mgrid[0 : left.image.shape[0], 0 : left.image.shape[1]].astype(np.float32)
        disparity = np.nan_to_num(_FOCAL_PX * _BASELINE_MM / _millimetres(left))
        yield np.vstack([left.image, cv2.remap(left.image, u + disparity, v, cv2.INTER_LINEAR)])
