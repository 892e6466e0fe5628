"""The phrasings of a task, read from its template file, with the alternatives of every entry written out.

An entry may hold alternatives in parentheses: "(Which|What) tools are (in view|visible)?" stands for four phrasings,
and "(, please|)" may be left out. Parentheses have no other use, and do not nest. What a phrasing says, and with which
slots, is the template file's affair; which phrasing a conversation gets is the engine's.
"""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import product, zip_longest
from math import prod
from typing import Annotated, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from surgsigma_dagster.sources.errors import SourceError

MOST = 4  # phrasings an entry may stand for: more could not be read through one by one
_GROUP = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"\{[a-z]+\}")


def expanded(text: str) -> list[str]:
    """Every phrasing that an entry stands for, the last group changing fastest; `[text]` where it has no group.

    Raises `ValueError` saying what was expected, where parentheses are unbalanced, nested or hold no alternatives,
    braces enclose no slot, or there are more than `MOST` phrasings.
    """
    literals, groups = _GROUP.split(text)[::2], [group.split("|") for group in _GROUP.findall(text)]
    if re.search(r"[()|]", "".join(literals)):
        raise ValueError("alternatives in parentheses that are closed and do not nest")
    if any(len(group) < 2 or len(set(group)) < len(group) for group in groups):
        raise ValueError("two or more different alternatives between parentheses")
    if re.search(r"[{}]", _SLOT.sub("", text)):
        raise ValueError("braces around the name of a slot only")
    if prod(map(len, groups)) > MOST:
        raise ValueError(f"at most {MOST} phrasings of one entry")
    return ["".join(map("".join, zip_longest(literals, chosen, fillvalue=""))) for chosen in product(*groups)]


def _well_formed(text: str) -> str:
    expanded(text)
    return text


def _all_expanded(entries: list[str]) -> list[str]:
    return [phrasing for text in entries for phrasing in expanded(text)]


Entries = Annotated[list[Annotated[str, AfterValidator(_well_formed)]], AfterValidator(_all_expanded)]


class Templates(BaseModel):
    """The phrasings of one task, expanded: their order is that of the file, so that a number leads back to one."""

    model_config = ConfigDict(extra="forbid")

    task: str
    version: int
    system: Annotated[Entries, Field(min_length=1)]
    questions: Annotated[Entries, Field(min_length=30)]
    multiple_choice: Entries  # stems; empty where the answer is a picture or a clip
    answers: dict[str, Annotated[Entries, Field(min_length=1)]]  # by the task's case
    choice_answers: Entries
    follow_ups: Entries = []  # questions as a later turn on the same image

    @model_validator(mode="after")
    def _choices_are_answered(self) -> Self:
        if bool(self.multiple_choice) != bool(self.choice_answers):
            raise ValueError("multiple_choice and choice_answers both, or neither")
        return self


@cache
def phrasings(task: str) -> Templates:
    """The phrasings of `task`. Raises `SourceError` naming file, section and entry where the file is malformed."""
    file = files("surgsigma_dagster.dialogue") / "templates" / f"{task}.yaml"
    found = read_templates(file)
    if found.task != task:
        raise SourceError(file, "task", task, found.task)
    return found


def read_templates(file: Traversable) -> Templates:
    """One template file. Raises `SourceError` naming file, section and entry (`questions, entry 3`)."""
    try:
        return Templates.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(file, "", "readable YAML", " ".join(str(error).split())) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ", ".join(f"entry {part + 1}" if isinstance(part, int) else part for part in first["loc"])
        cause = first.get("ctx", {}).get("error")
        if cause is None:
            raise SourceError(file, place, "templates of one task", first["msg"]) from error
        raise SourceError(file, place, str(cause), first["input"]) from error
