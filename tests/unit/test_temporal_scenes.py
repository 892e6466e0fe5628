from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.context.time import SCENE, temporal_scenes
from tests.unit.made import Row, table

MANY = settings(max_examples=30, deadline=None)
BASIC = {
    "cutting": "dissection", "dissection": "dissection", "clipping": "clipping", "aspiration": "aspiration",
    "reaching": None, "other": None,
}  # fmt: skip
Stretch = tuple[str, float, float]  # class, start, end


def labelled(*stretches: Stretch, video: str = "v", first: int = 0) -> list[Row]:
    return [
        {
            "label_id": f"{video}{number}", "source": "lab", "video_id": f"lab/{video}", "concept_id": f"action/{name}",
            "raw_value": name, "n_rows": 1, "file": "f", "locator": "l", "track": "action", "start_s": start,
            "end_s": end,
        }
        for number, (name, start, end) in enumerate(stretches, first)
    ]  # fmt: skip


def found(*rows: Row, seed: int = 7, duration_s: float | None = None) -> pl.DataFrame:
    videos = pl.DataFrame(
        {"video_id": ["lab/v", "lab/w"], "duration_s": [duration_s, None]}, schema_overrides={"duration_s": pl.Float64}
    )
    basic = pl.DataFrame(
        {
            "concept_id": [f"action/{name}" for name in BASIC],
            "basic_action_id": [name and f"action/{name}" for name in BASIC.values()],
        }
    )
    return temporal_scenes(table("intervals", *rows), videos, basic, seed=seed)


def scenes(kind: str, *stretches: Stretch, duration_s: float | None = None) -> list[dict[str, Any]]:
    rows = found(*labelled(*stretches), duration_s=duration_s).filter(pl.col("kind") == kind)
    return rows.sort("start_s").to_dicts()


def spans(rows: Sequence[dict[str, Any]]) -> list[tuple[float, float, float]]:
    return [(row["start_s"], row["cutoff_s"], row["end_s"]) for row in rows]


def said(row: dict[str, Any]) -> list[Stretch]:
    return [(one["concept_id"].removeprefix("action/"), one["start_s"], one["end_s"]) for one in row["actions"]]


# One action


def test_an_action_is_shown_whole() -> None:
    (row,) = scenes("action", ("cutting", 3, 7.5))
    assert row == {
        "scene_id": "lab/v/action/00003000", "video_id": "lab/v", "source": "lab", "kind": "action", "start_s": 3.0,
        "cutoff_s": 7.5, "end_s": 7.5, "action": "action/dissection", "remaining_s": None, "label_ids": ["v0"],
        "actions": [{"concept_id": "action/dissection", "start_s": 3.0, "end_s": 7.5}], "target_label_id": "v0",
    }  # fmt: skip


def test_of_a_long_action_the_middle_is_shown_on_whole_seconds_from_its_start() -> None:
    assert spans(scenes("action", ("clipping", 0.2, 13.6))) == [(1.2, 11.2, 11.2)]


@pytest.mark.parametrize(
    ("stretches", "why"),
    [
        ([("clipping", 0, 0.96)], "too short"),
        ([("reaching", 0, 5)], "no basic action"),
        ([("clipping", 0, 5), ("aspiration", 4.96, 5)], "another one overlaps"),
        ([("clipping", 0, 5), ("reaching", 0, 5)], "another one overlaps that has no basic action"),
    ],
)
def test_what_does_not_show_one_action_alone_is_not_shown(stretches: list[Stretch], why: str) -> None:
    assert scenes("action", *stretches) == [], why


def test_another_action_beyond_the_ten_seconds_that_are_shown_does_no_harm() -> None:
    assert spans(scenes("action", ("clipping", 0, 20), ("aspiration", 0, 5), ("aspiration", 15, 35))) == [
        (5, 15, 15),
        (20, 30, 30),
    ]


def test_stretches_of_one_basic_action_that_touch_are_one() -> None:
    (row,) = scenes("action", ("dissection", 0, 3), ("cutting", 3, 6), ("dissection", 5, 7))
    assert (said(row), row["label_ids"]) == ([("dissection", 0, 7)], ["v0", "v1", "v2"])
    assert len(scenes("action", ("dissection", 0, 3), ("cutting", 3.04, 6))) == 2


def test_an_action_ends_with_its_video() -> None:
    assert spans(scenes("action", ("clipping", 5, 9), ("cutting", 9, 12), duration_s=8)) == [(5, 8, 8)]


def test_no_action_is_no_action() -> None:
    assert scenes("caption", ("clipping", 0, 3), ("cholecystectomy/none", 3, 5)) == []


# Remaining


@pytest.mark.parametrize("end", [4.0, 7.32, 16.0, 80.0])
def test_the_cutoff_leaves_whole_seconds_of_the_middle_half(end: float) -> None:
    cutoffs = set()
    for seed in range(40):
        (row,) = found(*labelled(("clipping", 0, end)), seed=seed).filter(pl.col("kind") == "remaining").to_dicts()
        assert row["remaining_s"] == round(row["remaining_s"]) == pytest.approx(end - row["cutoff_s"])
        assert end / 4 - 1e-6 <= row["cutoff_s"] <= end * 3 / 4 + 1e-6
        assert row["start_s"] == max(0, row["cutoff_s"] - 20)
        assert said(row) == [("clipping", row["start_s"], row["cutoff_s"])]
        cutoffs.add(row["cutoff_s"])
    assert len(cutoffs) >= 3


def test_an_action_of_less_than_four_seconds_is_not_asked_for_its_rest() -> None:
    assert scenes("remaining", ("clipping", 0, 3.96)) == []


def test_an_action_that_outlasts_its_video_has_no_known_rest() -> None:
    assert scenes("remaining", ("clipping", 0, 60), duration_s=40) == []
    assert len(scenes("remaining", ("clipping", 0, 40.5), duration_s=40)) == 1  # two clocks that end together


# Next action


def test_the_next_action_is_asked_for_before_it_begins() -> None:
    (row,) = scenes("next_action", ("reaching", 0, 4), ("clipping", 5, 9), ("cutting", 12, 30))
    assert spans([row]) == [(0, 9, 30)]
    assert said(row) == [("reaching", 0, 4), ("clipping", 5, 9)]
    assert (row["action"], row["label_ids"], row["target_label_id"]) == ("action/dissection", ["v0", "v1"], "v2")


def test_the_context_is_the_last_thirty_seconds_before_the_cutoff() -> None:
    (row,) = scenes("next_action", ("clipping", 0, 20), ("aspiration", 25, 45), ("clipping", 45, 50))
    assert spans([row]) == [(15, 45, 50)]
    assert said(row) == [("clipping", 15, 20), ("aspiration", 25, 45)]


@pytest.mark.parametrize(
    ("stretches", "why"),
    [
        ([("clipping", 0, 4), ("aspiration", 4, 8)], "nothing follows"),
        ([("clipping", 0, 4), ("aspiration", 4, 8), ("reaching", 8, 9)], "what follows is no basic action"),
        ([("clipping", 0, 4), ("aspiration", 4, 8), ("aspiration", 9, 12)], "it goes on with the same"),
        ([("clipping", 0, 4), ("dissection", 4, 8), ("cutting", 9, 12)], "it goes on with the same basic action"),
        ([("clipping", 0, 4), ("aspiration", 14.5, 18), ("clipping", 18, 20)], "A1 is long over"),
        ([("clipping", 0, 4), ("aspiration", 4, 8), ("clipping", 18.5, 20)], "A3 is long to come"),
        ([("clipping", 0, 4), ("aspiration", 4, 8), ("clipping", 7.9, 20)], "A3 has begun"),
        ([("clipping", 0, 4), ("aspiration", 3.9, 8), ("clipping", 8, 20)], "A1 and A2 overlap"),
        ([("clipping", 0, 4), ("aspiration", 4, 35), ("clipping", 35, 40)], "A1 is out of what is shown"),
        ([("clipping", 0, 4), ("aspiration", 4, 8), ("clipping", 9, 20), ("cutting", 9, 10)], "two are next"),
    ],
)
def test_where_the_next_action_is_not_one_it_is_not_asked_for(stretches: list[Stretch], why: str) -> None:
    assert [row for row in scenes("next_action", *stretches) if row["start_s"] < 4] == [], why


def test_a_hand_that_holds_all_the_while_is_not_left_out_of_the_context() -> None:
    assert scenes("next_action", ("reaching", 0, 60), ("clipping", 1, 4), ("aspiration", 4, 8), ("cutting", 8, 9)) == []


# Captions


def test_a_caption_tells_all_that_happens_in_its_own_words() -> None:
    (row,) = scenes("caption", ("cutting", 0, 3), ("reaching", 3, 5), ("dissection", 9, 12), ("clipping", 17.5, 20))
    assert spans([row]) == [(0, 12, 12)]
    assert said(row) == [("cutting", 0, 3), ("reaching", 3, 5), ("dissection", 9, 12)]
    assert (row["action"], row["target_label_id"], row["label_ids"]) == (None, None, ["v0", "v1", "v2"])


def test_captions_follow_each_other_in_as_long_windows_as_they_may_be() -> None:
    names = ["clipping", "aspiration"] * 6
    short = [(name, 2.0 * number, 2.0 * number + 2) for number, name in enumerate(names)]
    assert spans(scenes("caption", *short)) == [(0, 10, 10), (10, 20, 20), (20, 24, 24)]
    long = [(name, 12.0 * number, 12.0 * number + 12) for number, name in enumerate(names[:5])]
    assert spans(scenes("caption", *long)) == [(0, 24, 24), (24, 48, 48)]


def test_what_overlaps_is_told_together_or_not_at_all() -> None:
    hands = [("aspiration", 0, 6), ("clipping", 2, 3), ("cutting", 4, 8)]
    assert said(scenes("caption", *hands)[0]) == [("aspiration", 0, 6), ("clipping", 2, 3), ("cutting", 4, 8)]
    held = [("reaching", 0, 40), ("clipping", 2, 3), ("cutting", 4, 8), ("clipping", 41, 42), ("cutting", 42, 44)]
    assert spans(scenes("caption", *held)) == [(41, 44, 44)]


def test_an_action_of_which_nobody_says_which_is_in_no_caption() -> None:
    rows = scenes("caption", ("clipping", 0, 3), ("cutting", 3, 6), ("other", 6, 7), ("clipping", 7, 8))
    assert spans(rows) == [(0, 6, 6)]


def test_a_clip_is_to_be_made_from_its_first_frame() -> None:
    rows = scenes("conditional", ("clipping", 0, 3), ("cutting", 3, 9), ("aspiration", 9, 12), ("clipping", 30, 45))
    assert spans(rows) == [(0, 0, 9)]
    assert said(rows[0]) == [("clipping", 0, 3), ("cutting", 3, 9)]
    assert rows[0]["label_ids"] == ["v0", "v1"]


# Whatever the labels


@st.composite
def any_stretches(draw: st.DrawFn) -> list[Stretch]:
    """Two hands that act one after the other or at once, on a grid of fifths of a second."""
    made = []
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, 40))
        for _ in range(draw(st.integers(0, 9))):
            length = draw(st.integers(1, 90))
            made.append((draw(st.sampled_from([*BASIC])), at / 5, (at + length) / 5))
            at += length + draw(st.sampled_from([0, 0, 0, 5, 20, 40, 80]))
    return made


@MANY
@given(any_stretches(), st.sampled_from([None, 10.0, 33.3]))
def test_nothing_that_is_shown_reaches_beyond_the_cutoff(stretches: list[Stretch], duration_s: float | None) -> None:
    rows = found(*labelled(*stretches), duration_s=duration_s)
    assert rows.schema == pl.Schema(SCENE)
    assert rows["scene_id"].n_unique() == rows.height
    for row in rows.to_dicts():
        planned = row["kind"] in {"remaining", "next_action", "conditional"}
        assert row["start_s"] < row["cutoff_s"] or row["kind"] == "conditional"
        assert row["cutoff_s"] < row["end_s"] if planned else row["cutoff_s"] == row["end_s"]
        assert row["end_s"] <= (duration_s or 1e9)
        until = row["end_s"] if row["kind"] == "conditional" else row["cutoff_s"]
        assert said(row)
        assert all(row["start_s"] <= start < end <= until for _, start, end in said(row))
        assert said(row) == sorted(said(row), key=lambda one: one[1])


def basic(name: str) -> str:
    return BASIC[name] or name


@MANY
@given(any_stretches())
def test_what_is_shown_of_one_class_shows_no_other(stretches: list[Stretch]) -> None:
    rows = found(*labelled(*stretches)).filter(pl.col("kind").is_in(["action", "remaining", "next_action"]))
    for row in rows.to_dicts():
        seen = {basic(name) for name, start, end in stretches if start < row["cutoff_s"] and end > row["start_s"]}
        assert seen == {name for name, _, _ in said(row)}


@MANY
@given(any_stretches())
def test_the_target_begins_at_or_after_the_cutoff_and_nothing_else_comes_between(stretches: list[Stretch]) -> None:
    for row in found(*labelled(*stretches)).filter(pl.col("kind") == "next_action").to_dicts():
        name, start, _ = stretches[int(row["target_label_id"][1:])]
        assert start >= row["cutoff_s"]
        assert f"action/{basic(name)}" == row["action"]
        assert {basic(one) for one, begin, _ in stretches if row["cutoff_s"] <= begin <= start} == {basic(name)}
        assert row["target_label_id"] not in row["label_ids"]


@MANY
@given(any_stretches())
def test_what_remains_is_what_the_label_says(stretches: list[Stretch]) -> None:
    for row in found(*labelled(*stretches)).filter(pl.col("kind") == "remaining").to_dicts():
        assert row["end_s"] == row["cutoff_s"] + row["remaining_s"] == stretches[int(row["target_label_id"][1:])][2]
        name = row["action"].removeprefix("action/")
        going = [end for one, start, end in stretches if basic(one) == name and start <= row["end_s"] <= end]
        assert max(going) == row["end_s"]


def captions(stretches: list[Stretch]) -> list[list[Stretch]]:
    """The windows of captions, one step after the other."""
    merged: list[Stretch] = []
    for name, start, end in sorted(stretches):
        if merged and merged[-1][0] == name and start <= merged[-1][2]:
            merged[-1] = (name, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((name, start, end))
    blocks: list[list[Stretch]] = []
    for one in sorted(merged, key=lambda one: (one[1], one[2], one[0])):
        if blocks and one[1] < max(end for _, _, end in blocks[-1]):
            blocks[-1].append(one)
        else:
            blocks.append([one])

    def allowed(window: list[list[Stretch]]) -> bool:
        ends = [max(end for _, _, end in block) for block in window]
        gaps = [block[0][1] - end for block, end in zip(window[1:], ends, strict=False)]
        told = [one for block in window for one in block]
        return (
            len(told) <= 5
            and round(ends[-1] - told[0][1], 6) <= 30
            and all(round(gap, 6) <= 5 for gap in gaps)
            and all(name != "other" for name, _, _ in told)
        )

    windows = []
    while blocks:
        n = 0
        while n < len(blocks) and allowed(blocks[: n + 1]):
            n += 1
        windows.append([one for block in blocks[:n] for one in block])
        blocks = blocks[max(n, 1) :]
    return [told for told in windows if len(told) >= 2 and max(end for *_, end in told) - told[0][1] >= 1 - 1e-6]


@MANY
@given(any_stretches())
def test_captions_are_those_that_one_finds_step_by_step(stretches: list[Stretch]) -> None:
    assert [said(row) for row in scenes("caption", *stretches)] == captions(stretches)


@MANY
@given(any_stretches(), any_stretches())
def test_neither_another_video_nor_the_order_of_rows_changes_a_scene(one: list[Stretch], other: list[Stretch]) -> None:
    rows = labelled(*one)
    alone = found(*rows)
    assert found(*reversed(rows)).equals(alone)
    beside = found(*labelled(*other, video="w"), *rows)
    assert beside.filter(pl.col("video_id") == "lab/v").equals(alone)


@MANY
@given(any_stretches(), any_stretches(), st.sampled_from([0.2, 11.0]))
def test_what_comes_later_changes_no_earlier_scene(one: list[Stretch], later: list[Stretch], gap: float) -> None:
    """But for captions, which go on while the next action is near."""
    end = max((end for _, _, end in one), default=0.0) + gap
    moved = [(name, start + end, until + end) for name, start, until in later]
    before, after = found(*labelled(*one)), found(*labelled(*one), *labelled(*moved, first=len(one)))
    if gap < 5:
        before = before.filter(~pl.col("kind").is_in(["caption", "conditional"]))
    assert before.join(after, on=before.columns, how="anti", nulls_equal=True).is_empty()
