"""Pixels and labels of a scene: the same shapes are painted into the picture and into a label map.

The picture is antialiased and lit, the label map is not: every pixel belongs to one tissue or instrument, so
masks, boxes and depth are measured on what is seen, with occlusion. Nothing here knows a dataset's format.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, chain
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.samples.instruments import parts
from surgsigma_dagster.samples.scene import Scene, Tool
from surgsigma_dagster.samples.shapes import Colour, Layer, Points

Image = NDArray[Any]  # uint8; OpenCV declares its results more loosely
Fixed = NDArray[np.int32]  # pixels times 2 to the power of _SHIFT
Polygon = tuple[Fixed, Colour]
FIRST_TOOL = 100
_SHIFT = 4  # OpenCV draws at 1/16 pixel
_MARGIN = 32  # pixels that the texture extends beyond the picture, for the drift
_COARSE = 4  # light is painted at a quarter of the size, and blurred


@dataclass(frozen=True)
class Box:
    """Pixels: left and top edge, width and height; x + width is the first column outside."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Rendering:
    """A frame: `image` is (H, W, 3) uint8, blue first. Labels are painted when they are asked for."""

    scene: Scene
    image: Image
    tissue_shapes: list[tuple[Layer, Fixed]]
    tool_shapes: list[list[Polygon]]

    @cached_property
    def labels(self) -> Image:
        """(H, W) uint8: i + 1 where tissue `anatomy.names[i]` is seen, FIRST_TOOL + i for tool i, else 0."""
        names = self.scene.anatomy.names
        return self.painted(lambda name: names.index(name) + 1, lambda tool, _: FIRST_TOOL + tool)

    def painted(self, tissue: Callable[[str], int], part: Callable[[int, int], int]) -> Image:
        """(H, W) uint8: `tissue(name)` where a tissue is seen, `part(i, j)` where polygon j of tool i is, else 0."""
        shape = self.image.shape[:2]
        labels = np.zeros(shape, np.uint8)
        for layer, fixed in self.tissue_shapes:
            _fill(labels, layer, fixed, tissue(layer.name), cv2.LINE_8, self.scene.camera[2])
        for i, polygons in enumerate(self.tool_shapes):
            for j, (fixed, _) in enumerate(polygons):
                cv2.fillPoly(labels, [fixed], part(i, j), cv2.LINE_8, _SHIFT)
        return cv2.bitwise_and(labels, _view(shape)[1])

    def tissue(self, name: str) -> NDArray[np.bool_]:
        """The visible pixels of a tissue, clip, fluid or bag. Raises ValueError for an unknown name."""
        return np.asarray(self.labels == self.scene.anatomy.names.index(name) + 1)

    def tissues(self) -> dict[str, Box]:
        """The box of every visible tissue."""
        boxes = ((name, extent(self.tissue(name))) for name in self.scene.anatomy.names)
        return {name: box for name, box in boxes if box}

    def instance(self, tool: int) -> NDArray[np.bool_]:
        """The visible pixels of `scene.tools[tool]`."""
        return np.asarray(self.labels == FIRST_TOOL + tool)

    def tools(self) -> list[tuple[Tool, Box]]:
        """Every visible instrument with its box."""
        boxes = ((tool, extent(self.instance(i))) for i, tool in enumerate(self.scene.tools))
        return [(tool, box) for tool, box in boxes if box]

    def depth(self) -> NDArray[np.float32]:
        """Relative depth, 0 at the eye and 1 at the far wall; NaN outside the round view."""
        height, width = self.labels.shape
        relief = np.zeros(256, np.float32)
        for layer in self.scene.anatomy.layers(self.scene.state):
            code = self.scene.anatomy.names.index(layer.name) + 1
            relief[code] = max(relief[code], 0.04 + 0.1 * layer.relief)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        depth = 0.95 - 0.25 * y / height - relief[self.labels]
        for i, tool in enumerate(self.scene.tools):
            ends = _to_pixels(np.array([tool.tip, tool.entry]), self.scene, self.labels.shape)
            along = ends[1] - ends[0]
            u = ((x - ends[0][0]) * along[0] + (y - ends[0][1]) * along[1]) / (along @ along)
            depth = np.where(self.instance(i), 0.55 - 0.45 * np.clip(u, 0, 1), depth)
        return np.where(_view(self.labels.shape)[1] > 0, depth, np.nan).astype(np.float32)


def extent(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box around the set pixels, or None where there are none."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return Box(x, y, width, height) if width else None


def outside(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W): where a picture is black, since it is beyond the rim of the round view."""
    return np.asarray(_view((shape[0], shape[1]))[1] == 0)


def _radius(shape: tuple[int, ...]) -> float:
    return 0.61 * shape[0]


def _to_pixels(points: Points, scene: Scene, shape: tuple[int, ...]) -> Points:
    dx, dy, zoom, roll = scene.camera
    cos, sin = np.cos(roll), np.sin(roll)
    turned = points @ np.array([(cos, sin), (-sin, cos)]) + (dx, dy)
    return turned * zoom * _radius(shape) + (shape[1] / 2, shape[0] / 2)


@lru_cache(maxsize=8)
def _view(shape: tuple[int, int]) -> tuple[Image, Image]:
    """The round view: a factor per pixel (255 is full light) with vignetting, and the mask of it."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    r = np.hypot(x - shape[1] / 2 + 0.5, y - shape[0] / 2 + 0.5) / _radius(shape)
    factor = 255 * np.clip(1.06 - 0.5 * r**2.4, 0, 1) * np.clip((1.0 - r) * _radius(shape), 0, 1)
    inside = np.where(r < 1, 255, 0).astype(np.uint8)
    return cv2.merge([factor.astype(np.uint8)] * 3), inside


@lru_cache(maxsize=8)
def _texture(shape: tuple[int, int], seed: int) -> tuple[Image, Image]:
    """Mottling around 128, and sparse wet glints, both with a margin for the camera's drift."""
    rng = np.random.default_rng(seed)
    size = (shape[1] + 2 * _MARGIN, shape[0] + 2 * _MARGIN)

    def blobs(rows: int, columns: int) -> NDArray[Any]:
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        return np.asarray(cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC))

    noise = sum(
        amplitude * blobs(size[1] // cell + 2, size[0] // cell + 2)
        for cell, amplitude in ((90, 7.0), (30, 7.0), (10, 8.0), (3, 6.0))
    )
    fine = cv2.GaussianBlur(blobs(size[1], size[0]), (0, 0), shape[0] / 150)
    patches = blobs(5, 8)
    glint = np.clip((fine / fine.std() - 2.3) * 160, 0, 210) * (patches > 0.2)
    return np.clip(128 + noise, 70, 190).astype(np.uint8), glint.astype(np.uint8)


def _fill(
    canvas: Image, layer: Layer, fixed: Fixed, value: int | Colour, line: int, zoom: float, height: int = 0
) -> None:
    """Fill an outline or draw a tube; `height` is the picture's where the canvas is a part of it."""
    if layer.width:
        thickness = max(1, round(layer.width * zoom * _radius((height or canvas.shape[0],))))
        cv2.polylines(canvas, [fixed], False, value, thickness, line, _SHIFT)
    else:
        cv2.fillPoly(canvas, [fixed], value, line, _SHIFT)


def _paint(image: Image, layer: Layer, fixed: Fixed, zoom: float) -> None:
    if layer.alpha == 1:
        _fill(image, layer, fixed, layer.colour, cv2.LINE_AA, zoom)
        return
    margin = int(layer.width * _radius(image.shape)) + 2
    x, y, width, height = cv2.boundingRect(fixed >> _SHIFT)
    left, top = max(0, x - margin), max(0, y - margin)
    part = image[top : max(top, y + height + margin), left : max(left, x + width + margin)]
    if part.size:
        over = part.copy()
        moved = fixed - np.array([left << _SHIFT, top << _SHIFT], np.int32)
        _fill(over, layer, moved, layer.colour, cv2.LINE_AA, zoom, image.shape[0])
        cv2.addWeighted(over, layer.alpha, part, 1 - layer.alpha, 0, dst=part)


def _light(layers: list[tuple[Layer, Fixed]], tools: list[list[Polygon]], shape: tuple[int, int]) -> Image:
    """Soft shading, 128 is neutral: round tissues shine at the upper left, instruments cast shadows."""
    light = np.full((shape[0] // _COARSE, shape[1] // _COARSE), 128, np.uint8)
    for layer, fine in layers:
        if not layer.relief:
            continue
        fixed = fine // _COARSE
        if layer.width:
            thickness = max(1, round(layer.width * _radius(shape) / _COARSE))
            cv2.polylines(light, [fixed], False, 132, thickness, cv2.LINE_8, _SHIFT)
            continue
        cv2.fillPoly(light, [fixed], 128 - 44 * layer.relief, cv2.LINE_8, _SHIFT)
        centre, size = fixed.mean(axis=0), np.ptp(fixed, axis=0)
        for scale, value in ((0.84, 4), (0.62, 24), (0.4, 44)):
            inner = (fixed - centre) * scale + centre - (1 - scale) * 0.16 * size
            cv2.fillPoly(light, [inner.astype(np.int32)], 128 + value * layer.relief, cv2.LINE_8, _SHIFT)
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), shape[0] / 90), np.uint8)
    shadow = np.full_like(light, 255)
    offset = np.round(np.array([0.035, 0.05]) * _radius(shape) * (1 << _SHIFT)).astype(np.int32)
    for fixed, _ in chain.from_iterable(tools):
        cv2.fillPoly(shadow, [(fixed + offset) // _COARSE], 140, cv2.LINE_8, _SHIFT)
    light = np.asarray(cv2.multiply(light, cv2.GaussianBlur(shadow, (0, 0), 1.6), scale=1 / 255), np.uint8)
    return cv2.resize(light, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def _project(outlines: list[Points], scene: Scene, shape: tuple[int, int]) -> list[Fixed]:
    """Every outline in fixed-point pixels, in one go."""
    pixels = _to_pixels(np.concatenate(outlines), scene, shape) * (1 << _SHIFT)
    fixed, ends = np.round(pixels).astype(np.int32), accumulate(map(len, outlines))
    return [fixed[end - len(points) : end] for points, end in zip(outlines, ends, strict=True)]


def _polygons(tool: Tool, scene: Scene, shape: tuple[int, int]) -> list[Polygon]:
    along = np.subtract(tool.tip, tool.entry)
    length = float(np.hypot(*along))
    cos, sin = along / length
    drawn = parts(tool.kind, tool.opening, length)
    outlines = [points @ np.array([(cos, sin), (-sin, cos)]) + tool.tip for points, _ in drawn]
    return [(fixed, colour) for fixed, (_, colour) in zip(_project(outlines, scene, shape), drawn, strict=True)]


@lru_cache(maxsize=8)
def _background(shape: tuple[int, int], colour: Colour) -> Image:
    return np.full((*shape, 3), colour, np.uint8)


def render(scene: Scene, width: int = 480, height: int = 272) -> Rendering:
    """Paint `scene`. About 5 ms at 480x272; the same scene and size give the same bytes."""
    shape, (dx, dy, zoom, _) = (height, width), scene.camera
    image = _background(shape, scene.anatomy.background).copy()
    drawn = scene.anatomy.layers(scene.state)
    layers = list(zip(drawn, _project([layer.points for layer in drawn], scene, shape), strict=True))
    for layer, fixed in layers:
        _paint(image, layer, fixed, zoom)
    tools = [_polygons(tool, scene, shape) for tool in scene.tools]
    left, top = (_MARGIN - round(0.8 * _radius(shape) * d) for d in (dx, dy))
    mottle, glint = (whole[top : top + height, left : left + width] for whole in _texture(shape, scene.seed))
    factor = cv2.multiply(_light(layers, tools, shape), mottle, scale=1 / 128)
    image = cv2.multiply(image, cv2.merge([factor] * 3), scale=1 / 128)
    image = cv2.add(image, cv2.merge([glint] * 3))
    for fixed, colour in chain.from_iterable(tools):
        cv2.fillPoly(image, [fixed], colour, cv2.LINE_AA, _SHIFT)
    return Rendering(scene, cv2.multiply(image, _view(shape)[0], scale=1 / 255), layers, tools)
