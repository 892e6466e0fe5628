"""Answers that a program can check: text to structure to text again, the same text.

`parse` finds the phrasing of the task's template file that an answer was said with and reads what fills its slot by the
slot's `Grammar` over the vocabulary; `render` is its inverse; `agrees` compares with the answer that is stored as data.
`parse_free` reads what a model says in its own words. Scores are not here: `dialogue.metrics`.

Values, by the task's grammar:
- names, instruments: ((concept id, how many), …), where None is a number that the text does not tell ("the hooks")
- boxes: ((concept id, x1, y1, x2, y2), …) in pixels, the corners upper left and lower right
- concept: the ids that the name may mean, one where no other procedure has a part of that name
- triplets: ((instrument, verb, target), …), ids; target None where there is none; idle: (instrument, "verb/none", None)
- criteria: (True, False, True), in their order
- caption: (`Sentence`, …)
- sequence: (ids that the first action's name may mean, …), in order
- duration: seconds
- medium: None, since the answer is a picture or a clip and the words only present it
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

import polars as pl

from surgsigma_dagster.context.words import NUMBER_WORDS
from surgsigma_dagster.dialogue.mentions import (
    IDLE,
    NOTHING,
    Act,
    Among,
    Ids,
    Item,
    boxes_in,
    criteria_in,
    letter_in,
    mentions,
    names_in,
    of_kind,
    rows,
    seconds_in,
    triplets_in,
)  # fmt: skip
from surgsigma_dagster.dialogue.pools import AREAS
from surgsigma_dagster.dialogue.task import tasks

Value = Any  # as listed above
Data = Mapping[str, Any]

_SLOT = re.compile(r"\{(\w+)\}")
_TARGETS = ("tissue", "target", "instrument")
_ACTIONS = ("action", "basic_action")
_ITEM = rf"(?=(?:an?|the|{'|'.join(NUMBER_WORDS[2:])}|many) )"  # every item of a list begins with one of these
_BETWEEN = re.compile(rf", {_ITEM}| and {_ITEM}")


@dataclass(frozen=True)
class Grammar:
    """One way of saying one kind of value. `read` raises `ValueError` or `LookupError` on text of another form."""

    example: str  # for whoever is told that a text is not of this form
    read: Callable[[str], Value]
    write: Callable[[Value], str]
    agrees: Callable[[Value, Data], bool]  # with an answer that is stored as data
    free: Callable[[str, Among], Value]  # anybody's words; the concepts that may be meant, None: any
    cases: Callable[[Value], Collection[str]] = lambda value: ("one",)  # of the template file, that fit the value


@dataclass(frozen=True)
class Answer:
    """An answer taken apart: `number` is that of the phrasing among the case's, or among the choice answers."""

    task: str
    case: str  # "choice" where the answer names an option
    number: int
    value: Value
    letter: str | None = None


class Sentence(NamedTuple):
    """A sentence of a caption: the part of the answer that it tells, the words around it, and its value.

    A sentence of no known form has no part ("") and no value; its text stands in `words`.
    """

    part: str
    words: str
    value: Value


def parse(task: str, text: str) -> Answer:
    """What `text`, an answer of `task` in either form, says. `render` gives `text` back, to the letter.

    Raises `ValueError` naming the task, what was expected and after which words; `KeyError` for an unknown task.
    """
    place = ""
    for case, number, template in _phrasings(task):
        grammar = _grammar(task, template)
        for letter, said in _inside(template, text):
            words = text[: max(text.rfind(said), 0)]
            place = place or (f" after {words!r}" if words else " at the beginning")
            try:
                value = _read(grammar, said, opens=template.startswith("{") or letter is not None)
            except (ValueError, LookupError):
                continue
            answer = Answer(task, case, number, value, letter)
            if (letter or case in grammar.cases(value)) and render(answer) == text:
                return answer
    expected = f"words like '{_spoken(task).example}'" if place else "a phrasing of its template file"
    raise ValueError(f"{task}: expected {expected}{place}, found {text[:200]!r}")


def render(answer: Answer) -> str:
    """The text of an answer. Raises `LookupError` where the task has no such phrasing, or no concept is so called."""
    template = _template(answer)
    said = _grammar(answer.task, template).write(answer.value)
    if answer.letter is None:
        return _fill(template, said)
    text = template.replace("{letter}", answer.letter).replace("{option}", _capital(said))
    return re.sub(r"([.!?])\.$", r"\1", text)


def agrees(answer: Answer, data: Data) -> bool:
    """Whether an answer says what `data` (the parsed JSON of `conversations.answer`) holds.

    An option agrees where it is true of the data and bears the letter that they name.
    """
    right = answer.letter == data.get("option")
    return right and _grammar(answer.task, _template(answer)).agrees(answer.value, data)


def told(task: pl.Expr, answer: pl.Expr) -> pl.Expr:
    """Stored answers (JSON) without what no words of their task tell, so that few of them differ.

    That is which file holds a picture or clip, and boxes and times where words tell only what is there and in which
    order. `agrees` says the same of both.
    """
    untimed = answer.str.replace_all(r'("(?:mask|clip|depth|frame|clear)":)"[^"]*"', "${1}null")
    unplaced = untimed.str.replace_all(r',"(?:[xy][12]|start_s|end_s)":[^,}\]]+', "")
    return pl.when(task.is_in([name for name, found in tasks().items() if found.grammar == "boxes"])).then(
        answer).otherwise(unplaced)  # fmt: skip


def parse_free(
    task: str,
    text: str,
    form: Literal["open", "multiple choice"] = "open",
    among: Collection[str] | None = None,
) -> Value:
    """What a model's own words say, as a value like that of `parse`, or the letter of the option that they choose.

    Names and synonyms may stand anywhere, in any case; what stands in `<answer>` counts alone, and what stands in
    `<think>` never does. Nothing found is the empty tuple, for durations and letters None. Boxes may be written
    (x,y),(x,y) or [x1, y1, x2, y2], their numbers are kept as they are; one without a name has the concept None.
    Several names where one is asked for are no answer.
    `among`: the ids that can be meant, as of one procedure's phases or one source's instruments; a word that several
    of them are called by means none of them, but where one concept is asked for means all.
    """
    text = re.sub(r"(?s)<think>.*?(?:</think>|$)", " ", text)
    if inside := re.search(r"(?s)<answer>(.*?)(?:</answer>|$)", text):
        text = inside[1]
    if form == "multiple choice":
        return letter_in(text)
    return _spoken(task).free(text, None if among is None else frozenset(among))


# Templates and their slots


@cache
def _phrasings(task: str) -> tuple[tuple[str, int, str], ...]:
    """Case, number and text of the phrasings of a task's answers: options first, then by length of what is literal."""
    templates = tasks()[task].templates
    found = [(case, n, text) for case, texts in templates.answers.items() for n, text in enumerate(texts)]
    # Any text may be a caption, but only a choice begins with a letter and a stop.
    choices = [("choice", n, text) for n, text in enumerate(templates.choice_answers)]

    def literal(phrasing: tuple[str, int, str]) -> int:
        return -len(_SLOT.sub("", phrasing[2]))

    return (*sorted(choices, key=literal), *sorted(found, key=literal))


def _template(answer: Answer) -> str:
    templates = tasks()[answer.task].templates
    return (templates.answers[answer.case] if answer.letter is None else templates.choice_answers)[answer.number]


@cache
def _grammar(task: str, template: str) -> Grammar:
    """What may fill the slot of an answer; of one without a slot, what it says by being there."""
    kind = tasks()[task].grammar
    if "{option}" in template:
        return _OPTIONS.get(task) or _OPTIONS.get(kind) or _spoken(task)
    slot = _SLOT.search(template)
    if slot is None:
        return _MEDIUM if kind == "medium" else _ABSENT
    return _SLOTS.get((kind, slot[1])) or _SLOTS["", slot[1]]


def _spoken(task: str) -> Grammar:
    """The grammar of the first slot of a task's answers."""
    return _grammar(task, "".join(f"{{{slot}}}" for slot in list(tasks()[task].slots)[:1]))


@cache
def _choice_pattern(template: str) -> tuple[str, re.Pattern[str]]:
    before, after = template.split("{letter}")
    said = re.escape(after).replace(re.escape("{option}"), "(.+)")
    return before, re.compile(f"{re.escape(before)}([A-D]){said}", re.DOTALL)


def _inside(template: str, text: str) -> list[tuple[str | None, str]]:
    """Letter and slot's text, where `text` was said with `template`; an option may bring the template's full stop."""
    if "{option}" in template:
        before, pattern = _choice_pattern(template)
        whole = [text, f"{text}."] if text.startswith(before) else []
        return [(match[1], match[2]) for match in map(pattern.fullmatch, whole) if match]
    before, after = _around(template)
    if after is None:
        return [(None, "")] if text == template else []
    fits = text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after)
    return [(None, text[len(before) : len(text) - len(after)])] if fits else []


@cache
def _around(template: str) -> tuple[str, str | None]:
    """What stands before and behind a template's slot; None behind where it has none."""
    before, *rest = _SLOT.split(template)
    return before, rest[1] if rest else None


def _fill(template: str, said: str) -> str:
    before, after = _around(template)
    return f"{before}{said if before else _capital(said)}{after or ''}"


def _read(grammar: Grammar, said: str, opens: bool) -> Value:
    """What a slot says. One that opens a text has a capital letter, which a name has by itself or does not."""
    if not opens:
        return grammar.read(said)
    try:
        return grammar.read(said)
    except (ValueError, LookupError):
        return grammar.read(said[:1].lower() + said[1:])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# The vocabulary as words


@cache
def _called(*kinds: str) -> dict[str, Ids]:
    """Ids by name."""
    found: dict[str, Ids] = {}
    for row in of_kind(*kinds):
        found[row["name"]] = (*found.get(row["name"], ()), row["concept_id"])
    return found


def _only(name: str, *kinds: str) -> str:
    (concept_id,) = _called(*kinds)[name]
    return concept_id


def _name(concept_id: str) -> str:
    return str(rows()[concept_id]["name"])


@cache
def _gerunds() -> dict[str, str]:
    return {row["gerund"]: row["concept_id"] for row in of_kind("verb")}


@cache
def _counted() -> dict[str, Item]:
    """`a hook`, `two hooks`, …, `many hooks` (more than ten)."""
    found: dict[str, Item] = {}
    for row in of_kind("instrument"):
        concept_id, several = row["concept_id"], row["plural"] or row["name"]
        found[f"{row['article']} {row['name']}"] = (concept_id, 1)
        found |= {f"{word} {several}": (concept_id, n) for n, word in enumerate(NUMBER_WORDS) if n > 1}
        found[f"many {several}"] = (concept_id, None)
    return found


@cache
def _the() -> dict[str, Item]:
    """`the hook`, `the hooks`; a name that is its own plural tells no number."""
    found: dict[str, Item] = {}
    for row in of_kind("instrument"):
        concept_id, several = row["concept_id"], row["plural"] or row["name"]
        found |= {f"the {row['name']}": (concept_id, 1), f"the {several}": (concept_id, None)}
    return found


@cache
def _the_tissue() -> dict[str, Item]:
    return {f"the {row['name']}": (row["concept_id"], 1) for row in of_kind("tissue")}


def _listed(items: Iterable[str]) -> str:
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last


def _several(n: int) -> tuple[str, ...]:
    return ("one",) if n == 1 else ("many",)


# One grammar a kind of slot


def _items(example: str, key: str, kinds: tuple[str, ...], forms: Callable[[], dict[str, Item]]) -> Grammar:
    """A list of items: `forms` tells what each is called, and no two items are called alike."""

    @cache
    def texts() -> dict[Item, str]:
        return {item: text for text, item in forms().items()}

    def cases(value: Value) -> tuple[str, ...]:
        if len(value) > 1:
            return ("many",)
        ((concept_id, n),) = value
        unmarked = n is None and forms is _the and rows()[concept_id]["plural"] == _name(concept_id)
        return ("one", "many") if unmarked else ("one",) if n == 1 else ("many",)

    return Grammar(
        example,
        lambda text: tuple(forms()[item] for item in _BETWEEN.split(text)),
        lambda value: _listed(texts()[item] for item in value),
        lambda value, data: sorted(concept_id for concept_id, _ in value) == sorted(set(data[key])),
        lambda text, among: names_in(text, kinds, among),
        cases,
    )


def _concept(example: str, key: str, *kinds: str) -> Grammar:
    def free(text: str, among: Among) -> Ids:
        found = {ids for _, _, ids in mentions(text, kinds, among)}
        return found.pop() if len(found) == 1 else ()

    return Grammar(
        example,
        lambda text: _called(*kinds)[text],
        lambda value: _name(value[0]),
        lambda value, data: data[key] in value,
        free,
    )


_BOX = re.compile(r"(.+) \((-?\d+),(-?\d+)\),\((-?\d+),(-?\d+)\)")


def _read_boxes(text: str) -> Value:
    def box(said: str) -> Value:
        match = _BOX.fullmatch(said)
        if match is None:
            raise ValueError
        return (_only(match[1], "instrument", "tissue"), *map(int, match.groups()[1:]))

    return tuple(map(box, text.split("; ")))


def _rounded(data: Data) -> Value:
    """The stored boxes as the text tells them: halves are rounded to even numbers, as polars does."""
    return tuple((box["concept_id"], *(round(box[side]) for side in ("x1", "y1", "x2", "y2"))) for box in data["boxes"])


def _doing(data: Data) -> list[Act]:
    """Stored triplets whose verb is something that is done."""
    acts = (one for one in data["triplets"] if one["verb"] not in (None, IDLE))
    return [(one["instrument"], one["verb"], None if one["target"] == NOTHING else one["target"]) for one in acts]


def _read_act(text: str) -> Value:
    subject, is_, act = re.split(r" (is|are) ", text, maxsplit=1)
    instrument = _only(subject.removeprefix("the "), "instrument")
    if act in _gerunds():
        return instrument, _gerunds()[act], None
    for between in re.finditer(" the ", act):
        if act[: between.start()] in _gerunds():
            return instrument, _gerunds()[act[: between.start()]], _only(act[between.end() :], *_TARGETS)
    raise ValueError(is_)


def _write_act(act: Act) -> str:
    instrument, verb, target = act
    be = "are" if rows()[instrument]["number"] == "plural" else "is"
    return f"the {_name(instrument)} {be} {rows()[verb]['gerund']}{f' the {_name(target)}' if target else ''}"


def _idle_agrees(value: Value, data: Data) -> bool:
    resting = dict.fromkeys(one["instrument"] for one in data["triplets"] if one["verb"] == IDLE)
    return not _doing(data) and [instrument for instrument, _, _ in value] == list(resting)


def _read_criteria(text: str) -> tuple[bool, ...]:
    match = re.fullmatch(" ".join(rf"Criterion {n}: (Yes|No)\." for n in (1, 2, 3)), text)
    if match is None:
        raise ValueError
    return tuple(word == "Yes" for word in match.groups())


def _criteria_agree(value: Value, data: Data) -> bool:
    met = [one["met"] for one in data["criteria"]]
    return list(value) == met and data["critical_view_of_safety"] == all(met)


def _read_seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.[1-9])?) seconds?", text)
    if match is None:
        raise ValueError
    return float(match[1])


def _write_seconds(value: float) -> str:
    return f"{int(value) if value == int(value) else value} second{'' if value == 1 else 's'}"


# Captions: the sentences of `tasks/image_captioning.py`, `tasks/video_captioning.py` and `context.words`, by the part
# of the answer that they tell.
_SENTENCES: tuple[tuple[str, str], ...] = (
    ("procedure", "The image shows the operative field during {procedure}."),
    ("procedure", "The clip shows {procedure}."),
    ("phase", "The procedure is in the phase {phase}."),
    ("step", "The step is {step}."),
    ("instruments", "Visible in the field: {instruments}."),
    ("instruments", "Visible in the field: {placed}."),
    ("tissues", "{tissues} is in view."),
    ("tissues", "{tissues} are in view."),
    ("action", "The action under way is {action}."),
    ("actions", "First comes {action}."),
    ("actions", "Then follows {action}."),
    ("actions", "After that comes {action}."),
    ("actions", "Finally there is {action}."),
    ("triplets", "{triplets}."),
)


@lru_cache(maxsize=1 << 14)
def _sentence(text: str) -> Sentence:
    for part, words in _SENTENCES:
        for _, said in _inside(words, text):
            (slot,) = _SLOT.findall(words)
            grammar = _SLOTS["", slot]
            try:
                value = _read(grammar, said, opens=words.startswith("{"))
            except (ValueError, LookupError):
                continue
            if _fill(words, grammar.write(value)) == text and _number_agrees(words, value):
                return Sentence(part, words, value)
    return Sentence("", text, None)


def _number_agrees(words: str, value: Value) -> bool:
    return len(value) == 1 if words.endswith("} is in view.") else len(value) > 1 if "} are " in words else True


def _write_sentence(sentence: Sentence) -> str:
    if not sentence.part:
        return sentence.words
    (slot,) = _SLOT.findall(sentence.words)
    return _fill(sentence.words, _SLOTS["", slot].write(sentence.value))


def _read_caption(text: str) -> tuple[Sentence, ...]:
    return tuple(map(_sentence, re.split(r"(?<=[.!?]) ", text)))


def caption_text(caption: Iterable[Sentence]) -> str:
    """The text of a caption."""
    return " ".join(map(_write_sentence, caption))


def _caption_agrees(value: Value, data: Data) -> bool:
    """Every sentence is true, and every part that is known is told: but the procedure, which options leave out."""
    told = {sentence.part for sentence in value}
    known = {part for part, _ in _SENTENCES if data.get(part) and (part != "triplets" or _doing(data))}
    if told | {"procedure"} != known | {"procedure"}:
        return False
    story = [sentence.value for sentence in value if sentence.part == "actions"]
    if story and not _in_order(story, data):
        return False
    return all(_sentence_agrees(sentence, data) for sentence in value)


def _sentence_agrees(sentence: Sentence, data: Data) -> bool:
    part, words, value = sentence
    if part == "instruments":
        there = Counter(one["concept_id"] for one in data[part])
        if "{placed}" in words:
            return Counter(concept_id for concept_id, _ in value) == there
        return dict(value) == {name: n if n < len(NUMBER_WORDS) else None for name, n in there.items()}
    if part == "tissues":
        return {concept_id for concept_id, _ in value} == {one["concept_id"] for one in data[part]}
    if part == "triplets":
        return list(value) == list(dict.fromkeys(_doing(data)))
    return part == "actions" or data[part] in value


def _in_order(told: Collection[Ids], data: Data) -> bool:
    happening = [one["concept_id"] for one in data["actions"]]
    return len(told) == len(happening) and all(one in ids for one, ids in zip(happening, told, strict=True))


def _read_placed(text: str) -> Value:
    def placed(item: str) -> tuple[str, str]:
        said, _, area = item.rpartition(" in the ")
        concept_id, n = _counted()[said]
        if area not in AREAS or n != 1:
            raise ValueError
        return concept_id, area

    return tuple(map(placed, _BETWEEN.split(text)))


def _write_placed(value: Value) -> str:
    return _listed(f"{rows()[concept_id]['article']} {_name(concept_id)} in the {area}" for concept_id, area in value)


def _area_agrees(value: Value, data: Data) -> bool:
    """Whether the middle of the only box lies in the area that is named, as `context.words.area` reckons."""
    (box,) = data["boxes"]
    middle = ((box["x1"] + box["x2"]) / 2 / data["size"][0], (box["y1"] + box["y2"]) / 2 / data["size"][1])
    column, row = (min(max(int(at * 3), 0), 2) for at in middle)
    return AREAS.index(value[0]) == 3 * row + column


# Which grammar fills a slot: that of the task's kind, or of any.
_SLOTS: dict[tuple[str, str], Grammar] = {
    ("", "instruments"): _items("a grasper and two hooks", "instruments", ("instrument",), _counted),
    ("instruments", "instruments"): _items("the grasper and the hooks", "instruments", ("instrument",), _the),
    ("", "tissues"): _items("the liver and the gallbladder", "tissues", ("tissue",), _the_tissue),
    ("", "phase"): _concept("gallbladder dissection", "phase", "phase"),
    ("", "step"): _concept("prostate dissection", "step", "step"),
    ("", "action"): _concept("clipping", "action", *_ACTIONS),
    ("", "procedure"): _concept("cholecystectomy", "procedure", "procedure"),
    ("", "boxes"): Grammar(
        "hook (369,0),(877,567); grasper (10,20),(30,40)",
        _read_boxes,
        lambda value: "; ".join(f"{_name(name)} ({x1},{y1}),({x2},{y2})" for name, x1, y1, x2, y2 in value),
        lambda value, data: value == _rounded(data),
        boxes_in,
        lambda value: _several(len(value)),
    ),
    ("", "triplets"): Grammar(
        "the hook is dissecting the gallbladder; the grasper is retracting the liver",
        lambda text: tuple(map(_read_act, text.split("; "))),
        lambda value: "; ".join(map(_write_act, value)),
        lambda value, data: list(value) == _doing(data),
        triplets_in,
        lambda value: _several(len(value)),
    ),
    ("triplets", "instruments"): Grammar(
        "the grasper and the hook",
        lambda text: tuple((_the()[item][0], IDLE, None) for item in _BETWEEN.split(text)),
        lambda value: _listed(f"the {_name(instrument)}" for instrument, _, _ in value),
        _idle_agrees,
        triplets_in,
        lambda value: ("idle",),
    ),
    ("", "criteria"): Grammar(
        "Criterion 1: Yes. Criterion 2: No. Criterion 3: Yes.",
        _read_criteria,
        lambda value: " ".join(f"Criterion {n}: {'Yes' if met else 'No'}." for n, met in enumerate(value, 1)),
        _criteria_agree,
        criteria_in,
        lambda value: ("achieved" if all(value) else "not_achieved", "one"),
    ),
    ("", "caption"): Grammar(
        "The procedure is in the phase preparation. The hook is dissecting the gallbladder.",
        _read_caption,
        caption_text,
        _caption_agrees,
        lambda text, among: _read_caption(" ".join(text.split())) if text.strip() else (),
    ),
    ("", "seconds"): Grammar(
        "12 seconds",
        _read_seconds,
        _write_seconds,
        # Rounded to tenths from what the data round to thousandths.
        lambda value, data: abs(value - data["seconds"]) <= 0.0506,
        seconds_in,
    ),
    ("", "placed"): Grammar(
        "a hook in the upper left", _read_placed, _write_placed, lambda value, data: False, lambda text, among: ()
    ),
}  # fmt: skip
_MEDIUM = Grammar("", lambda text: None, lambda value: "", lambda value, data: True, lambda text, among: None)
_ABSENT = Grammar(
    "",
    lambda text: (),
    lambda value: "",
    lambda value, data: not any(data.get(key) for key in ("instruments", "tissues", "boxes")),
    lambda text, among: (),
    lambda value: ("none",),
)

_SEQUENCE = Grammar(
    "dissection, then clipping",
    lambda text: tuple(_called(*_ACTIONS)[name] for name in text.split(", then ")),
    lambda value: ", then ".join(_name(ids[0]) for ids in value),
    lambda value, data: _in_order(value, data),
    lambda text, among: tuple(ids for _, _, ids in mentions(text, _ACTIONS, among)),
)
_AREA = Grammar(
    "upper left", lambda text: (AREAS[AREAS.index(text)],), lambda value: value[0], _area_agrees, lambda text, among: ()
)
_ONE_NAME = Grammar(
    "hook",
    lambda text: ((_only(text, "instrument", "tissue"), 1),),
    lambda value: _name(value[0][0]),
    lambda value, data: value[0][0] in data.get("instruments", data.get("tissues")),
    lambda text, among: names_in(text, ("instrument", "tissue"), among),
)
_ONE_ACT = Grammar(
    "the hook is dissecting the gallbladder",
    lambda text: (_read_act(text),),
    lambda value: _write_act(value[0]),
    lambda value, data: value[0] in _doing(data),
    triplets_in,
)
# What an option says, by task or its grammar, where it says less than an open answer.
_OPTIONS: dict[str, Grammar] = {
    "names": _ONE_NAME,
    "boxes": _AREA,
    "triplets": _ONE_ACT,
    "video_captioning": _SEQUENCE,
}
