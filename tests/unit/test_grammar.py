import json
import re
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.dialogue.engine import instantiate
from surgsigma_dagster.dialogue.grammar import Answer, Sentence, agrees, parse, parse_free, render, told
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.schema.tables import MEDIUM, SCENES
from surgsigma_dagster.vocabulary.concepts import NO_INSTRUMENTS
from tests.unit.made import Row, any_frame, concept_ids, instrument, scene, triplet, worded

FEW = settings(max_examples=6, deadline=None)
LEFT_OVER = re.compile(r"[{}]|\bNone\b(?!:| of)|\bnull\b|\bnan\b")
OPTION = re.compile(r"\n([A-D])\. ([^\n]+)")
SHOWN = ("frame", "later_frame", "smoke", "instrument_mask", "depth", "clip", "first_frame", "target_clip")


# Scenes of every kind, with every medium


@st.composite
def any_footage(draw: st.DrawFn) -> Row:
    """What one row of `scene_context` says of a pair of frames or of a stretch of footage."""
    frame = draw(any_frame())
    basic = concept_ids("basic_action")
    start, shown, ahead = (draw(st.floats(low, 60)) for low in (0, 0.5, 0.06))
    happening = draw(st.lists(st.sampled_from(basic), min_size=1, max_size=5))
    return frame | {
        "kind": draw(st.sampled_from(SCENES[1:])), "action": draw(st.sampled_from(basic)), "step": None,
        "start_s": start, "cutoff_s": start + shown, "end_s": start + shown + ahead,
        "actions": [{"concept_id": name, "start_s": start + k, "end_s": start + k + 1.5}
                    for k, name in enumerate(happening)],
        "motions": [{"concept_id": "instrument/hook", "move": "moves to the left"}],
    }  # fmt: skip


any_scenes = st.lists(st.one_of(any_frame(), any_footage()), min_size=1, max_size=5).map(lambda rows: scene(*rows))


def said(scenes: pl.DataFrame) -> list[Row]:
    """Conversations of every task on `scenes`, with every medium at hand."""

    def medium(name: str) -> pl.Expr:
        fields = {"kind": pl.lit("image"), "id": pl.format("{}/{}", "scene_id", pl.lit(name)), "root": pl.lit("lake"),
                  "path": pl.lit(f"{name}.png"), "start_s": pl.lit(0.0), "end_s": pl.lit(0.0)}  # fmt: skip
        return pl.struct(**fields).cast(MEDIUM.dtype).alias(f"{name}_medium")

    words = worded(scenes).with_columns(*map(medium, SHOWN), depth_origin=pl.lit("measured"))
    return pl.concat([instantiate(words, task, seed=7) for task in tasks().values()]).to_dicts()


def labels_of(scenes: pl.DataFrame) -> dict[str, Row]:
    return {row["scene_id"]: row for row in scenes.to_dicts()}


def acting(labels: Row) -> list[tuple[str, str, str | None]]:
    return [
        (one["instrument"], one["verb"], None if one["target"] == "target/none" else one["target"])
        for one in labels["triplets"]
        if one["verb"] not in (None, "verb/none")
    ]


def is_what_the_labels_say(task: str, value: Any, labels: Row) -> bool:
    """Whether the value of an open answer is what its scene's labels hold, told apart from `grammar.agrees`."""
    kinds = Counter(one["concept_id"] for one in labels["instruments"])
    tissues = {one["concept_id"] for one in labels["tissues"]}
    ahead = labels["end_s"] - labels["cutoff_s"]
    boxes = {
        key: [(one["concept_id"], *(round(one[side]) for side in ("x1", "y1", "x2", "y2"))) for one in labels[key]
              if one["x1"] is not None]
        for key in ("instruments", "tissues")
    }  # fmt: skip
    if task == "image_captioning":
        return told_of_image(value, labels, kinds, tissues)
    if task == "video_captioning":
        names = [ids for part, _, ids in value if part == "actions"]
        return all(one["concept_id"] in ids for one, ids in zip(labels["actions"], names, strict=True))
    if task == "triplet_recognition":
        resting = dict.fromkeys(one["instrument"] for one in labels["triplets"] if one["verb"] == "verb/none")
        return list(value) == (acting(labels) or [(name, "verb/none", None) for name in resting])
    if task == "instrument_segmentation":
        masked = [name for name in kinds if name not in NO_INSTRUMENTS]
        return [name for name, _ in value] == masked and all(n == kinds[name] or n is None for name, n in value)
    if task in ("action_remaining_prediction", "next_frame_generation"):
        return bool(abs(value - ahead) < 0.0501)
    return bool({
        "instrument_recognition": lambda: dict(value) == {name: n if n < 11 else None for name, n in kinds.items()},
        "tissue_recognition": lambda: {name for name, _ in value} == tissues and len(value) == len(tissues),
        "instrument_localization": lambda: list(value) == boxes["instruments"],
        "tissue_localization": lambda: list(value) == boxes["tissues"],
        "phase_recognition": lambda: labels["phase"] in value,
        "step_recognition": lambda: labels["step"] in value,
        "action_recognition": lambda: labels["action"] in value,
        "next_action_planning": lambda: labels["action"] in value,
        "safety_assessment": lambda: list(value) == [one["met"] for one in labels["criteria"]],
    }.get(task, lambda: value is None)())  # fmt: skip


def told_of_image(value: tuple[Sentence, ...], labels: Row, kinds: Counter[str], tissues: set[str]) -> bool:
    found = {part: what for part, _, what in value}
    named = all(labels[part] in found.get(part, [None]) for part in ("phase", "step", "action"))
    counted = sum(n if isinstance(n, int) else 1 for _, n in found.get("instruments", ())) == kinds.total()
    return (
        named
        and {name for name, _ in found.get("instruments", ())} == set(kinds)
        and counted
        and {name for name, _ in found.get("tissues", ())} == tissues
        and list(found.get("triplets", ())) == list(dict.fromkeys(acting(labels)))
    )


@FEW
@given(any_scenes)
def test_text_is_structure_is_the_same_text_and_what_the_labels_say(scenes: pl.DataFrame) -> None:
    labels = labels_of(scenes)
    for row in said(scenes):
        answer = parse(row["task"], row["answer_text"])
        assert render(answer) == row["answer_text"]
        assert not LEFT_OVER.search(row["answer_text"])
        assert agrees(answer, json.loads(row["answer"])), (answer, row["answer"])
        version, *_, number = row["template_id"].split(":")
        assert version == f"{row['task']}@{tasks()[row['task']].templates.version}"
        assert number == (f"c{answer.number}" if answer.letter else f"{answer.case}{answer.number}")
        if row["form"] == "open":
            assert is_what_the_labels_say(row["task"], answer.value, labels[row["scene_id"]]), (row, answer.value)


@FEW
@given(any_scenes)
def test_of_the_options_one_agrees_with_the_data_and_it_is_the_one_that_is_named(scenes: pl.DataFrame) -> None:
    for row in said(scenes):
        if row["form"] != "multiple choice":
            continue
        data = json.loads(row["answer"])
        read = [parse(row["task"], f"{letter}. {text}") for letter, text in OPTION.findall(row["question"])]
        assert len(read) >= 2
        assert [one.letter for one in read if agrees(one, data | {"option": one.letter})] == [data["option"]]
        assert parse(row["task"], row["answer_text"]).letter == data["option"]
        assert parse_free(row["task"], row["answer_text"], "multiple choice") == data["option"]


@FEW
@given(any_scenes)
def test_one_is_said_of_one_and_many_of_several_and_boxes_lie_in_the_image(scenes: pl.DataFrame) -> None:
    labels = labels_of(scenes)
    for row in said(scenes):
        if row["form"] != "open":
            continue
        answer, of = parse(row["task"], row["answer_text"]), labels[row["scene_id"]]
        if row["task"] in ("instrument_recognition", "instrument_segmentation"):
            left_out = NO_INSTRUMENTS if row["task"] == "instrument_segmentation" else []
            n = sum(one["concept_id"] not in left_out for one in of["instruments"])
            assert answer.case == ("none" if n == 0 else "one" if n == 1 else "many")
        if row["task"].endswith("_localization"):
            assert answer.case == ("none" if not answer.value else "one" if len(answer.value) == 1 else "many")
            for _, x1, y1, x2, y2 in answer.value:
                assert 0 <= x1 <= x2 <= of["width"]
                assert 0 <= y1 <= y2 <= of["height"]
        if row["task"] == "action_remaining_prediction":
            assert answer.value > 0


@FEW
@given(any_scenes)
def test_what_the_corpus_says_is_understood_as_free_words_too(scenes: pl.DataFrame) -> None:
    among = {name for kind in ("instrument", "verb", "tissue", "target", "basic_action") for name in concept_ids(kind)}
    vague = {"instrument/unspecified", "verb/other"}
    for row in said(scenes):
        task, strict = tasks()[row["task"]], parse(row["task"], row["answer_text"]).value
        if row["form"] != "open" or task.grammar == "caption" or any(name in row["answer"] for name in vague):
            continue
        thought = f"<think>It could be a snare, clipping.</think><answer>{row['answer_text']}</answer>"
        free = parse_free(row["task"], thought, among=among - vague if task.grammar != "concept" else None)
        if task.grammar in ("names", "instruments"):
            assert [name for name, _ in free] == [name for name, _ in strict], row["answer_text"]
        else:
            assert free == strict, row["answer_text"]


@FEW
@given(any_scenes)
def test_what_no_words_tell_does_not_change_whether_an_answer_agrees(scenes: pl.DataFrame) -> None:
    rows = pl.DataFrame(said(scenes)).select("task", "answer_text", short=told(pl.col("task"), pl.col("answer")))
    for task, text, short in rows.iter_rows():
        assert agrees(parse(task, text), json.loads(short)), short


# Golden answers, each task once at least

GOLDEN: list[tuple[str, str, str, int, Any]] = [
    ("instrument_recognition", "The image shows a grasper and two hooks.", "many", 0,
     (("instrument/grasper", 1), ("instrument/hook", 2))),
    ("instrument_recognition", "No tools detected.", "none", 15, ()),
    ("instrument_localization", "Hook (369,0),(877,567)", "one", 0, (("instrument/hook", 369, 0, 877, 567),)),
    ("instrument_localization", "Located: hook (369,0),(877,567); ProGrasp forceps (1,2),(3,4).", "many", 1,
     (("instrument/hook", 369, 0, 877, 567), ("instrument/prograsp_forceps", 1, 2, 3, 4))),
    ("instrument_segmentation", "Here is the mask of the grasper and the hooks.", "many", 1,
     (("instrument/grasper", 1), ("instrument/hook", None))),
    ("tissue_recognition", "I can see the liver, the cystic duct and the omentum.", "many", 1,
     (("tissue/liver", 1), ("tissue/cystic_duct", 1), ("tissue/omentum", 1))),
    ("tissue_localization", "Calot triangle (0,10),(20,30)", "one", 0, (("tissue/calot_triangle", 0, 10, 20, 30),)),
    ("phase_recognition", "Calot triangle dissection.", "one", 8, ("phase/cholecystectomy/calot_triangle_dissection",)),
    ("phase_recognition", "The phase is preparation.", "one", 0,
     tuple(f"phase/{name}/preparation" for name in ("cholecystectomy", "gastric_bypass", "hysterectomy"))),
    ("step_recognition", "The step is cutting between the prostate and the urethra.", "one", 0,
     ("step/prostatectomy/cut_prostate",)),
    ("action_recognition", "Action: knot tying.", "one", 5,
     ("action/knot_tying", "basic_action/knot_tying")),  # one name: the scene decides
    ("triplet_recognition", "Here, the hook is dissecting the gallbladder; the scissors are travelling.", "many", 3,
     (("instrument/hook", "verb/dissect", "tissue/gallbladder"), ("instrument/scissors", "verb/travel", None))),
    ("triplet_recognition", "The frame shows the grasper and the scissors idle.", "idle", 11,
     (("instrument/grasper", "verb/none", None), ("instrument/scissors", "verb/none", None))),
    ("safety_assessment", "Criterion 1: Yes. Criterion 2: No. Criterion 3: Yes. Not all three criteria are met.",
     "not_achieved", 2, (True, False, True)),
    ("image_captioning", "The step is suction. The liver is in view. The hook is dissecting the liver.", "one", 0,
     (Sentence("step", "The step is {step}.", ("step/prostatectomy/suction",)),
      Sentence("tissues", "{tissues} is in view.", (("tissue/liver", 1),)),
      Sentence("triplets", "{triplets}.", (("instrument/hook", "verb/dissect", "tissue/liver"),)))),
    ("image_captioning", "Caption: Visible in the field: a hook in the centre. It is red.", "one", 3,
     (Sentence("instruments", "Visible in the field: {placed}.", (("instrument/hook", "centre"),)),
      Sentence("", "It is red.", None))),
    ("video_captioning", "In words: First comes clipping. Finally there is suture pulling.", "one", 5,
     (Sentence("actions", "First comes {action}.", ("action/clipping", "basic_action/clipping")),
      Sentence("actions", "Finally there is {action}.", ("action/suture_pulling", "basic_action/suture_pulling")))),
    ("action_remaining_prediction", "The remaining time is 1 second.", "one", 3, 1.0),
    ("action_remaining_prediction", "12.5 seconds.", "one", 1, 12.5),
    ("next_action_planning", "Next action: aspiration.", "one", 5, ("action/aspiration", "basic_action/aspiration")),
    ("desmoking", "The smoke has been removed.", "one", 1, None),
    ("depth_estimation", "Here is the relative depth map; darker is nearer.", "one", 0, None),
    ("next_frame_generation", "After 3 seconds, the scene looks like this.", "one", 3, 3.0),
    ("conditional_video_generation", "Here is the clip.", "one", 1, None),
]  # fmt: skip


@pytest.mark.parametrize(("task", "text", "case", "number", "value"), GOLDEN)
def test_an_answer_is_read_and_written_back(task: str, text: str, case: str, number: int, value: Any) -> None:
    answer = parse(task, text)
    assert (answer.value, answer.letter) == (value, None)
    assert tasks()[task].templates.answers[answer.case][answer.number] == tasks()[task].templates.answers[case][number]
    assert render(Answer(task, case, number, value)) == text


def test_every_task_has_a_golden_answer() -> None:
    assert {task for task, *_ in GOLDEN} == set(tasks())


@pytest.mark.parametrize(
    ("task", "text", "letter", "value"),
    [
        ("instrument_recognition", "The answer is B: Hook.", "B", (("instrument/hook", 1),)),
        ("instrument_localization", "It is C. Upper left", "C", ("upper left",)),
        ("safety_assessment", "D. Criterion 1: No. Criterion 2: No. Criterion 3: Yes.", "D", (False, False, True)),
        ("triplet_recognition", "I choose A: The hook is dissecting the liver.", "A",
         (("instrument/hook", "verb/dissect", "tissue/liver"),)),
        ("video_captioning", "Option A: Clipping, then aspiration.", "A",
         (("action/clipping", "basic_action/clipping"), ("action/aspiration", "basic_action/aspiration"))),
        ("action_remaining_prediction", "C: 8 seconds.", "C", 8.0),
    ],
)  # fmt: skip
def test_a_choice_is_read_with_its_letter_and_what_the_option_says(
    task: str, text: str, letter: str, value: Any
) -> None:
    answer = parse(task, text)
    assert (answer.case, answer.letter, answer.value) == ("choice", letter, value)
    assert render(answer) == text


@pytest.mark.parametrize(
    ("task", "text", "told"),
    [
        ("instrument_recognition", "The image shows a chainsaw.", "after 'The image shows '"),
        ("instrument_recognition", "The image shows an hook.", "after 'The image shows '"),
        ("instrument_recognition", "The image shows two hook.", "after 'The image shows '"),
        ("instrument_recognition", "These are a hook.", "after 'These are '"),
        ("instrument_localization", "Located: hook (1,2),(3).", "words like 'hook (369,0),(877,567)"),
        ("phase_recognition", "The phase is the appendix.", "after 'The phase is ', found"),
        ("triplet_recognition", "Here, the scissors is cutting the liver.", "after 'Here, '"),
        (
            "safety_assessment",
            "Criterion 1: Yes. Criterion 2: No. Criterion 3: Yes. All three criteria are met.",
            "'Crit",
        ),
        ("action_remaining_prediction", "The remaining time is 1 seconds.", "after 'The remaining time is '"),
        ("action_remaining_prediction", "The remaining time is 2.50 seconds.", "after 'The remaining time is '"),
        ("desmoking", "Done.", "a phrasing"),
    ],
)
def test_what_no_phrasing_says_is_an_error_that_tells_what_was_expected_and_where(
    task: str, text: str, told: str
) -> None:
    with pytest.raises(ValueError, match=f"^{task}: expected .*{re.escape(told)}"):
        parse(task, text)


def test_an_answer_that_contradicts_its_data_does_not_agree() -> None:
    scenes = scene(
        {"phase": "phase/cholecystectomy/preparation", "instruments": [instrument("hook", 10, 10, 60, 60)],
         "triplets": [triplet("hook", "dissect", "liver")], "tissues": [{"concept_id": "tissue/liver"}]},
    )  # fmt: skip
    for row in said(scenes):
        answer, data = parse(row["task"], row["answer_text"]), json.loads(row["answer"])
        swapped = row["answer"].replace("hook", "grasper").replace("/preparation", "/gallbladder_dissection")
        swapped = swapped.replace("tissue/liver", "tissue/gut")
        kind = tasks()[row["task"]].grammar
        assert agrees(answer, data)
        if kind != "medium" and not (kind == "boxes" and answer.letter):  # an area is the same whose box it is
            assert not agrees(answer, json.loads(swapped)), row["answer_text"]
        if answer.letter:
            assert not agrees(answer, data | {"option": "ABCD"["BADC".index(answer.letter)]})


# What models say in their own words


@pytest.mark.parametrize(
    ("task", "text", "value"),
    [
        ("instrument_recognition", "They belong to the categories Grasper, Hook.",
         (("instrument/grasper", 1), ("instrument/hook", 1))),
        ("instrument_recognition", "I see two L-hooks and a pair of scissors, but no clipper.",
         (("instrument/hook", 2), ("instrument/scissors", 1))),
        ("instrument_recognition", "The tool is not visible.", ()),
        ("instrument_localization", "No tools detected", ()),
        ("instrument_localization", "a Hook at [1, 2.5, 3, 4] and the grasper: ( 5, 6 ), (7,8)",
         (("instrument/hook", 1, 2.5, 3, 4), ("instrument/grasper", 5, 6, 7, 8))),
        ("instrument_localization", '[{"box": [1,2,3,4], "label": "hook"}, {"box": [5,6,7,8], "label": "grasper"}]',
         (("instrument/hook", 1, 2, 3, 4), ("instrument/grasper", 5, 6, 7, 8))),
        ("tissue_localization", "It is at [0.282, 0.452, 0.447, 0.752].", ((None, 0.282, 0.452, 0.447, 0.752),)),
        ("phase_recognition", "<think>preparation?</think><answer>calot_triangle-DISSECTION</answer>",
         ("phase/cholecystectomy/calot_triangle_dissection",)),
        ("phase_recognition", "Gallbladder dissection or gallbladder packaging.", ()),
        ("phase_recognition", "I do not know.", ()),
        ("triplet_recognition", "The instrument is hook, performing dissect on cystic duct.",
         (("instrument/hook", "verb/dissect", "tissue/cystic_duct"),)),
        ("triplet_recognition", "<grasper, retract, gallbladder>\n<hook, cut, null_target>",
         (("instrument/grasper", "verb/retract", "tissue/gallbladder"), ("instrument/hook", "verb/cut", None))),
        ("triplet_recognition", "The grasper holds the specimen bag.",
         (("instrument/grasper", "verb/hold", "instrument/specimen_bag"),)),
        ("triplet_recognition", "The bipolar tool is present but not interacting with any tissue or target.",
         (("instrument/bipolar", "verb/none", None),)),
        ("safety_assessment", "C1 is achieved, C2 unmet, C3: not clearly met", (True, False, False)),
        ("safety_assessment", "yes, No, YES", (True, False, True)),
        ("safety_assessment", "It looks safe.", ()),
        ("action_remaining_prediction", "about 10 seconds", 10.0),
        ("action_remaining_prediction", "1 min 5 s", 65.0),
        ("action_remaining_prediction", "7.5", 7.5),
        ("action_remaining_prediction", "soon", None),
        ("desmoking", "Here you are.", None),
    ],
)  # fmt: skip
def test_free_words_are_understood_or_nothing_is(task: str, text: str, value: Any) -> None:
    assert parse_free(task, text) == value


@pytest.mark.parametrize(
    ("text", "letter"),
    [("B", "B"), ("(B)", "B"), ("B.", "B"), ("b) a hook", "B"), ("**C**", "C"), ("The answer is A.", "A"),
     ("A hook is in view.", None), ("A or B", None), ("I choose D, a hook", "D"), ("", None)],
)  # fmt: skip
def test_a_letter_is_found_where_exactly_one_is_chosen(text: str, letter: str | None) -> None:
    assert parse_free("phase_recognition", text, "multiple choice") == letter


def test_the_concepts_that_can_be_meant_decide_what_a_word_means() -> None:
    assert parse_free("phase_recognition", "Preparation", among=["phase/gastric_bypass/preparation"]) == (
        "phase/gastric_bypass/preparation",
    )
    clips = parse_free("instrument_recognition", "a clip applier", among=["instrument/clipper", "instrument/hook"])
    assert clips == (("instrument/clipper", 1),)
    assert parse_free("instrument_recognition", "a clip applier") == (("instrument/clip_applier", 1),)
