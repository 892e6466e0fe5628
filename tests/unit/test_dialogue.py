import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from surgsigma_dagster.context.words import in_words
from surgsigma_dagster.dialogue.engine import filled, instantiate
from surgsigma_dagster.dialogue.media import with_media
from surgsigma_dagster.dialogue.pools import AREAS
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.schema.tables import Conversations, empty
from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.vocabulary.concepts import aliases, concepts
from tests.unit.made import Row, any_scene, conversed, instrument, reasoned, scene, table, triplet, worded

ACCEPTS_NAMES = {"in_house", "web_video", "coco"}  # which offer what their own labels name
FEW = settings(max_examples=10, deadline=None)
FEWER = settings(max_examples=5, deadline=None)
# "None: no instrument …" and "none of" are English; a bare None is a value that was not there.
LEFT_OVER = re.compile(r"[{}<>]|\bNone\b(?!:| of)|\bnull\b|\bnan\b|  |\bxxx\b| [.,;:]|\.\.|\bthe no\b|, and no target")
NAMES = dict(concepts().select("concept_id", "name").iter_rows())
NO_BOX: Row = dict.fromkeys(("x1", "y1", "x2", "y2"))
PHASES = [f"phase/cholecystectomy/{name}" for name in ("preparation", "clipping_and_cutting", "gallbladder_packaging")]


def spoken(row: dict[str, Any]) -> list[str]:
    """What is said in a conversation: the system's words, question and answer of each turn."""
    before = [text for turn in row["earlier"] for text in (turn["question"], turn["answer"])]
    return [row["system"], *before, row["question"], row["answer_text"]]


def options(row: dict[str, Any]) -> dict[str, str]:
    """Letter and text of a question's options."""
    return dict(re.findall(r"\n([A-D])\. ([^\n]+)", row["question"]))


def talk(scenes: pl.DataFrame, task: str, form: str = "open") -> list[dict[str, Any]]:
    said = conversed(scenes)
    return said.filter((pl.col("task") == task) & (pl.col("form").cast(pl.String) == form)).sort("scene_id").to_dicts()


# Over any scene


@FEW
@given(any_scene)
def test_every_turn_is_said_to_the_end(scenes: pl.DataFrame) -> None:
    said = conversed(scenes)
    Conversations.validate(said, cast=True)
    for row in said.to_dicts():
        assert [medium["kind"] for medium in row["media"]] == ["image"]
        for text in spoken(row):
            assert text, row["conversation_id"]
            assert not LEFT_OVER.search(text), (row["conversation_id"], text)
            assert text == text.strip()
        assert json.loads(row["answer"])


@FEW
@given(any_scene)
def test_the_right_option_is_there_once_and_no_other_is_true(scenes: pl.DataFrame) -> None:
    frames = {row["scene_id"]: row for row in scenes.to_dicts()}
    placed = dict(in_words(scenes, concepts()).select("scene_id", "placed_all").iter_rows())
    for row in conversed(scenes).filter(pl.col("form").cast(pl.String) == "multiple choice").to_dicts():
        offered, answer = options(row), json.loads(row["answer"])
        right = offered.pop(answer["option"])
        assert "\n" not in right
        assert right not in offered.values()
        assert len(set(offered.values())) == len(offered) in (1, 2, 3)
        assert re.search(rf"\b{answer['option']}\b.*{re.escape(right.rstrip('.'))}", row["answer_text"], re.DOTALL)
        true = [text.casefold() for text in true_options(row["task"], frames[row["scene_id"]])]
        assert any(text in right.casefold() for text in true), (right, true)
        if row["task"] == "image_captioning" and placed[row["scene_id"]]:  # the phase may be right, not the place, too
            where = f": {placed[row['scene_id']]}."
            assert where in right
            assert not [text for text in offered.values() if where in text and _ends_or_is(text.casefold(), true)]
            continue
        assert not [text for text in offered.values() if _ends_or_is(text.casefold(), true)], (offered, true)


def true_options(task: str, frame: dict[str, Any]) -> list[str]:
    """What is true of a frame, in the words of its concepts: whatever an option of the task may say."""
    if task in {"phase_recognition", "image_captioning"}:
        return [f"{'in the phase ' if task == 'image_captioning' else ''}{NAMES[frame['phase']]}"]
    if task == "step_recognition":
        return [NAMES[frame["step"]]]
    if task == "instrument_recognition":
        return [NAMES[entry["concept_id"]] for entry in frame["instruments"]]
    if task == "tissue_recognition":
        return [NAMES[entry["concept_id"]] for entry in frame["tissues"]]
    if task == "triplet_recognition":
        return [
            f"the {NAMES[one['target']]}" for one in frame["triplets"] if one["target"] and one["verb"] != "verb/none"
        ]
    if task == "safety_assessment":
        met = ["Yes" if entry["met"] else "No" for entry in frame["criteria"]]
        return [" ".join(f"Criterion {number}: {word}." for number, word in enumerate(met, 1))]
    located = "tissues" if task == "tissue_localization" else "instruments"
    (entry,) = [entry for entry in frame[located] if entry["x1"] is not None]
    column = min(int((entry["x1"] + entry["x2"]) / 2 / 854 * 3), 2)
    line = min(int((entry["y1"] + entry["y2"]) / 2 / 480 * 3), 2)
    cell = f"{['upper', 'middle', 'lower'][line]} {['left', 'centre', 'right'][column]}"
    return ["centre" if cell == "middle centre" else cell]


def _ends_or_is(text: str, true: list[str]) -> bool:
    areas = {area for area in AREAS if area in true}  # "upper centre" is not "centre"
    said = [one for one in true if one not in areas]
    return text in areas or any(text == one or text.endswith(f" {one}") or f" {one}. " in text for one in said)


@FEWER
@given(any_scene)
def test_neither_order_nor_company_changes_a_conversation(scenes: pl.DataFrame) -> None:
    key = "conversation_id"
    together = conversed(scenes).sort(key)
    assert conversed(scenes.reverse()).sort(key).equals(together)
    half = scenes.height // 2
    if half:
        apart = pl.concat([conversed(scenes.head(half)), conversed(scenes.tail(scenes.height - half))])
        assert apart.sort(key).equals(together)


_IN_PARTS = """
import sys
from pathlib import Path
import polars as pl
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.reasoning.grounded import chains
from tests.unit.made import instantiate, verified, worded

folder, size = Path(sys.argv[1]), int(sys.argv[2])
assert pl.thread_pool_size() == int(sys.argv[3])
scenes = pl.read_parquet(folder / "scenes.parquet").sample(fraction=1.0, shuffle=True, seed=size)
said, thought = [], []
for part in scenes.iter_slices(size):
    words = worded(part)
    said += [instantiate(words, task, seed=7) for task in tasks().values()]
    thought.append(verified(pl.concat(chains(words, task) for task in tasks().values()), part))
pl.concat(said).sort("conversation_id").write_parquet(folder / "said.parquet")
pl.concat(thought).sort("reasoning_id").write_parquet(folder / "thought.parquet")
"""


def test_batches_threads_and_order_leave_every_byte_as_it_is(tmp_path: Path) -> None:
    frames = [
        {
            "phase": PHASES[number % 3], "instruments_complete": number % 2 == 0,
            "instruments": [instrument(name, 10, 10, 50 + number, 90) for name in ("hook", "grasper")[: number % 3]],
            "triplets": [triplet("hook", "dissect", "gallbladder")] * (number % 3 == 1),
        }
        for number in range(60)
    ]  # fmt: skip
    scene(*frames).write_parquet(tmp_path / "scenes.parquet")
    made = []
    for size, threads in (("60", "1"), ("7", "2"), ("23", "4")):
        subprocess.run(
            [sys.executable, "-c", _IN_PARTS, str(tmp_path), size, threads],
            check=True, env=os.environ | {"POLARS_MAX_THREADS": threads}, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        made.append([(tmp_path / name).read_bytes() for name in ("said.parquet", "thought.parquet")])
    assert made[0] == made[1] == made[2]
    assert pl.read_parquet(tmp_path / "said.parquet").height > 200


# What is asked, and when


def test_an_unknown_phase_is_not_asked_for() -> None:
    assert talk(scene({"step": None}), "phase_recognition") == []


def test_no_instrument_is_an_answer_only_where_absence_is_known() -> None:
    known, unknown = {"instruments_complete": True}, {"instruments_complete": False}
    assert len(talk(scene(known, unknown), "instrument_recognition")) == 1
    assert json.loads(talk(scene(known), "instrument_recognition")[0]["answer"]) == {"instruments": []}


def test_an_instrument_of_unknown_kind_is_located_but_not_named() -> None:
    frame = {"instruments": [instrument("unspecified", 10, 10, 50, 50)], "instruments_complete": True}
    assert talk(scene(frame), "instrument_recognition") == []
    assert len(talk(scene(frame), "instrument_localization")) == 1


@pytest.mark.parametrize("others", [(), ("suction_instrument",)])
def test_needle_and_thread_are_no_answer_to_which_instruments(others: tuple[str, ...]) -> None:
    names = ("suturing_needle", "suture_thread", *others)
    frame = {"instruments": [instrument(name) for name in names], "instruments_complete": True}
    assert talk(scene(frame), "instrument_recognition") == []


def test_a_triplet_s_target_is_not_all_that_can_be_seen() -> None:
    acting: Row = {"triplets": [triplet("hook", "dissect", "cystic_artery")], "instruments": [instrument("hook")]}
    target, around = ({"concept_id": f"tissue/{name}"} | NO_BOX for name in ("cystic_artery", "liver"))
    frames = scene(
        acting | {"tissues": [target]},
        acting | {"tissues": [target, around]},
        acting | {"tissues": [target], "tissues_complete": True},
    )
    assert [row["scene_id"][-1] for row in talk(frames, "tissue_recognition")] == ["1", "2"]


def test_a_frame_outside_any_step_is_captioned_without_one() -> None:
    frame = {"procedure_type": "procedure/gastric_bypass", "phase": "phase/gastric_bypass/preparation",
             "step": "step/gastric_bypass/no_step", "instruments": [instrument("grasper")]}  # fmt: skip
    (row,) = talk(scene(frame), "image_captioning")
    assert "step" not in row["answer_text"]
    assert json.loads(row["answer"])["step"] is None


def test_captions_that_are_wrong_share_the_phase_or_the_place_but_not_both() -> None:
    frame = {
        "phase": PHASES[0],
        "instruments": [instrument("grasper", 0, 0, 90, 90), instrument("hook", 800, 0, 850, 90)],
    }
    (row,) = talk(scene(frame), "image_captioning", "multiple choice")
    told = [re.findall(r"phase ([^.]+)\. .* grasper in the ([a-z ]+) and a hook in the upper right", text)[0]
            for text in options(row).values()]  # fmt: skip
    phases, places = zip(*told, strict=True)
    assert sorted(Counter(phases).values()) == sorted(Counter(places).values()) == [2, 2]
    assert len(set(told)) == 4
    assert told["ABCD".index(json.loads(row["answer"])["option"])] == ("preparation", "upper left")


def test_triplets_with_a_part_that_nobody_annotated_are_not_asked_for() -> None:
    whole, no_target, no_verb = (
        {"triplets": [triplet("hook", verb, target)]}
        for verb, target in (("dissect", "gallbladder"), ("dissect", None), (None, "gallbladder"))
    )
    assert [row["scene_id"][-1] for row in talk(scene(no_target, whole, no_verb), "triplet_recognition")] == ["1"]


def test_where_absence_is_unknown_no_instrument_is_offered_as_wrong() -> None:
    frame = {"instruments": [instrument("hook")]}
    assert talk(scene(frame), "instrument_recognition", "multiple choice") == []
    assert len(talk(scene(frame | {"instruments_complete": True}), "instrument_recognition", "multiple choice")) == 1


def test_nothing_asks_for_all_where_some_may_be_unnamed() -> None:
    seen = {
        "phase": PHASES[0], "instruments": [instrument("hook", 1, 1, 9, 9)], "instruments_complete": True,
        "tissues": [{"concept_id": "tissue/liver", "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0}],
        "triplets": [triplet("hook", "dissect", "gallbladder")],
    }  # fmt: skip
    whole, partial = (set(conversed(scene(seen | {"partial": some}))["task"]) for some in (False, True))
    assert whole - partial == {
        "instrument_recognition", "instrument_localization", "tissue_recognition", "tissue_localization",
        "triplet_recognition",
    }  # fmt: skip
    assert {"phase_recognition", "image_captioning"} <= partial
    assert tasks()["instrument_segmentation"].every


def test_boxes_of_all_are_asked_for_where_all_have_one() -> None:
    boxed, bare = instrument("hook", 1, 1, 9, 9), instrument("grasper")
    assert len(talk(scene({"instruments": [boxed]}), "instrument_localization")) == 1
    assert talk(scene({"instruments": [boxed, bare]}), "instrument_localization") == []


@pytest.mark.parametrize(("white", "asked"), [(["instrument/grasper", "instrument/hook"], 1), (["instrument/hook"], 0)])
def test_a_mask_is_asked_for_where_all_that_is_in_view_is_in_it(white: list[str], asked: int) -> None:
    scenes = scene({"instruments": [instrument("hook"), instrument("grasper")]})
    picture = {"frame_id": scenes["frame_id"][0], "status": "available", "image_root": "lake", "image_path": "a.jpg"}
    made = {
        "rendition_id": "m", "frame_id": picture["frame_id"], "kind": "instrument_mask", "image_path": "m.png",
        "origin": "annotated", "parameters": json.dumps({"white": white, "fitted": "as it is"}),
    }  # fmt: skip
    words = with_media(
        worded(scenes).select(pl.exclude("^.*_(medium|licence|origin|shows)$", "licence")),
        table("frames", picture), table("dense_images", made), empty("clips"),
    ).with_columns(licence=pl.lit("CC-BY-4.0"))  # fmt: skip
    assert instantiate(words, tasks()["instrument_segmentation"], seed=7).height == asked


def test_two_hooks_have_no_one_place() -> None:
    two = {"instruments": [instrument("hook", 0, 0, 9, 9), instrument("hook", 800, 400, 850, 450)]}
    assert talk(scene(two), "instrument_localization", "multiple choice") == []


def test_safety_is_asked_only_of_three_judged_criteria() -> None:
    names = ("cvs_1_two_structures", "cvs_2_hepatocystic_triangle", "cvs_3_cystic_plate")
    judged = [{"concept_id": f"criterion/{name}", "met": True} for name in names]
    two, three = scene({"criteria": judged[:2]}), scene({"criteria": judged})
    assert talk(two, "safety_assessment") == []
    assert json.loads(talk(three, "safety_assessment")[0]["answer"])["critical_view_of_safety"] is True


def test_one_frame_at_the_end_of_a_batch_can_be_asked_alone() -> None:
    # polars panics at set operations on the tail of a list column that a cross join has repeated.
    names = ("cvs_1_two_structures", "cvs_2_hepatocystic_triangle", "cvs_3_cystic_plate")
    judged = [{"concept_id": f"criterion/{name}", "met": False} for name in names]
    assert len(talk(scene({}, {}, {"criteria": judged}), "safety_assessment", "multiple choice")) == 1


# English


@pytest.mark.parametrize(
    ("doing", "verb"),
    [
        ([triplet("grasper", "none", "target/none")], "grasper is not"),
        ([triplet("scissors", "none", "target/none")], "scissors are not"),
        (
            [triplet("grasper", "none", "target/none"), triplet("hook", "none", "target/none")],
            "grasper and the hook are not",
        ),
    ],
)
def test_idle_instruments_agree_with_their_verb(doing: list[dict[str, Any]], verb: str) -> None:
    chains = reasoned(
        scene({"triplets": doing, "instruments": [instrument(one["instrument"].split("/")[1]) for one in doing]})
    )
    (context,) = chains.filter(pl.col("task") == "triplet_recognition")["context"]
    assert f"the {verb} interacting" in context


def test_the_correct_statement_of_a_multiple_choice_is_a_sentence() -> None:
    frame = {"triplets": [triplet("scissors", "cut", "cystic_duct")], "instruments": [instrument("scissors")]}
    (row,) = talk(scene(frame), "triplet_recognition", "multiple choice")
    offered = options(row)
    assert offered[json.loads(row["answer"])["option"]] == "The scissors are cutting the cystic duct"
    assert all(text.startswith("The scissors are cutting the ") for text in offered.values())


# Choices by hash


def test_phrasings_and_letters_are_spread_evenly() -> None:
    frames = scene(*({"phase": PHASES[number % 3], "pts_s": float(number)} for number in range(900)))
    said = conversed(frames).filter(pl.col("task") == "phase_recognition")
    asked = said.filter(pl.col("form").cast(pl.String) == "open")["template_id"].str.extract(r":q(\d+):")
    n = len(tasks()["phase_recognition"].templates.questions)
    counts = Counter(asked)
    assert len(counts) == n
    assert max(counts.values()) < 3 * 900 / n
    letters = Counter(said["answer"].str.json_path_match("$.option").drop_nulls())
    assert set(letters) == set("ABCD")
    assert min(letters.values()) > 180
    wrong = Counter(
        text for row in said.filter(pl.col("form").cast(pl.String) != "open").to_dicts()
        for letter, text in options(row).items() if letter != json.loads(row["answer"])["option"]
    )  # fmt: skip
    assert len(wrong) == 7  # the phases that CholecT50 annotates
    assert max(wrong.values()) < 2.5 * min(wrong.values())


def test_the_seed_moves_the_choices_and_nothing_else() -> None:
    frames = scene(*({"phase": phase} for phase in PHASES * 10))
    one, other = (conversed(frames, seed).sort("conversation_id") for seed in (1, 2))
    assert one["conversation_id"].equals(other["conversation_id"])
    assert not one["question"].equals(other["question"])
    answers = [found["answer"].str.json_path_match("$.phase") for found in (one, other)]
    assert answers[0].equals(answers[1])


def test_a_template_id_leads_back_to_the_phrasings() -> None:
    (row,) = talk(scene({"phase": PHASES[0]}), "phase_recognition")
    templates = tasks()["phase_recognition"].templates
    version, question, case, answer = re.fullmatch(
        r"phase_recognition@(\d+):q(\d+):([a-z]+?)(\d+)", row["template_id"]
    ).groups()  # type: ignore[union-attr]
    assert int(version) == templates.version
    assert templates.questions[int(question)].format(procedure=NAMES["procedure/cholecystectomy"]) == spoken(row)[1]
    told = templates.answers[case][int(answer)].format(phase=NAMES[PHASES[0]])
    assert told[:1].upper() + told[1:] == spoken(row)[2]


def test_a_slot_that_no_task_fills_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        filled(["{nobody} is here"], pl.lit(0), {"phase": pl.lit("x")})


def test_phrasings_of_different_shape_are_filled_side_by_side() -> None:
    phrasings = ["{a} and {b}.", "Only {b}", "Nothing", "{b}, {a}, {b}"]
    rows = pl.DataFrame({"which": [0, 1, 2, 3], "a": ["x"] * 4, "b": ["y"] * 4})
    said = rows.select(text=filled(phrasings, pl.col("which"), {"a": pl.col("a"), "b": pl.col("b")}))
    assert said["text"].to_list() == ["X and y.", "Only y", "Nothing", "Y, x, y"]


def test_no_option_of_a_source_is_another_name_of_another() -> None:
    """Wrong options come from what a source annotates: no two of its names of one kind mean one thing."""
    called = concepts().select("concept_id", "kind", "name", "synonyms")
    names = {
        row["concept_id"]: {row["name"].casefold(), *map(str.casefold, row["synonyms"])} for row in called.to_dicts()
    }
    kinds = dict(called.select("concept_id", "kind").iter_rows())
    for dataset in adapters():
        meant = sorted(aliases(dataset)["concept_id"].unique()) if dataset not in ACCEPTS_NAMES else []
        same = [
            (one, other)
            for one, other in combinations(meant, 2)
            if kinds[one] == kinds[other]
            and one.split("/")[1:-1] == other.split("/")[1:-1]
            and names[one] & names[other]
        ]
        assert same == [], dataset
