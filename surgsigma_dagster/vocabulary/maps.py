"""Maps between concepts that no publication fixes: ours are data with a version, and a reason for every line.

Belongs here: reading and checking `maps/*.yaml`, and counting what a map says of a corpus. What a dataset's verbatim
values mean is its alias file's business.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import ConceptId, Model, Text, checked, concepts, parsed

_FOLDER = files("surgsigma_dagster.vocabulary") / "maps"
_OrNull = BeforeValidator(lambda value: None if value == "null" else value)  # every scalar is read as text


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: PositiveInt
    lines: Annotated[list[Any], Field(min_length=1)]


class BasicActionLine(BaseModel):
    """What one verb, action or step is among the basic surgical actions."""

    model_config = ConfigDict(extra="forbid")

    concept: ConceptId
    is_: Annotated[ConceptId | None, _OrNull] = Field(alias="is")
    why: Text


class CriterionLine(BaseModel):
    """What one dataset's name of a safety criterion means."""

    model_config = ConfigDict(extra="forbid")

    dataset: Text
    value: Text
    is_: ConceptId = Field(alias="is")
    why: Text


def read_basic_actions(file: Traversable) -> pl.DataFrame:
    """A map of verbs, actions and steps: concept_id, basic_action_id (null: unmapped, for a reason), why.

    Raises `SourceError` naming file and line: a concept that is not known, or stands twice.
    """
    kinds = _kinds()
    found = {}
    for place, line in _lines(file, BasicActionLine):
        _known(file, place, line.concept, kinds, "verb", "action", "step")
        if line.is_ is not None:
            _known(file, place, line.is_, kinds, "basic_action")
        if line.concept in found:
            raise SourceError(file, place, "each concept once", f"{line.concept} twice")
        found[line.concept] = (line.concept, line.is_, line.why)
    schema = dict.fromkeys(("concept_id", "basic_action_id", "why"), pl.String)
    return pl.DataFrame([*found.values()], schema=schema, orient="row").sort("concept_id")


def read_criteria(file: Traversable) -> pl.DataFrame:
    """A map of criteria: dataset, raw_value, concept_id, why. Raises `SourceError` like `read_basic_actions`."""
    kinds = _kinds()
    found = {}
    for place, line in _lines(file, CriterionLine):
        _known(file, place, line.is_, kinds, "criterion")
        if (line.dataset, line.value) in found:
            raise SourceError(file, place, "each value of a dataset once", f"{line.dataset}: {line.value} twice")
        found[line.dataset, line.value] = (line.dataset, line.value, line.is_, line.why)
    schema = dict.fromkeys(("dataset", "raw_value", "concept_id", "why"), pl.String)
    return pl.DataFrame([*found.values()], schema=schema, orient="row").sort("dataset", "raw_value")


@cache
def basic_actions() -> pl.DataFrame:
    """Our map to the ten basic surgical actions; see `read_basic_actions`."""
    return read_basic_actions(_FOLDER / "basic_actions.yaml")


@cache
def criteria() -> pl.DataFrame:
    """Our map of the critical view of safety across datasets; see `read_criteria`."""
    return read_criteria(_FOLDER / "criteria.yaml")


def counted_basic_actions(intervals: pl.LazyFrame, triplets: pl.LazyFrame) -> pl.DataFrame:
    """`basic_actions` with `n_labels`: how many intervals, and triplets by their verb, have the concept."""
    spoken = pl.concat(
        [intervals.select("concept_id"), triplets.select(concept_id="verb_concept_id")]
    )  # fmt: skip
    counts = spoken.group_by("concept_id").agg(n_labels=pl.len().cast(pl.Int64)).collect()
    return basic_actions().join(counts, on="concept_id", how="left").with_columns(pl.col("n_labels").fill_null(0))


def _lines(file: Traversable, model: type[Model]) -> Iterator[tuple[str, Model]]:
    """Each line with its place: its number, and what it speaks of."""
    for number, item in enumerate(checked(_File, parsed(file), file, "").lines, 1):
        speaks_of = item.get("concept") or item.get("value") if isinstance(item, dict) else None
        place = f"line {number} of `lines`" + (f" ({speaks_of})" if speaks_of else "")
        yield place, checked(model, item, file, place)


def _kinds() -> dict[str, str]:
    return dict(concepts().select("concept_id", "kind").iter_rows())


def _known(file: Traversable, place: str, concept_id: str, kinds: dict[str, str], *allowed: str) -> None:
    if kinds.get(concept_id) not in allowed:
        raise SourceError(file, place, f"a known concept of kind {' or '.join(allowed)}", concept_id)
