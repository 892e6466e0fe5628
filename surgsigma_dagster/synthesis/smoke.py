"""Surgical smoke on clear frames, by the physics of haze, and how hazy a frame is.

A ray of light from tissue loses brightness on its way through smoke and gains light that the smoke scatters towards
the camera: I = J t + A (1 - t), with the clear picture J, the light A that smoke returns and the transmission
t = exp(-beta d) (Koschmieder, Theorie der horizontalen Sichtweite, 1924; in this form He et al., Single Image Haze
Removal Using Dark Channel Prior, CVPR 2009). In open air d is distance; in an abdomen the lamp sits at the camera and
smoke hangs in clouds, so d is here the density of a cloud in front of the lens. Rendering such smoke over clear frames
is how desmoking networks get their pairs (Bolkar et al., Deep Smoke Removal from Minimally Invasive Surgery Videos,
ICIP 2018; Chen et al., De-smokeGCN, IEEE TMI 2020). What is left out: blur by multiple scattering, and colour of t.

Same picture and parameters give the same bytes on every machine: random numbers are the raw output of PCG64, which
NumPy keeps stable where its distributions are not; noise is element-wise arithmetic; the rest is integers.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]  # uint8; OpenCV declares its results more loosely

# Smallest and largest value of each parameter that is drawn.
RANGES = {
    "beta": (0.4, 1.5),  # a thin veil (t from 0.67) … outlines alone (t down to 0.22)
    "veil": (0.1, 0.5),  # smoke that has spread evenly: a minute after the hook, and less right beside it
    "scale": (0.25, 0.8),  # of the frame's width: one billow … a front that fills the view
    "persistence": (0.4, 0.58),
    "warp": (0.15, 0.45),
    "level": (110, 165),  # grey of dense smoke at the centre; about 130 where a CholecT50 frame shows nothing else
    "falloff": (0.2, 0.5),
}
CLEAR = 0.21  # see `is_clear`

_FULL = 65535
_STEPS = 4096  # of density, in the table of transmissions: finer than a grey level
_WORKING_WIDTH = 240  # smoke has no edges: its noise is made small and drawn large
_BORDER = 23  # brightest channel; the black around an endoscope's view is noisy up to here


@dataclass(frozen=True)
class Smoke:
    """A cloud: all that, with the picture, decides every pixel.

    `beta` is the optical depth where it is densest, `veil` the share of density that is everywhere. `scale` is the size
    of the largest billow as a share of the frame's width; each of the `octaves` halves it, at `persistence` of its
    strength. `warp` is how far, in billows, noise is drawn out into wisps. `light` is what dense smoke returns at the
    centre (blue, green, red), which falls by `falloff` towards the corners as the lamp's cone does.
    """

    seed: int
    beta: float
    veil: float
    scale: float
    octaves: int
    persistence: float
    warp: float
    light: tuple[int, int, int]
    falloff: float


def smoke_for(seed: int) -> Smoke:
    """The smoke of a 64-bit number: parameters drawn evenly from `RANGES`, rounded as they are kept."""
    draws = iter(_uniform(seed % 2**64, len(RANGES) + 1).tolist())
    drawn = {name: low + (high - low) * next(draws) for name, (low, high) in RANGES.items()}
    level, cool = round(drawn.pop("level")), round(8 * next(draws))
    light = (level + cool, level + cool // 2, level)
    return Smoke(seed=seed, octaves=4, light=light, **{name: round(value, 3) for name, value in drawn.items()})


def parameters(smoke: Smoke) -> dict[str, Any]:
    """What `Smoke(**…)` takes, as JSON holds it (`light` becomes a list)."""
    return dict(json.loads(json.dumps(asdict(smoke))))


def density(shape: tuple[int, int], smoke: Smoke) -> NDArray[np.uint16]:
    """(H, W) from 0 to 65535: noise of several octaves, warped by noise, on top of an even veil."""
    height, width = shape
    step = max(1, width // _WORKING_WIDTH)
    y, x = np.meshgrid(
        (np.arange(-(-height // step)) * step + step / 2) / (smoke.scale * width),
        (np.arange(-(-width // step)) * step + step / 2) / (smoke.scale * width),
        indexing="ij",
    )  # in billows
    aside, along = (smoke.warp * (4 * _noise(y, x, smoke.seed + 1000 + i) - 2) for i in range(2))
    octaves = (
        smoke.persistence**i * _noise((y + aside) * 2**i, (x + along) * 2**i, smoke.seed + i)
        for i in range(smoke.octaves)
    )
    cloud = sum(octaves, np.zeros_like(y))
    cloud = (cloud - cloud.min()) / max(cloud.max() - cloud.min(), 1e-9)
    cloud = cloud * cloud * (3 - 2 * cloud)  # billows and gaps
    small = np.rint(_FULL * (smoke.veil + (1 - smoke.veil) * cloud)).astype(np.uint16)
    # Of OpenCV's ways to enlarge, the one that promises the same bits everywhere.
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR_EXACT), np.uint16)


def transmission(shape: tuple[int, int], smoke: Smoke) -> NDArray[np.uint16]:
    """(H, W): the share of light that comes through, times 65535; from exp(-beta) to exp(-beta veil)."""
    table = np.array([round(_FULL * math.exp(-smoke.beta * k / (_STEPS - 1))) for k in range(_STEPS)], np.uint16)
    return np.asarray(table[density(shape, smoke) >> 4])


def smoked(image: Image, smoke: Smoke) -> Image:
    """`image` ((H, W, 3) uint8, blue first) behind `smoke`. The black around an endoscope's view stays black."""
    seen = view(image)
    shape = seen.shape
    through = transmission((shape[0], shape[1]), smoke).astype(np.uint32)
    rim = cv2.GaussianBlur(seen, (0, 0), max(1.0, shape[1] / 300)).astype(np.uint32)
    through = _FULL - (_FULL - through) * np.minimum(rim, seen) // 255
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if not columns.size:
        return image.copy()
    y, x = np.ogrid[: shape[0], : shape[1]]
    radius2 = ((columns[-1] - columns[0]) ** 2 + (rows[-1] - rows[0]) ** 2) / 4 + 1
    away = (2 * x - columns[0] - columns[-1]) ** 2 / 4 + (2 * y - rows[0] - rows[-1]) ** 2 / 4
    lamp = np.rint(255 * np.clip(1 - smoke.falloff * away / radius2, 0, 1)).astype(np.uint32)
    result = np.empty_like(image)
    for channel, level in enumerate(smoke.light):
        scattered = (lamp * level // 255) * (_FULL - through)
        result[..., channel] = (image[..., channel] * through + scattered + _FULL // 2) // _FULL
    return result


def view(image: Image) -> Image:
    """(H, W) uint8: 255 where the endoscope shows something, 0 in the black that surrounds its round view.

    The view is convex, so the dark hollows at its rim belong to it. What is brighter than the border in less than a
    hundredth of the picture (burned-in text) does not count.
    """
    blue, green, red = cv2.split(image)
    _, bright = cv2.threshold(cv2.medianBlur(cv2.max(cv2.max(blue, green), red), 5), _BORDER, 1, cv2.THRESH_BINARY)
    _, parts, facts, _ = cv2.connectedComponentsWithStats(bright)
    large = facts[:, cv2.CC_STAT_AREA] > bright.size // 100
    large[0] = False  # what is dark
    seen = np.zeros_like(bright)
    outlines, _ = cv2.findContours(large.astype(np.uint8)[parts], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if outlines:
        cv2.fillConvexPoly(seen, cv2.convexHull(np.concatenate(outlines)), 255)
    return seen


def haziness(image: Image) -> float:
    """Mean dark channel inside the view, 0 to 1: the darkest of the colours in a patch, which haze lifts.

    He et al., CVPR 2009: in pictures without haze some pixel of every patch is dark in some colour. Their patch has 15
    pixels in pictures of about 600; here it scales with the width. 0 for a picture that is all border.
    """
    dark, seen = dark_channel(image), view(image)
    return float(dark[seen > 0].mean() / 255) if seen.any() else 0.0


def dark_channel(image: Image) -> Image:
    """(H, W), of the image's type: the smallest value of the three colours within a patch of 1/40 of the width."""
    size = 2 * (image.shape[1] // 80) + 1
    blue, green, red = cv2.split(image)
    return np.asarray(cv2.erode(cv2.min(cv2.min(blue, green), red), np.ones((size, size), np.uint8)))


def is_clear(image: Image, below: float = CLEAR) -> bool:
    """Whether a frame can stand as the clear picture of a pair: its haziness is less than `below`.

    Measured on 120 frames of CholecT50 (VID68, VID70, VID73): the 16 that look veiled, by smoke, fog on the lens or the
    trocar's wall, lie from 0.253 up, 102 others below 0.21, and two that an instrument close to the lens smears
    between. Below 0.21 lie two that a thin wisp crosses (0.198, 0.203). It is a measure for laparoscopy of the abdomen:
    pale tissue, as in the drawings of a prostatectomy (0.23 to 0.26), passes for haze, and `below` has to be measured.
    """
    return haziness(image) < below


def _uniform(seed: int, n: int) -> NDArray[np.float64]:
    """n numbers in 0 … 1, with 53 random bits each, that no release of NumPy changes."""
    raw: Any = np.random.PCG64(seed).random_raw(n)
    return np.asarray(raw >> 11) / 2**53


def _noise(y: NDArray[np.float64], x: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Smooth noise of about 0 … 1 at points of a grid of random values, by cubic B-splines."""
    y, x = y - y.min(), x - x.min()
    rows, columns = int(y.max()) + 4, int(x.max()) + 4
    grid = _uniform(seed % 2**64, rows * columns).reshape(rows, columns)
    left, top = x.astype(np.int64), y.astype(np.int64)
    across, down = _spline(x - left), _spline(y - top)
    total = np.zeros_like(x)
    for i in range(4):
        for k in range(4):
            total += down[i] * across[k] * grid[top + i, left + k]
    return total


def _spline(u: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    v, uu = 1 - u, u * u
    uuu = uu * u
    return [v * v * v / 6, (3 * uuu - 6 * uu + 4) / 6, (3 * (u + uu - uuu) + 1) / 6, uuu / 6]
