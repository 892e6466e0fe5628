"""Conversations of several turns on one image: chains of tasks, a turn building on those before.

Which chains there are is `turns.yaml`'s affair; questions of later turns and all answers are the tasks' own phrasings.
A turn may ask of one instrument that an earlier answer named: its answer is the task's, on the scene narrowed to that
instrument.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce
from importlib.resources import files
from importlib.resources.abc import Traversable
from operator import or_
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from surgsigma_dagster.context.words import in_words
from surgsigma_dagster.dialogue.declared import declared
from surgsigma_dagster.dialogue.engine import filled
from surgsigma_dagster.dialogue.task import Task, tasks
from surgsigma_dagster.keys import hashed
from surgsigma_dagster.schema.tables import TABLES, TURN
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import concepts

NAMES_INSTRUMENTS = "instrument_recognition"  # the task whose answer a question about {instrument} builds on
_COLUMNS = {name: column.dtype for name, column in TABLES["conversations"].columns().items()}
_SAID = ["scene_id", "question", "answer_text", "answer", "negative", "reasoning_id", "template_id", "licence"]


class Chains(BaseModel):
    """Chains of tasks by name, and what conversations of several turns need beside the tasks' phrasings."""

    model_config = ConfigDict(extra="forbid")

    version: PositiveInt
    system: Annotated[list[str], Field(min_length=1)]
    chains: Annotated[dict[str, Annotated[list[str], Field(min_length=2, max_length=4)]], Field(min_length=1)]
    not_after_none: list[str] = []  # tasks that as a later turn are asked only where there is something
    of_the_whole_scene: dict[str, list[str]] = {}  # answers by task that do not fit a scene narrowed to one instrument


@cache
def chains() -> Chains:
    """The chains of this package. Raises `SourceError` like `read_chains`."""
    return read_chains(files("surgsigma_dagster.dialogue") / "turns.yaml")


def read_chains(file: Traversable) -> Chains:
    """Chains of a file, checked against the tasks. Raises `SourceError` naming file, place, expected and found."""
    found = declared(Chains, file)
    known = tasks()
    for chain, names in found.chains.items():
        place = f"chains.{chain}"
        for number, name in enumerate(names):
            if name not in known or (known[name].inputs, known[name].targets) != (("frame",), ()):
                raise SourceError(file, place, "tasks that ask about a frame, with an answer in words", name)
            if number and not known[name].templates.follow_ups:
                raise SourceError(file, place, "follow_ups in the templates of every task but the first", name)
            if number and _asks_of_one(known[name]) and NAMES_INSTRUMENTS not in names[:number]:
                raise SourceError(file, place, f"{NAMES_INSTRUMENTS} before a question about {{instrument}}", name)
        if len(set(names)) < len(names):
            raise SourceError(file, place, "each task once", ", ".join(names))
    for name, phrasings in found.of_the_whole_scene.items():
        answers = {text for texts in known[name].templates.answers.values() for text in texts} if name in known else ()
        for text in phrasings:
            if text not in answers:
                raise SourceError(file, f"of_the_whole_scene.{name}", "an answer of its template file", text)
    return found


def _asks_of_one(task: Task) -> bool:
    return any("{instrument}" in text for text in task.templates.follow_ups)


def several_turns(words: pl.DataFrame, single: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Conversations of several turns: for each scene one chain of which it answers two tasks or more, by hash.

    A chain that can be asked to its end goes before others.

    `words` is what `single` was instantiated from (`in_words` with pools and media), `single` rows of `conversations`
    of the same scenes, of which the accepted open ones count. Rows of `conversations`, in no particular order.
    """
    plan = chains()
    used = sorted({name for names in plan.chains.values() for name in names})
    open_ones = (pl.col("form").cast(pl.String) == "open") & (pl.col("status").cast(pl.String) == "accepted")
    talk = {name: single.lazy().filter(open_ones, pl.col("task") == name).select(_SAID).collect() for name in used}
    acting = _narrowed(words, talk[NAMES_INSTRUMENTS], seed)
    made = [
        _conversations(words, acting, talk, scenes, chain, turns, seed)
        for chain, turns, scenes in _chosen(words, talk, seed)
    ]
    return pl.concat([TABLES["conversations"].create_empty(), *made])


def _chosen(
    words: pl.DataFrame, talk: Mapping[str, pl.DataFrame], seed: int
) -> Iterator[tuple[str, list[str], pl.DataFrame]]:
    """Chain, those of its tasks that are asked, and the scenes (scene_id) where that is so."""
    plan, known = chains(), tasks()
    told = {name: said["scene_id"] for name, said in talk.items()}
    told |= {f"{name} found": talk[name].filter(~pl.col("negative"))["scene_id"] for name in plan.not_after_none}
    acting = pl.col("triplets").list.eval(pl.element().struct.field("instrument")).list.n_unique()
    there = words.select(
        "scene_id",
        *(pl.col("scene_id").is_in(ids.implode()).alias(n) for n, ids in told.items()),
        alone=acting == 1,
    )
    asked: dict[str, list[pl.Expr]] = {}
    for chain, names in plan.chains.items():
        begun = pl.lit(False)
        asked[chain] = []
        for number, name in enumerate(names, 1):
            later = pl.col(f"{name} found" if name in plan.not_after_none else name)
            if _asks_of_one(known[name]):
                # The reasoning before the last answer is the whole scene's: it must not say more than that answer.
                followed = pl.any_horizontal(pl.lit(False), *(pl.col(other) for other in names[number:]))
                later = later & pl.col(NAMES_INSTRUMENTS) & (followed | pl.col("alone"))
            asked[chain].append(pl.when(begun).then(later).otherwise(pl.col(name)))
            begun = begun | asked[chain][-1]
    # The highest of one draw a chain: a new chain takes scenes from others, and moves none between them. The upper half
    # of all numbers is for chains that can be asked to their end.
    draws = {
        chain: pl.when(pl.sum_horizontal(said) >= 2).then(
            hashed(pl.col("scene_id"), chain, seed=seed) // 2 + pl.all_horizontal(said).cast(pl.UInt64) * 2**63
        )
        for chain, said in asked.items()
    }
    best = pl.max_horizontal(draws.values())
    pattern = {
        chain: pl.sum_horizontal(one.cast(pl.UInt8) * 2**k for k, one in enumerate(said))
        for chain, said in asked.items()
    }
    picked = there.select(
        "scene_id",
        chain=pl.coalesce(pl.when(draw == best).then(pl.lit(chain)) for chain, draw in draws.items()),
        pattern=pl.coalesce(pl.when(draw == best).then(pattern[chain]) for chain, draw in draws.items()),
    ).drop_nulls("chain")
    for key, scenes in picked.partition_by("chain", "pattern", as_dict=True, include_key=False).items():
        chain, bits = str(key[0]), int(str(key[1]))
        yield chain, [name for k, name in enumerate(plan.chains[chain]) if bits >> k & 1], scenes


def _narrowed(words: pl.DataFrame, named: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Scenes in words as if one instrument with triplets were alone in them, chosen by hash; `called` is its name.

    Only scenes whose instruments were named; of several instruments of a kind, all are meant.
    """
    acting = words.lazy().filter(pl.col("triplets").list.len() > 0).join(named.lazy(), on="scene_id", how="semi")
    whose = {"instruments": "concept_id", "triplets": "instrument"}
    parts = {
        column: acting.select("scene_id", one=column).explode("one", empty_as_null=False)
        .with_columns(instrument=pl.col("one").struct.field(key)).collect()
        for column, key in whose.items()
    }  # fmt: skip
    draw = hashed(pl.col("scene_id"), pl.col("instrument"), "which instrument", seed=seed)
    alone = parts["triplets"].select("scene_id", "instrument").unique().filter(draw == draw.max().over("scene_id"))
    scenes = acting.select(
        pl.lit([], column.dtype).alias(name) if isinstance(column.dtype, pl.List) else name
        for name, column in TABLES["scene_context"].columns().items()
        if name not in whose
    ).collect()
    for column, part in parts.items():
        own = part.join(alone, on=["scene_id", "instrument"], how="semi", maintain_order="left")
        listed = own.group_by("scene_id", maintain_order=True).agg(pl.col("one").alias(column))
        scenes = scenes.join(listed, on="scene_id")
    names = concepts().select("name", "plural", instrument="concept_id")
    several = pl.col("instruments").list.len() > 1
    return (
        in_words(scenes, concepts())
        .join(alone, on="scene_id")
        .join(names, on="instrument")
        .with_columns(called=pl.when(several).then(pl.coalesce("plural", "name")).otherwise("name"))
    )


def _conversations(
    words: pl.DataFrame,
    acting: pl.DataFrame,
    talk: dict[str, pl.DataFrame],
    scenes: pl.DataFrame,
    chain: str,
    turns: list[str],
    seed: int,
) -> pl.DataFrame:
    """Conversations of one chain on scenes where exactly `turns` of its tasks are asked."""
    last = len(turns) - 1
    told = (
        talk[turns[0]]
        .join(scenes, on="scene_id", how="semi")
        .select(
            "scene_id",
            conversation_id=pl.format("{}/multi_turn/{}/{}", pl.lit(turns[-1]), "scene_id", pl.lit(chain)),
            question_0="question",
            answer_0="answer_text",
            template_0="template_id",
        )
    )
    for k, name in list(enumerate(turns))[1:]:
        task = tasks()[name]
        seen = acting if _asks_of_one(task) else words
        own = []
        if k == last and _asks_of_one(task):
            own = [_as_json(task).alias("own_answer"), task.negative.alias("own_negative")]
        draw = {"draw": hashed(pl.col("conversation_id"), name, seed=seed), "case": task.case}
        told = (
            told.lazy()
            .join(seen.lazy(), on="scene_id")
            .with_columns(**draw)
            .select(*told.columns, *_turn(task, k), *own)
            .collect()
        )
    system = hashed(pl.col("conversation_id"), "system", seed=seed) % len(chains().system)
    earlier = pl.concat_arr(
        pl.struct(task=pl.lit(name), question=pl.col(f"question_{k}"), answer=pl.col(f"answer_{k}")).cast(TURN.dtype)
        for k, name in enumerate(turns[:-1])
    ).arr.to_list()  # concat_list takes microseconds a row to make lists of structs
    whole = {
        "task": pl.lit(turns[-1]),
        "form": pl.lit("multi turn"),
        "media": pl.col("frame_medium").reshape((-1, 1)).arr.to_list(),
        "targets": pl.lit([], _COLUMNS["targets"]),
        "system": filled(chains().system, system.cast(pl.UInt32), {"procedure": pl.col("procedure_name")}),
        "earlier": earlier,
        "question": pl.col(f"question_{last}"),
        "answer_text": pl.col(f"answer_{last}"),
        "template_id": pl.concat_str(
            pl.lit(f"{chain}@{chains().version}"), *(f"template_{k}" for k in range(len(turns))), separator=" "
        ),
        "status": pl.lit("accepted"),
        "pseudo_label": pl.lit(False),
    }
    # Every conversation on a scene stands on the scene's labels: the union of the turns' labels is those of the scene.
    return (
        talk[turns[-1]].lazy().select("scene_id", "answer", "negative", "reasoning_id", "licence")
        .join(told.lazy(), on="scene_id")
        .with_columns(**{name.removeprefix("own_"): name for name in told.columns if name.startswith("own_")})
        .join(words.lazy().drop("licence", strict=False), on="scene_id")
        .select(whole.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in _COLUMNS.items())
        .collect()
    )  # fmt: skip


def _as_json(task: Task) -> pl.Expr:
    return pl.struct(*(value.alias(name) for name, value in task.answer.items())).struct.json_encode()


def _turn(task: Task, k: int) -> list[pl.Expr]:
    """Question, answer and template of turn `k`, on columns draw, case, and the question and answer of those before."""
    templates, narrowed = task.templates, _asks_of_one(task)
    slots = {**task.question_slots, "procedure": pl.col("procedure_name")}
    slots |= {"instrument": pl.col("called")} if narrowed else {}
    number = _fresh(templates.follow_ups, pl.col("draw"), 1, [f"question_{j}" for j in range(k)])
    unfit = chains().of_the_whole_scene.get(task.name, []) if narrowed else []
    answered: pl.Expr = pl.lit(None, pl.String)
    which: pl.Expr = pl.lit(None, pl.UInt32)
    for case, phrasings in templates.answers.items():
        # Other digits of the draw than the question's.
        own = _fresh(phrasings, pl.col("draw") // (1 << 20), 2, [f"answer_{j}" for j in range(k)], unfit)
        answered = pl.when(pl.col("case") == case).then(filled(phrasings, own, task.slots)).otherwise(answered)
        which = pl.when(pl.col("case") == case).then(own).otherwise(which)
    template = pl.format("{}@{}:f{}:{}{}", pl.lit(task.name), pl.lit(templates.version), number, "case", which)
    question = filled(templates.follow_ups, number, slots)
    return [question.alias(f"question_{k}"), answered.alias(f"answer_{k}"), template.alias(f"template_{k}")]


def _fresh(
    phrasings: list[str], draw: pl.Expr, n_words: int, before: Sequence[str], unfit: Sequence[str] = ()
) -> pl.Expr:
    """Number of a phrasing that begins with other words than the texts in the columns `before`.

    Phrasings that begin with a slot are left out, since what fills it may begin like a phrase; so are those of `unfit`.
    Each of the others is followed by one candidate for each text before, all with different beginnings.
    """
    openings = {
        number: " ".join(text.split("{")[0].split()[:n_words])
        for number, text in enumerate(phrasings)
        if not text.startswith("{") and text not in unfit
    }
    numbers = list(openings)
    candidates = []
    for place in range(len(numbers)):
        found = [numbers[place]]
        for number in numbers[place + 1 :] + numbers[:place]:
            if not any(_alike(openings[number], openings[other]) for other in found):
                found.append(number)
        candidates.append((found * len(before))[: len(before) + 1] if len(found) <= len(before) else found)
    first = (draw % len(numbers)).cast(pl.UInt32)
    chosen = _column([row[len(before)] for row in candidates], first)
    for rank in reversed(range(len(before))):
        opening = pl.lit(pl.Series([openings[row[rank]] for row in candidates])).gather(first)
        clash = reduce(or_, [pl.col(text).str.starts_with(opening) for text in before])
        chosen = pl.when(clash).then(chosen).otherwise(_column([row[rank] for row in candidates], first))
    return chosen


def _alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _column(numbers: list[int], place: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(numbers, dtype=pl.UInt32)).gather(place)
