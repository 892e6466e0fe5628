"""What a task is: expressions over a scene in words, and a file of phrasings.

A declaration says which labels the task is made from, which scenes it can be asked of, what the model sees and what it
is to make, what the answer is (as data, and as the words that fill the templates), what level 3 of the reasoning adds
and how it ends, what wrong options look like, and how an answer is read back and scored.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import polars as pl

from surgsigma_dagster.dialogue.phrasings import Templates, phrasings

Medium = Literal[
    "frame", "later_frame", "smoke", "instrument_mask", "depth", "clip", "first_frame", "target_clip"
]  # columns `<medium>_medium` of `dialogue.media.with_media`
Grammar = Literal[
    "names", "boxes", "concept", "triplets", "criteria", "caption", "duration", "instruments", "medium"
]  # how an answer is read back: `dialogue.grammar`
Metric = Literal[
    "set_f1", "box_f1", "accuracy", "criteria_accuracy", "caption_overlap", "seconds_off", "mask_iou", "depth_error",
    "psnr",
]  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One task. Expressions see the columns of `context.words.in_words`, `dialogue.pools` and `dialogue.media`."""

    name: str
    group: Literal["U", "P"]
    needs: tuple[str, ...]  # kinds of native label, with their field: any one of them does
    eligible: pl.Expr  # scenes whose labels support a true answer
    case: pl.Expr  # key of the template file's `answers`
    answer: Mapping[str, pl.Expr]  # the answer as data: concept ids, boxes in pixels, truth values
    weighing: pl.Expr  # what level 3 says before it concludes
    conclusion: pl.Expr  # the last sentence of level 3: the answer
    grammar: Grammar
    metric: Metric
    every: bool = False  # asks for all of a kind: not of a scene in which some may be unnamed
    scene: str = "frame"  # kind of scene that it is asked of
    inputs: tuple[Medium, ...] = ("frame",)  # what the model sees
    targets: tuple[Medium, ...] = ()  # what it is to make, beside words
    slots: Mapping[str, pl.Expr] = field(default_factory=dict)  # words that fill braces in answers
    question_slots: Mapping[str, pl.Expr] = field(default_factory=dict)  # words that questions may tell beforehand
    negative: pl.Expr = field(default_factory=lambda: pl.lit(False))  # the true answer is that there is none
    correct: pl.Expr | None = None  # the right option; None: the task has no multiple-choice form
    wrong: pl.Expr = field(default_factory=lambda: pl.lit([], pl.List(pl.String)))  # options false of this scene
    option_prefix: pl.Expr | None = None  # stands before every option
    option_suffix: pl.Expr | None = None  # stands behind every option
    choice_slots: Mapping[str, pl.Expr] = field(default_factory=dict)  # words that fill multiple-choice stems
    choosable: pl.Expr = field(default_factory=lambda: pl.lit(True))  # scenes with a multiple-choice form
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


def tasks_fed(yields: Iterable[str], *, timed: bool = True, partial: bool = False) -> list[str]:
    """Tasks that labels of these kinds (`boxes:instrument`, `criteria`) can be made into, by name.

    Where frames are not `timed`, how far one is ahead of another is not known: there are no pairs. Where
    labels are `partial`, nothing asks for all of a kind.
    """
    kinds = {*yields, "frames"}  # whatever holds labels may hold pictures
    asked = {name: task for name, task in tasks().items() if timed or task.scene != "pair"}
    return [name for name, task in asked.items() if kinds & set(task.needs) and not (partial and task.every)]
