"""Instantiating conversations: templates cut into literal pieces, filled by expressions, no loop over rows.

Which phrasing a row gets is a hash of its id and the seed: stable when rows are added, balanced over many.
"""

import re
from collections.abc import Mapping

import polars as pl

from surgsigma_dagster.dialogue.task import Task
from surgsigma_dagster.keys import hashed
from surgsigma_dagster.schema.tables import conform

_SLOT = re.compile(r"\{(\w+)\}")
_LETTERS = ["A", "B", "C", "D"]


def filled(phrasings: list[str], which: pl.Expr, slots: Mapping[str, pl.Expr]) -> pl.Expr:
    """Phrasing number `which` of each row with its `{slots}` filled. Raises `KeyError` for an unknown slot.

    Phrasings are cut at their slots into pieces; piece k of all phrasings is one literal column, so that a row is
    a concatenation and nothing is searched for at run time.
    """
    cut = [_SLOT.split(phrasing) for phrasing in phrasings]  # literal, slot, literal, slot, …, literal
    parts: list[pl.Expr] = []
    for position in range(max(map(len, cut))):
        pieces = [pieces[position] if position < len(pieces) else None for pieces in cut]
        if position % 2 == 0:
            parts.append(_gathered([piece or "" for piece in pieces], which))
            continue
        named = _gathered(pieces, which)
        value: pl.Expr = pl.lit("")
        for slot in sorted({piece for piece in pieces if piece}):
            value = pl.when(named == slot).then(slots[slot]).otherwise(value)
        parts.append(value)
    return pl.concat_str(parts)


def _gathered(values: list[str] | list[str | None], which: pl.Expr) -> pl.Expr:
    if len(set(values)) == 1:
        return pl.lit(values[0], pl.String)
    return which.replace_strict(list(range(len(values))), values, return_dtype=pl.String)


def instantiate(words: pl.DataFrame, task: Task, *, seed: int) -> pl.DataFrame:
    """Conversations of `task` for the frames of `words` (`in_words` with pools, image and licence columns)."""
    rows = words.filter(task.eligible)
    open_form = rows.lazy().with_columns(form=pl.lit("open"), options=pl.lit(None, pl.String))
    wrong = task.wrong.alias("wrong")
    choices = (
        rows.lazy()
        .filter(task.choosable)
        .with_columns(wrong, form=pl.lit("multiple choice"))
        .filter(pl.col("wrong").list.len() > 0)
        .with_columns(_choices(task, seed))
    )
    return pl.concat(
        [
            _conversations(open_form, task, seed, _open_turns(task, seed)),
            _conversations(choices, task, seed, _choice_turns(task, seed)),
        ]
    )


def _pick(n: int, what: str, seed: int) -> pl.Expr:
    return hashed(pl.col("conversation_id"), what, seed=seed) % n


def _choices(task: Task, seed: int) -> list[pl.Expr]:
    """Options as columns item_0 … item_3: up to three wrong ones by hash, the right one at `position`, by hash."""
    n = pl.col("wrong").list.len()
    taken = pl.min_horizontal(n, pl.lit(len(_LETTERS) - 1, pl.UInt32))
    start = hashed(pl.col("frame_id"), task.name, "start", seed=seed) % n
    # A stride of at most (n - 1) / 2 keeps three places apart.
    stride = hashed(pl.col("frame_id"), task.name, "stride", seed=seed) % pl.max_horizontal((n - 1) // 2, 1) + 1
    position = hashed(pl.col("frame_id"), task.name, "position", seed=seed) % (taken + 1)

    def wrong(k: int) -> pl.Expr:
        place = ((start + stride * k) % n).cast(pl.UInt32)
        return pl.when(taken > k).then(pl.col("wrong").list.get(place, null_on_oob=True))

    items = [
        pl.when(position == k)
        .then(task.correct)
        .when(position > k)
        .then(wrong(k))
        .otherwise(wrong(k - 1) if k else pl.lit(None, pl.String))
        .alias(f"item_{k}")
        for k in range(len(_LETTERS))
    ]
    return [*items, position.cast(pl.Int64).alias("position"), task.correct.alias("right")]


def _open_turns(task: Task, seed: int) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    templates = task.templates
    question = _pick(len(templates.questions), "question", seed)
    asked = filled(templates.questions, question, {**task.slots, "procedure": pl.col("procedure_name")})
    answered: pl.Expr = pl.lit(None, pl.String)
    number: pl.Expr = pl.lit(None, pl.UInt64)
    for case, phrasings in templates.answers.items():
        which = _pick(len(phrasings), "answer", seed)
        answered = pl.when(task.case == case).then(filled(phrasings, which, task.slots)).otherwise(answered)
        number = pl.when(task.case == case).then(which).otherwise(number)
    template = pl.format("{}@{}:q{}:{}{}", pl.lit(task.name), pl.lit(templates.version), question, task.case, number)
    return asked, _capital(answered), template


def _choice_turns(task: Task, seed: int) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    templates = task.templates
    stem = _pick(len(templates.multiple_choice), "stem", seed)
    reply = _pick(len(templates.choice_answers), "choice", seed)
    slots = {**task.choice_slots, "procedure": pl.col("procedure_name")}
    option = [pl.concat_str(task.option_prefix, pl.col(f"item_{k}"), task.option_suffix) for k in range(len(_LETTERS))]
    lines = [
        pl.concat_str(pl.lit(f"\n{letter}. "), _capital(text)).fill_null("")
        for letter, text in zip(_LETTERS, option, strict=True)
    ]
    asked = pl.concat_str(filled(templates.multiple_choice, stem, slots), *lines)
    letter = pl.col("position").replace_strict(dict(enumerate(_LETTERS)), return_dtype=pl.String)
    right = _capital(pl.concat_str(task.option_prefix, pl.col("right"), task.option_suffix))
    answered = filled(templates.choice_answers, reply, {"letter": letter, "option": right})
    template = pl.format("{}@{}:m{}:c{}", pl.lit(task.name), pl.lit(templates.version), stem, reply)
    return asked, answered.str.replace(r"([.!?])\.$", "$1"), template


def _capital(text: pl.Expr) -> pl.Expr:
    return pl.concat_str(text.str.slice(0, 1).str.to_uppercase(), text.str.slice(1))


def _conversations(rows: pl.LazyFrame, task: Task, seed: int, turns: tuple[pl.Expr, pl.Expr, pl.Expr]) -> pl.DataFrame:
    asked, answered, template = turns
    form = pl.col("form").str.replace(" ", "_")
    system = _pick(len(task.templates.system), "system", seed)
    answer = dict(task.answer)
    said = rows.with_columns(
        conversation_id=pl.format("{}/{}/{}", pl.lit(task.name), form, "frame_id"),
        reasoning_id=pl.format("{}/{}", pl.lit(task.name), "frame_id"),
    )
    if "position" in rows.collect_schema():
        answer["option"] = pl.col("position").replace_strict(dict(enumerate(_LETTERS)), return_dtype=pl.String)
    said = said.with_columns(
        task=pl.lit(task.name),
        template_id=template,
        asked=asked,
        answer_text=answered,
        system=filled(task.templates.system, system, {"procedure": pl.col("procedure_name")}),
        answer=pl.struct(*(value.alias(name) for name, value in answer.items())).struct.json_encode(),
        media=pl.concat_list(
            pl.struct(
                kind=pl.lit("image"), frame_id="frame_id", root=pl.col("image_root").cast(pl.String), path="image_path"
            )
        ),
        status=pl.lit("accepted"),
    )

    def turn(role: str, column: str) -> pl.Expr:
        return pl.struct(role=pl.lit(role), content=column)

    return conform(
        "conversations",
        said.with_columns(
            turns=pl.concat_list(turn("system", "system"), turn("user", "asked"), turn("assistant", "answer_text"))
        ),
    )
