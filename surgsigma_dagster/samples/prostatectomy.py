"""Robot-assisted radical prostatectomy: the pelvis seen from above, and the procedures that the samples show.

Phases, steps and actions are in PSI-AVA's words, its spelling included. Beats begin on whole seconds.
"""

from collections import defaultdict

import numpy as np

from surgsigma_dagster.samples.scene import Beat, Script, Use
from surgsigma_dagster.samples.shapes import (
    Anatomy,
    Layer,
    Point,
    Points,
    State,
    along,
    clip_place,
    clips,
    curve,
    disc,
    fat,
    hull,
    lobules,
    vessel,
)

_URETHRA_STUMP = (0.0, -0.44)
_PEDICLE_CLIPS = (0.3, 0.5, 0.7)
_LEFT_FAT = lobules(8, curve((-1.0, -0.5), (-0.75, 0.2), (-0.95, 0.8)), 0.22, 0.07, 10)
_FAT = fat("fat", [*_LEFT_FAT, *(((-x, y + 0.03), r) for (x, y), r in _LEFT_FAT)])
_PROSTATE_FAT = lobules(9, curve((-0.36, -0.32), (0.0, -0.42), (0.36, -0.32)), 0.075, 0.03, 5)


def _centre(now: State) -> Point:
    """The prostate's centre: lifted as the bladder neck opens, carried to the side when it is free."""
    return 0.72 * now["out"], -0.02 - 0.07 * now["neck"] + 0.3 * now["out"]


def _pedicle(side: int) -> Points:
    return curve((0.24 * side, 0.12), (0.45 * side, 0.2), (0.68 * side, 0.42))


def _neck(now: State) -> Point:
    """The bladder neck, drawn up to the urethra by the sutures."""
    return 0.0, 0.4 - 0.08 * now["sutures"]


def _bladder(now: State) -> list[Layer]:
    x, y = _neck(now)
    dome = hull(((-0.28, 0.78), 0.36), ((0.28, 0.78), 0.36), ((x, y), 0.16))
    found = [Layer("bladder", dome, (126, 136, 216), relief=0.9)]
    for d in (0.0, 0.3, 0.55):
        line = curve((-0.4 + d, 0.62), (-0.2 + d, 0.8), (-0.25 + d, 1.0))
        found.append(Layer("bladder", line, (96, 92, 196), 0.012))
    return [*found, Layer("bladder_neck", disc((x, y - 0.07), 0.03 + 0.11 * now["neck"], 0.42), (44, 36, 96))]


def _vesicles(now: State) -> list[Layer]:
    (x, y), shown, found = _centre(now), now["vesicles"], []
    for side in (-1, 1) if shown else ():
        tip = (x + (0.1 + 0.2 * shown) * side, y + 0.28 + 0.1 * shown)
        fold = curve((x + 0.1 * side, y + 0.27), (x + 0.18 * side, y + 0.33), (x + 0.26 * side, y + 0.33))
        lobe = hull(((x + 0.07 * side, y + 0.26), 0.05), (tip, 0.08))
        found.append(Layer("seminal_vesicle", lobe, (150, 178, 206), relief=0.5))
        found.append(Layer("seminal_vesicle", fold, (110, 140, 176), 0.014))
    return found


def _prostate(now: State) -> list[Layer]:
    x, y = _centre(now)
    gland = hull(((x - 0.14, y + 0.02), 0.24), ((x + 0.14, y + 0.02), 0.24), ((x, y - 0.12), 0.2))
    found = [Layer("prostate", gland, (92, 124, 186), relief=1.0)]
    if now["sever"] < 0.5:
        found.insert(0, Layer("urethra", np.array([_URETHRA_STUMP, (x, y - 0.2)]), (140, 170, 212), 0.12, 0.3))
    for d in (-0.1, 0.0, 0.1):
        vein = curve((x + d, y - 0.28), (x + 1.6 * d, y - 0.1), (x + 1.2 * d, y + 0.12))
        found.append(Layer("prostate", vein, (122, 74, 104), 0.03))
    found.append(Layer("prostate", disc((x - 0.2, y - 0.06), 0.03, 1.4), (236, 244, 250), alpha=0.5))
    return found + fat("fat", [((px + x, py + y), r) for (px, py), r in _PROSTATE_FAT])


def _layers(state: State) -> list[Layer]:
    now = defaultdict(float, state)
    bone = hull(((-0.75, -0.95), 0.32), ((0.0, -1.05), 0.33), ((0.75, -0.95), 0.32))
    found = [
        Layer("rectum", hull(((0.0, 0.3), 0.42), ((0.0, -0.1), 0.3)), (92, 96, 176), relief=0.3),
        *_FAT,
        Layer("pubic_bone", bone, (186, 200, 218), relief=0.6),
        Layer("urethra", curve((0.0, -0.75), (0.02, -0.6), _URETHRA_STUMP), (140, 170, 212), 0.13, 0.4),
        Layer("urethra", disc(_URETHRA_STUMP, 0.05, 0.5), (60, 60, 120)),
        *vessel("pedicle", _pedicle(-1), 0.08, (60, 56, 170)),
        *vessel("pedicle", _pedicle(1), 0.08, (60, 56, 170)),
        *clips(_pedicle(1), _PEDICLE_CLIPS, now["clips"], 0.15, (206, 96, 164)),
        *_bladder(now),
        *_vesicles(now),
        *_prostate(now),
    ]
    for d in (-0.105, -0.035, 0.035, 0.105)[: int(now["sutures"])]:
        thread = curve((d, _URETHRA_STUMP[1] - 0.05), (d + 0.05, -0.1), (d, _neck(now)[1] - 0.02))
        found.append(Layer("suture", thread, (120, 50, 20), 0.018))
    if now["blood"]:
        found.append(Layer("blood", disc((0.42, 0.3), 0.2 * now["blood"], 0.5), (30, 20, 130), alpha=0.8))
    return found


def _anchor(state: State, verb: str, target: str) -> Point:
    now = defaultdict(float, state)
    x, y = _centre(now)
    vesicle = (0.1 + 0.2 * now["vesicles"]) * (-1 if verb == "Grasp" else 1)
    return {
        "bladder_neck": (-0.1 + 0.2 * now["neck"], _neck(now)[1] - 0.07),
        "bladder": (-0.25, 0.58),
        "seminal_vesicle": (x + vesicle, y + 0.28),
        "prostate": (x - 0.2, y - 0.1) if verb == "Hold" else (x - 0.08, y + 0.02),
        "pedicle": along(_pedicle(1), clip_place(_PEDICLE_CLIPS, now["clips"])),
        "urethra": (0.0, -0.36) if now["sever"] < 0.5 else (0.0, -0.46),
        "blood": (0.42, 0.29),
        "suture": (-0.02, -0.12),
    }[target]


ANATOMY = Anatomy(
    names=(
        *("rectum", "fat", "pubic_bone", "urethra", "pedicle", "clip", "bladder", "bladder_neck"),
        *("seminal_vesicle", "prostate", "suture", "blood"),
    ),
    background=(82, 88, 168),
    layers=_layers,
    anchor=_anchor,
)


def _scissors(target: str) -> Use:
    return Use("Monopolar Curved Scissors", "Cut", target, "right")


def _hold(kind: str, target: str) -> Use:
    return Use(kind, "Hold", target, "left")


def _beat(seconds: float, phase: str, step: str, *uses: Use, **to: float) -> Beat:
    return Beat(seconds, phase, step, uses, to)


_BEATS = (
    _beat(2, "Idle", "Idle"),
    _beat(
        *(
            6,
            "Id_Bladder_Neck",
            "Cut_Bladder",
            _scissors("bladder_neck"),
            _hold("Prograsp Forceps", "bladder"),
        ),
        neck=1,
        vesicles=0.1,
    ),
    _beat(
        *(6, "Seminal_Vesicles", "Seminal_Vessicle_Dissection", _scissors("seminal_vesicle")),
        Use("Bipolar Forceps", "Grasp", "seminal_vesicle", "left"),
        vesicles=1,
    ),
    _beat(
        *(5, "Pedicle_Control", "Clip_Pedicles", Use("Clip Applier", "Close Something", "pedicle", "right")),
        _hold("Prograsp Forceps", "prostate"),
        clips=3,
        blood=1,
    ),
    _beat(
        *(4, "Severing_Prostate_Urethra", "Cut_Prostate", _scissors("urethra")),
        _hold("Prograsp Forceps", "prostate"),
        Use("Suction Instrument", "Suction", "blood", "low_right"),
        sever=1,
        blood=0.3,
    ),
    _beat(
        *(
            3,
            "Severing_Prostate_Urethra",
            "Pack_Prostate",
            Use("Laparoscopic Grasper", "Pull", "prostate", "right"),
        ),
        out=1,
        blood=0,
    ),
    _beat(
        *(
            4,
            "Bladder_Neck_Rec",
            "Pass_Suture_Urethra",
            Use("Large Needle Driver", "Push", "urethra", "right"),
        ),
        _hold("Bipolar Forceps", "bladder"),
        sutures=2,
    ),
    _beat(
        *(4, "Bladder_Neck_Rec", "Pull_Suture", Use("Large Needle Driver", "Pull", "suture", "right")),
        _hold("Bipolar Forceps", "bladder"),
        sutures=4,
    ),
)
CASE001 = Script(ANATOMY, _BEATS, seed=3)
IN_HOUSE = Script(ANATOMY, _BEATS[1:], seed=14)
