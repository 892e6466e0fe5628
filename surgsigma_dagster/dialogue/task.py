"""What a task is: expressions over a scene in words, and a file of phrasings.

A declaration says which frames a task can be asked of, what the answer is (as data, and as the words that fill the
templates), what level 3 of the reasoning adds and how it ends, and what wrong options look like.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import polars as pl

from surgsigma_dagster.dialogue.phrasings import Templates, phrasings


@dataclass(frozen=True)
class Task:
    """One task. Expressions see the columns of `context.words.in_words`."""

    name: str
    group: Literal["U", "P"]
    media: Literal["image"]
    eligible: pl.Expr  # frames whose labels support a true answer
    case: pl.Expr  # key of the template file's `answers`
    answer: Mapping[str, pl.Expr]  # the answer as data: concept ids, boxes in pixels, truth values
    slots: Mapping[str, pl.Expr]  # words that fill braces in phrasings
    weighing: pl.Expr  # what level 3 says before it concludes
    conclusion: pl.Expr  # the last sentence of level 3: the answer
    correct: pl.Expr  # the right option
    wrong: pl.Expr  # list of options that are false of this frame
    option_prefix: pl.Expr = field(default_factory=lambda: pl.lit(""))  # stands before every option
    option_suffix: pl.Expr = field(default_factory=lambda: pl.lit(""))  # stands behind every option
    choice_slots: Mapping[str, pl.Expr] = field(default_factory=dict)  # words that fill multiple-choice stems
    choosable: pl.Expr = field(default_factory=lambda: pl.lit(True))  # frames with a multiple-choice form
    concludes: str | None = None  # column whose concept only level 3 may name

    @property
    def templates(self) -> Templates:
        """The task's phrasings. Raises `SourceError` where their file is malformed."""
        return phrasings(self.name)


@cache
def tasks() -> dict[str, Task]:
    """Every task by name: a module in `dialogue/tasks/` that defines `TASK` is found, nothing else to do."""
    from surgsigma_dagster.dialogue import tasks as folder

    found: list[Task] = [
        importlib.import_module(module.name).TASK
        for module in pkgutil.iter_modules(folder.__path__, folder.__name__ + ".")
    ]
    return {task.name: task for task in sorted(found, key=lambda task: task.name)}
