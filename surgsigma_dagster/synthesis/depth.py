"""Relative depth as one picture of 16 bits, from depth in whatever unit a source has it.

0 is not measured; 1 to 65535 run from near to far, so darker is nearer.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.sources.errors import SourceError

PERCENTILES = (0.5, 99.5)  # of what was measured: single outliers of stereo matching would flatten everything else
FARTHEST = 65535
_FILE_ORDER = {3: (2, 1, 0), 4: (2, 1, 0, 3)}  # OpenCV turns red, green, blue around, also where they are x, y, z


def relative_depth(path: Path, channel: int | None, size: tuple[int, int] | None = None) -> NDArray[np.uint16]:
    """(H, W) uint16 of a source's depth image: floats or integers, larger is farther.

    Of a picture as wide as `size` (width, height of the frame, pixels) and twice as high, the upper half: stacked
    stereo, as SCARED's point maps are, of which frames show the left eye.
    `channel` counts as the file does, from 0; None for a picture of one channel, or of equal ones. What is NaN,
    infinite, zero or negative was not measured. Raises `SourceError` for a file that holds no such depth.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SourceError(path, "", "a depth image that can be read", "none" if path.exists() else "no such file")
    if size and image.shape[:2] == (2 * size[1], size[0]):
        image = image[: size[1]]
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels > 1:
        order = _FILE_ORDER.get(channels, range(channels))
        image = image[..., list(order)]
        if channel is None:
            if not (image[..., :1] == image[..., :3]).all():
                raise SourceError(path, "", "one channel, or equal ones", f"{channels} that differ")
            channel = 0
    if channel is not None and channel >= channels:
        raise SourceError(path, f"channel {channel}", f"a channel from 0 to {channels - 1}", channel)
    depth = (image if channels == 1 else image[..., channel]).astype(np.float64)
    measured = np.isfinite(depth) & (depth > 0)
    if not measured.any():
        raise SourceError(path, "", "depth somewhere", f"{depth.size} pixels without")
    return scaled(depth, measured)


def scaled(depth: NDArray[Any], measured: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """`depth`, larger is farther, from 1 to 65535 between its percentiles; 0 where it was not measured.

    A plane of one depth is 1 everywhere.
    """
    low, high = np.percentile(depth[measured], PERCENTILES)
    share = np.clip((np.where(measured, depth, low) - low) / max(high - low, 1e-12), 0, 1)
    return np.where(measured, np.rint(1 + (FARTHEST - 1) * share), 0).astype(np.uint16)
