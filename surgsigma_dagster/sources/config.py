"""`sources.yaml`: which folders are which datasets, and what may be decided about them without code."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PrivateAttr, ValidationError, model_validator

from surgsigma_dagster.sources.adapter import (
    Adapter,
    NativeVideo,
    Subject,
    Terms,
    adapter,
    adapters,
    reading,
    stated_licence,
    strictest,
)
from surgsigma_dagster.sources.bucket import is_bucket, mirror
from surgsigma_dagster.sources.errors import SourceError

# "__" parts source from video in partition keys.
SourceName = Annotated[str, Field(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$", max_length=40)]


ModelTask = Literal["depth", "instrument_mask"]


class SourceEntry(BaseModel):
    """One source: a dataset's folder as it lies on disk."""

    model_config = ConfigDict(extra="forbid")

    name: SourceName
    dataset: str
    root: Path
    licence: str | None = None  # overrides the dataset's
    may_be_released: bool | None = None  # an explicit grant, or an explicit refusal
    aliases: Path | None = None  # more verbatim values for this source, in the alias file format
    frames_every_s: Annotated[float, Field(gt=0)] = 1.0  # sampling grid for labels that span time
    _bucket: str | None = PrivateAttr(None)  # where `root` is mirrored from

    @property
    def adapter(self) -> Adapter:
        """The adapter of the entry's dataset."""
        return adapter(self.dataset)

    @property
    def location(self) -> str:
        """The folder or bucket that the source lies in."""
        return self._bucket or str(self.root)

    def fetch(self) -> None:
        """Bring the mirror of a bucket up to date; a folder is what it is. Raises `SourceError`."""
        if self._bucket:
            mirror(self._bucket, self.root)

    def terms(self) -> Terms:
        """The source's terms: the dataset's or the sidecar's, where the entry does not decide otherwise.

        Raises `SourceError`, as `subject` and `videos` do, and nothing else: a source that fails costs no other.
        """
        with reading(self.adapter, self.root, "say the terms"):
            terms = self.adapter.terms(self.root)
        licence, released = terms.licence, terms.may_be_released
        if self.licence is not None:
            licence = stated_licence(self.licence)
            released = released or terms.consent_scope is None  # a licence is no patient's consent
        if self.may_be_released is not None:
            released = self.may_be_released
        if self.may_be_released and self.licence is None:  # then more videos leave than their own licences let
            own = {stated_licence(one.licence) for one in self.videos() if one.licence and self.own_licence_allows(one)}
            licence = strictest(own) if own else licence
        return Terms(licence, terms.consent_scope, released, terms.consent_reference)

    def own_licence_allows(self, video: NativeVideo) -> bool:
        """Whether a public release of the source may hold the video, as far as its own licence goes, where it has one,
        and what this entry grants. No entry grants derivatives of what forbids them.
        """
        own = stated_licence(video.licence) if video.licence else None
        granted = self.licence is not None or bool(self.may_be_released)
        return own is None or ((own.redistribution or granted) and not own.no_derivatives)

    def subject(self) -> Subject:
        """What the source shows."""
        with reading(self.adapter, self.root, "say what it shows"):
            return self.adapter.subject(self.root)

    def videos(self) -> list[NativeVideo]:
        """The source's videos, sorted by id."""
        with reading(self.adapter, self.root, "list the videos"):
            return self.adapter.videos(self.root)


class ModelEntry(BaseModel):
    """One model: where it lies, what it may be used for, and how pictures go in and answers come out.

    Pictures go in as (1, 3, height, width) floats: red first, from 0 to 1, less `mean`, by `std`; these defaults are
    ImageNet's. Depth comes out as one value a pixel; MiDaS and Depth Anything give inverse depth, larger is nearer.
    Masks come out as one score a pixel, white above `threshold`, or as a score a class, white where the highest
    is one of `instrument_classes`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: ModelTask
    path: Path
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str = Field(min_length=1)
    input_width: int = Field(gt=0)
    input_height: int = Field(gt=0)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    larger_is: Literal["nearer", "farther"] = "nearer"
    threshold: float = 0.5
    instrument_classes: tuple[NonNegativeInt, ...] = ()

    @model_validator(mode="after")
    def _divides(self) -> "ModelEntry":
        if not all(self.std):
            raise ValueError("std must not be 0")
        return self


class SourcesConfig(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    sources: Annotated[list[SourceEntry], Field(min_length=1)]
    seed: int = 7
    mirror: Path = Path("mirror")  # holds copies of sources in buckets, a folder each
    splits: Path | None = None  # procedure_id: split, overriding the defaults
    sampling: Path | None = None  # which conversations are kept, in place of the default policy
    # Sources by field (phase, step, instrument, criterion): who is believed where they label one instant differently.
    precedence: dict[Literal["phase", "step", "instrument", "criterion"], list[SourceName]] = {}
    smoke_every: Annotated[int, Field(ge=1)] = 5  # smoke is rendered on one clear frame of so many
    model_every: Annotated[int, Field(ge=1)] = 5  # models are asked about one frame of so many
    models: list[ModelEntry] = []  # of the user, for depth or instrument masks where a source has none
    boxes: Literal["pixel", "unit", "thousand", "grid"] = "pixel"  # how a release tells boxes, in words and data alike
    audience: Literal["public", "internal"] = "public"  # internal keeps what may not be released

    def entry(self, name: str) -> SourceEntry:
        """The entry of source `name`. Raises `SourceError` where it is not listed any more."""
        for entry in self.sources:
            if entry.name == name:
                return entry
        raise SourceError("sources.yaml", "sources", f"an entry named {name}", "none")


def load_sources(path: Path) -> SourcesConfig:
    """Read `sources.yaml`; its relative paths are relative to it. Raises `SourceError` with every problem."""
    path = path.resolve()
    if not path.is_file():
        raise SourceError(path, "", "a sources.yaml", "no such file")
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
        config = SourcesConfig.model_validate(value)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(path, "", "YAML", " ".join(str(error).split())) from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'top level'}: {e['msg']}" for e in error.errors()]
        raise SourceError(path, problems[0].split(":")[0], "a valid entry", "; ".join(problems)) from error
    names = [entry.name for entry in config.sources]
    holder: dict[tuple[str, str], str] = {}
    for number, entry in enumerate(config.sources):
        place = f"sources.{number}"
        if names.index(entry.name) != number:
            raise SourceError(path, f"{place}.name", "a name of its own", entry.name)
        if entry.dataset not in adapters():
            raise SourceError(path, f"{place}.dataset", f"one of {', '.join(adapters())}", entry.dataset)
        stated = str(value["sources"][number]["root"])
        if is_bucket(stated):
            entry._bucket, entry.root = stated, config.mirror.expanduser() / entry.name
        entry.root = (path.parent / entry.root.expanduser()).resolve()
        other = holder.setdefault((entry.dataset, entry.location.rstrip("/")), entry.name)
        if other != entry.name:  # its conversations would be counted twice
            raise SourceError(path, f"{place}.root", "a folder that no other entry reads", f"{stated}, as {other} has")
        if entry.aliases:
            entry.aliases = (path.parent / entry.aliases.expanduser()).resolve()
            if not entry.aliases.is_file():
                raise SourceError(path, f"{place}.aliases", "an alias file", f"no file {entry.aliases}")
    for field, order in config.precedence.items():
        if strangers := sorted(set(order) - set(names)):
            raise SourceError(path, f"precedence.{field}", f"names of sources, of {', '.join(names)}", strangers[0])
    for number, model in enumerate(config.models):
        file = (path.parent / model.path.expanduser()).resolve()
        config.models[number] = model.model_copy(update={"path": file})
        if model.task in [other.task for other in config.models[:number]]:
            raise SourceError(path, f"models.{number}.task", "one model a task", model.task)
    if config.splits:
        config.splits = (path.parent / config.splits.expanduser()).resolve()
    if config.sampling:
        config.sampling = (path.parent / config.sampling.expanduser()).resolve()
        from surgsigma_dagster.dialogue.sampling import read_sampling  # it knows the tasks, and they take a while

        read_sampling(config.sampling)
    return config
