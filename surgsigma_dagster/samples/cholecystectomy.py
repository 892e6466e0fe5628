"""Laparoscopic cholecystectomy: the anatomy around the gallbladder, and the procedures that the samples show.

Phases are in Cholec80's words, verbs and targets in CholecT50's. Beats begin on whole seconds, so that a
sample at 1 fps meets each instrument either in view or out of it.
"""

from collections import defaultdict

import numpy as np

from surgsigma_dagster.samples.scene import Beat, Script, Use
from surgsigma_dagster.samples.shapes import (
    Anatomy,
    Layer,
    Lobules,
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

_FUNDUS, _NECK, _INFUNDIBULUM = (0.40, -0.40), (0.04, 0.06), (-0.08, 0.13)
_DUCT_END, _ARTERY_END, _POOL = (-0.56, 0.46), (-0.60, -0.04), (0.02, 0.62)
_PLATE_SHOWN = 0.2  # the part of `peel` in which the lower third of the gallbladder comes off the cystic plate
_CUT = 0.5  # where duct and artery are cut, between the clips
_DUCT_CLIPS, _ARTERY_CLIPS = (0.86, 0.74, 0.28), (0.72, 0.28)
_DUCT_FAT = lobules(3, curve(_INFUNDIBULUM, (-0.24, 0.36), _DUCT_END), 0.085, 0.03, 12)
_ARTERY_FAT = lobules(4, curve((-0.1, 0.01), (-0.3, -0.09), _ARTERY_END), 0.075, 0.025, 11)
_TRIANGLE_FAT = lobules(5, curve((-0.17, 0.08), (-0.36, 0.12), (-0.52, 0.22)), 0.1, 0.04, 7)
_OMENTUM = fat("omentum", lobules(6, curve((-1.1, 0.75), (-0.1, 1.15), (1.1, 0.62)), 0.24, 0.06, 10))
_LIVER_EDGE = [
    (-1.4, 0.02),
    (-1.0, 0.02),
    (-0.7, -0.12),
    (-0.35, -0.2),
    (0.0, -0.14),
    (0.3, -0.02),
    (0.85, 0.2),
]
_LIVER = np.array([(-1.4, -1.4), *_LIVER_EDGE, (1.4, 0.32), (1.4, -1.4)])


def _mouth(state: State) -> Point:
    """The middle of the bag's opening: the bag enters at the lower right and leaves at the upper left."""
    enter, leave = state.get("bag", 0), state.get("leave", 0)
    return 1.45 - 1.05 * enter - 1.0 * leave, 0.95 - 0.83 * enter - 0.5 * leave


def _gallbladder(state: State) -> Lobules:
    """The pear's discs: turned off the bed around the fundus as it is peeled, then carried into the bag."""
    turn, packed, (mx, my) = -0.95 * state.get("peel", 0), state.get("bagged", 0), _mouth(state)
    cos, sin = np.cos(turn), np.sin(turn)
    found = []
    for (x, y), radius in ((_FUNDUS, 0.33), (_NECK, 0.17), (_INFUNDIBULUM, 0.085)):
        dx, dy = x - _FUNDUS[0], y - _FUNDUS[1]
        here = (
            _FUNDUS[0] + cos * dx - sin * dy,
            _FUNDUS[1] + sin * dx + cos * dy + 0.12 * state.get("free", 0),
        )
        bag = (mx + 0.5 * dx + 0.12, my + 0.45 * dy + 0.25)
        at = (float(here[0] + packed * (bag[0] - here[0])), float(here[1] + packed * (bag[1] - here[1])))
        found.append((at, radius * (1 - 0.5 * packed)))
    return found


def _duct(state: State) -> Points:
    return curve(_gallbladder(state)[2][0], (-0.24, 0.36), _DUCT_END)


def _artery(state: State) -> Points:
    (x, y), radius = _gallbladder(state)[1]
    return curve((x - 0.8 * radius, y - 0.05), (-0.3, -0.09), _ARTERY_END)


def _stumps(line: Points, cut: float, detached: bool) -> list[Points]:
    """A tube as it stands: whole, in two, or only the part that stays in the patient."""
    gap = 2 * cut
    whole = [line] if not cut else [line[: round(8.5 - gap) + 1], line[round(8.5 + gap) :]]
    return whole[1:] if detached else whole


def _bed(now: State) -> list[Layer]:
    shown = min(1.0, now["peel"] / _PLATE_SHOWN)
    if not shown:
        return []
    bare = hull((_FUNDUS, 0.31 * max(shown, 0.8)), (_NECK, 0.2 * shown), ((-0.04, 0.0), 0.13 * shown))
    found = [Layer("cystic_plate", bare, (150, 168, 214), relief=0.1)]
    for d in (0.0, 0.1, 0.2):
        line = curve((d, -0.05), (0.1 + d, -0.25), (0.3 + d, -0.4))
        found.append(Layer("cystic_plate", line, (120, 132, 196), 0.012))
    if now["char"]:
        found.append(Layer("cystic_plate", disc((0.21, -0.24), 0.1 * now["char"], 0.8), (70, 84, 104)))
    if bleed := now["bleed"]:
        found.append(Layer("blood", hull(((0.22, -0.3), 0.09 * bleed), ((0.18, -0.12), 0.05 * bleed)), (22, 14, 120)))
    return found


def _calot(now: State) -> list[Layer]:
    """The triangle, duct and artery with their clips, under fat that dissection takes away."""
    duct, artery, detached = _duct(now), _artery(now), now["free"] > 0.3
    triangle = np.concatenate([artery, duct[::-1]])
    found = []
    if not detached:
        found.append(Layer("calot_triangle", triangle, (84, 92, 172)))
        for d in (0.0, 0.12):
            line = curve((-0.2 - d, 0.02), (-0.3 - d, 0.12), (-0.28 - d, 0.24))
            found.append(Layer("calot_triangle", line, (112, 122, 196), 0.012))
    for stump in _stumps(duct, now["duct_cut"], detached):
        found += vessel("cystic_duct", stump, 0.075, (112, 186, 200))
    for stump in _stumps(artery, now["artery_cut"], detached):
        found += vessel("cystic_artery", stump, 0.045, (44, 40, 196))
    left = {False: (3, 2), True: (2, 1)}[detached]
    found += clips(duct, _DUCT_CLIPS[: left[0]], now["duct_clips"], 0.13, (240, 240, 236))
    found += clips(artery, _ARTERY_CLIPS[: left[1]], now["artery_clips"], 0.1, (240, 240, 236))
    if now["triangle"] < 1:
        middle = triangle.mean(axis=0)
        found.append(Layer("adhesion", middle + (triangle - middle) * (1 - now["triangle"]), (66, 158, 204)))
    for clump, cleared in ((_TRIANGLE_FAT, "triangle"), (_ARTERY_FAT, "artery"), (_DUCT_FAT, "duct")):
        found += fat("adhesion", clump, 1 - now[cleared])
    return found


def _fluids(now: State) -> list[Layer]:
    found = []
    if fluid := now["fluid"]:
        (x, y) = _POOL
        found.append(Layer("fluid", disc((x, y), 0.46 * fluid**0.5, 0.42), (150, 120, 120), alpha=0.62))
        found.append(Layer("fluid", disc((x - 0.1, y - 0.05), 0.2 * fluid, 0.2), (205, 190, 190), alpha=0.4))
    if now["irrigate"]:
        for d in (-0.05, 0.0, 0.05):
            jet = curve((0.0, 0.28), (-0.12 + d, 0.0), (-0.2 + 2.2 * d, -0.3))
            found.append(Layer("fluid", jet, (232, 214, 190), 0.016, alpha=0.75))
    return found


def _pear(now: State) -> list[Layer]:
    discs = _gallbladder(now)
    (fundus, radius), (neck, _) = discs[:2]
    a, b = np.array(fundus), np.array(neck)
    found = [Layer("gallbladder", hull(*discs), (104, 158, 142), relief=1.0)]
    for bend in (-0.35, 0.0, 0.3):
        side = np.array([-(b - a)[1], (b - a)[0]]) * bend * 1.1
        line = curve(tuple(a + side * 0.6), tuple((a + b) / 2 + side), tuple(b + side * 0.3))
        found.append(Layer("gallbladder", line, (88, 112, 168), 0.011, alpha=0.7))
    x, y = a - radius * np.array([0.4, 0.3])
    shine = hull(((x, y), 0.09 * radius), ((x - 0.1 * radius, y + 0.3 * radius), 0.06 * radius))
    return [*found, Layer("gallbladder", shine, (236, 246, 246), alpha=0.5)]


def _bag(now: State) -> list[Layer]:
    if not now["bag"]:
        return []
    x, y = _mouth(now)
    pouch = np.array([(-0.3, 0), (0.3, 0), (0.36, 0.34), (0.2, 0.6), (-0.12, 0.6), (-0.3, 0.3)]) + np.array([x, y])
    rim = disc((x, y), 0.31, 0.22)
    found = [Layer("specimen_bag", pouch, (226, 212, 196), relief=0.5, alpha=0.7)]
    for d in (0.0, 0.16, 0.34):
        fold = curve((x - 0.2 + d, y + 0.05), (x + d, y + 0.3), (x - 0.05 + d, y + 0.52))
        found.append(Layer("specimen_bag", fold, (190, 172, 150), 0.014, alpha=0.7))
    return [*found, Layer("specimen_bag", np.concatenate([rim, rim[:1]]), (196, 112, 34), 0.035)]


def _layers(state: State) -> list[Layer]:
    now = defaultdict(float, state)
    return [
        Layer("gut", hull(((0.75, 0.75), 0.3), ((1.2, 0.45), 0.3)), (120, 132, 205), relief=0.5),
        *_OMENTUM,
        Layer("ligament", curve((-0.64, -0.3), (-0.6, 0.4), (-0.5, 1.0)), (98, 128, 188), 0.17, 0.2),
        Layer("liver", _LIVER, (46, 44, 122), relief=0.5),
        Layer("liver", curve((-1.2, -0.02), (-0.4, -0.26), (0.0, -0.15)), (66, 62, 148), 0.02),
        *_bed(now),
        *_calot(now),
        *_fluids(now),
        *_pear(now),
        *_bag(now),
    ]


def _anchor(state: State, verb: str, target: str) -> Point:
    now = defaultdict(float, state)
    match target:
        case "cystic_duct" | "cystic_artery":
            name = target.removeprefix("cystic_")
            line, places = (_duct(state), _DUCT_CLIPS) if name == "duct" else (_artery(state), _ARTERY_CLIPS)
            clip = clip_place(places, now[f"{name}_clips"])
            return along(line, {"dissect": 0.35 + 0.3 * now[name], "clip": clip}.get(verb, _CUT))
        case "gallbladder":
            ((fx, fy), _), ((nx, ny), r), _ = _gallbladder(state)
            if verb == "dissect":
                return nx - 0.7 * r, ny - 0.3 * r
            return 0.3 * fx + 0.7 * nx + 0.09, 0.3 * fy + 0.7 * ny + 0.05
        case "specimen_bag":
            x, y = _mouth(state)
            return x + 0.05, y + 0.07
        case "cystic_plate":
            return (0.2, -0.24) if verb == "coagulate" else (_NECK[0] - 0.1, _NECK[1] - 0.12)
        case "liver":
            return 0.0, 0.28  # the jet reaches it, the tube does not
        case "fluid":
            return _POOL[0] + 0.05, _POOL[1] - 0.05
    raise ValueError(f"nothing here is drawn to {verb} {target}")


def criteria(state: State) -> dict[str, tuple[int, int, int]]:
    """The criteria of the critical view of safety, each as three raters see them, from lenient to strict.

    C1: duct and artery are the two structures that are seen. C2: the triangle is cleared. C3: the lower part
    of the gallbladder is off the cystic plate.
    """
    now = defaultdict(float, state)
    cleared = {"C1": min(now["duct"], now["artery"]), "C2": now["triangle"], "C3": now["peel"] / _PLATE_SHOWN}
    return {name: (int(value > 0.6), int(value > 0.75), int(value > 0.9)) for name, value in cleared.items()}


ANATOMY = Anatomy(
    names=(
        *("gut", "omentum", "ligament", "liver", "calot_triangle", "cystic_plate", "blood", "cystic_duct"),
        *("cystic_artery", "clip", "adhesion", "fluid", "gallbladder", "specimen_bag"),
    ),
    background=(78, 84, 156),
    layers=_layers,
    anchor=_anchor,
)


def _beat(seconds: float, phase: str, *uses: Use, **to: float) -> Beat:
    return Beat(seconds, phase, uses=uses, to=to)


_HOLD = Use("grasper", "retract", "gallbladder", "right")
_PREPARE = (
    _beat(1, "Preparation"),
    _beat(2, "Preparation", Use("grasper", side="right")),
    _beat(2, "Preparation", Use("grasper", "grasp", "gallbladder", "right")),
)
_CALOT = (
    _beat(3, "CalotTriangleDissection", Use("hook", "dissect", "cystic_duct"), _HOLD, duct=1, triangle=0.3),
    _beat(
        3,
        "CalotTriangleDissection",
        Use("hook", "dissect", "cystic_artery"),
        _HOLD,
        artery=1,
        triangle=1,
        peel=0.03,
    ),
    _beat(3, "CalotTriangleDissection", Use("hook", "dissect", "cystic_plate"), _HOLD, peel=0.22),
)
_CLIP = (
    _beat(4, "ClippingCutting", Use("clipper", "clip", "cystic_duct"), _HOLD, duct_clips=3),
    _beat(2, "ClippingCutting", Use("clipper", "clip", "cystic_artery"), _HOLD, artery_clips=2),
    _beat(2, "ClippingCutting", Use("scissors", "cut", "cystic_duct"), _HOLD, duct_cut=1),
    _beat(2, "ClippingCutting", Use("scissors", "cut", "cystic_artery"), _HOLD, artery_cut=1),
)
_PEEL = (_beat(5, "GallbladderDissection", Use("hook", "dissect", "gallbladder"), _HOLD, peel=1, free=1, bleed=0.8),)
_PACK = (
    _beat(2, "GallbladderPackaging", Use("grasper", "grasp", "gallbladder", "left"), bag=1),
    _beat(3, "GallbladderPackaging", Use("grasper", "pack", "gallbladder", "left"), bagged=1),
)
_CLEAN = (
    _beat(2, "CleaningCoagulation", Use("irrigator", "irrigate", "liver"), fluid=1),
    _beat(2, "CleaningCoagulation", Use("bipolar", "coagulate", "cystic_plate", "left"), bleed=0, char=1),
    _beat(2, "CleaningCoagulation", Use("irrigator", "aspirate", "fluid"), fluid=0.05),
)
_EXTRACT = (_beat(3, "GallbladderRetraction", Use("grasper", "grasp", "specimen_bag", "top"), leave=1),)

VIDEO01 = Script(ANATOMY, (*_PREPARE, *_CALOT, *_CLIP, *_PEEL, *_PACK, *_CLEAN, *_EXTRACT), seed=1)
VIDEO51 = Script(ANATOMY, (*_PREPARE[1:], *_CALOT, *_CLIP, *_PEEL, *_CLEAN, *_PACK, *_EXTRACT), seed=49)
_SHOW = _beat(2, "CalotTriangleDissection", _HOLD)
_INCOMPLETE = _beat(
    *(6, "CalotTriangleDissection", Use("hook", "dissect", "cystic_artery"), _HOLD),
    artery=0.85,
    triangle=0.68,
)
CRITICAL_VIEW = Script(ANATOMY, (*_CALOT, _SHOW), seed=162)
VIDEO12 = Script(ANATOMY, (*_CALOT, _SHOW), seed=12)
PARTIAL_VIEW = Script(ANATOMY, (_CALOT[0], _INCOMPLETE, _SHOW), seed=2)
