"""What a phrasing must be for the corpus to read as if people had written it: held for every task's template file."""

import re
from collections import Counter
from functools import cache
from importlib.resources import files
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.dialogue.phrasings import MOST, Templates, expanded, phrasings, read_templates
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import concepts

# Case of each task: the slots that its answers fill.
SLOTS: dict[str, dict[str, set[str]]] = {
    "action_recognition": {"one": {"action"}},
    "action_remaining_prediction": {"one": {"seconds"}},
    "conditional_video_generation": {"one": set()},
    "depth_estimation": {"one": set()},
    "desmoking": {"one": set()},
    "image_captioning": {"one": {"caption"}},
    "instrument_localization": {"none": set(), "one": {"boxes"}, "many": {"boxes"}},
    "instrument_recognition": {"none": set(), "one": {"instruments"}, "many": {"instruments"}},
    "instrument_segmentation": {"none": set(), "one": {"instruments"}, "many": {"instruments"}},
    "next_action_planning": {"one": {"action"}},
    "next_frame_generation": {"one": {"seconds"}},
    "phase_recognition": {"one": {"phase"}},
    "safety_assessment": {"one": {"criteria"}, "achieved": {"criteria"}, "not_achieved": {"criteria"}},
    "step_recognition": {"one": {"step"}},
    "tissue_localization": {"one": {"boxes"}, "many": {"boxes"}},
    "tissue_recognition": {"one": {"tissues"}, "many": {"tissues"}},
    "triplet_recognition": {"one": {"triplets"}, "many": {"triplets"}, "idle": {"instruments"}},
    "video_captioning": {"one": {"caption"}},
}
# Slots that every question, stem or follow-up of a task holds; {procedure} may stand beside them.
QUESTION_SLOTS = {
    "action_remaining_prediction": {"action"},
    "conditional_video_generation": {"caption"},
    "next_frame_generation": {"seconds", "motion"},
}
STEM_SLOTS = {
    "action_remaining_prediction": {"action"},
    "instrument_localization": {"instrument"},
    "tissue_localization": {"tissue"},
}
FOLLOW_UP_SLOTS = {"triplet_recognition": {"instrument"}}

DENSE = {  # the answer is a picture or a clip: no options
    "conditional_video_generation",
    "depth_estimation",
    "desmoking",
    "instrument_segmentation",
    "next_frame_generation",
}
FOLLOWING = {  # asked again of an image that was already talked about
    "image_captioning",
    "instrument_localization",
    "instrument_recognition",
    "phase_recognition",
    "safety_assessment",
    "step_recognition",
    "tissue_localization",
    "tissue_recognition",
    "triplet_recognition",
}
FUTURE = {  # what comes is asked for
    "action_remaining_prediction",
    "conditional_video_generation",
    "next_action_planning",
    "next_frame_generation",
}
# Asked of eye operations too, which are filmed through a microscope, and of nobody's abdomen.
THROUGH_ANY_LENS = {"instrument_recognition", "instrument_localization", "phase_recognition", "step_recognition"}
# Kinds of concept whose names a question would give away.
ANSWERED_WITH = {
    "instrument_localization": {"instrument"},
    "instrument_recognition": {"instrument"},
    "instrument_segmentation": {"instrument"},
    "phase_recognition": {"phase"},
    "step_recognition": {"step"},
    "tissue_localization": {"tissue"},
    "tissue_recognition": {"tissue"},
    "triplet_recognition": {"instrument"},
}

LEFTOVERS = re.compile(  # of labelling, of editing
    r"\blabel|\bannotat|\bdata ?sets?\b|\bground[- ]truth\b|\baccording to\b|\bxxx\b|\blorem\b|[<>\[\]$\\]",
    re.IGNORECASE,
)
AHEAD = re.compile(r"\b(will|next|upcoming|later|afterwards)\b", re.IGNORECASE)
# Slots filled with whole sentences; a safety assessment's options are such texts as well.
OWN_TEXT = r"\{(criteria|caption|motion)\}"
# An -ize is at home on both sides (Oxford spelling).
AMERICAN = re.compile(r"\b(center|color|gray|tumor|hemo|esophag|anesthe|behavior|operating room)\w*", re.IGNORECASE)
BRITISH = re.compile(
    r"\b(centre|colour|grey|tumour|haemo|oesophag|anaesthe|behaviour|theatre)\w*|\b\w+(gn|al|ar|or)is(e|ed|es|ing)\b",
    re.IGNORECASE,
)

every_task = pytest.mark.parametrize(
    "task", [task for task in SLOTS if (files("surgsigma_dagster.dialogue") / "templates" / f"{task}.yaml").is_file()]
)


@cache
def written(task: str) -> dict[str, Any]:
    """The file as written, with nothing expanded."""
    file = files("surgsigma_dagster.dialogue") / "templates" / f"{task}.yaml"
    return yaml.safe_load(file.read_text("utf-8"))


@cache
def said(task: str) -> dict[str, list[str]]:
    """Every expanded phrasing by its section: `questions`, `answers.one`, …"""
    found = phrasings(task)
    prompts = {name: getattr(found, name) for name in ("system", "questions", "multiple_choice", "follow_ups")}
    answers = {f"answers.{case}": texts for case, texts in found.answers.items()}
    return {**prompts, **answers, "choice_answers": found.choice_answers}


def everything(task: str) -> list[str]:
    return [text for texts in said(task).values() for text in texts]


def prompts(task: str) -> list[str]:
    return [
        text for section in ("system", "questions", "multiple_choice", "follow_ups") for text in said(task)[section]
    ]


def answers(task: str, *cases: str) -> list[str]:
    return [text for case in cases or SLOTS[task] for text in said(task)[f"answers.{case}"]]


def slots(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def matching(pattern: str, texts: list[str]) -> list[str]:
    return [text for text in texts if re.search(pattern, text, re.IGNORECASE)]


# The grammar


def test_alternatives_are_written_out_with_the_last_group_changing_fastest() -> None:
    assert expanded("(Which|What) tools are (in view|visible)?") == [
        "Which tools are in view?",
        "Which tools are visible?",
        "What tools are in view?",
        "What tools are visible?",
    ]
    assert expanded("Box the tools(, please|).") == ["Box the tools, please.", "Box the tools."]
    assert expanded("Nothing to choose.") == ["Nothing to choose."]


plain = st.text(st.characters(codec="utf-8", exclude_characters="()|{}"), max_size=8)
groups = st.lists(plain, min_size=2, max_size=2, unique=True)


@settings(max_examples=50)
@given(st.tuples(plain, groups, plain, groups, plain))
def test_an_entry_stands_for_every_combination_of_its_alternatives_and_they_for_themselves(
    parts: tuple[str | list[str], ...],
) -> None:
    text = "".join(part if isinstance(part, str) else f"({'|'.join(part)})" for part in parts)
    wanted = ["".join(chosen) for chosen in product(*([part] if isinstance(part, str) else part for part in parts))]
    assert expanded(text) == wanted
    assert [expanded(phrasing) for phrasing in wanted] == [[phrasing] for phrasing in wanted]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Which (tools are visible?", "closed"),
        ("Which tools) are visible?", "closed"),
        ("Which ((tools|instruments)|devices) are visible?", "nest"),
        ("Which tools|instruments are visible?", "parentheses"),
        ("Which tools (if any) are visible?", "two or more"),
        ("Which (tools|tools) are visible?", "different"),
        ("(A|B|C) (d|e)?", f"at most {MOST}"),
        ("Which tools does {procedure need?", "braces"),
        ("Which tools does {the procedure} need?", "braces"),
    ],
)
def test_a_malformed_entry_is_an_error_that_names_file_section_and_entry(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "phase_recognition.yaml"
    found = written("phase_recognition")
    file.write_text(yaml.safe_dump({**found, "questions": [*found["questions"], text]}), "utf-8")
    place = re.escape(f"{file}, questions, entry {len(found['questions']) + 1}: ")
    with pytest.raises(SourceError, match=f"^{place}expected .*{expected}.*, found {re.escape(text)}$"):
        read_templates(file)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"questions": ["What is this?"]}, "questions: .*at least 30"),
        ({"answers": {"one": [7]}}, "answers, one, entry 1: .*string"),
        ({"answers": {"one": []}}, "answers, one: .*at least 1"),
        ({"question": []}, "question: .*not permitted"),
        ({"choice_answers": []}, "expected multiple_choice and choice_answers both"),
        ({"version": None}, "version: .*integer"),
    ],
)
def test_a_malformed_file_is_an_error_that_names_file_and_section(
    tmp_path: Path, change: dict[str, Any], where: str
) -> None:
    file = tmp_path / "phase_recognition.yaml"
    file.write_text(yaml.safe_dump({**written("phase_recognition"), **change}), "utf-8")
    with pytest.raises(SourceError, match=re.escape(str(file)) + ".*" + where):
        read_templates(file)


def test_text_that_is_no_yaml_and_a_task_without_a_file_are_errors_that_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("questions: [", "utf-8")
    with pytest.raises(SourceError, match=r"broken\.yaml: expected readable YAML"):
        read_templates(tmp_path / "broken.yaml")
    with pytest.raises(SourceError, match=r"tea_making\.yaml: expected readable YAML"):
        phrasings("tea_making")


# How many, and how different


@every_task
def test_a_task_has_enough_phrasings_of_everything(task: str) -> None:
    found = phrasings(task)
    assert len(written(task)["questions"]) >= 50
    assert len(found.system) >= 8
    assert len(set(found.questions)) >= 100
    assert {case: len(texts) for case, texts in found.answers.items() if len(texts) < 22} == {}
    assert found.answers.keys() == SLOTS[task].keys()
    if task in DENSE:
        assert found.multiple_choice == found.choice_answers == []
    else:
        assert len(found.multiple_choice) >= 15
        assert len(found.choice_answers) >= 10
    assert len(found.follow_ups) >= 20 if task in FOLLOWING else found.follow_ups == []


@every_task
def test_no_two_questions_are_near_duplicates(task: str) -> None:
    told = [(text, words(text)) for text in phrasings(task).questions]
    alike = [
        (one, other)
        for (one, ours), (other, theirs) in combinations(told, 2)
        if len(ours & theirs) >= 0.8 * len(ours | theirs)
    ]
    assert alike == []


@every_task
def test_no_phrasing_stands_twice_in_a_section(task: str) -> None:
    counted = {section: Counter(texts) for section, texts in said(task).items()}
    assert [(section, text) for section, texts in counted.items() for text, n in texts.items() if n > 1] == []


# Slots


@every_task
def test_answers_fill_exactly_the_slots_of_their_case_each_once(task: str) -> None:
    wrong = [
        text
        for case, wanted in SLOTS[task].items()
        for text in answers(task, case)
        if slots(text) != wanted or text.count("{") != len(wanted)
    ]
    assert wrong == []


@every_task
@pytest.mark.parametrize(
    ("section", "required"),
    [("questions", QUESTION_SLOTS), ("multiple_choice", STEM_SLOTS), ("follow_ups", FOLLOW_UP_SLOTS)],
)
def test_what_is_asked_holds_what_the_task_gives_and_no_slot_that_holds_an_answer(
    task: str, section: str, required: dict[str, set[str]]
) -> None:
    wanted = required.get(task, set())
    texts = said(task)[section]
    assert [t for t in texts if slots(t) - {"procedure"} != wanted or t.count("{") != len(slots(t))] == []


@every_task
def test_system_prompts_and_choices_hold_their_own_slots(task: str) -> None:
    assert [text for text in phrasings(task).system if slots(text) - {"procedure"}] == []
    assert [text for text in phrasings(task).choice_answers if slots(text) != {"letter", "option"}] == []


# What is said


@every_task
def test_no_phrasing_speaks_of_labels_or_holds_leftovers(task: str) -> None:
    assert [text for text in everything(task) if LEFTOVERS.search(text)] == []


@every_task
def test_only_tasks_about_the_future_speak_of_it(task: str) -> None:
    if task not in FUTURE:
        assert [text for text in everything(task) if AHEAD.search(text)] == []


@every_task
def test_no_question_names_what_could_be_the_answer(task: str) -> None:
    kinds = ANSWERED_WITH.get(task, set())
    listed = [concept["name"] for concept in concepts().to_dicts() if concept["kind"] in kinds]
    names = [name for name in listed if name != "surgical instrument"]  # tells nothing
    asked = [text for text in prompts(task) if text not in phrasings(task).system]
    assert [(text, name) for text in asked for name in names if re.search(rf"\b{re.escape(name)}\b", text)] == []


@every_task
def test_a_picture_is_not_said_to_be_endoscopic_where_it_may_be_of_an_eye(task: str) -> None:
    if task in THROUGH_ANY_LENS:
        assert matching(r"endoscop|laparoscop|\btrocar|\babdom", everything(task)) == []


@pytest.mark.parametrize("section", ["questions", "multiple_choice"])
def test_every_safety_question_says_which_three_criteria_are_asked(section: str) -> None:
    unclear = [
        text
        for text in map(str.casefold, said("safety_assessment")[section])
        if not re.search(r"\btwo\b|duct and an artery|cystic artery", text)
        or "triangle" not in text
        or not re.search(r"plate|bed|off the liver|from the liver", text)
    ]
    assert unclear == []


@every_task
def test_a_follow_up_does_not_greet_or_start_over(task: str) -> None:
    texts = said(task)["follow_ups"]
    assert matching(r"^(hi|hello|dear|look at (this|the) (image|picture|frame))\b", texts) == []
    assert not set(texts) & set(phrasings(task).questions)


# How it is said


@every_task
def test_phrasings_are_tidy_sentences(task: str) -> None:
    texts = everything(task)
    assert [text for text in texts if text != " ".join(text.split()) or not re.match(r"[A-Z{\"“]", text)] == []
    assert [text for text in prompts(task) if text.startswith("{procedure")] == []  # lower case
    assert matching(r" [.,;:?!]|[,;:]{2}|(?<!\.)\.\.(?!\.)|[?!][.?!]|[.,;:?](?=[A-Za-z{])", texts) == []
    assert matching(r"\b(?!had|that)(\w+) \1\b", texts) == []
    assert [text for text in texts if AMERICAN.search(text) and BRITISH.search(text)] == []


@every_task
def test_what_is_asked_ends_as_its_last_sentence_does(task: str) -> None:
    asked = r"(^|[.?!:] )(which|what|where|how|who|can|could|would|is|are|does|do|has|have|did|was)\b[^.?!]*\.$"
    sections = [text for name in ("questions", "multiple_choice", "follow_ups") for text in said(task)[name]]
    own = r"\{(caption|motion)\}$"
    assert [text for text in prompts(task) if not re.search(rf"[.?]$|{own}", text)] == []
    assert matching(asked, sections) == []
    ordered = (
        r"(^|[.?!:] )(please|name|list|tell|give|state|describe|identify|report|choose|select|pick)\b[^.?!,:;]*\?$"
    )
    assert matching(ordered, sections) == []


@every_task
def test_answers_end_in_a_full_stop_unless_a_text_of_its_own_brings_one(task: str) -> None:
    assert [t for t in answers(task) if not re.search(rf"\.$|{OWN_TEXT}$|^\{{\w+\}}$", t)] == []
    assert matching(r"[^.}]$", said(task)["choice_answers"]) == []


@every_task
def test_a_text_of_its_own_stands_as_whole_sentences(task: str) -> None:
    texts = everything(task)
    own = OWN_TEXT.replace(")", "|option)", 1) if task in ("safety_assessment", "image_captioning") else OWN_TEXT
    assert matching(own + r"[\"”]?[.,;:?!]", texts) == []
    assert matching(rf"(?<!^)(?<![.:?!] ){OWN_TEXT}", texts) == []


@every_task
def test_articles_stand_where_slots_bring_none_and_nowhere_else(task: str) -> None:
    texts = everything(task)
    article = r"\b(an?|the|these|those|its|their|each|every|any|some|no)"
    assert matching(article + r" \{(instruments|tissues|triplets|boxes|criteria|caption|motion|option)\}", texts) == []
    assert [t for t in texts if re.search(r"(?<!\bthe )(?<!\bthis )(?<!\bThe )\{(instrument|tissue)\}", t)] == []
    assert matching(r"\ban? \{|\bthe \{(phase|step|seconds)\}", texts) == []
    assert matching(r"\ba (?!uni|use|one|eur)[aeiou]|\ban (?!hour|honest)[^aeiou]", texts) == []


@every_task
def test_one_thing_is_spoken_of_as_one_and_several_as_several(task: str) -> None:
    if not {"one", "many"} <= SLOTS[task].keys():
        return
    listed, things = r"\{(instruments|tissues)\}", "(instrument|tool|tissue|structure|organ|box|action)"
    one, many = answers(task, "one"), answers(task, "many")
    assert matching(rf"\b(are|were) {listed}|{listed} (are|were|have|show|lie|appear)\b", one) == []
    assert matching(rf"\b(is|was) {listed}|{listed} (is|was|has|shows|lies|appears)\b", many) == []
    assert (
        matching(rf"\b(they|these|those|several|both|each|one by one|more than one|{things}s (are|here))\b", one) == []
    )
    alone = rf"it is|this is|only one|a single|the only|(?<!than )(?<!the )one (instrument|tool|tissue)|the {things} is"
    assert matching(rf"\b({alone})\b", many) == []


@every_task
def test_a_slot_of_unknown_number_has_no_verb_that_tells_one_from_several(task: str) -> None:
    """`{instrument}` may be scissors, `{seconds}` 1 second, and idle instruments one or more."""
    either = r"(is|are|was|were|has|have|does|do|lies?|remains?)"
    unknown = r"\{(instrument|tissue|seconds)\}"
    texts = everything(task)
    if task == "triplet_recognition":
        unknown, texts = r"\{(instruments?)\}", [*answers(task, "idle"), *prompts(task)]
    assert matching(rf"{unknown} {either}\b|\b(is|are|does|do|has|have|was|were) (the )?{unknown}", [
        text for text in texts if not re.search(r"(it|time|interval|wait|answer|estimate|rest) is \{seconds\}", text)
    ]) == []  # fmt: skip


@every_task
def test_what_is_expanded_expands_to_itself(task: str) -> None:
    found = phrasings(task)
    assert Templates.model_validate(found.model_dump()) == found


def test_every_task_has_a_file_and_every_file_is_of_a_task() -> None:
    folder = files("surgsigma_dagster.dialogue") / "templates"
    assert {file.name.removesuffix(".yaml") for file in folder.iterdir()} == SLOTS.keys()
