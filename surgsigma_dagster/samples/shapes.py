"""Outlines in scope units, and what an anatomy is made of. Knows no tissue by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Point = tuple[float, float]
Colour = tuple[int, int, int]  # blue, green, red, as OpenCV orders them
State = Mapping[str, float]  # 0 to 1 unless it counts (clips, sutures); a missing key is 0
Lobules = list[tuple[Point, float]]

_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_ALONG = np.linspace(0, 1, 18)
_BEZIER = np.stack([(1 - _ALONG) ** 2, 2 * _ALONG * (1 - _ALONG), _ALONG**2], axis=1)


@dataclass(frozen=True)
class Layer:
    """One painted shape, labelled `name`; later layers hide earlier ones. `width` makes a tube of a line."""

    name: str
    points: Points
    colour: Colour
    width: float = 0.0  # 0: a filled outline
    relief: float = 0.0  # how round it is lit, and how far it stands out in depth
    alpha: float = 1.0


@dataclass(frozen=True)
class Anatomy:
    """An operative field: what is painted in a state, and where a tip is that does `verb` to `target`.

    The pixel label of `names[i]` is i + 1.
    """

    names: tuple[str, ...]
    background: Colour
    layers: Callable[[State], list[Layer]]
    anchor: Callable[[State, str, str], Point]


def disc(centre: Point, radius: float, squash: float = 1.0) -> Points:
    """An ellipse around `centre` with horizontal semi-axis `radius`."""
    return _CIRCLE * (radius, radius * squash) + centre


def hull(*discs: tuple[Point, float]) -> Points:
    """The convex outline around several discs: a pear for two."""
    rims = np.concatenate([disc(centre, radius) for centre, radius in discs]).astype(np.float32)
    return np.asarray(cv2.convexHull(rims), dtype=np.float64).reshape(-1, 2)


def curve(start: Point, bend: Point, end: Point) -> Points:
    """A quadratic Bézier curve, as 18 points."""
    return _BEZIER @ np.array([start, bend, end])


def along(line: Points, at: float) -> Point:
    """The point of a curve at parameter `at`."""
    x, y = (float(np.interp(at, _ALONG, line[:, axis])) for axis in (0, 1))
    return x, y


def stroke(line: Points, width: float) -> Points:
    """A line with a thickness, as an outline."""
    step = np.gradient(line, axis=0)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    normal = step @ np.array([(0, 1), (-1, 0)]) * width / 2
    return np.concatenate([line + normal, (line - normal)[::-1]])


def lobules(seed: int, line: Points, radius: float, spread: float, n: int) -> Lobules:
    """Fat lobules scattered along `line`."""
    rng = np.random.default_rng(seed)
    centres = line[np.linspace(0, len(line) - 1, n).astype(int)] + rng.uniform(-spread, spread, (n, 2))
    sizes = radius * rng.uniform(0.8, 1.2, n)
    return [((float(x), float(y)), float(r)) for (x, y), r in zip(centres, sizes, strict=True)]


def fat(name: str, clumps: Lobules, shrink: float = 1.0) -> list[Layer]:
    """Yellow lobules, each with a lighter top."""
    found = []
    for (x, y), full in clumps:
        if (r := full * shrink) > 0.015:
            found.append(Layer(name, disc((x, y), r, 0.85), (66, 158, 204)))
            found.append(Layer(name, disc((x - 0.18 * r, y - 0.2 * r), r * 0.62, 0.8), (98, 190, 228)))
    return found


def vessel(name: str, line: Points, width: float, colour: Colour) -> list[Layer]:
    """A tube with a highlight along it."""
    b, g, r = (min(255, c + 38) for c in colour)
    return [Layer(name, line, colour, width, 0.2), Layer(name, line - 0.013, (b, g, r), width / 4)]


def clips(line: Points, places: tuple[float, ...], count: float, length: float, colour: Colour) -> list[Layer]:
    """The first `count` clips across a tube; one is on when `count` is within a half of it."""
    found = []
    for at in places[: int(count + 0.5)]:
        here, ahead = np.array(along(line, at - 0.04)), np.array(along(line, at + 0.04))
        normal = np.array([-(ahead - here)[1], (ahead - here)[0]]) / np.hypot(*(ahead - here)) * length / 2
        bar = (here + ahead) / 2 + np.stack([normal, -normal])
        found += [Layer("clip", bar * 1.0, (50, 40, 50), 0.045), Layer("clip", bar, colour, 0.028)]
    return found


def clip_place(places: tuple[float, ...], count: float) -> float:
    """Where on its tube the applier is: at the next place until that clip is on, then on its way."""
    steps = [step for i in range(len(places)) for step in (i, i + 0.6)]
    return float(np.interp(count, steps, np.repeat(places, 2)))
