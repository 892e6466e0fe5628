"""What an adapter is: a dataset's declared facts, a listing of its videos, and a reader of its labels.

An adapter is one module in `sources/datasets/` that ends in `ADAPTER = …`. It reads native files as they lie
on disk and yields `schema.native` records. It holds no vocabulary (aliases do) and no policy (harmonization
does).
"""

import importlib
import pkgutil
import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import dataframely as dy
import polars as pl

from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.sources.errors import SourceError, unreadable

Specialty = Literal[
    "Hepatobiliary",
    "Gynecology",
    "Urology",
    "Bariatric and upper GI",
    "Colorectal",
    "Ophthalmology",
    "Neurosurgery",
    "Gastroenterology",
    "General",
]


Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Licence:
    """A source's terms. `redistribution` False: nothing of it, labels included, goes into a release."""

    name: str
    url: str | None = None
    non_commercial: bool = False
    share_alike: bool = False
    no_derivatives: bool = False
    redistribution: bool = True


CC_BY_NC_SA = Licence(
    "CC-BY-NC-SA-4.0",
    "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    non_commercial=True,
    share_alike=True,
)


# YouTube's name of its other licence, and of the deed that it links to.
_OF_YOUTUBE = {"creative commons attribution license (reuse allowed)": "CC-BY-3.0"}
_CC0 = re.compile(r"CC[ -]?0(?:[ -]1\.0)?", re.IGNORECASE)
_DEED = re.compile(r"https?://creativecommons\.org/licenses/(by[a-z-]*)/(\d\.\d)(?:/.*)?", re.IGNORECASE)
_CC = re.compile(r"CC-BY(?P<nc>-NC)?(?P<end>-SA|-ND)?-(?P<version>\d\.\d)", re.IGNORECASE)


def stated_licence(name: str) -> Licence:
    """What a licence allows, by its SPDX name where that is Creative Commons'; else nothing of it may be released."""
    if _CC0.fullmatch(name.strip()):
        return Licence("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/")
    spelled = _DEED.sub(r"CC-\1-\2", _OF_YOUTUBE.get(name.strip().casefold(), name).strip())
    found = _CC.fullmatch(spelled.replace(" ", "-"))
    if not found:
        return Licence(name, redistribution=False)
    nc, end = (found["nc"] or "").upper(), (found["end"] or "").upper()
    url = f"https://creativecommons.org/licenses/by{nc}{end}/{found['version']}/".lower()
    spdx = f"CC-BY{nc}{end}-{found['version']}"
    return Licence(spdx, url, non_commercial=bool(nc), share_alike=end == "-SA", no_derivatives=end == "-ND")


def strictest(licences: Iterable[Licence]) -> Licence:
    """What holds for a work under all of `licences`."""
    found = sorted(licences, key=lambda licence: licence.name)
    return Licence(
        " and ".join(licence.name for licence in found),
        found[0].url if len(found) == 1 else None,
        non_commercial=any(licence.non_commercial for licence in found),
        share_alike=any(licence.share_alike for licence in found),
        no_derivatives=any(licence.no_derivatives for licence in found),
        redistribution=all(licence.redistribution for licence in found),
    )


@dataclass(frozen=True)
class Terms:
    """What may be done with one source as it lies on disk."""

    licence: Licence
    consent_scope: str | None = None  # in-house: what the patients agreed to, verbatim from the sidecar
    may_be_released: bool = True  # False: used at home, never part of a release that leaves
    consent_reference: str | None = None  # in-house: where that consent is on record


@dataclass(frozen=True)
class Subject:
    """What one source as it lies on disk shows: the dataset's facts, or those that its sidecar states."""

    title: str
    specialty: Specialty
    procedure_types: tuple[str, ...]  # concept ids: every kind of procedure that its videos may show

    @property
    def procedure_type(self) -> str | None:
        """The kind of procedure that all of its videos show, if they show but one."""
        return self.procedure_types[0] if len(self.procedure_types) == 1 else None


@dataclass(frozen=True)
class NativeVideo:
    """One video of a source, as listed, before anything is read.

    `frame_rate` and `first_index` are the frame clock of the *labels*: native frame i stands for the instant
    (i − first_index) / frame_rate seconds. For a video file, native frame i is the file's frame i −
    first_index (in order of presentation); for images, each image carries its own native frame number.
    """

    video: str
    media: Literal["video", "images", "none"]
    frame_rate: float
    first_index: int = 0
    path: str | None = None  # the video file or the image folder, relative to the source root
    label_files: tuple[str, ...] = ()  # relative to the source root: what a fingerprint of the labels covers
    procedure_type: str | None = None  # concept id, where a video differs from its dataset
    patient: str | None = None  # pseudonymous id of the procedure or patient, where the source states one
    split: Split | None = None  # where the source's own tree says so
    licence: str | None = None  # where a video has its own
    attribution: str | None = None  # title, author and address, for a licence that asks to be named
    left_eye_above: bool = False  # stacked stereo footage: labels and frames are of the upper half
    timed: bool = True  # False: images whose numbers are no time; `frame_rate` is nominal and no frame has an instant


@dataclass
class NativeLabels:
    """Native records by kind (see `schema.native.NATIVE`); kinds that a source lacks are empty frames."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, schema in NATIVE.items():
            given = self.tables.get(kind)
            self.tables[kind] = (
                schema.create_empty() if given is None or given.is_empty() else schema.validate(given, cast=True)
            )

    def __getitem__(self, kind: str) -> pl.DataFrame:
        return self.tables[kind]

    @classmethod
    def concat(cls, parts: "Iterable[Mapping[str, pl.DataFrame] | NativeLabels]") -> "NativeLabels":
        """Join the records of several files or videos."""
        found: dict[str, list[pl.DataFrame]] = {kind: [] for kind in NATIVE}
        for part in parts:
            for kind, frame in (part.tables if isinstance(part, NativeLabels) else part).items():
                if not frame.is_empty():
                    found[kind].append(conform(frame, NATIVE[kind]))
        # One chunk a column: with one a file, every later step would copy it anew.
        return cls({kind: pl.concat(frames, rechunk=True) for kind, frames in found.items() if frames})


def conform(frame: pl.DataFrame, schema: type[dy.Schema]) -> pl.DataFrame:
    """`frame` with exactly the columns of `schema`, in its order and types; nullable ones may be absent."""
    columns = schema.columns()
    missing = [
        pl.lit(None).alias(name) for name, column in columns.items() if name not in frame.columns and column.nullable
    ]
    return frame.with_columns(missing).select(pl.col(name).cast(column.dtype) for name, column in columns.items())


# What `Adapter.defects` returns: a known defect of a release, how often it is met, where first, what is done about it.
DEFECTS = {
    "defect": pl.String, "what": pl.String, "n": pl.Int64, "of": pl.Int64, "example": pl.String, "done": pl.String,
}  # fmt: skip


class Adapter(ABC):
    """A dataset's native format. Subclasses declare the facts and implement `videos` and `labels`."""

    name: ClassVar[str]  # also names the alias file
    title: ClassVar[str]
    specialty: ClassVar[Specialty]
    procedure_type: ClassVar[str | None]  # concept id; None: each source states it
    licence: ClassVar[Licence]
    citation: ClassVar[str]
    url: ClassVar[str]
    format_source: ClassVar[str]  # who says what the files look like
    yields: ClassVar[tuple[str, ...]]  # kinds of label it can read, with their field: `boxes:instrument`, `criteria`
    complete: ClassVar[tuple[str, ...]] = ()  # kinds of concept of which a labelled frame's every visible one is named
    partial: ClassVar[bool] = False  # True: a frame's labels name some of what is visible, and no question asks for all
    timed: ClassVar[bool] = True  # of its labelled frames, as in `NativeVideo`
    files_stand_alone: ClassVar[bool] = False  # each label file can be read without the video's others
    tested_on_real_files: ClassVar[bool] = False  # else on files written from the documented format
    signature: ClassVar[tuple[str, ...]]  # globs under the root, without **; one match is this dataset
    empty_says_none: ClassVar[bool] = False  # a label file without rows says that nothing is to be seen
    splits: ClassVar[Mapping[str, Split]] = {}  # where the tree says so: a pattern in a file's path, and its split

    def terms(self, root: Path) -> Terms:
        """The terms of the source at `root`; a format with a sidecar reads it."""
        return Terms(self.licence, may_be_released=self.licence.redistribution)

    def subject(self, root: Path) -> Subject:
        """What the source at `root` shows; a format with a sidecar reads it."""
        return Subject(self.title, self.specialty, (self.procedure_type,) if self.procedure_type else ())

    def detect(self, root: Path) -> str | None:
        """Evidence that `root` holds this dataset (one phrase for a person), or None."""
        matches = (min(root.glob(pattern), default=None) for pattern in self.signature)
        match = next((found for found in matches if found), None)
        return f"{self.title}: found {match.relative_to(root).as_posix()}" if match else None

    @abstractmethod
    def videos(self, root: Path) -> list[NativeVideo]:
        """The source's videos, sorted by id. Cheap: lists folders, opens no large file.

        Raises `SourceError` where the folder does not hold what the format says.
        """

    @abstractmethod
    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """The label records of `videos`. Raises `SourceError` for a file that is not what the format says.

        Every native row ends in a record or in `rejects`, with its file and locator (see `accounting`).
        """

    def defects(self, root: Path) -> pl.DataFrame:
        """Known defects of the release at `root`, with the columns `DEFECTS`; none is known unless a format says so."""
        return pl.DataFrame(schema=DEFECTS)

    def remarks(self, root: Path, videos: list[NativeVideo]) -> list[tuple[str, str]]:
        """What a person should know of how `videos` are read: problem and example, for `surgsigma sources check`."""
        return []

    def listed(
        self,
        root: Path,
        labels: Iterable[Mapping[str, Sequence[str]]],
        media: Mapping[str, Sequence[str]],
        kind: Literal["video", "images"],
        frame_rate: float,
        shared: Sequence[str] = (),
    ) -> list[NativeVideo]:
        """One video for each id in `labels` or `media` (files by id, as `readers.listing` gives them).

        `shared` files belong to the labels of every video. Raises `SourceError` where there is no video at
        all.
        """
        labels = list(labels)
        found = sorted({*media, *(video for files in labels for video in files)})
        if not found:
            raise SourceError(root, "", " or ".join(self.signature), "no such file")
        own = {video: [file for files in labels for file in files.get(video, ())] for video in found}
        return [
            NativeVideo(
                video,
                kind if video in media else "none",
                frame_rate,
                path=media[video][0] if video in media else None,
                label_files=tuple(dict.fromkeys([*own[video], *shared])),
                split=self._split([*own[video], *media.get(video, ())]),
                timed=self.timed,
            )
            for video in found
        ]

    def _split(self, files: Sequence[str]) -> Split | None:
        """The one split that the tree puts files in; None where it says nothing, or two things."""
        said = {split for file in files for pattern, split in self.splits.items() if re.search(pattern, file)}
        return said.pop() if len(said) == 1 else None


@cache
def adapter(name: str) -> Adapter:
    """The adapter `name`, which the module of that name in `sources/datasets/` defines. Raises `KeyError`."""
    from surgsigma_dagster.sources import datasets

    if name not in {module.name for module in pkgutil.iter_modules(datasets.__path__)}:
        raise KeyError(name)
    found: Adapter = importlib.import_module(f"{datasets.__name__}.{name}").ADAPTER
    return found


@cache
def adapters() -> dict[str, Adapter]:
    """Every adapter by name: a module in `sources/datasets/` that defines `ADAPTER` is found."""
    from surgsigma_dagster.sources import datasets

    return {name: adapter(name) for name in sorted(module.name for module in pkgutil.iter_modules(datasets.__path__))}


@contextmanager
def reading(adapter: Adapter, root: Path, what: str) -> Iterator[None]:
    """Whatever fails inside is a `SourceError`: a mistake in an adapter costs what it was to do (`what`), no more.

    Of a mistake it names the last place in the adapter's module that was reached.
    """
    try:
        yield
    except SourceError:
        raise
    except OSError as error:
        raise unreadable(error, root) from error
    except (Exception, pl.exceptions.PanicException) as error:
        passed = [(at.f_globals.get("__name__", ""), line) for at, line in traceback.walk_tb(error.__traceback__)]
        module, line = ([place for place in passed if place[0] == type(adapter).__module__] or passed)[-1]
        found = f"{type(error).__name__}: {error}"
        file = f"{module.replace('.', '/')}.py"
        raise SourceError(file, f"line {line}", f"the adapter {adapter.name} to {what}", found) from error


def read_labels(
    adapter: Adapter, root: Path, videos: list[NativeVideo]
) -> list[tuple[list[NativeVideo], NativeLabels | SourceError]]:
    """Labels of `videos`: all at once, or, where that fails, one by one, so that one bad file costs one video.

    Where a format's files stand alone, it costs itself alone: narration that cannot be read takes no phases along.
    """
    try:
        with reading(adapter, root, f"read the labels of {videos[0].video if videos else 'no video'}"):
            return [(videos, adapter.labels(root, videos))]
    except SourceError as error:
        if adapter.files_stand_alone and len(videos) == 1:
            one_by_one = [replace(videos[0], label_files=(file,)) for file in videos[0].label_files]
        else:
            one_by_one = videos
        if len(one_by_one) <= 1:
            return [(videos, error)]
        return [part for video in one_by_one for part in read_labels(adapter, root, [video])]
