"""Concepts with their definitions, and what each dataset's verbatim values mean.

Belongs here: reading and checking `concepts/*.yaml` and `aliases/<dataset>.yaml`. Mapping records does not.
"""

from collections.abc import Hashable, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.kinds import composed

# What a label's field may mean: the kinds of concept allowed in each section of an alias file.
FIELDS: dict[str, tuple[str, ...]] = {
    "phase": ("phase",),
    "step": ("step",),
    "action": ("action",),
    "event": ("event",),
    "instrument": ("instrument",),
    "tissue": ("tissue",),
    "object": ("instrument", "tissue"),
    "verb": ("verb",),
    "target": ("tissue", "target", "instrument"),
    "criterion": ("criterion",),
    "answer": ("answer", "region", "tissue", "verb", "action", "phase", "instrument"),
}
KINDS = sorted({"procedure", "basic_action"}.union(*FIELDS.values()))
PHRASED: dict[str, tuple[str, ...]] = {
    "instrument": ("article", "plural", "appearance"),
    "tissue": ("article", "appearance"),
    "verb": ("gerund", "third_person"),
}  # what a sentence about the kind needs beyond the name

# Concepts that sources list among instruments and that are none: what is left in or taken out, and what is sewn with.
# The instrument masks of the EndoVis 2017 challenge (arXiv:1902.06426) are of shafts, wrists and claspers.
NO_INSTRUMENTS = [
    f"instrument/{name}"
    for name in (
        "bladder_catheter", "drain", "haemostatic_foam", "intraocular_lens", "specimen_bag", "suture_thread",
        "suturing_needle", "tissue_glue",
    )
]  # fmt: skip

NOTHING = "~"  # in place of a concept id, of a value that is known and says nothing: "Idle", "None"

# libyaml, where PyYAML was built with it: ten times as fast.
if TYPE_CHECKING:
    from yaml import BaseLoader as _Loader
else:
    _Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

Text = Annotated[str, Field(min_length=1)]
_ID = rf"({'|'.join(KINDS)})(/[a-z0-9_]+){{1,2}}"
ConceptId = Annotated[str, Field(pattern=rf"^{_ID}$")]
Meaning = Annotated[str, Field(pattern=rf"^({NOTHING}|{_ID})$")]
Model = TypeVar("Model", bound=BaseModel)


class Concept(BaseModel):
    """One entry of a concept file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: ConceptId
    name: Text  # as written inside a sentence
    plural: Text | None = None
    article: Literal["a", "an", "the", "a pair of"] | None = None
    number: Literal["plural"] | None = None  # the noun itself takes a plural verb
    gerund: Text | None = None
    third_person: Text | None = None
    synonyms: tuple[Text, ...] = ()
    definition: Text
    appearance: Text | None = None
    citation: Text

    @property
    def kind(self) -> str:
        """The first part of the id."""
        return self.id.split("/", 1)[0]

    @property
    def procedure_type(self) -> str | None:
        """The procedure that a phase or step is part of: the middle of its id."""
        return f"procedure/{self.id.split('/')[1]}" if self.id.count("/") == 2 else None

    @model_validator(mode="after")
    def _can_be_phrased(self) -> "Concept":
        if missing := [key for key in PHRASED.get(self.kind, ()) if getattr(self, key) is None]:
            raise ValueError(f"a {self.kind} needs {', '.join(missing)}")
        return self


class AliasFile(BaseModel):
    """One alias file: sections by field, verbatim value to concept id, or `~` where it says nothing."""

    model_config = ConfigDict(extra="forbid")

    dataset: Text
    version: PositiveInt
    accept_concept_names: bool = False
    phase: dict[str, Meaning] = {}
    step: dict[str, Meaning] = {}
    action: dict[str, Meaning] = {}
    event: dict[str, Meaning] = {}
    instrument: dict[str, Meaning] = {}
    tissue: dict[str, Meaning] = {}
    object: dict[str, Meaning] = {}
    verb: dict[str, Meaning] = {}
    target: dict[str, Meaning] = {}
    criterion: dict[str, Meaning] = {}
    answer: dict[str, Meaning] = {}

    def entries(self) -> dict[tuple[str, str], str]:
        """Concept id, or `NOTHING`, by field and verbatim value, composed: as `harmonization.resolve` compares it."""
        return {(field, composed(raw)): found for field in FIELDS for raw, found in getattr(self, field).items()}


class _Verbatim(_Loader):
    """Every scalar stays the text it is (`No`, `1`, `0b1`), and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [composed(str(self.construct_object(key))) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            problem = f"key {twice[0]!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


def read_concepts(folder: Traversable) -> tuple[Concept, ...]:
    """Every concept of the YAML files in `folder`. Raises `SourceError` naming file and id."""
    found: dict[str, Concept] = {}
    named: dict[tuple[str, str], str] = {}
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name):
        for number, item in enumerate(parsed(file) or []):
            place = item.get("id", f"entry {number}") if isinstance(item, dict) else f"entry {number}"
            concept = checked(Concept, item, file, place)
            if concept.id in found:
                raise SourceError(file, concept.id, "an id of its own", "a second concept with this id")
            own = (concept.id.rpartition("/")[0], concept.name.casefold())
            if own in named:
                raise SourceError(file, concept.id, "a name of its own", f"the name of {named[own]}")
            found[concept.id], named[own] = concept, concept.id
    return tuple(found.values())


def read_aliases(file: Traversable, strict: bool = True) -> AliasFile:
    """One alias file. Raises `SourceError` naming file and keys, as for targets that are no concepts.

    Unless it is `strict`, such entries are left out.
    """
    aliases = checked(AliasFile, parsed(file), file, "")
    kinds = {concept.id: concept.kind for concept in _concepts()}
    faults = [
        (field, raw, concept_id)
        for (field, raw), concept_id in aliases.entries().items()
        if concept_id != NOTHING and kinds.get(concept_id) not in FIELDS[field]
    ]
    if faults and strict:
        field, raw, found = faults[0]
        also = "; ".join(f"{field}: {raw}: {concept_id}" for field, raw, concept_id in faults[1:])
        expected = f"a known concept of kind {' or '.join(FIELDS[field])}"
        raise SourceError(file, f"{field}: {raw}", expected, f"{found}; and in other lines {also}" if also else found)
    for field, raw, _ in faults:
        entries = getattr(aliases, field)
        for spelled in [spelled for spelled in entries if composed(spelled) == raw]:
            del entries[spelled]
    return aliases


def parsed(file: Traversable) -> Any:
    """The YAML of `file`, every scalar verbatim. Raises `SourceError` naming the file and what is wrong."""
    try:
        return yaml.load(file.read_text("utf-8"), Loader=_Verbatim)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(file, "", "readable YAML", " ".join(str(error).split())) from error


def checked(model: type[Model], item: Any, file: Traversable, place: str) -> Model:
    """`item` as a `model`. Raises `SourceError` naming file, `place` and key, with every problem."""
    try:
        return model.model_validate(item)
    except ValidationError as error:
        problems = [f"{': '.join(map(str, e['loc']))}: {e['msg']}".removeprefix(": ") for e in error.errors()]
        first = ": ".join(part for part in (place, *map(str, error.errors()[0]["loc"])) if part)
        raise SourceError(file, first, f"a valid {model.__name__}", "; ".join(problems)) from error


@cache
def _concepts() -> tuple[Concept, ...]:
    return read_concepts(files("surgsigma_dagster.vocabulary") / "concepts")


@cache
def _packaged(dataset: str, strict: bool) -> AliasFile:
    folder = files("surgsigma_dagster.vocabulary") / "aliases"
    known = sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))
    if dataset not in known:
        raise SourceError(folder, "", f"an alias file for one of {', '.join(known)}", dataset)
    return read_aliases(folder / f"{dataset}.yaml", strict)


@cache
def concepts() -> pl.DataFrame:
    """The controlled vocabulary, one row a concept; what a concept lacks is null.

    Columns: concept_id, kind, name, plural, article, number, gerund, third_person, synonyms (list),
    definition, appearance, citation. Raises `SourceError` naming file and id.
    """
    columns = [name for name in Concept.model_fields if name != "id"]
    types = dict.fromkeys(["concept_id", "kind", *columns], pl.String()) | {"synonyms": pl.List(pl.String)}
    rows = [concept.model_dump() | {"concept_id": concept.id, "kind": concept.kind} for concept in _concepts()]
    return pl.DataFrame(rows, schema=types)


def aliases(
    dataset: str, extra: Path | None = None, procedure_types: Sequence[str] = (), *, strict: bool = True
) -> pl.DataFrame:
    """What the verbatim values of `dataset` mean.

    Columns dataset, field, raw_value, concept_id (or `NOTHING`), by_name, procedure_types.
    `extra` is an alias file of a user: its entries come first. Where a file accepts concept names, every
    name, synonym and id that means one concept of the field's kinds is listed too, with `raw_value`
    normalised and `by_name` true: it matches the normalised value, where no verbatim value does. Given the
    source's `procedure_types`, the phases and steps among them are those of these procedures, each for the videos of
    its own kind alone, which the column `procedure_types` names; where it is empty, the video's kind does not matter.
    Raises `SourceError` naming file and key; unless `strict`, entries whose target is no concept are left out.
    """
    packaged = _packaged(dataset, strict)
    own = read_aliases(extra, strict) if extra else AliasFile(dataset=dataset, version=1)
    if own.dataset != dataset:
        raise SourceError(extra, "dataset", dataset, own.dataset)
    entries = [(*key, concept_id, False) for key, concept_id in (packaged.entries() | own.entries()).items()]
    types = {"field": pl.String, "raw_value": pl.String, "concept_id": pl.String, "by_name": pl.Boolean}
    everywhere = pl.lit([], pl.List(pl.String)).alias("procedure_types")
    listed = pl.DataFrame(entries, schema=types, orient="row").with_columns(everywhere)
    if packaged.accept_concept_names or own.accept_concept_names:
        accepted = _names(procedure_types).join(listed, on=["field", "raw_value"], how="anti")
        listed = pl.concat([listed, accepted])
    return listed.select(pl.lit(dataset).alias("dataset"), pl.all())


def _names(procedure_types: Sequence[str]) -> pl.DataFrame:
    """What concepts are called, by field and normalised; names of more than one concept are left out.

    A name is looked up among what one kind of procedure has; `procedure_types` says in which it is found, empty: all.
    """
    called = pl.DataFrame(
        [
            (field, name, concept.id, concept.procedure_type)
            for concept in _concepts()
            for field, kinds in FIELDS.items()
            if concept.kind in kinds
            for name in (concept.name, concept.id, *concept.synonyms)
        ],
        schema=dict.fromkeys(("field", "raw_value", "concept_id", "procedure_type"), pl.String),
        orient="row",
    ).with_columns(normalised(pl.col("raw_value")))
    any_procedure = pl.col("procedure_type").is_null()
    unambiguous = [
        called.filter(pl.lit(True) if one is None else any_procedure | (pl.col("procedure_type") == one))
        .group_by("field", "raw_value")
        .agg(pl.col("concept_id").unique())
        .filter(pl.col("concept_id").list.len() == 1)
        .select("field", "raw_value", pl.col("concept_id").list.first(), found_in=pl.lit(one, pl.String))
        for one in procedure_types or (None,)
    ]
    everywhere = pl.col("found_in").len() == len(unambiguous)
    return (
        pl.concat(unambiguous)
        .group_by("field", "raw_value", "concept_id")
        .agg(procedure_types=pl.col("found_in").filter(~everywhere).sort())
        .select("field", "raw_value", "concept_id", pl.lit(True).alias("by_name"), "procedure_types")
        .sort("field", "raw_value", "concept_id")
    )


def normalised(expr: pl.Expr) -> pl.Expr:
    """Text in lower case, with `_`, dashes and blanks alike as one blank; camelCase is left as it is."""
    folded = expr.str.normalize("NFKC").str.to_lowercase()
    return folded.str.replace_all(r"[\s_\p{Pd}]+", " ").str.strip_chars()
