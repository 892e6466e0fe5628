import re
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any

import pytest
import yaml

# Case of each task: the slots that its answers fill.
SLOTS: dict[str, dict[str, set[str]]] = {
    "instrument_recognition": {"none": set(), "one": {"instruments"}, "many": {"instruments"}},
    "instrument_localization": {"none": set(), "one": {"boxes"}, "many": {"boxes"}},
    "triplet_recognition": {"one": {"triplets"}, "many": {"triplets"}, "idle": {"instruments"}},
    "phase_recognition": {"one": {"phase"}},
    "step_recognition": {"one": {"step"}},
    "safety_assessment": {"one": {"criteria"}, "achieved": {"criteria"}, "not_achieved": {"criteria"}},
    "image_captioning": {"one": {"caption"}},
}
STEM_SLOTS = {"instrument_localization": {"procedure", "instrument"}}
# What gives away that labels exist, or looks ahead; "<" and "xxx" are left over from editing.
FORBIDDEN = re.compile(
    r"label|annotat|data ?set|ground truth|according to|\bwill\b|\bnext\b|upcoming|afterwards|later"
    r"|todo|tbd|xxx|lorem|<|>|\[|\]|\$|\\",
    re.IGNORECASE,
)
every_task = pytest.mark.parametrize("task", SLOTS)


@cache
def templates(task: str) -> dict[str, Any]:
    file = files("surgsigma_dagster.dialogue") / "templates" / f"{task}.yaml"
    return yaml.safe_load(file.read_text("utf-8"))


def phrasings(task: str) -> list[tuple[str, str]]:
    found = templates(task)
    parts = {name: found[name] for name in ("system", "questions", "multiple_choice", "choice_answers")}
    parts |= {f"answers.{case}": texts for case, texts in found["answers"].items()}
    return [(name, text) for name, texts in parts.items() for text in texts]


def slots(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


@every_task
def test_a_task_has_enough_phrasings_of_everything(task: str) -> None:
    found = templates(task)
    assert found["task"] == task
    assert found["version"] >= 1
    assert len(found["system"]) >= 6
    assert len(found["questions"]) >= 40
    assert len(found["multiple_choice"]) >= 12
    assert len(found["choice_answers"]) >= 8
    assert {case: len(texts) for case, texts in found["answers"].items() if len(texts) < 20} == {}
    assert found["answers"].keys() == SLOTS[task].keys()


@every_task
def test_no_two_questions_are_near_duplicates(task: str) -> None:
    pairs = combinations(templates(task)["questions"], 2)
    alike = [
        (one, other) for one, other in pairs if len(words(one) & words(other)) >= 0.9 * len(words(one) | words(other))
    ]
    assert alike == []


@every_task
def test_no_phrasing_stands_twice_in_a_list(task: str) -> None:
    listed = phrasings(task)
    assert [entry for entry in listed if listed.count(entry) > 1] == []


@every_task
def test_answers_fill_exactly_the_slots_of_their_case(task: str) -> None:
    wrong = [
        text
        for case, texts in templates(task)["answers"].items()
        for text in texts
        if slots(text) != SLOTS[task][case] or text.count("{") > 1
    ]
    assert wrong == []


@every_task
def test_questions_use_no_slot_that_holds_an_answer(task: str) -> None:
    found = templates(task)
    assert {text for text in found["questions"] + found["system"] if slots(text) - {"procedure"}} == set()
    allowed = STEM_SLOTS.get(task, {"procedure"})
    assert {text for text in found["multiple_choice"] if slots(text) - allowed} == set()
    assert {text for text in found["choice_answers"] if slots(text) != {"letter", "option"}} == set()


@every_task
def test_braces_enclose_slots_and_nothing_else(task: str) -> None:
    bare = [re.sub(r"\{[a-z]+\}", "", text) for _, text in phrasings(task)]
    assert [text for text in bare if "{" in text or "}" in text] == []


@every_task
def test_no_phrasing_speaks_of_labels_or_the_future_or_holds_leftovers(task: str) -> None:
    assert [text for _, text in phrasings(task) if FORBIDDEN.search(text)] == []


@every_task
def test_phrasings_are_tidy_sentences(task: str) -> None:
    texts = [text for _, text in phrasings(task)]
    untidy = [text for text in texts if text != " ".join(text.split()) or not re.match(r"[A-Z{]", text)]
    assert untidy == []
    prompts = templates(task)["system"] + templates(task)["questions"] + templates(task)["multiple_choice"]
    assert [text for text in prompts if not text.endswith((".", "?"))] == []


def test_every_safety_question_says_which_three_criteria_are_asked() -> None:
    found = templates("safety_assessment")
    unclear = [
        text
        for text in map(str.casefold, found["questions"] + found["multiple_choice"])
        if not re.search(r"two|duct and an artery|cystic artery", text)
        or "triangle" not in text
        or not re.search(r"plate|bed|off the liver|from the liver", text)
    ]
    assert unclear == []


def test_a_whole_that_is_text_of_its_own_gets_no_second_full_stop() -> None:
    """Criteria and captions end in a full stop themselves."""
    texts = [text for task in ("safety_assessment", "image_captioning") for _, text in phrasings(task)]
    assert [text for text in texts if re.search(r"\{(criteria|caption|option)\}[.,;:]", text)] == []
