"""How answers are scored: one function a metric of `dialogue.task`, over the structures of `dialogue.grammar`.

`score` picks the metric of a task. A score is the higher the better between 0 and 1, unless said. One that does not
exist, as the overlap of nothing with nothing, is NaN; input that cannot be compared is a `ValueError`. No answer is a
wrong answer: a model that says nothing is not spared.
"""

import re
from collections.abc import Collection, Hashable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from surgsigma_dagster.dialogue.grammar import Sentence, caption_text
from surgsigma_dagster.dialogue.mentions import mentions
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.synthesis.desmoking import psnr as decibels

Scores = dict[str, float]
Box = Sequence[Any]  # concept id, x1, y1, x2, y2

IOU = 0.5
NEAR = 0.2  # of the true duration
DELTA = 1.25
_TOLD = ("procedure", "phase", "step", "action", "basic_action", "instrument", "tissue", "verb", "target")
NAN = float("nan")


def score(task: str, given: Any, true: Any, form: Literal["open", "multiple choice"] = "open") -> Scores:
    """Scores of a given answer by the metric of `task`.

    Of answers in words, both are values of `grammar.parse` or `grammar.parse_free`, for options their letters; of tasks
    whose answer is a picture, arrays. Raises `KeyError` for an unknown task, `ValueError` for what cannot be compared.
    """
    if form == "multiple choice":
        return accuracy((given,) if given else (), (true,) if true else ())
    metric = tasks()[task].metric
    if metric == "set_f1" and tasks()[task].grammar == "names":
        given, true = ({concept_id for concept_id, _ in names} for names in (given, true))
    return _METRICS[metric](given, true)


def set_f1(given: Collection[Hashable], true: Collection[Hashable]) -> Scores:
    """precision, recall, f1 and exact of two sets. Both empty: f1 and exact are 1, for it is right that there is none.

    Precision of nothing given and recall of nothing true are NaN.
    """
    said, there = set(given), set(true)
    hits, n = len(said & there), len(said) + len(there)
    return {
        "precision": hits / len(said) if said else NAN,
        "recall": hits / len(there) if there else NAN,
        "f1": 2 * hits / n if n else 1.0,
        "exact": float(said == there),
    }


def box_f1(given: Sequence[Box], true: Sequence[Box]) -> Scores:
    """precision, recall and f1 of boxes (concept, x1, y1, x2, y2), and mean_iou.

    Pairs of one concept are matched greedily, the best overlap first; a pair is a hit from IoU 0.5 on, as in PASCAL VOC
    (Everingham et al. 2010). mean_iou is the sum over all pairs by the number of boxes of the longer list, NaN where
    both are empty; f1 is 1 there.
    """
    overlaps = sorted(
        ((iou(a[1:], b[1:]), i, j) for i, a in enumerate(given) for j, b in enumerate(true) if a[0] and a[0] == b[0]),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    left, right, matched = set(range(len(given))), set(range(len(true))), []
    for overlap, i, j in overlaps:
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            matched.append(overlap)
    hits, n = sum(overlap >= IOU for overlap in matched), len(given) + len(true)
    return {
        "precision": hits / len(given) if given else NAN,
        "recall": hits / len(true) if true else NAN,
        "f1": 2 * hits / n if n else 1.0,
        "mean_iou": sum(matched) / max(len(given), len(true)) if n else NAN,
    }


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x1, y1, x2, y2; of boxes without area 0, unless they are the same box."""
    width, height = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    common = width * height
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    union = sum(areas) - common
    return common / union if union else float(tuple(a) == tuple(b))


def accuracy(given: Collection[str], true: Collection[str]) -> Scores:
    """accuracy: 1 where what is named may be what is true, by ids or letters. `ValueError` where nothing is true."""
    if not true:
        raise ValueError("accuracy: expected a true answer, found none")
    return {"accuracy": float(not set(given).isdisjoint(true))}


def criteria_accuracy(given: Sequence[bool], true: Sequence[bool]) -> Scores:
    """accuracy: the share of the criteria judged rightly; all_right: 1 where every one is. Nothing given is wrong."""
    if not true or len(given) not in (0, len(true)):
        raise ValueError(f"criteria: expected as many verdicts as are true, found {len(given)} and {len(true)}")
    right = [a == b for a, b in zip(given, true, strict=False)]
    return {"accuracy": sum(right) / len(true), "all_right": float(len(right) == len(true) and all(right))}


def caption_overlap(given: Sequence[Sentence], true: Sequence[Sentence]) -> Scores:
    """concept_f1: F1 over the concepts that two captions mention, by any of their names; rouge_l.

    Instruments, tissues, verbs, phases, steps, actions and procedures count, each once; names that several concepts
    bear are one. rouge_l is the F1 of the longest common subsequence of words, in lower case, of letters and digits
    (Lin, ROUGE, 2004, with beta 1); 0 where one caption is empty. `ValueError` where the true one is.
    """
    if not true:
        raise ValueError("caption: expected a true caption, found none")
    texts = [caption_text(caption) for caption in (given, true)]
    said, there = ({ids for _, _, ids in mentions(text, _TOLD, None)} for text in texts)
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    common, n = _common_subsequence(*words), sum(map(len, words))
    return {"concept_f1": set_f1(said, there)["f1"], "rouge_l": 2 * common / n if n else NAN}


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    lengths = [0] * (len(b) + 1)
    for word in a:
        above = 0
        for j, other in enumerate(b, 1):
            above, lengths[j] = lengths[j], above + 1 if word == other else max(lengths[j], lengths[j - 1])
    return lengths[-1]


def seconds_off(given: float | None, true: float | None) -> Scores:
    """absolute_error in seconds, the lower the better, and within_20_percent of the true duration.

    The error is NaN where no duration is given. `ValueError` where the true duration is not positive.
    """
    if true is None or not true > 0:
        raise ValueError(f"duration: expected a true duration above 0 s, found {true}")
    if given is None:
        return {"absolute_error": NAN, "within_20_percent": 0.0}
    off = abs(given - true)
    # A hair of room: 1.2 is 20 % off 1 though 1.2 - 1 is more than 0.2.
    return {"absolute_error": off, "within_20_percent": float(off <= NEAR * true + 1e-9)}


def mask_iou(given: NDArray[Any], true: NDArray[Any]) -> Scores:
    """iou and dice of two masks of one shape (H, W), 255 inside and 0 outside; NaN where both are empty."""
    _same_shape("mask", given, true)
    for mask in (given, true):
        if not np.isin(mask, (0, 255)).all():
            found = np.setdiff1d(np.unique(mask), (0, 255))[:3].tolist()
            raise ValueError(f"mask: expected pixels of 0 and 255, found {found}")
    common = int(np.count_nonzero((given == 255) & (true == 255)))
    n = int(np.count_nonzero(given)) + int(np.count_nonzero(true))
    return {"iou": common / (n - common), "dice": 2 * common / n} if n else {"iou": NAN, "dice": NAN}


def depth_error(given: NDArray[Any], true: NDArray[Any]) -> Scores:
    """abs_rel, the lower the better, and delta_1.25 of depth (H, W), where the truth is measured: finite and above 0.

    The given depth, larger is farther, is first brought to the true one's scale and shift by least squares, as relative
    depth knows neither (Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2020; there in disparity); a
    scale below 0 would forgive near and far being interchanged, so it is 0 there, and the mean is what is left.
    abs_rel is the mean of |given - true| / true; delta_1.25 the share of pixels whose ratio, the larger over the
    smaller, is below 1.25 (Eigen et al., Depth Map Prediction from a Single Image, NIPS 2014); a pixel that alignment
    brings to 0 or below is off. NaN with fewer than two measured pixels. `ValueError` where a given one is not finite.
    """
    _same_shape("depth", given, true)
    measured = np.isfinite(true) & (true > 0)
    if np.count_nonzero(measured) < 2:
        return {"abs_rel": NAN, "delta_1.25": NAN}
    said, there = given[measured].astype(np.float64), true[measured].astype(np.float64)
    if not np.isfinite(said).all():
        raise ValueError("depth: expected a finite depth at every measured pixel, found others")
    (scale, shift), *_ = np.linalg.lstsq(np.stack([said, np.ones_like(said)], axis=1), there, rcond=None)
    aligned = scale * said + shift if scale > 0 else np.full_like(there, there.mean())
    ratio = np.maximum(aligned / there, there / np.where(aligned > 0, aligned, NAN))
    return {"abs_rel": float(np.mean(np.abs(aligned - there) / there)), "delta_1.25": float(np.mean(ratio < DELTA))}


def psnr(given: NDArray[Any], true: NDArray[Any]) -> Scores:
    """psnr: peak signal-to-noise ratio in dB of two uint8 images or clips of one shape; infinite for equal ones."""
    _same_shape("picture", given, true)
    if given.dtype != np.uint8 or true.dtype != np.uint8:
        raise ValueError(f"picture: expected pixels of type uint8, found {given.dtype} and {true.dtype}")
    if not given.size:
        raise ValueError("picture: expected pixels, found none")
    return {"psnr": decibels(given, true)}


def _same_shape(what: str, given: NDArray[Any], true: NDArray[Any]) -> None:
    if given.shape != true.shape:
        raise ValueError(f"{what}: expected the shape {true.shape}, found {given.shape}")


_METRICS: dict[str, Any] = {
    "set_f1": set_f1,
    "box_f1": box_f1,
    "accuracy": accuracy,
    "criteria_accuracy": criteria_accuracy,
    "caption_overlap": caption_overlap,
    "seconds_off": seconds_off,
    "mask_iou": mask_iou,
    "depth_error": depth_error,
    "psnr": psnr,
}
