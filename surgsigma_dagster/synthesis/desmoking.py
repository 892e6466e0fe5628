"""The classical answer to smoke, by the dark channel prior, and how close a picture comes to another.

It is the baseline that says how hard a smoked picture is: no model, no training.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.synthesis.smoke import Image, dark_channel, view

OMEGA = 0.95  # of the haze is removed; He et al. keep a trace, which looks natural
T_MIN = 0.1  # below it, noise would be what is amplified
_BRIGHTEST = 0.001  # share of the pixels, by dark channel, that light is taken from
_K1, _K2 = 0.01, 0.03  # Wang et al. 2004
_SIGMA, _WINDOW = 1.5, 11


def desmoked(image: Image) -> Image:
    """`image` ((H, W, 3) uint8, blue first) without haze, by the dark channel prior.

    He et al., Single Image Haze Removal Using Dark Channel Prior, CVPR 2009; transmission is refined by a guided filter
    (He et al., Guided Image Filtering, ECCV 2010) instead of soft matting. The border around the view stays as it is.
    """
    seen = view(image)
    if not seen.any():
        return image.copy()
    dark = np.where(seen > 0, dark_channel(image), 0)
    n = max(1, round(_BRIGHTEST * np.count_nonzero(seen)))
    brightest = np.argpartition(dark.ravel(), -n)[-n:]
    light = np.maximum(image.reshape(-1, 3)[brightest].mean(axis=0), 1.0)
    hazy = dark_channel((image / light).astype(np.float32))
    guide = (cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) / 255).astype(np.float32)
    through = _guided(guide, 1 - OMEGA * hazy, radius=max(4, image.shape[1] // 20), epsilon=1e-3)
    clear = (image - light) / np.clip(through, T_MIN, 1)[..., None] + light
    return np.where(seen[..., None] > 0, np.rint(np.clip(clear, 0, 255)).astype(np.uint8), image)


def _guided(guide: NDArray[Any], what: NDArray[Any], radius: int, epsilon: float) -> NDArray[Any]:
    def mean(of: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.blur(of, (2 * radius + 1, 2 * radius + 1)))

    mean_guide, mean_what = mean(guide), mean(what)
    slope = (mean(guide * what) - mean_guide * mean_what) / (mean(guide * guide) - mean_guide**2 + epsilon)
    return mean(slope) * guide + mean(mean_what - slope * mean_guide)


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures of one shape, dB; infinite for equal ones."""
    _alike(a, b)
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def ssim(a: Image, b: Image) -> float:
    """Mean structural similarity of two uint8 pictures of one shape, in grey, -1 to 1; 1 for equal ones.

    Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 2004: a Gaussian
    window of 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, averaged where the whole window lies inside.
    """
    _alike(a, b)
    x, y = (cv2.cvtColor(c, cv2.COLOR_BGR2GRAY) if c.ndim == 3 else c for c in (a, b))
    if min(x.shape) < _WINDOW:
        raise ValueError(f"pictures of at least {_WINDOW} pixels a side are compared, got {x.shape}")
    x, y = x.astype(np.float64), y.astype(np.float64)

    def mean(of: NDArray[Any]) -> NDArray[Any]:
        edge = _WINDOW // 2
        return np.asarray(cv2.GaussianBlur(of, (_WINDOW, _WINDOW), _SIGMA))[edge:-edge, edge:-edge]

    mx, my = mean(x), mean(y)
    vx, vy, covariance = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (_K1 * 255) ** 2, (_K2 * 255) ** 2
    likeness = (2 * mx * my + c1) * (2 * covariance + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(likeness.mean())


def _alike(a: Image, b: Image) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of one shape are compared, got {a.shape} and {b.shape}")
