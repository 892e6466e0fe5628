"""What models say in their own words: concepts, boxes, triplets, verdicts, durations and letters found in any text.

Case, hyphens and plurals do not matter, and synonyms count. What the corpus's own answers say is read strictly, by
`dialogue.grammar`. `among` is the ids of the concepts that can be meant, None where any can that names something.
"""

import re
from functools import cache
from typing import Any

from surgsigma_dagster.context.words import NUMBER_WORDS, UNNAMED
from surgsigma_dagster.vocabulary.concepts import concepts

Ids = tuple[str, ...]
Item = tuple[str, int | None]  # concept id, how many; None: the text does not tell
Act = tuple[str, str, str | None]  # instrument, verb, target
Among = frozenset[str] | None

IDLE = "verb/none"
NOTHING = "target/none"
_VAGUE = {*UNNAMED, "verb/other"}  # "tool" and "other" stand in many a sentence that names another one


@cache
def rows() -> dict[str, dict[str, Any]]:
    """The vocabulary, by concept id."""
    return {row["concept_id"]: row for row in concepts().to_dicts()}


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    """The concepts of some kinds."""
    return [row for row in rows().values() if row["kind"] in kinds]


def _plain(text: str) -> str:
    return re.sub(r"[\s_\u2010-\u2015-]+", " ", text).casefold()


@cache
def _terms(kinds: tuple[str, ...], among: Among) -> tuple[re.Pattern[str], dict[str, Ids]]:
    """Every word for concepts of these kinds: a name goes before another concept's plural, that before a synonym."""
    of_these = of_kind(*kinds)
    known = [
        row
        for row in of_these
        if (row["concept_id"] in among if among is not None else row["concept_id"] not in _VAGUE)
    ]
    found: dict[str, Ids] = {}
    for words in (
        lambda row: [row["name"]],
        lambda row: [row["plural"], row["gerund"], row["third_person"]],
        lambda row: [word + end for word in row["synonyms"] or [] for end in ("", "s")],
    ):
        level: dict[str, Ids] = {}
        for row in known:
            for term in {_plain(word) for word in words(row) if word}:
                level[term] = (*level.get(term, ()), row["concept_id"])
        found = level | found
    longest = sorted(found, key=lambda term: (-len(term), term))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest)) or '(?!)'})(?!\w)"), found


def mentions(text: str, kinds: tuple[str, ...], among: Among) -> list[tuple[int, int, Ids]]:
    """Where names stand in `_plain(text)`, the longest at each place, but for those that are said not to be there."""
    pattern, terms = _terms(kinds, among)
    plain = _plain(text)
    denied = re.compile(r"\b(?:no|not|without|nor|neither)(?: (?:an?|any|the|sign of|visible))* $")
    found = ((match, plain[: match.start()]) for match in pattern.finditer(plain))
    return [(match.start(), match.end(), terms[match[0]]) for match, before in found if not denied.search(before)]


def names_in(text: str, kinds: tuple[str, ...], among: Among) -> tuple[Item, ...]:
    """Each concept once, in the order of their first mention, with the number before it, one where there is none."""
    plain = _plain(text)
    found: dict[str, int | None] = {}
    for start, _, ids in mentions(text, kinds, among):
        number = re.search(rf"\b({'|'.join(NUMBER_WORDS[2:])}|\d+) $", plain[:start])
        n = 1 if number is None else int(number[1]) if number[1].isdigit() else NUMBER_WORDS.index(number[1])
        if len(ids) == 1:
            found.setdefault(ids[0], n)
    return tuple(found.items())


_NUMBER = r"(-?\d+(?:\.\d+)?)"
_FREE_BOX = re.compile(
    rf"\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)\s*,?\s*\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)"
    rf"|\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]"
)


def boxes_in(text: str, among: Among) -> tuple[tuple[str | float | None, ...], ...]:
    """Boxes with the name next to each: before it where a name stands before the first one, else behind it."""
    places = list(_FREE_BOX.finditer(text))
    if not places:
        return ()
    ends, starts = [0, *(place.end() for place in places)], [*(place.start() for place in places), len(text)]
    named = [
        [ids[0] for _, _, ids in mentions(text[end:start], ("instrument", "tissue"), among) if len(ids) == 1]
        for end, start in zip(ends, starts, strict=True)
    ]
    before = [names[-1] if names else None for names in named[:-1]]
    behind = [names[0] if names else None for names in named[1:]]
    corners = [tuple(float(number) for number in place.groups() if number) for place in places]
    return tuple((name, *box) for name, box in zip(before if named[0] else behind, corners, strict=True))


_RESTING = re.compile(
    r"(?i)\bidle\b|\bat rest\b|\bnot (?:interact|act|being us|us)|\bno (?:inter)?action|\bnull[ _]verb"
)


def triplets_in(text: str, among: Among) -> tuple[Act, ...]:
    """Instrument, verb and target in this order, clause by clause; an instrument may do several things.

    Where nothing is done and the text says so, every instrument that it names is idle.
    """
    found: list[Act] = []
    seen: list[str] = []
    for clause in re.split(r"[.;\n]", text):
        named = [ids[0] for _, _, ids in mentions(clause, ("instrument", "verb", "tissue", "target"), among)]
        kinds = "".join({"instrument": "I", "verb": "V"}.get(one.split("/")[0], "T") for one in named)
        seen += [one for one, kind in zip(named, kinds, strict=True) if kind == "I"]
        # An instrument is what is acted on where no verb comes after it.
        for act in re.finditer(r"V(T|I(?!.*V))?", kinds):
            subject, verb, target = kinds.rfind("I", 0, act.start()), named[act.start()], named[act.end() - 1]
            if subject >= 0 and verb != IDLE:
                found.append((named[subject], verb, target if act[1] and target != NOTHING else None))
    idle = tuple((one, IDLE, None) for one in dict.fromkeys(seen)) if _RESTING.search(text) else ()
    return tuple(dict.fromkeys(found)) or idle


_MET = "met|achieved|fulfilled|satisfied"
_VERDICT = rf"\b(?:(yes|true|{_MET})|no|false|unmet|not (?:\w+ ){{0,2}}?(?:{_MET}))\b"
_OF_CRITERION = re.compile(rf"(?i)\b(?:criterion |c|cvs )?([1-3])\b(?:(?!\b[1-3]\b).)*?{_VERDICT}")


def criteria_in(text: str, among: Among) -> tuple[bool, ...]:
    """The verdicts behind the numbers 1, 2 and 3 (`Criterion 1: Yes`, `C1`); else three verdicts and no other."""
    behind = {number: bool(yes) for number, yes in _OF_CRITERION.findall(text)}
    if len(behind) == 3:
        return tuple(behind[number] for number in "123")
    said = re.findall(f"(?i){_VERDICT}", text)
    return tuple(map(bool, said)) if len(said) == 3 else ()


def seconds_in(text: str, among: Among) -> float | None:
    """Seconds, with minutes before them or alone; a bare number only where it is all that is said."""
    if bare := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\.?\s*", text):
        return float(bare[1])
    minutes = re.search(r"(?i)(\d+(?:\.\d+)?)[ -]?m(?:in(?:ute)?s?)?\b", text)
    seconds = re.search(r"(?i)(\d+(?:\.\d+)?)[ -]?s(?:ec(?:ond)?s?)?\b", text)
    if minutes is None and seconds is None:
        return None
    return (60 * float(minutes[1]) if minutes else 0) + (float(seconds[1]) if seconds else 0)


def letter_in(text: str) -> str | None:
    """`B`, `(B)`, `B.`, `B: a hook`, `The answer is B`: None where several are named, or none."""
    if lone := re.match(r"\s*[(\[*]*([A-Da-d])(?:[)\].:*,]|\s*$)", text):
        return lone[1].upper()
    # Inside a sentence, "A" is an article unless brackets or a mark say otherwise.
    found = set(re.findall(r"\b([B-D])\b|(?<=[(\[*])([A-D])(?=[)\]*])|\b(A)(?=[.:)]| or |\s*$)|(?<=is )(A)\b", text))
    letters = {letter for groups in found for letter in groups if letter}
    return letters.pop() if len(letters) == 1 else None
