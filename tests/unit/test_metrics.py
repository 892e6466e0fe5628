import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgsigma_dagster.dialogue.grammar import parse
from surgsigma_dagster.dialogue.metrics import (
    accuracy,
    box_f1,
    caption_overlap,
    criteria_accuracy,
    depth_error,
    iou,
    mask_iou,
    psnr,
    score,
    seconds_off,
    set_f1,
)  # fmt: skip
from surgsigma_dagster.dialogue.task import tasks

NAN = pytest.approx(math.nan, nan_ok=True)
names = st.frozensets(st.sampled_from("abcdef"))
corner = st.integers(0, 40)
boxes = st.lists(st.tuples(st.sampled_from("ab"), corner, corner, st.integers(41, 80), st.integers(41, 80)), max_size=4)


# Sets


@pytest.mark.parametrize(
    ("given_", "true", "scores"),
    [
        ("ab", "ab", (1, 1, 1, 1)),
        ("ab", "bc", (0.5, 0.5, 0.5, 0)),
        ("abcd", "a", (0.25, 1, 0.4, 0)),
        ("", "a", (NAN, 0, 0, 0)),
        ("a", "", (0, NAN, 0, 0)),
        ("", "", (NAN, NAN, 1, 1)),
    ],
)
def test_sets_have_the_scores_of_their_overlap(given_: str, true: str, scores: tuple[Any, ...]) -> None:
    assert tuple(set_f1(given_, true).values()) == scores


@given(names, names)
def test_f1_of_sets_is_the_same_both_ways_and_a_wrong_name_lowers_it(a: frozenset[str], b: frozenset[str]) -> None:
    f1 = set_f1(a, b)["f1"]
    assert 0 <= f1 <= 1
    assert f1 == set_f1(b, a)["f1"]
    assert set_f1(a, a)["f1"] == 1 > set_f1({*a, "wrong"}, a)["f1"]


# Boxes


def test_the_overlap_of_boxes_is_known() -> None:
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (20, 20, 30, 30)) == 0
    assert iou((1, 1, 1, 5), (1, 1, 1, 5)) == 1  # a line, but the same one
    assert iou((10, 10, 0, 0), (0, 0, 10, 10)) == 0  # corners interchanged: no box


def test_a_box_counts_once_for_its_own_class_from_half_an_overlap_on() -> None:
    hook, grasper = ("hook", 0, 0, 10, 10), ("grasper", 0, 0, 10, 10)
    half, less = ("hook", 0, 0, 10, 5), ("hook", 0, 0, 10, 4.9)
    assert box_f1([hook], [hook]) == {"precision": 1, "recall": 1, "f1": 1, "mean_iou": 1}
    assert box_f1([grasper], [hook])["f1"] == 0 == box_f1([less], [hook])["f1"]
    assert box_f1([half], [hook]) == {"precision": 1, "recall": 1, "f1": 1, "mean_iou": 0.5}
    assert box_f1([hook, half], [hook]) == {"precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3), "mean_iou": 0.5}
    assert box_f1([(None, 0, 0, 10, 10)], [hook])["f1"] == 0
    assert box_f1([], [hook]) == {"precision": NAN, "recall": 0, "f1": 0, "mean_iou": 0}
    assert box_f1([], []) == {"precision": NAN, "recall": NAN, "f1": 1, "mean_iou": NAN}


@given(boxes, boxes)
def test_box_scores_are_bounded_and_the_same_both_ways(a: list[Any], b: list[Any]) -> None:
    there, back = box_f1(a, b), box_f1(b, a)
    assert all(0 <= value <= 1 + 1e-9 or math.isnan(value) for value in there.values())
    assert there["f1"] == back["f1"]
    assert there["mean_iou"] == pytest.approx(back["mean_iou"], nan_ok=True)
    if a:
        assert box_f1(a, a)["f1"] == 1 > box_f1(a[1:], a)["f1"]


# Words


def test_a_name_that_may_mean_the_true_concept_is_right_and_none_is_wrong() -> None:
    assert accuracy(("phase/a/preparation", "phase/b/preparation"), ("phase/b/preparation",)) == {"accuracy": 1}
    assert accuracy(("phase/a/cleaning",), ("phase/b/preparation",)) == {"accuracy": 0}
    assert accuracy((), ("phase/b/preparation",)) == {"accuracy": 0}
    with pytest.raises(ValueError, match="found none"):
        accuracy(("phase/a/cleaning",), ())


def test_each_criterion_counts_and_all_right_only_together() -> None:
    true = (True, False, True)
    assert criteria_accuracy(true, true) == {"accuracy": 1, "all_right": 1}
    assert criteria_accuracy((True, True, True), true) == {"accuracy": pytest.approx(2 / 3), "all_right": 0}
    assert criteria_accuracy((), true) == {"accuracy": 0, "all_right": 0}
    with pytest.raises(ValueError, match="found 2 and 3"):
        criteria_accuracy((True, False), true)


def test_a_caption_is_scored_by_its_concepts_and_by_its_words() -> None:
    def value(text: str) -> Any:
        return parse("image_captioning", text).value

    true = value("The step is suction. The hook is dissecting the liver.")
    assert caption_overlap(true, true) == {"concept_f1": 1, "rouge_l": 1}
    other = caption_overlap(value("The step is suction. The hook is dissecting the gallbladder."), true)
    assert other == {"concept_f1": pytest.approx(0.75), "rouge_l": pytest.approx(0.9)}  # 3 of 4 concepts, 9 of 10 words
    turned = caption_overlap(value("The hook is dissecting the liver. The step is suction."), true)
    assert turned["concept_f1"] == 1 > turned["rouge_l"]
    assert caption_overlap((), true) == {"concept_f1": 0, "rouge_l": 0}
    with pytest.raises(ValueError, match="true caption"):
        caption_overlap(true, ())


def test_a_duration_is_off_by_seconds_and_near_within_a_fifth() -> None:
    assert seconds_off(12.0, 10.0) == {"absolute_error": 2, "within_20_percent": 1}
    assert seconds_off(7.9, 10.0) == {"absolute_error": pytest.approx(2.1), "within_20_percent": 0}
    assert seconds_off(1.2, 1.0)["within_20_percent"] == 1
    assert seconds_off(None, 10.0) == {"absolute_error": NAN, "within_20_percent": 0}
    with pytest.raises(ValueError, match="above 0 s"):
        seconds_off(1.0, 0.0)


# Pictures


def mask(*rows: str) -> Any:
    return np.array([[255 * (pixel == "#") for pixel in row] for row in rows], np.uint8)


def test_masks_are_scored_by_the_pixels_that_they_share() -> None:
    a, b = mask("##..", "##.."), mask(".##.", ".##.")
    assert mask_iou(a, a) == {"iou": 1, "dice": 1}
    assert mask_iou(a, b) == mask_iou(b, a) == {"iou": pytest.approx(1 / 3), "dice": 0.5}
    assert mask_iou(np.zeros_like(a), a) == {"iou": 0, "dice": 0}
    assert mask_iou(np.zeros_like(a), np.zeros_like(a)) == {"iou": NAN, "dice": NAN}
    with pytest.raises(ValueError, match=r"0 and 255, found \[1\]"):
        mask_iou(a // 255, a)
    with pytest.raises(ValueError, match="shape"):
        mask_iou(a[:1], a)


def test_depth_knows_neither_scale_nor_shift_and_is_scored_where_it_was_measured() -> None:
    true = np.array([[0, 100, 150], [200, np.nan, 400]])
    relative = np.array([[9, 20, 30], [40, 7, 80]]) * 3 + 5
    assert depth_error(relative, true) == {"abs_rel": pytest.approx(0, abs=1e-9), "delta_1.25": 1}
    # Hand-reckoned: a constant is brought to the mean, 200, of 100, 200 and 300.
    flat = depth_error(np.ones((1, 3)), np.array([[100.0, 200.0, 300.0]]))
    assert flat == {"abs_rel": pytest.approx((1 + 0 + 1 / 3) / 3), "delta_1.25": pytest.approx(1 / 3)}
    assert depth_error(-relative, true)["abs_rel"] > 0.1  # near and far interchanged
    assert depth_error(relative, np.zeros((2, 3))) == {"abs_rel": NAN, "delta_1.25": NAN}
    with pytest.raises(ValueError, match="finite"):
        depth_error(np.full((2, 3), np.nan), true)


def test_a_picture_one_level_off_everywhere_has_the_known_ratio_of_signal_to_noise() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(grey + 1, grey)["psnr"] == pytest.approx(48.1308, abs=1e-4)  # 20 log10 255
    assert psnr(grey, grey)["psnr"] == math.inf
    assert psnr(grey + 1, grey)["psnr"] > psnr(grey + 9, grey)["psnr"] == psnr(grey, grey + 9)["psnr"]
    with pytest.raises(ValueError, match="uint8"):
        psnr(grey / 255, grey)


# By task

PICTURE = np.full((4, 4), 255, np.uint8)
WORDS: dict[str, tuple[str, str, str]] = {  # the true answer, a wrong one, the score that tells
    "instrument_recognition": ("The image shows a hook.", "The image shows a grasper and a hook.", "f1"),
    "tissue_recognition": ("I can see the liver.", "I can see the omentum.", "f1"),
    "triplet_recognition": ("Here, the hook is cutting the fat.", "Here, the hook is cutting the liver.", "f1"),
    "instrument_localization": ("Located: hook (0,0),(9,9).", "Located: hook (20,20),(29,29).", "f1"),
    "tissue_localization": ("Located: liver (0,0),(9,9).", "Located: fat (0,0),(9,9).", "f1"),
    "phase_recognition": ("The phase is preparation.", "The phase is gallbladder dissection.", "accuracy"),
    "step_recognition": ("The step is suction.", "The step is suture tying.", "accuracy"),
    "action_recognition": ("The action is clipping.", "The action is aspiration.", "accuracy"),
    "next_action_planning": ("The next action is clipping.", "The next action is aspiration.", "accuracy"),
    "safety_assessment": (
        "My assessment: Criterion 1: Yes. Criterion 2: Yes. Criterion 3: Yes.",
        "My assessment: Criterion 1: Yes. Criterion 2: Yes. Criterion 3: No.",
        "accuracy",
    ),
    "image_captioning": ("The step is suction.", "The step is suture tying.", "concept_f1"),
    "video_captioning": ("First comes clipping.", "First comes aspiration.", "concept_f1"),
    "action_remaining_prediction": ("The remaining time is 4 seconds.", "The remaining time is 9 seconds.",
                                    "within_20_percent"),
}  # fmt: skip


@pytest.mark.parametrize("task", sorted(tasks()))
def test_a_wrong_answer_scores_less_than_the_true_one_in_every_task(task: str) -> None:
    if task in WORDS:
        right, wrong, telling = WORDS[task]
        true, other = parse(task, right).value, parse(task, wrong).value
    else:
        true, other = PICTURE, PICTURE.copy()
        other[1:] = 0
        telling = {"mask_iou": "iou", "depth_error": "delta_1.25", "psnr": "psnr"}[tasks()[task].metric]
        true = np.arange(1.0, 17).reshape(4, 4) if telling == "delta_1.25" else true
    assert score(task, other, true)[telling] < score(task, true, true)[telling]
    assert score(task, true, true)[telling] in (1, math.inf)


def test_letters_are_scored_as_letters() -> None:
    assert score("safety_assessment", "B", "B", "multiple choice") == {"accuracy": 1}
    assert score("safety_assessment", None, "B", "multiple choice") == {"accuracy": 0}
