from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.context.motion import MOVES, PAIR, frame_pairs
from surgsigma_dagster.schema.stages import Positions
from tests.unit.made import Row, frame_row, table

SOME = settings(max_examples=30, deadline=None)
WIDTH, HEIGHT = 854, 480
Box = tuple[str, float, float, float, float]  # name, then corners in pixels


def frames(*times: float | None, video: str = "v", **rest: object) -> list[Row]:
    return [
        frame_row("lab", video, number) | {"pts_s": at, "width": WIDTH, "height": HEIGHT} | rest
        for number, at in enumerate(times)
    ]


def label(video: str, frame: int, name: str, number: int) -> Row:
    return {
        "label_id": f"{video}{frame}-{number}", "source": "lab", "video_id": f"lab/{video}",
        "frame_id": f"lab/{video}/{frame:06d}", "concept_id": f"instrument/{name}", "raw_value": name, "n_rows": 1,
        "file": "f", "locator": "l",
    }  # fmt: skip


def boxed(frame: int, *boxes: Box, video: str = "v", size: tuple[int, int] = (WIDTH, HEIGHT)) -> list[Row]:
    return [
        label(video, frame, name, number)
        | dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
        | {"width": size[0], "height": size[1], "clipped": False}
        for number, (name, *box) in enumerate(boxes)
    ]


def masked(frame: int, name: str, x: float, y: float, side: float, *, number: int = 9, parts: int = 1) -> Row:
    """A square of pixels that a mask calls an instrument; `parts` of them hang together in themselves alone."""
    of = label("v", frame, name, number)
    own = {key: of[key] for key in ("frame_id", "video_id", "source", "concept_id")}
    return own | {"area": side * side, "x": x, "y": y, "n_parts": parts, "label_ids": [of["label_id"]]}


def pairs(shown: list[Row], boxes: list[Row], masks: list[Row] | None = None, **rest: Any) -> list[dict[str, Any]]:
    placed = None if masks is None else pl.DataFrame(masks, schema=Positions.create_empty().schema)
    return frame_pairs(table("frames", *shown), table("boxes", *boxes), placed, **rest).to_dicts()


def moves(before: list[Box], after: list[Box]) -> list[tuple[str, str]]:
    """What the instruments do between two frames five seconds apart."""
    found = pairs(frames(0, 5), boxed(0, *before) + boxed(1, *after))
    return [(one["concept_id"].removeprefix("instrument/"), one["move"]) for row in found[:1] for one in row["motions"]]


def hook(x: float, y: float, half: float = 20) -> Box:
    return ("hook", x - half, y - half, x + half, y + half)


@pytest.mark.parametrize(
    ("right", "down", "move"),
    [
        (200, 0, "moves to the right"),
        (-200, 30, "moves to the left"),
        (0, -150, "moves up"),
        (20, 150, "moves down"),
        (-150, -150, "moves to the upper left"),
        (150, -100, "moves to the upper right"),
        (-100, 150, "moves to the lower left"),
        (150, 150, "moves to the lower right"),
        (90, 0, "moves slightly to the right"),
        (-50, -50, "moves slightly to the upper left"),
        (0, -30, "moves slightly up"),
        (29, 0, "stays where it is"),
        (0, 0, "stays where it is"),
    ],
)
def test_a_displacement_is_said_as_a_viewer_sees_it(right: float, down: float, move: str) -> None:
    assert moves([hook(420, 240)], [hook(420 + right, 240 + down)]) == [("hook", move)]


def test_an_instrument_that_grows_comes_closer() -> None:
    assert moves([hook(420, 240)], [hook(420, 240, 25)]) == [("hook", "comes closer")]
    assert moves([hook(420, 240, 25)], [hook(420, 240)]) == [("hook", "draws back")]
    assert moves([hook(420, 240)], [hook(420, 240, 24)]) == [("hook", "stays where it is")]
    assert moves([hook(420, 240)], [hook(620, 240, 25)]) == [("hook", "moves to the right"), ("hook", "comes closer")]


def test_instruments_come_and_leave() -> None:
    grasper = ("grasper", 10, 10, 90, 90)
    assert moves([hook(420, 240), grasper], [grasper, ("clipper", 500, 100, 600, 200)]) == [
        ("clipper", "comes into view"),
        ("grasper", "stays where it is"),
        ("hook", "leaves the view"),
    ]


def test_what_another_label_sees_neither_leaves_nor_comes() -> None:
    boxes = boxed(0, hook(420, 240), ("clipper", 1, 1, 9, 9)) + boxed(1, hook(420, 240), ("grasper", 1, 1, 9, 9))
    seen = [("lab/v/000001", "instrument/clipper"), ("lab/v/000000", "instrument/grasper")]
    (row,) = pairs(frames(0, 5), boxes, seen=pl.DataFrame(seen, schema=["frame_id", "concept_id"], orient="row"))
    assert row["motions"] == [{"concept_id": "instrument/hook", "move": "stays where it is"}]


@pytest.mark.parametrize("name", ["unspecified", "robotic_wrist"])
def test_of_twins_and_of_what_has_no_kind_nothing_is_said(name: str) -> None:
    assert moves([hook(100, 100), hook(600, 100)], [hook(300, 100)]) == []
    assert moves([hook(100, 100)], [hook(100, 100), hook(300, 100)]) == []
    assert moves([(name, 1, 1, 90, 90)], [(name, 300, 1, 390, 90)]) == []


def test_a_pair_tells_when_where_and_why() -> None:
    boxes = boxed(0, hook(420, 240)) + boxed(1, hook(620, 240))
    assert pairs(frames(3.2, 5.7), boxes) == [
        {
            "scene_id": "lab/v/000000/+2500", "frame_id": "lab/v/000000", "later_frame_id": "lab/v/000001",
            "video_id": "lab/v", "source": "lab", "delta_s": 2.5, "pts_s": 3.2, "later_pts_s": 5.7,
            "motions": [{"concept_id": "instrument/hook", "move": "moves to the right"}], "label_ids": ["v0-0", "v1-0"],
        }
    ]  # fmt: skip


@pytest.mark.parametrize("later", [0.9, 10.1, 2.55, 12])
def test_partners_lie_one_to_ten_seconds_ahead_in_tenths_of_a_second(later: float) -> None:
    assert pairs(frames(0, later), boxed(0, hook(420, 240)) + boxed(1, hook(420, 240))) == []


def test_frames_without_time_are_no_pair() -> None:
    assert pairs(frames(None, None), boxed(0, hook(420, 240)) + boxed(1, hook(620, 240))) == []


@pytest.mark.parametrize(("at", "later"), [(0, 1), (9.999, 20), (10.9, 20.9), (0.033, 1.034)])
def test_partners_on_the_edges_are_found(at: float, later: float) -> None:
    (row,) = pairs(frames(at, later), boxed(0, hook(420, 240)) + boxed(1, hook(420, 240)))
    assert row["delta_s"] == round(later - at, 1)


def test_a_frame_without_picture_time_or_box_is_in_no_pair() -> None:
    boxes = boxed(0, hook(420, 240)) + boxed(1, hook(420, 240))
    assert pairs(frames(0, 5), boxes[:1]) == []
    assert pairs(frames(0, 5, status="quarantined"), boxes) == []
    assert pairs([*frames(0), *frames(5, 5, pts_s=None)[1:]], boxes) == []


def test_sizes_of_two_pictures_may_differ() -> None:
    small = boxed(1, ("hook", 200, 110, 220, 130), size=(WIDTH // 2, HEIGHT // 2))
    (row,) = pairs(frames(0, 5), boxed(0, hook(420, 240)) + small)
    assert row["motions"] == [{"concept_id": "instrument/hook", "move": "stays where it is"}]


# Masks


def test_where_there_is_no_box_the_centre_of_the_mask_moves() -> None:
    (row,) = pairs(frames(0, 5), [], [masked(0, "hook", 100, 20, 95), masked(1, "hook", 100, 20, 190)])
    assert row["motions"] == [{"concept_id": "instrument/hook", "move": "comes closer"}]
    assert row["label_ids"] == ["v0-9", "v1-9"]


def test_a_mask_that_may_hold_two_instruments_says_nothing_of_one() -> None:
    assert pairs(frames(0, 5), [], [masked(0, "hook", 100, 20, 9, parts=2), masked(1, "hook", 500, 20, 9)]) == []


def test_a_box_is_not_compared_with_a_mask() -> None:
    assert pairs(frames(0, 5), boxed(0, hook(100, 100)), [masked(1, "hook", 500, 100, 40)]) == []


# Whatever the labels


@st.composite
def any_boxes(draw: st.DrawFn) -> list[list[Box]]:
    """Boxes of six frames, whole even pixels."""

    def box() -> Box:
        x, y = draw(st.integers(0, 350)) * 2, draw(st.integers(0, 180)) * 2
        wide, high = draw(st.integers(1, 77)) * 2, draw(st.integers(1, 60)) * 2
        return (draw(st.sampled_from(["hook", "grasper", "clipper"])), x, y, x + wide, y + high)

    return [[box() for _ in range(draw(st.integers(0, 3)))] for _ in range(6)]


TIMES = (0, 1, 2.5, 4, 10.5, 11)


def of(boxes: list[list[Box]], **rest: Any) -> list[Row]:
    return [row for number, found in enumerate(boxes) for row in boxed(number, *found, **rest)]


@SOME
@given(any_boxes(), st.integers(0, 3))
def test_every_pair_is_what_it_says(boxes: list[list[Box]], seed: int) -> None:
    rows = pairs(frames(*TIMES), of(boxes), seed=seed)
    assert len({row["frame_id"] for row in rows}) == len(rows)
    for row in rows:
        here, there = int(row["frame_id"][-6:]), int(row["later_frame_id"][-6:])
        assert 1 <= row["delta_s"] == TIMES[there] - TIMES[here] <= 10
        before, after = ([name for name, *_ in boxes[number]] for number in (here, there))
        assert row["motions"]
        for motion in row["motions"]:
            name, move = motion["concept_id"].removeprefix("instrument/"), motion["move"]
            assert move in MOVES
            expected = {"leaves the view": (1, 0), "comes into view": (0, 1)}.get(move, (1, 1))
            assert (before.count(name), after.count(name)) == expected


@SOME
@given(any_boxes())
def test_a_mirrored_picture_moves_the_other_way_and_a_larger_one_the_same(boxes: list[list[Box]]) -> None:
    found = pairs(frames(*TIMES), of(boxes))
    mirrored = [[(name, WIDTH - x2, y1, WIDTH - x1, y2) for name, x1, y1, x2, y2 in one] for one in boxes]
    swap = {"left": "right", "right": "left"}
    turned = [
        row | {"motions": [
            one | {"move": " ".join(swap.get(word, word) for word in one["move"].split())} for one in row["motions"]
        ]}
        for row in pairs(frames(*TIMES), of(mirrored))
    ]  # fmt: skip
    assert turned == found
    doubled = [[(name, 2 * x1, 2 * y1, 2 * x2, 2 * y2) for name, x1, y1, x2, y2 in one] for one in boxes]
    size = (2 * WIDTH, 2 * HEIGHT)
    assert pairs(frames(*TIMES, width=size[0], height=size[1]), of(doubled, size=size)) == found


@SOME
@given(any_boxes(), any_boxes())
def test_neither_another_video_nor_the_order_of_rows_changes_a_pair(
    one: list[list[Box]], other: list[list[Box]]
) -> None:
    alone = frame_pairs(table("frames", *frames(*TIMES)), table("boxes", *of(one)))
    assert alone.schema == pl.Schema(PAIR)
    beside = frame_pairs(
        table("frames", *frames(*TIMES, video="a"), *frames(*TIMES)).reverse(),
        table("boxes", *of(other, video="a"), *of(one)).reverse(),
    )
    assert beside.filter(pl.col("video_id") == "lab/v").equals(alone)
