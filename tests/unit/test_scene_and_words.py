from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.context.scene import scene_context
from surgsigma_dagster.context.words import area, in_words, listed
from surgsigma_dagster.schema.tables import LABELS, SceneContext
from surgsigma_dagster.vocabulary.concepts import concepts
from surgsigma_dagster.vocabulary.harmonization import harmonize
from tests.unit.made import Row, frame_row, instrument, joined, known, native, scene, table, triplet, video_row

CALOT, PREPARATION = (f"phase/cholecystectomy/{name}" for name in ("calot_triangle_dissection", "preparation"))


def scenes(
    records: dict[str, pl.DataFrame], *frames: Row, dataset: str = "cholect50", turned_down: int = 0, **facts: object
) -> dict[int, dict[str, Any]]:
    """Scene of each frame of the video `lab/v`, of which `facts` are known, by frame number."""
    videos = table("videos", video_row("lab", "v", dataset) | facts)
    procedures = table("procedures", {
        "procedure_id": videos["listed_procedure"].item(), "procedure_type": "procedure/cholecystectomy",
        "specialty": "x", "split": "train", "split_rule": "x", "identity_rule": "x", "videos": ["lab/v"]})  # fmt: skip
    made = harmonize(records, videos, known("lab", dataset))
    assert made["rejects"].height == turned_down
    labels = {kind: made[kind] for kind in LABELS}
    found = scene_context(table("frames", *frames), labels, procedures, videos, rejects=made["rejects"])
    SceneContext.validate(found, cast=True)
    return {int(row["frame_id"][-6:]): row for row in found.to_dicts()}


def frames(*numbers: int, **rest: object) -> list[Row]:
    return [frame_row("lab", "v", number) | rest for number in numbers]


def phase(name: str, start_s: float, end_s: float, start: int | None = None, end: int | None = None) -> Row:
    return {"raw_value": name, "start_s": start_s, "end_s": end_s, "start_frame": start, "end_frame": end}


def said(*rows: Row) -> list[dict[str, Any]]:
    return in_words(scene(*rows), concepts()).sort("frame_id").to_dicts()


# Joining


def test_a_frame_between_two_opinions_on_its_phase_has_none() -> None:
    both = native(intervals=[phase("preparation", 0, 5), phase("carlot-triangle-dissection", 3, 9)])
    found = scenes(both, *frames(1, 4, 8))
    assert {number: row["phase"] for number, row in found.items()} == {1: PREPARATION, 4: None, 8: CALOT}
    assert len(found[4]["label_ids"]) == 2


def test_two_labels_that_agree_are_one_phase() -> None:
    twice = native(intervals=[phase("preparation", 0, 5), phase("preparation", 3, 9) | {"file": "other.txt"}])
    assert scenes(twice, *frames(4))[4]["phase"] == PREPARATION


def test_where_labels_count_frames_the_number_decides_not_the_clock() -> None:
    by_number = native(intervals=[phase("preparation", 0, 4, 0, 3), phase("carlot-triangle-dissection", 4, 9, 4, 9)])
    # Frame 3 is shown late: its clock says 4.2 s, where the next phase has begun.
    found = scenes(by_number, *frames(3, pts_s=4.2), *frames(4))
    assert (found[3]["phase"], found[4]["phase"]) == (PREPARATION, CALOT)


def test_a_label_in_seconds_ends_before_its_end() -> None:
    by_time = native(intervals=[phase("preparation", 0, 4), phase("carlot-triangle-dissection", 4, 9)])
    found = scenes(by_time, *frames(3, pts_s=3.999), *frames(4, pts_s=4.0), *frames(9, pts_s=9.0))
    assert {number: row["phase"] for number, row in found.items()} == {3: PREPARATION, 4: CALOT}


def test_a_frame_that_no_label_speaks_of_has_no_scene() -> None:
    assert scenes(native(triplets=[{"frame_index": 0}]), *frames(0, 7)).keys() == {0}


@pytest.mark.parametrize("status", ["absent", "quarantined"])
def test_a_frame_that_cannot_be_shown_has_no_scene(status: str) -> None:
    assert scenes(native(triplets=[{}]), *frames(0, status=status)) == {}


def test_an_instrument_that_box_presence_and_triplet_name_is_there_once() -> None:
    records = native(
        boxes=[{"raw_value": "grasper", "x1": 1, "y1": 2, "x2": 3, "y2": 4}],
        presences=[{"raw_value": "grasper"}],
        triplets=[{}],
    )
    found = scenes(records, *frames(0))[0]
    assert found["instruments"] == [instrument("grasper", 1, 2, 3, 4)]
    assert [entry["concept_id"] for entry in found["tissues"]] == ["tissue/gallbladder"]
    assert found["triplets"] == [triplet("grasper", "retract", "gallbladder")]
    assert len(found["label_ids"]) == 3


def test_two_boxes_are_two_instruments() -> None:
    boxes = [{"raw_value": "grasper", "x1": x, "y1": 2, "x2": x + 2, "y2": 4} for x in (1, 50)]
    assert len(scenes(native(boxes=boxes), *frames(0))[0]["instruments"]) == 2


def test_what_is_known_to_be_absent_is_not_in_view() -> None:
    seen = [{"raw_value": name, "present": name == "hook"} for name in ("hook", "grasper")]
    found = scenes(native(presences=seen), *frames(0))[0]
    assert [entry["concept_id"] for entry in found["instruments"]] == ["instrument/hook"]
    assert found["instruments_complete"]


def test_without_a_word_on_absences_an_empty_view_is_a_gap() -> None:
    assert not scenes(native(intervals=[phase("preparation", 0, 9)]), *frames(0))[0]["instruments_complete"]


def complete(found: dict[int, dict[str, Any]]) -> dict[int, tuple[bool, bool, bool]]:
    names = ("instruments_complete", "tissues_complete", "partial")
    return {number: tuple(row[name] for name in names) for number, row in found.items()}  # type: ignore[misc]


def test_a_yes_alone_says_nothing_of_the_others() -> None:
    seen = [{"raw_value": "hook"}, {"raw_value": "hook", "frame_index": 1}]
    absent = {"raw_value": "grasper", "frame_index": 1, "present": False}
    assert complete(scenes(native(presences=[*seen, absent]), *frames(0, 1))) == {
        0: (False, False, False), 1: (True, False, False),
    }  # fmt: skip
    declared = scenes(native(presences=seen), *frames(0, 1), complete=["instrument"])
    assert complete(declared) == {0: (True, False, False), 1: (True, False, False)}


def test_a_source_that_names_what_it_is_asked_for_is_never_complete() -> None:
    told = native(presences=[{"raw_value": "hook"}, {"raw_value": "grasper", "present": False}])
    assert complete(scenes(told, *frames(0), partial=True, complete=["tissue"])) == {0: (False, False, True)}


@pytest.mark.parametrize(
    ("records", "partial"),
    [
        ({"rejects": [{"rule": "swapped_labels", "frame_index": 1}]}, True),
        ({"rejects": [{"rule": "repeats", "frame_index": None}]}, False),
        ({"presences": [{"raw_value": "chainsaw", "frame_index": 1}]}, True),
        ({"presences": [{"raw_value": "chainsaw", "frame_index": 1, "present": False}]}, False),
        ({"boxes": [{"raw_value": "hook", "frame_index": 1, "x1": 300, "y1": 1, "x2": 310, "y2": 9}]}, True),
        ({"intervals": [{"raw_value": "tea break", "start_frame": 1, "end_frame": 1}]}, False),
    ],
)
def test_where_a_label_of_something_visible_was_turned_down_no_list_is_complete(
    records: dict[str, list[Row]], partial: bool
) -> None:
    told = [
        {"raw_value": name, "frame_index": frame, "present": name == "hook"}
        for frame in (0, 1) for name in ("hook", "grasper")
    ]  # fmt: skip
    records = {**records, "presences": [*told, *records.get("presences", [])]}
    found = complete(scenes(native(**records), *frames(0, 1), turned_down=1))
    assert found == {0: (True, False, False), 1: (not partial, False, partial)}


def test_the_same_box_again_leaves_nothing_out() -> None:
    box = {"raw_value": "hook", "x1": 1, "y1": 1, "x2": 9, "y2": 9}
    assert not scenes(native(boxes=[box, box]), *frames(0), turned_down=1)[0]["partial"]


def test_raters_who_contradict_each_other_leave_a_criterion_open() -> None:
    judged = [{"raw_value": "C1", "score": 1.0}, {"raw_value": "C1", "score": 0.0}, {"raw_value": "C2", "score": 1.0}]
    found = scenes(native(criteria=judged), *frames(0), dataset="endoscapes")[0]
    assert [entry["concept_id"] for entry in found["criteria"]] == ["criterion/cvs_2_hepatocystic_triangle"]


def test_labels_of_another_video_with_the_same_frame_numbers_do_not_reach_a_frame() -> None:
    both = joined(
        native(triplets=[{}]), native(video="w", triplets=[{"raw_instrument": "hook", "raw_verb": "dissect"}])
    )
    assert scenes(both, *frames(0))[0]["triplets"] == [triplet("grasper", "retract", "gallbladder")]


# Words


def test_a_list_is_joined_as_english_does() -> None:
    lists = pl.DataFrame(
        {"items": [["a"], ["a", "b"], ["a", "b", "c"], [], None]}, schema={"items": pl.List(pl.String)}
    )
    assert lists.select(listed(pl.col("items")))["items"].to_list() == ["a", "a and b", "a, b and c", None, None]


@pytest.mark.parametrize(
    ("point", "cell"),
    [
        ((0.1, 0.1), "upper left"),
        ((0.5, 0.1), "upper centre"),
        ((0.9, 0.5), "middle right"),
        ((0.5, 0.5), "centre"),
        ((0.1, 0.9), "lower left"),
    ],
)
def test_a_point_lies_in_its_ninth_of_the_image(point: tuple[float, float], cell: str) -> None:
    found = pl.DataFrame({"x": [point[0]], "y": [point[1]]}).select(area(pl.col("x"), pl.col("y")).alias("cell"))
    assert found["cell"].item() == cell


def test_instruments_are_counted_and_named_with_their_article() -> None:
    rows = said(
        {"instruments": [instrument("grasper")]},
        {"instruments": [instrument("irrigator")]},
        {"instruments": [instrument("scissors")]},
        {"instruments": [instrument("grasper", 0, 0, 9, 9), instrument("grasper", 9, 9, 20, 20), instrument("hook")]},
        {"instruments": [instrument("scissors", 0, 0, 9, 9), instrument("scissors", 9, 9, 20, 20)]},
        {},
    )
    assert [row["instruments_said"] for row in rows] == [
        "a grasper", "an irrigator", "a pair of scissors", "two graspers and a hook", "two pairs of scissors", None,
    ]  # fmt: skip


def test_scissors_move_in_the_plural_and_what_one_instrument_does_is_one_sentence() -> None:
    moving = [("hook", "moves slightly up"), ("hook", "comes closer"), ("scissors", "stays where it is"),
              ("monopolar_curved_scissors", "leaves the view"), ("bipolar", "draws back")]  # fmt: skip
    (row,) = said({"motions": [{"concept_id": f"instrument/{name}", "move": move} for name, move in moving]})
    assert row["motion_said"] == (
        "The hook moves slightly up and comes closer. The scissors stay where they are. "
        "The monopolar curved scissors leave the view. The bipolar forceps draws back."
    )


def test_verbs_agree_with_their_subjects() -> None:
    rows = said(
        {"triplets": [triplet("grasper", "retract", "gallbladder")]},
        {"triplets": [triplet("scissors", "cut", "cystic_duct")]},
        {"triplets": [triplet("grasper", "none", "target/none")]},
        {"triplets": [triplet("scissors", "none", "target/none")]},
        {"triplets": [triplet("grasper", "none", "target/none"), triplet("hook", "none", None)]},
        {"triplets": [triplet("grasper", "none", "target/none"), triplet("grasper", "none", None)]},
    )
    assert [row["acts"] for row in rows[:2]] == [
        "the grasper is retracting the gallbladder", "the scissors are cutting the cystic duct",
    ]  # fmt: skip
    assert [(row["idle"], row["idle_is"]) for row in rows[2:]] == [
        ("the grasper", "is"), ("the scissors", "are"), ("the grasper and the hook", "are"), ("the grasper", "is"),
    ]  # fmt: skip


def test_looks_agree_with_their_number() -> None:
    one, two = said(
        {"instruments": [instrument("grasper")]},
        {"instruments": [instrument("grasper", 0, 0, 9, 9), instrument("grasper", 9, 9, 20, 20)]},
    )
    assert one["looks"].startswith("The grasper shows ")
    assert two["looks"].startswith("The graspers show ")


def test_a_target_that_is_nothing_is_not_named() -> None:
    (row,) = said({"triplets": [triplet("hook", "dissect", "target/none")]})
    assert row["acts"] == "the hook is dissecting"
    assert (row["first_target"], row["target_names"]) == (None, [])


def test_what_is_not_annotated_is_left_out_of_the_words() -> None:
    (row,) = said({"triplets": [triplet("hook", "dissect", None), triplet("grasper", None, None)]})
    assert (row["acts"], row["triplets_said"], row["n_acts"], row["idle"]) == ("the hook is dissecting", "", 0, None)


def test_boxes_are_said_in_the_pixels_of_the_label() -> None:
    (row,) = said({"instruments": [instrument("hook", 369, 0, 877, 566.6)]})
    assert row["boxes"] == "hook (369,0),(877,567)"
    (left,) = said({"instruments": [instrument("hook", 0, 0, 100, 100), instrument("grasper")]})
    assert (left["placed"], left["placed_all"], left["n_boxes"]) == ("a hook in the upper left", None, 1)


def test_criteria_are_numbered_in_their_order() -> None:
    names = ("cvs_1_two_structures", "cvs_2_hepatocystic_triangle", "cvs_3_cystic_plate")
    judged = [
        {"concept_id": f"criterion/{name}", "met": met} for name, met in zip(names, (True, False, True), strict=True)
    ]
    (row,) = said({"criteria": judged})
    assert row["criteria_said"] == "Criterion 1: Yes. Criterion 2: No. Criterion 3: Yes."
    assert (row["n_met"], row["n_judged"]) == (2, 3)


def test_numbers_of_criteria_start_again_in_every_frame() -> None:
    judged = [{"concept_id": "criterion/cvs_1_two_structures", "met": False}]
    assert [row["criteria_said"] for row in said({"criteria": judged}, {"criteria": judged})] == [
        "Criterion 1: No."
    ] * 2
