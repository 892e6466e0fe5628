"""What instruments look like: polygons in a frame of their own, in scope units.

x runs along the shaft towards the tip, which is at x = 0; y runs across. Each kind has a silhouette and a
colour of its own, so that a person can name it. Where it is and how far it is open is said by the scene.
"""

import numpy as np

from surgsigma_dagster.samples.shapes import Colour, Points, curve, disc, stroke

Part = tuple[Points, Colour]
STEEL, DARK, LIGHT, BLACK = (168, 166, 160), (74, 72, 70), (216, 214, 208), (38, 36, 36)
GOLD, ORANGE, BLUE, GREEN, PURPLE = (
    (70, 168, 214),
    (40, 110, 225),
    (184, 110, 40),
    (60, 150, 60),
    (206, 96, 164),
)


def _bar(x1: float, x2: float, width: float, tip_width: float | None = None, y: float = 0.0) -> Points:
    a, b = width / 2, (width if tip_width is None else tip_width) / 2
    return np.array([(x1, y - a), (x2, y - b), (x2, y + b), (x1, y + a)])


def _jaws(opening: float, pivot: float, degrees: float, *upper: Part) -> list[Part]:
    """A jaw on the y > 0 side, opened around the pivot by up to `degrees`, and its mirror image."""
    a = np.radians(2 + opening * degrees)
    turn = np.array([(np.cos(a), np.sin(a)), (-np.sin(a), np.cos(a))])
    turned = [((points - (pivot, 0)) @ turn + (pivot, 0), colour) for points, colour in upper]
    return turned + [(points * (1, -1), colour) for points, colour in turned]


def _fenestrated(length: float, width: float, colour: Colour) -> tuple[Part, Part]:
    """A blunt jaw with a window."""
    nose = [(-0.06, width), (-0.01, 0.7 * width), (0, 0.3 * width), (-0.01, 0)]
    window = _bar(-0.78 * length, -0.25 * length, 0.42 * width, y=0.5 * width)
    return (np.array([(-length, 0), (-length, width), *nose]), colour), (window, DARK)


def _blade(length: float, width: float) -> tuple[Part, Part]:
    """A pointed blade with a straight dark edge."""
    back = [(-1.12 * length, -0.6 * width), (-0.9 * length, width), (-0.55 * length, 0.95 * width)]
    edge = np.array([(-0.85 * length, 0.0), (0, 0), (-0.85 * length, -0.4 * width)])
    return (np.array([*back, (0, 0), (-0.9 * length, -0.5 * width)]), LIGHT), (edge, DARK)


def _bent(points: Points, since: float) -> Points:
    """The part beyond x = `since` curved towards y > 0."""
    return points + np.outer(1.6 * np.clip(points[:, 0] - since, 0, None) ** 2, (0, 1))


def _tine(length: float, bow: float, width: float) -> tuple[Part, Part]:
    """A slender bowed tine with a golden contact."""
    whole = curve((-length, 0.01), (-0.5 * length, 2 * bow), (0, 0.006))
    return (stroke(whole, width), LIGHT), (stroke(whole[11:], width * 1.15), GOLD)


def _clip_jaws(opening: float, clip: Colour) -> list[Part]:
    """A fork with a clip between its prongs."""
    gap = 0.022 + 0.05 * opening
    prong = curve((-0.13, gap), (-0.05, gap + 0.012), (0.0, gap))
    upper = [(stroke(prong, 0.04), STEEL), (stroke(prong[5:] - (0, 0.016), 0.018), clip)]
    root = _bar(-0.2, -0.12, 0.1, 2 * gap + 0.05)
    return [(root, DARK), *upper, *((points * (1, -1), colour) for points, colour in upper)]


def _shaft(length: float, end: float, width: float, colour: Colour) -> list[Part]:
    """A round shaft from the rim to `end`, wider where it is nearer to the eye, with a highlight."""
    b, g, r = colour
    sides = _bar(-length, end, width * 1.3, width), (int(b * 0.62), int(g * 0.62), int(r * 0.62))
    shine = _bar(-length, end, width * 0.2, width * 0.16, -0.14 * width), (b + 62, g + 62, r + 62)
    return [sides, (_bar(-length, end, width * 0.86, width * 0.66), colour), shine]


def _robot(length: float, ring: Colour) -> list[Part]:
    """A da Vinci style shaft with a coloured ring and a wrist."""
    wrist = [(_bar(-0.36, -0.27, 0.11), DARK), (_bar(-0.29, -0.2, 0.09, 0.075), STEEL)]
    marks = [(_bar(-0.385, -0.355, 0.118), ring), (disc((-0.24, 0), 0.016), BLACK)]
    return [*_shaft(length, -0.34, 0.115, (58, 56, 54)), *wrist, *marks]


def _tube(length: float, width: float, colour: Colour) -> list[Part]:
    """An open tube with side holes."""
    holes = [(disc((-0.05 - 0.05 * i, 0.012 * (-1) ** i), 0.011), BLACK) for i in range(4)]
    return [
        *_shaft(length, 0.0, width, colour),
        (disc((0.0, 0.0), 0.022, 0.45 * width / 0.022), DARK),
        *holes,
    ]


def part_of(polygon: int) -> str:
    """What polygon number `polygon` of a robotic instrument belongs to: its shaft, wrist or clasper."""
    return "shaft" if polygon < 3 else "wrist" if polygon < 7 else "clasper"  # as `_robot` lists them


def parts(kind: str, opening: float, length: float) -> list[Part]:
    """The polygons of an instrument, back to front. `length` is the distance from tip to entry.

    Raises ValueError for a kind that has no drawing.
    """
    match kind:
        case "grasper":
            jaws = _jaws(opening, -0.24, 19, *_fenestrated(0.24, 0.055, LIGHT))
            return [*_shaft(length, -0.26, 0.1, (92, 90, 88)), (_bar(-0.29, -0.2, 0.1, 0.08), STEEL), *jaws]
        case "hook":
            ceramic = _bar(-0.23, -0.15, 0.075, 0.05), (196, 222, 236)
            bent = np.array([(-0.16, 0), (-0.02, 0), (0.0, 0.015), (0.005, 0.04), (0.0, 0.12)])
            shine = stroke(np.array([(-0.15, -0.006), (-0.02, -0.006)]), 0.01), LIGHT
            return [*_shaft(length, -0.22, 0.085, (44, 42, 42)), ceramic, (stroke(bent, 0.032), STEEL), shine]
        case "bipolar":
            root, tines = (_bar(-0.27, -0.2, 0.08, 0.05), (120, 60, 20)), _tine(0.22, 0.055, 0.026)
            return [*_shaft(length, -0.24, 0.09, (168, 92, 34)), root, *_jaws(opening, -0.22, 8, *tines)]
        case "scissors":
            root, pin = (_bar(-0.26, -0.18, 0.09, 0.05), STEEL), (disc((-0.2, 0), 0.012), BLACK)
            blades = _jaws(opening, -0.2, 22, *_blade(0.2, 0.045))
            return [*_shaft(length, -0.24, 0.1, (128, 126, 122)), root, *blades, pin]
        case "clipper":
            band = _bar(-0.27, -0.235, 0.142), ORANGE
            return [
                *_shaft(length, -0.2, 0.135, (150, 148, 146)),
                band,
                *_clip_jaws(opening, (244, 244, 240)),
            ]
        case "irrigator":
            return _tube(length, 0.085, (178, 176, 172))
        case "Bipolar Forceps":
            return [*_robot(length, BLUE), *_jaws(opening, -0.22, 12, *_tine(0.22, 0.06, 0.034))]
        case "Prograsp Forceps":
            return [*_robot(length, STEEL), *_jaws(opening, -0.22, 16, *_fenestrated(0.22, 0.062, STEEL))]
        case "Large Needle Driver" | "Needle Driver":  # the second without a needle
            jaw = np.array([(-0.2, 0), (-0.2, 0.04), (-0.06, 0.045), (-0.02, 0.02), (-0.02, 0)])
            needle = stroke(disc((-0.025, 0.0), 0.11)[4:21], 0.016), LIGHT
            held = [needle] if kind == "Large Needle Driver" else []
            return [*_robot(length, GREEN), *_jaws(opening, -0.2, 6, (jaw, STEEL)), *held]
        case "Round Tip Scissors":
            return [*_robot(length, BLACK), *_jaws(opening, -0.2, 20, *_blade(0.2, 0.045))]
        case "Monopolar Curved Scissors":
            sleeve = [
                (_bar(-0.37, -0.17, 0.12, 0.075), ORANGE),
                (_bar(-0.36, -0.18, 0.03, 0.02), (110, 150, 240)),
            ]
            straight = _jaws(opening, -0.18, 20, *_blade(0.18, 0.045))
            curved = [(_bent(points, -0.18), colour) for points, colour in straight]
            return [*_robot(length, ORANGE), *sleeve, *curved]
        case "Suction Instrument":
            return _tube(length, 0.075, (193, 193, 188))
        case "Clip Applier":
            return [*_robot(length, PURPLE), *_clip_jaws(opening, PURPLE)]
        case "Laparoscopic Grasper":
            jaws = _jaws(opening, -0.24, 19, *_fenestrated(0.24, 0.055, LIGHT))
            return [
                *_shaft(length, -0.26, 0.085, (150, 148, 146)),
                (_bar(-0.29, -0.2, 0.085, 0.07), DARK),
                *jaws,
            ]
    raise ValueError(f"no drawing of an instrument of kind {kind!r}")
