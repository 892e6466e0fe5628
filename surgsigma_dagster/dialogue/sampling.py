"""Which conversations are kept for training: a policy that is data, and what it does.

The policy acts on the training split alone; validation and test keep the distribution of the data. It decides on scenes
of a task, so that all forms of one question stay or fall together, except that multiple choice has a share of its own.
Every choice is by a hash of ids or by the clock of a video, never by the order of rows.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from surgsigma_dagster.dialogue.declared import declared
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.keys import hashed
from surgsigma_dagster.schema.tables import conform
from surgsigma_dagster.sources.errors import SourceError

RUN = 30  # frames in a row that may be left out as near-duplicates of the one before them
_WHERE = r'"[xy][12]":[^,}]*|"size":\[[^]]*\]'  # without it an answer says which things there are


class Limits(BaseModel):
    """What is kept of one task. Every key is to be stated; null is no limit."""

    model_config = ConfigDict(extra="forbid")

    seconds_between: Annotated[float, Field(ge=0)]  # scenes of one video with the same answer
    near_duplicate_bits: Annotated[int, Field(ge=0, le=32)] | None  # of 64, between frames that follow one another
    class_ratio: Annotated[float, Field(ge=1)] | None  # scenes with one answer, against the median over answers
    negatives: Annotated[float, Field(ge=0, le=1)]  # share of scenes whose true answer is that there is none
    multiple_choice: Annotated[float, Field(ge=0, le=1)]  # share of conversations
    conversations_a_video: PositiveInt | None
    conversations: PositiveInt | None
    at_least: Annotated[int, Field(ge=0)]  # conversations that no rule but `conversations` goes below


class Sampling(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    version: PositiveInt
    every_task: Limits
    tasks: dict[str, Limits] = {}

    @model_validator(mode="before")
    @classmethod
    def _task_by_task(cls, value: Any) -> Any:
        """What a task states beside what holds for every task."""
        if not isinstance(value, dict) or not isinstance(value.get("tasks") or {}, dict):
            return value
        usual, own = value.get("every_task"), value.get("tasks") or {}
        if not isinstance(usual, dict):
            return value
        return value | {"tasks": {name: {**usual, **one} if isinstance(one, dict) else one
                                  for name, one in own.items()}}  # fmt: skip

    def limits(self, task: str) -> Limits:
        """What is kept of `task`."""
        return self.tasks.get(task, self.every_task)

    def table(self) -> pl.DataFrame:
        """Rows of `sampling_policy`: what holds for each task."""
        return conform(
            "sampling_policy",
            pl.DataFrame(
                [{"task": task, "version": self.version, **self.limits(task).model_dump()} for task in tasks()],
                infer_schema_length=None,
            ),
        )


@cache
def default_sampling() -> Sampling:
    """The policy of this package."""
    return read_sampling(files("surgsigma_dagster.dialogue") / "sampling.yaml")


def read_sampling(file: Path | Traversable) -> Sampling:
    """The policy in `file`. Raises `SourceError` naming file, key, expected and found."""
    found = declared(Sampling, file)
    if strangers := sorted(set(found.tasks) - set(tasks())):
        raise SourceError(file, "tasks", f"names of tasks, of {', '.join(tasks())}", strangers[0])
    return found


def answer_class() -> pl.Expr:
    """What a conversation answers, as a number: its structured answer without coordinates and without the letter.

    Null where answers are no classes: durations, pictures and clips.
    """
    grammar = {name: task.grammar for name, task in tasks().items()}
    placed = [name for name, kind in grammar.items() if kind in ("boxes", "caption")]
    unique = [name for name, kind in grammar.items() if kind in ("duration", "medium")]
    # A regular expression costs nothing on nulls.
    choice = pl.when(_form() == "multiple choice").then("answer").str.replace(r',"option":"[A-D]"', "")
    said = pl.coalesce(choice, "answer")
    located = pl.when(_task().is_in(placed)).then(said).str.replace_all(_WHERE, "")
    return pl.when(~_task().is_in(unique)).then(hashed(pl.coalesce(located, said)))


def _form() -> pl.Expr:
    return pl.col("form").cast(pl.String)


def _task() -> pl.Expr:
    return pl.col("task")


def sampled(
    conversations: pl.LazyFrame, scenes: pl.LazyFrame, frames: pl.LazyFrame, policy: Sampling, *, seed: int
) -> pl.DataFrame:
    """Rows of `selection`: for each conversation whether it is kept, and the rule that it fell by.

    `conversations`, `scenes` (`scene_context`) and `frames` are the unified tables.
    """
    train = pl.col("split").cast(pl.String) == "train"
    rows = conversations.select(
        "conversation_id",
        pl.col("task").cast(pl.Categorical),
        item=hashed(pl.col("task"), pl.col("scene_id"), seed=seed),
        train=train,
        accepted=pl.col("status").cast(pl.String) == "accepted",
        choice=_form() == "multiple choice",
    ).collect(engine="streaming")
    items = _items(rows, conversations.filter(train), scenes, frames, seed)
    decided = pl.concat(
        [
            _decided(part, policy.limits(str(key[0])), seed)
            for key, part in items.partition_by("task", as_dict=True, include_key=False).items()
        ]
        or [pl.DataFrame(schema={"item": pl.UInt64, "rule": pl.String, "chosen": pl.Boolean})]
    )
    rule = (
        pl.when(~pl.col("accepted"))
        .then(pl.lit("rejected"))
        .when(~pl.col("train"))
        .then(pl.lit(None, pl.String))
        .when(pl.col("rule").is_not_null())
        .then("rule")
        .when(pl.col("choice") & ~pl.col("chosen"))
        .then(pl.lit("multiple_choice"))
    )
    found = rows.join(decided, on="item", how="left").select("conversation_id", rule=rule)
    return conform("selection", found.with_columns(kept=pl.col("rule").is_null()))


def _items(
    rows: pl.DataFrame, conversations: pl.LazyFrame, scenes: pl.LazyFrame, frames: pl.LazyFrame, seed: int
) -> pl.DataFrame:
    """Scenes of tasks that the policy decides on: task, item, n and n_choices of their conversations, and facts.

    Facts are those of the open form: video, at_s, number (of the frame), look (its perceptual hash), klass, negative.
    """
    counted = (
        rows.lazy()
        .filter("train", "accepted")
        .group_by("item")
        .agg(pl.col("task").first(), n=pl.len().cast(pl.Int64), n_choices=pl.col("choice").sum().cast(pl.Int64))
    )
    seen = scenes.select("scene_id", "frame_id", at_s="start_s").join(
        frames.select("frame_id", number="frame_index", look="perceptual_hash"), on="frame_id", how="left"
    )
    facts = (
        conversations.filter(_form() == "open")
        .select(
            item=hashed(pl.col("task"), pl.col("scene_id"), seed=seed),
            where=hashed(pl.col("scene_id")),
            video=hashed(pl.col("video_id")),
            klass=answer_class(),
            negative="negative",
        )
        .join(seen.select("at_s", "number", "look", where=hashed(pl.col("scene_id"))), on="where", how="left")
        .drop("where")
    )
    return (
        counted.join(facts, on="item", how="left")
        .with_columns(pl.col("negative").fill_null(False))
        .collect(engine="streaming")
    )


def _decided(items: pl.DataFrame, limits: Limits, seed: int) -> pl.DataFrame:
    """item, rule (null: stays), and chosen: whether its multiple-choice form stays with it."""
    left, fallen = _sifted(items.with_columns(rule=pl.lit(None, pl.String)), _BY_SCENE, limits, seed)
    n_choices = int(left["n_choices"].sum())
    n_others = int(left["n"].sum()) - n_choices
    share = limits.multiple_choice
    wanted = n_others * share / (1 - share) if share < 1 else n_choices
    chosen = pl.lit(share > 0) & (_draw("multiple_choice", seed) / 2.0**64 <= wanted / max(n_choices, 1))
    without = pl.when("chosen").then(0).otherwise("n_choices")
    left, fallen = (some.with_columns(chosen=chosen).with_columns(n=pl.col("n") - without) for some in (left, fallen))
    left, more = _sifted(left, _BY_SIZE, limits, seed)
    fallen = pl.concat([fallen, more])
    # No task is left with next to nothing: what fell comes back, by hash, until there is enough.
    spare = min(limits.at_least, limits.conversations or limits.at_least) - int(left["n"].sum())
    if spare > 0:
        back = pl.col("n").cum_sum().over(pl.lit(0), order_by=_draw("at_least", seed)) <= spare
        fallen = fallen.with_columns(rule=pl.when(~back).then("rule"))
    return pl.concat([left, fallen]).select("item", "rule", "chosen")


def _sifted(
    items: pl.DataFrame, rules: Mapping[str, "_Stays"], limits: Limits, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those that stay, and those that fell, with the rule."""
    fallen = [items.clear()]
    for rule, stays in rules.items():
        kept = stays(items, limits, _draw(rule, seed))
        fallen.append(items.filter(~kept).with_columns(rule=pl.lit(rule)))
        items = items.filter(kept)
    return items, pl.concat(fallen)


def _draw(rule: str, seed: int) -> pl.Expr:
    """A number of each item for one rule, independent of those for others."""
    return hashed(pl.col("item"), rule, seed=seed)


def _all(items: pl.DataFrame) -> pl.Series:
    return pl.Series([True], dtype=pl.Boolean).new_from_index(0, items.height)


def _apart(items: pl.DataFrame, limits: Limits, draw: pl.Expr) -> pl.Series:
    """Of one video and answer, the first scene and then each that is far enough from the last one kept."""
    if not limits.seconds_between:
        return _all(items)
    timed = items.with_row_index("row").drop_nulls("at_s").sort("video", "klass", "at_s", "item")
    gap = round(limits.seconds_between * 1000)
    at = (pl.col("at_s") * 1000).round().cast(pl.Int64)
    # Times of one video and answer after those of the one before, so that a single search serves all.
    clock = timed.select(pl.struct("video", "klass").rle_id().cast(pl.Int64) * (at.max() + gap + 1) + at).to_series()
    return _kept(items, timed, clock.search_sorted(clock + gap, side="left"))


def _unlike(items: pl.DataFrame, limits: Limits, draw: pl.Expr) -> pl.Series:
    """Of one video, the first frame and then each that looks unlike the last one kept, or is `RUN` frames later."""
    if limits.near_duplicate_bits is None:
        return _all(items)
    shown = items.with_row_index("row").drop_nulls("look").sort("video", "number", "item")
    look, video = pl.col("look"), pl.col("video")
    unlike = [
        (((look ^ look.shift(-k)).bitwise_count_ones() > limits.near_duplicate_bits) | (video != video.shift(-k)))
        .fill_null(True)
        for k in range(1, RUN)
    ]  # fmt: skip
    steps = pl.coalesce(*(pl.when(far).then(pl.lit(k)) for k, far in enumerate(unlike, 1)), pl.lit(RUN))
    return _kept(items, shown, shown.select(pl.int_range(pl.len()) + steps).to_series())


def _kept(items: pl.DataFrame, ordered: pl.DataFrame, following: pl.Series) -> pl.Series:
    """Which of `items` stay: of those in `ordered` (by column `row`) the first, the one `following` it, and so on.

    The others stay too. Found in steps that double: after k of them, 2**k of the chain are known.
    """
    n = ordered.height
    jump = np.append(np.minimum(following.to_numpy(), n), n).astype(np.int64)
    seen = np.zeros(n + 1, dtype=bool)
    seen[0] = True
    while not seen[reached := jump[seen]].all():
        seen[reached] = True
        jump = jump[jump]
    stays = np.ones(items.height, dtype=bool)
    stays[ordered["row"].to_numpy()] = seen[:n]
    return pl.Series(stays)


def _balanced(items: pl.DataFrame, limits: Limits, draw: pl.Expr) -> pl.Series:
    """So many scenes of each answer at most, by hash."""
    if limits.class_ratio is None or items.is_empty():
        return _all(items)
    sizes = items.group_by("klass").len()["len"]
    most = max(limits.class_ratio * float(sizes.median()), limits.at_least)  # type: ignore[arg-type]
    if sizes.max() <= most:  # type: ignore[operator]
        return _all(items)
    return items.select(draw.rank("ordinal").over("klass") <= most).to_series()


def _negatives(items: pl.DataFrame, limits: Limits, draw: pl.Expr) -> pl.Series:
    """So many scenes with nothing to find at most, by hash."""
    n_found = items.height - int(items["negative"].sum())
    if limits.negatives == 1:
        return _all(items)
    most = max(limits.negatives / (1 - limits.negatives) * n_found, limits.at_least)
    return items.select(~pl.col("negative") | (draw.rank("ordinal").over("negative") <= most)).to_series()


def _few_a_video(items: pl.DataFrame, limits: Limits, draw: pl.Expr) -> pl.Series:
    if limits.conversations_a_video is None:
        return _all(items)
    return items.select(
        pl.col("n").cum_sum().over("video", order_by=draw) <= limits.conversations_a_video
    ).to_series()  # fmt: skip


def _few(items: pl.DataFrame, limits: Limits, draw: pl.Expr) -> pl.Series:
    if limits.conversations is None:
        return _all(items)
    return items.select(pl.col("n").cum_sum().over(pl.lit(0), order_by=draw) <= limits.conversations).to_series()


_Stays = Callable[[pl.DataFrame, Limits, pl.Expr], pl.Series]
_BY_SCENE: dict[str, _Stays] = {
    "seconds_between": _apart,
    "near_duplicate": _unlike,
    "class_ratio": _balanced,
    "negatives": _negatives,
}
_BY_SIZE: dict[str, _Stays] = {"conversations_a_video": _few_a_video, "conversations": _few}
STAGES = ("rejected", *_BY_SCENE, "multiple_choice", *_BY_SIZE)  # in the order in which they act


def effect(conversations: pl.LazyFrame, selection: pl.LazyFrame) -> pl.DataFrame:
    """Rows of `sampling_effect`: the training split before and after each rule that took something, and all of them."""
    kinds = (
        conversations.filter(pl.col("split").cast(pl.String) == "train")
        .select("conversation_id", "task", "negative", form=_form(), klass=answer_class())
        .join(selection.select("conversation_id", "rule"), on="conversation_id")
        .group_by("task", "form", "negative", "klass", "rule")
        .agg(n=pl.len().cast(pl.Int64))
        .with_columns(stage=pl.col("rule").replace_strict({rule: k for k, rule in enumerate(STAGES)}, default=None))
        .collect(engine="streaming")
    )
    spans = {"all": (0, len(STAGES) - 1), **{rule: (k, k) for k, rule in enumerate(STAGES)}}
    # What no rule took is there before and after each.
    told = [_told(kinds, first, last).with_columns(rule=pl.lit(name)) for name, (first, last) in spans.items()]
    table = pl.concat(told).filter((pl.col("rule") == "all") | (pl.col("n_before") > pl.col("n_after")))
    return conform("sampling_effect", table)


def _told(kinds: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
    """What there is before rule number `first` and after number `last`, by task and form."""
    stage = pl.col("stage").fill_null(len(STAGES))
    counts = {"before": pl.when(stage >= first), "after": pl.when(stage > last)}
    rows = kinds.select("task", "form", "negative", "klass",
                        **{when: there.then("n").otherwise(0) for when, there in counts.items()})  # fmt: skip
    when = list(counts)
    classes = rows.group_by("task", "form", "klass").agg(pl.col(when).sum())
    some = pl.col("klass").is_not_null()
    by_class = classes.group_by("task", "form").agg(
        *(pl.col(w).filter(some & (pl.col(w) > 0)).len().alias(f"n_classes_{w}") for w in when),
        *((pl.col(w).filter(some).max() / pl.col(w).sum()).alias(f"commonest_{w}") for w in when),
    )
    choice = pl.col("form") == "multiple choice"
    by_task = rows.group_by("task").agg(
        (pl.col(w).filter(choice).sum() / pl.col(w).sum()).alias(f"multiple_choice_{w}") for w in when
    )
    return (
        rows.group_by("task", "form")
        .agg(
            *(pl.col(w).sum().alias(f"n_{w}") for w in when),
            *((pl.col(w).filter("negative").sum() / pl.col(w).sum()).alias(f"negatives_{w}") for w in when),
        )
        .join(by_class, on=["task", "form"])
        .join(by_task, on="task")
        .with_columns(pl.col(pl.Float64).fill_nan(None))
    )


def counted(conversations: pl.LazyFrame, selection: pl.LazyFrame, sources: pl.LazyFrame) -> pl.DataFrame:
    """Rows of `conversation_counts`: how many conversations there are, and how many are kept."""
    return conform("conversation_counts", counts(conversations, selection, sources))


def counts(conversations: pl.LazyFrame, selection: pl.LazyFrame, sources: pl.LazyFrame) -> pl.LazyFrame:
    """task, source, specialty, split, form, n and n_kept, not yet in the order of the contract."""
    by = ["task", "source", "split", "form"]
    return (
        conversations.select("conversation_id", *by)
        .join(selection.select("conversation_id", "kept"), on="conversation_id", how="left")
        .group_by(by)
        .agg(n=pl.len().cast(pl.Int64), n_kept=pl.col("kept").fill_null(False).sum().cast(pl.Int64))
        .join(sources.select("source", "specialty"), on="source", how="left")
    )
