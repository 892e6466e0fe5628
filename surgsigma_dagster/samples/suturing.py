"""Suturing of the dorsal venous complex in a robotic prostatectomy, and the procedures that the samples show.

Steps are SAR-RARP50's actions, in its words; each begins with reaching for what it needs, so that a video is a
sequence without gaps. The needle and its thread are tissues to the drawing: they are painted below the jaws that
hold them, and the stretch of the needle that is inside the bundle of veins is not seen.
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
    curve,
    disc,
    fat,
    hull,
    lobules,
    stroke,
)

_REST, _RADIUS = (0.38, 0.4), 0.2  # the needle's centre where it lies at first, and its radius
_ANGLES = np.linspace(0, np.pi, 25)  # from the eye, where the thread is, to the tip
_NEEDLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) * _RADIUS
_EYE, _TAIL, _TIP = 0, 3, 21  # points of the needle: the thread's, where it is held to push and to pull
_VEINS = (0.15, 0.3)  # half of the bundle's width and height
_ROWS = (-0.04, 0.1)  # where the stitches are, from top to bottom
_FREE_END, _POOL, _STUMP = (0.72, 0.2), (0.22, 0.42), (-0.2, 0.2)  # _STUMP: where the thread is cut
_SIDE_FAT = lobules(21, curve((-0.95, -0.5), (-0.7, 0.1), (-0.95, 0.7)), 0.2, 0.07, 9)
_FAT = fat("fat", [*_SIDE_FAT, *(((0.05 - x, y + 0.04), r) for (x, y), r in _SIDE_FAT)])


def _needle(now: State) -> Points:
    """The needle's points, where its centre has been carried to and as far as it has been turned."""
    cos, sin = np.cos(now["turn"]), np.sin(now["turn"])
    return _NEEDLE @ np.array([(cos, sin), (-sin, cos)]) + (_REST[0] + now["dx"], _REST[1] + now["dy"])


def _seen(needle: Points) -> list[Points]:
    """The needle without what is inside the veins: one piece, or two."""
    outside = np.hypot(needle[:, 0] / _VEINS[0], needle[:, 1] / _VEINS[1]) > 1
    pieces = np.split(needle, np.flatnonzero(np.diff(outside)) + 1)
    return [piece for piece in pieces[0 if outside[0] else 1 :: 2] if len(piece) > 1]


def _tying(now: State) -> Point:
    """The held end of the thread, which is led around the other instrument once for every throw."""
    turn = 2 * np.pi * now["throws"]
    return 0.3 + 0.13 * float(np.cos(turn)), 0.3 + 0.13 * float(np.sin(turn))


def _threads(now: State) -> list[Points]:
    """The thread from its free end to the needle, without what is inside the veins."""
    stitches, x = int(now["stitches"] + 0.5), _VEINS[0]
    ends = [_tying(now) if now["throws"] else _FREE_END]
    for y in _ROWS[:stitches]:
        ends += [(x, y), (-x, y)]
    eye = _needle(now)[_EYE]
    ends.append((float(eye[0]), float(eye[1])))
    found = [
        curve(a, ((a[0] + b[0]) / 2, max(a[1], b[1]) + 0.12), b) for a, b in zip(ends[::2], ends[1::2], strict=True)
    ]
    if now["cut"] >= 0.5:
        found[-1] = curve(ends[-2], _STUMP, _STUMP)
    return found


def _layers(state: State) -> list[Layer]:
    now = defaultdict(float, state)
    bone = hull(((-0.7, -0.9), 0.34), ((0.0, -1.0), 0.36), ((0.7, -0.9), 0.34))
    gland = hull(((-0.22, 0.62), 0.3), ((0.22, 0.62), 0.3), ((0.0, 0.42), 0.2))
    found = [
        *_FAT,
        Layer("prostate", gland, (92, 124, 186), relief=0.9),
        Layer("pubic_bone", bone, (186, 200, 218), relief=0.6),
        Layer("veins", disc((0.0, 0.0), _VEINS[0], _VEINS[1] / _VEINS[0]), (104, 84, 150), relief=0.7),
    ]
    for d in (-0.08, 0.0, 0.08):
        vein = curve((1.2 * d, -0.26), (1.7 * d, 0.0), (d, 0.26))
        found.append(Layer("veins", vein, (128, 62, 96), 0.035))
    if now["blood"]:
        found.append(Layer("blood", disc(_POOL, 0.2 * now["blood"], 0.5), (30, 20, 130), alpha=0.85))
    found += [Layer("thread", line, (150, 60, 20), 0.02) for line in _threads(now)]
    for i in range(int(now["throws"] + 0.2)):
        found.append(Layer("thread", disc((_VEINS[0], _ROWS[0] + 0.02 * i), 0.022), (150, 60, 20)))
    return found + [Layer("needle", stroke(piece, 0.024), (222, 220, 214)) for piece in _seen(_needle(now))]


def _anchor(state: State, verb: str, target: str) -> Point:
    now = defaultdict(float, state)
    if target == "needle":
        x, y = _needle(now)[_TIP if verb == "pull" else _TAIL]
        return float(x), float(y)
    if target == "thread":
        return {"tie": _tying(now), "cut": _STUMP}.get(verb) or along(_threads(now)[-1], 0.25)
    return _POOL


ANATOMY = Anatomy(
    names=("fat", "prostate", "pubic_bone", "veins", "blood", "thread", "needle"),
    background=(82, 88, 168),
    layers=_layers,
    anchor=_anchor,
)


def _beat(seconds: float, step: str, *uses: Use, needle: tuple[float, float, float] | None = None, **to: float) -> Beat:
    """`needle` is where its centre is at the end, and how far it is then turned (radians)."""
    if needle:
        to |= {"dx": needle[0] - _REST[0], "dy": needle[1] - _REST[1], "turn": needle[2]}
    return Beat(seconds, "Dorsal_Venous_Complex", step, uses, to)


def _right(verb: str, target: str = "needle") -> Use:
    return Use("Needle Driver", verb, target, "right")


def _left(verb: str, target: str = "needle") -> Use:
    return Use("Needle Driver", verb, target, "left")


def _stitch(number: int, pick: float, position: float, push: float, pull: float, *more: Use) -> tuple[Beat, ...]:
    """One stitch, in seconds of its four actions; `more` instruments are there while the needle is pulled."""
    y, passed, blood = _ROWS[number] - 0.1, number + 1, 0.2 if more else 0.9
    return (
        _beat(pick, "Picking-up the needle", _right("pick"), needle=(0.3, 0.48, -0.3)),
        _beat(position, "Positioning the needle tip", _right("position"), needle=(0.37, y, 0.2)),
        _beat(push, "Pushing the needle through the tissue", _right("push"), needle=(0.0, y, -0.1), blood=0.9),
        _beat(
            pull,
            "Pulling the needle out of the tissue",
            *(_left("pull"), *more),
            needle=(-0.5, 0.22, -0.5),
            stitches=passed,
            blood=blood,
        ),
    )


def _end(tie: float, cut: float, put_down: float) -> tuple[Beat, ...]:
    """The knot, the cut and the needle put down, in seconds."""
    scissors = Use("Round Tip Scissors", "cut", "thread", "right")
    return (
        _beat(tie, "Tying a knot", _right("tie", "thread"), _left("Hold", "thread"), throws=3),
        _beat(cut, "Cutting the suture", scissors, cut=1),
        _beat(put_down, "Returning/dropping the needle", _right("return"), needle=(0.35, 0.5, 0.0)),
    )


_SUCTION = Use("Suction Instrument", "Suction", "blood", "low_right")
VIDEO02 = Script(
    ANATOMY, (_beat(2, "Other"), *_stitch(0, 5, 4, 5, 6), *_stitch(1, 4, 4, 5, 6, _SUCTION), *_end(8, 4, 5)), seed=5
)
VIDEO41 = Script(ANATOMY, (_beat(2, "Other"), *_stitch(0, 6, 5, 4, 7, _SUCTION), *_end(9, 5, 4)), seed=41)
