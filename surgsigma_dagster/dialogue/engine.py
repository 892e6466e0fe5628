"""Instantiating conversations: templates cut into literal pieces, filled by expressions, no loop over rows.

Which phrasing a row gets is a hash of its id and the seed: stable when rows are added, balanced over many.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import polars as pl

from surgsigma_dagster.dialogue.task import Task
from surgsigma_dagster.keys import hashed
from surgsigma_dagster.schema.tables import TABLES

_SLOT = re.compile(r"\{(\w+)\}")
_LETTERS = ["A", "B", "C", "D"]
_COLUMNS = {name: column.dtype for name, column in TABLES["conversations"].columns().items()}
_NO_TURNS = pl.lit([], _COLUMNS["earlier"])
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def asked(words: Frame, task: Task) -> Frame:
    """The scenes of `words` that `task` can be asked of: the labels hold its answer (all of it, where
    it asks for every one), and its media are there."""
    shown = [pl.col(f"{medium}_medium").is_not_null() for medium in (*task.inputs, *task.targets)]
    scenes = words.filter(pl.col("kind").cast(pl.String) == task.scene)
    if task.every:
        scenes = scenes.filter(~pl.col("partial"))
    return scenes.filter(pl.all_horizontal(*shown) & task.eligible)


def filled(phrasings: list[str], which: pl.Expr, slots: Mapping[str, pl.Expr]) -> pl.Expr:
    """Phrasing number `which` of each row with its `{slots}` filled, a slot at the beginning with a capital letter.

    Raises `KeyError` for an unknown slot. Phrasings are cut at their slots into pieces; piece k of all phrasings is one
    literal column, so that a row is a concatenation and nothing is searched for at run time.
    """
    cut = [_SLOT.split(phrasing) for phrasing in phrasings]  # literal, slot, literal, slot, …, literal
    parts: list[pl.Expr] = []
    for position in range(max(map(len, cut))):
        pieces = [pieces[position] if position < len(pieces) else "" for pieces in cut]
        if position % 2 == 0:
            parts.append(_gathered(pieces, which))
            continue
        # A slot that opens its phrasing is another value than the same slot inside one.
        opens = [position == 1 and not pieces[0] for pieces in cut]
        keys = list(zip(pieces, opens, strict=True))
        values = {
            (slot, capital): _capital(slots[slot]) if capital else slots[slot]
            for slot, capital in sorted(set(keys))
            if slot
        }
        numbers = {key: number for number, key in enumerate(values)}
        chosen = pl.lit(pl.Series([numbers.get(key, len(numbers)) for key in keys], dtype=pl.UInt8)).gather(which)
        value: pl.Expr = pl.lit("")
        for key, number in numbers.items():
            value = pl.when(chosen == number).then(values[key]).otherwise(value)
        everywhere = len(values) == 1 and all(slot for slot, _ in keys)
        parts.append(next(iter(values.values())) if everywhere else value)
    return pl.concat_str(parts)


def _gathered(values: list[str], which: pl.Expr) -> pl.Expr:
    return pl.lit(values[0]) if len(set(values)) == 1 else pl.lit(pl.Series(values)).gather(which)


def instantiate(words: pl.DataFrame, task: Task, *, seed: int) -> pl.DataFrame:
    """Conversations of `task` for the scenes of `words` (`in_words` with pools, media and a column `licence`).

    Rows of `conversations`, in no particular order, all of status accepted.
    """
    rows = asked(words.lazy(), task)  # lazy: a filter copies every column that it is not known to be spared
    made = [_conversations(rows, task, seed, "open")]
    if task.correct is not None:
        choices = _with_choices(rows.filter(task.choosable), task, seed)
        made.append(_conversations(choices, task, seed, "multiple choice"))
    return pl.concat(pl.collect_all(made))


def _with_choices(rows: pl.LazyFrame, task: Task, seed: int) -> pl.LazyFrame:
    """Options as columns item_0 … item_3: up to three wrong ones by hash, the right one at `position`, by hash.

    Scenes with nothing wrong to offer are left out. Set operations on lists take microseconds a row: the wrong options
    are found once for all rows that share what they depend on, and then taken by their place among all of them.
    """
    assert task.correct is not None
    shared = sorted(set(task.wrong.meta.root_names()))
    found = rows.select(shared).unique().with_columns(wrong=task.wrong).collect()
    n = pl.col("wrong").list.len()
    found = found.filter(n > 0).with_columns(n_wrong=n, first_wrong=n.cum_sum() - n)
    every = pl.lit(found["wrong"].explode(empty_as_null=False))
    draw = hashed(pl.col("scene_id"), task.name, "options", seed=seed)
    n = pl.col("n_wrong")
    taken = pl.min_horizontal(n, pl.lit(len(_LETTERS) - 1, pl.UInt32))
    start = draw % n
    # A stride of at most (n - 1) / 2 keeps three places apart.
    stride = draw // (1 << 16) % pl.max_horizontal((n - 1) // 2, 1) + 1
    drawn = rows.join(found.lazy().drop("wrong"), on=shared, nulls_equal=True).with_columns(
        taken=taken, start=start, stride=stride, position=(draw // (1 << 32) % (taken + 1)).cast(pl.UInt8)
    )

    def item(place: int) -> pl.Expr:
        k = place - (pl.col("position") < place).cast(pl.UInt32)
        wrong = every.gather(pl.col("first_wrong") + (pl.col("start") + pl.col("stride") * k) % n)
        return pl.when(pl.col("position") == place).then(task.correct).when(k < pl.col("taken")).then(wrong)

    return drawn.with_columns(*(item(k).alias(f"item_{k}") for k in range(len(_LETTERS))), right=task.correct)


class _Draw:
    """Independent choices from one hash a row: its digits in the mixed base of the numbers of phrasings."""

    def __init__(self, column: str) -> None:
        self._rest: pl.Expr = pl.col(column)

    def of(self, n: int) -> pl.Expr:
        digit, self._rest = self._rest % n, self._rest // n
        return digit.cast(pl.UInt32)


def _open_turns(task: Task, draw: _Draw) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    templates = task.templates
    number = draw.of(len(templates.questions))
    question = filled(templates.questions, number, {**task.question_slots, "procedure": pl.col("procedure_name")})
    rest = draw.of(1 << 16)
    answered: pl.Expr = pl.lit(None, pl.String)
    which: pl.Expr = pl.lit(None, pl.UInt32)
    single = len(templates.answers) == 1
    for case, phrasings in templates.answers.items():
        own = rest % len(phrasings)
        said = filled(phrasings, own, task.slots)
        answered = said if single else pl.when(pl.col("case") == case).then(said).otherwise(answered)
        which = own if single else pl.when(pl.col("case") == case).then(own).otherwise(which)
    template = pl.concat_str(
        pl.lit(f"{task.name}@{templates.version}:q"), number.cast(pl.String), pl.lit(":"), "case", which.cast(pl.String)
    )
    return question, answered, template


def _choice_turns(task: Task, draw: _Draw) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    templates = task.templates
    stem, reply = draw.of(len(templates.multiple_choice)), draw.of(len(templates.choice_answers))
    slots = {**task.question_slots, **task.choice_slots, "procedure": pl.col("procedure_name")}

    def option(item: str) -> pl.Expr:
        around = [part for part in (task.option_prefix, pl.col(item), task.option_suffix) if part is not None]
        return _capital(pl.concat_str(around) if len(around) > 1 else around[0])

    lines = [
        pl.concat_str(pl.lit(f"\n{letter}. "), option(f"item_{k}")).fill_null("") for k, letter in enumerate(_LETTERS)
    ]
    question = pl.concat_str(filled(templates.multiple_choice, stem, slots), *lines)
    letter = pl.lit(pl.Series(_LETTERS)).gather("position")
    answered = filled(templates.choice_answers, reply, {"letter": letter, "option": option("right")})
    template = pl.concat_str(
        pl.lit(f"{task.name}@{templates.version}:m"), stem.cast(pl.String), pl.lit(":c"), reply.cast(pl.String)
    )
    return question, answered.str.replace(r"([.!?])\.$", "$1"), template


def _capital(text: pl.Expr) -> pl.Expr:
    return pl.concat_str(text.str.slice(0, 1).str.to_uppercase(), text.str.slice(1))


def _conversations(rows: pl.LazyFrame, task: Task, seed: int, form: str) -> pl.LazyFrame:
    draw = _Draw("draw")
    system = draw.of(len(task.templates.system))
    turns = _open_turns if form == "open" else _choice_turns
    question, answered, template = turns(task, draw)
    answer = dict(task.answer)
    if form == "multiple choice":
        answer["option"] = pl.lit(pl.Series(_LETTERS)).gather("position")
    identity = pl.concat_str(pl.lit(f"{task.name}/{form.replace(' ', '_')}/"), "scene_id")
    own = {
        "task": pl.lit(task.name),
        "form": pl.lit(form, _COLUMNS["form"]),
        "media": _media(task.inputs),
        "targets": _media(task.targets),
        "system": filled(task.templates.system, system, {"procedure": pl.col("procedure_name")}),
        "earlier": _NO_TURNS,
        "question": question,
        "answer_text": answered,
        "answer": pl.struct(*(value.alias(name) for name, value in answer.items())).struct.json_encode(),
        "negative": task.negative,
        "pseudo_label": _by_model(task),
        "reasoning_id": pl.concat_str(pl.lit(f"{task.name}/"), "scene_id"),
        "template_id": template,
        "licence": _licence(task),
        "status": pl.lit("accepted", _COLUMNS["status"]),
    }
    return rows.with_columns(conversation_id=identity, case=task.case).with_columns(
        draw=hashed(pl.col("conversation_id"), seed=seed)
    ).select(
        own.get(name, pl.col(name)).cast(dtype).alias(name)
        for name, dtype in _COLUMNS.items()
    )  # fmt: skip


def _media(names: tuple[str, ...]) -> pl.Expr:
    if not names:
        return pl.lit([], _COLUMNS["media"])
    if len(names) > 1:
        return pl.concat_list(f"{name}_medium" for name in names)
    # concat_list takes microseconds a row to make lists of one struct; reshaping takes none.
    return pl.col(f"{names[0]}_medium").reshape((-1, 1)).arr.to_list()


def _by_model(task: Task) -> pl.Expr:
    made = [pl.col(f"{name}_origin") == "model" for name in task.targets if name in ("instrument_mask", "depth")]
    return pl.any_horizontal(made).fill_null(False) if made else pl.lit(False)


def _licence(task: Task) -> pl.Expr:
    """The source's licence, and that of the model that made a target."""
    made = [f"{name}_licence" for name in task.targets if name in ("instrument_mask", "depth")]
    return pl.concat_str("licence", *made, separator=" AND ", ignore_nulls=True) if made else pl.col("licence")
