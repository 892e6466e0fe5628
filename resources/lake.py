"""The lake: Parquet shards, frame images and done-marks under one root, a local folder or `s3://bucket/prefix`.

A *unit* (one video in one stage) is done when its mark stands beside its shards; the mark's name holds the
signature of everything that the unit was made from. A unit whose signature still holds is skipped; one that
was interrupted has no mark and is made again. Shards and marks appear by rename (or a single put), never
half-written.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import polars as pl

from surgsigma_dagster.keys import unit_key
from surgsigma_dagster.progress import track
from surgsigma_dagster.schema.tables import TABLES, row_order


def signature(*parts: object) -> str:
    """A short hash of JSON-able parts, the same on every machine and run."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@cache
def code_signature(*packages: str) -> str:
    """Hash over code and data files of subpackages of surgsigma_dagster: a changed template is new code."""
    found = hashlib.sha256(version("polars").encode())
    for package in packages:
        root = Path(str(files(f"surgsigma_dagster.{package}")))
        for path in sorted(p for p in root.rglob("*") if p.suffix in {".py", ".yaml", ".jinja"}):
            found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:20]


@dataclass
class Rebuilt:
    """What a stage did: unit keys made now, and how many were up to date."""

    made: list[str] = field(default_factory=list)
    up_to_date: int = 0

    def __str__(self) -> str:
        return f"{len(self.made)} made, {self.up_to_date} up to date"


class StageFailed(RuntimeError):
    """Some batches of a stage failed, the others are done; the message holds every reason."""

    def __init__(self, stage: str, n_batches: int, failures: list[BaseException]) -> None:
        said = (f"{type(error).__name__}: {str(error).strip()}".splitlines()[0] for error in failures)
        reasons = "; ".join(dict.fromkeys(said))
        super().__init__(f"{stage}: {len(failures)} of {n_batches} batches failed: {reasons}")


class Lake(dg.ConfigurableResource):
    """Shards by table and unit; `cache_folder` holds copies of a remote lake's files, to be read."""

    uri: str
    cache_folder: str

    @cached_property
    def _root(self) -> tuple[Any, str]:
        # Other processes write too: a listing that is remembered would be an old one.
        fs, root = fsspec.core.url_to_fs(self.uri, use_listings_cache=False)
        if self.is_local:
            root = str(Path(root).resolve())
        return fs, root.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether the lake is a folder of this machine."""
        return "://" not in self.uri or self.uri.startswith("file://")

    # Files

    def _at(self, path: str) -> str:
        return f"{self._root[1]}/{path}"

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        """Names in a folder, and what a remote store says of each; none where there is no such folder."""
        try:
            if self.is_local:
                return {path.name: {} for path in Path(self._at(folder)).iterdir()}
            found = self._root[0].ls(self._at(folder), detail=True)
            return {Path(info["name"]).name: info for info in found}
        except FileNotFoundError:
            return {}

    def names(self, folder: str) -> list[str]:
        """File names in a folder, sorted; none where there is no such folder."""
        return sorted(self._listed(folder))

    def put(self, local: Path, path: str) -> None:
        """Move a finished local file into the lake, in one step."""
        fs, _ = self._root
        if not self.is_local:
            fs.put_file(str(local), self._at(path))
            local.unlink()
            return
        target = Path(self._at(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.move(local, beside)
        beside.replace(target)

    def local(self, path: str) -> Path:
        """A local path with the bytes of a lake file; fetched once per content where the lake is remote."""
        if self.is_local:
            return Path(self._at(path))
        return self._copies({path: self._root[0].info(self._at(path))})[0]

    def _copies(self, remote: Mapping[str, Mapping[str, Any]]) -> list[Path]:
        """Local copies of remote files (path → what the store says of it); missing ones are fetched at once.

        A file's copies lie in a folder of the file's path, each named by its ETag; the newest alone is kept.
        """
        copies = {
            path: Path(self.cache_folder, path, f"{signature(info['ETag'])}{Path(path).suffix}")
            for path, info in remote.items()
        }
        missing = {self._at(path): copy for path, copy in copies.items() if not copy.exists()}
        if missing:
            with self.scratch() as folder:
                fetched = [Path(folder, str(number)) for number in range(len(missing))]
                self._root[0].get(list(missing), [str(beside) for beside in fetched])
                for beside, copy in zip(fetched, missing.values(), strict=True):
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    beside.replace(copy)
                    for old in set(copy.parent.iterdir()) - {copy}:
                        old.unlink(missing_ok=True)
        return list(copies.values())

    def remove(self, path: str) -> None:
        """Remove a file or folder, if it is there, with its local copies."""
        fs, _ = self._root
        if fs.exists(self._at(path)):
            fs.rm(self._at(path), recursive=True)
        self._forget(path)

    def _remove_file(self, path: str) -> None:
        if self.is_local:
            Path(self._at(path)).unlink(missing_ok=True)
        else:
            self._root[0].rm_file(self._at(path))  # S3 does not mind what is not there: one request
            self._forget(path)

    def _forget(self, path: str) -> None:
        if not self.is_local:
            shutil.rmtree(Path(self.cache_folder, path), ignore_errors=True)

    def scratch(self) -> tempfile.TemporaryDirectory[str]:
        """A folder for files in the making, on the lake's own disk where there is one."""
        root = Path(self._at(".scratch")) if self.is_local else Path(self.cache_folder, ".scratch")
        root.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=root)

    # Tables

    def shards(self, table: str) -> list[str]:
        """Unit keys that have a shard of `table`, sorted."""
        return sorted(_unit(name) for name in self.names(table) if name.endswith(".parquet"))

    def shard_paths(self, table: str, keys: Iterable[str] | None = None) -> list[Path]:
        """Local paths of the shards of `table`, in the order of their keys; all, or those of some units."""
        there = self._listed(table)
        wanted = there if keys is None else {f"{key}.parquet" for key in keys} & set(there)
        names = sorted((name for name in wanted if name.endswith(".parquet")), key=_unit)
        if self.is_local:
            return [Path(self._at(table), name) for name in names]
        return self._copies({f"{table}/{name}": there[name] for name in names})

    def scan(self, table: str, keys: Iterable[str] | None = None) -> pl.LazyFrame:
        """The rows of `table`, in the order of the shards' keys; all of them, or those of some units."""
        shards = self.shard_paths(table, keys)
        return pl.concat(map(pl.scan_parquet, shards)) if shards else schema_of(table).create_empty(lazy=True)

    def read(self, table: str, keys: Iterable[str] | None = None) -> pl.DataFrame:
        """Like `scan`, collected."""
        return self.scan(table, keys).collect()

    def write(self, table: str, key: str, frame: pl.DataFrame) -> None:
        """Write one shard, cast to its contract and in its order; an empty one is removed."""
        if frame.is_empty():
            self._remove_file(f"{table}/{key}.parquet")
            return
        schema = schema_of(table)
        frame = frame.select(pl.col(name).cast(column.dtype) for name, column in schema.columns().items())
        with self.scratch() as folder:
            path = Path(folder, "shard.parquet")
            # Level 1, as pyarrow's default is: faster, and smaller here than polars' own (ids do not compress).
            _ordered(frame, row_order(schema)).write_parquet(path, compression="zstd", compression_level=1)
            self.put(path, f"{table}/{key}.parquet")

    # Units

    def marks(self, stage: str) -> dict[str, str]:
        """Signature by unit key, of the stage's units that are done."""
        return dict(name.rsplit("@", 1) for name in self.names(f"done/{stage}") if "@" in name)

    def rebuild(
        self,
        stage: str,
        units: Mapping[str, str],
        tables: Sequence[str],
        make: Callable[[list[str]], Mapping[str, pl.DataFrame]],
        *,
        batch: int = 64,
        workers: int = 1,
        stop: Callable[[], None] = lambda: None,
    ) -> Rebuilt:
        """Make those of `units` (key → signature) whose mark does not hold; write their shards of `tables`.

        `stop` ends what `make` is waiting for, when the stage is interrupted.
        `make` takes unit keys and returns frames with a `video_id` column. Every failing batch is reported,
        after the others are done: raises `StageFailed` then.
        """
        marks = self.marks(stage)
        stale = [key for key, wanted in units.items() if marks.get(key) != wanted]
        done = Rebuilt(up_to_date=len(units) - len(stale))
        batches = [stale[start : start + batch] for start in range(0, len(stale), batch)]

        def one(keys: list[str]) -> list[str]:
            for key in keys:
                if key in marks:
                    self._remove_file(f"done/{stage}/{key}@{marks[key]}")
            made = make(keys)
            for table in tables:
                self._write_units(table, keys, made[table])
            with self.scratch() as folder:
                for key in keys:
                    mark = Path(folder, "mark")
                    mark.touch()
                    self.put(mark, f"done/{stage}/{key}@{units[key]}")
            return keys

        failures: list[BaseException] = []
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(one, keys) for keys in batches]
            try:
                for future in track(as_completed(futures), total=len(futures), what=stage):
                    if error := future.exception():
                        failures.append(error)
                    else:
                        done.made += future.result()
            except BaseException:  # interrupted: what is in the making is made again by the next build
                pool.shutdown(wait=False, cancel_futures=True)
                stop()
                raise
        if failures:
            raise StageFailed(stage, len(batches), failures) from failures[0]
        done.made.sort()
        return done

    def _write_units(self, table: str, keys: list[str], frame: pl.DataFrame) -> None:
        by_key = {
            unit_key(str(video_id)): part for (video_id,), part in frame.partition_by("video_id", as_dict=True).items()
        }
        if stray := sorted(set(by_key) - set(keys)):
            raise ValueError(f"{table}: rows of {', '.join(stray[:3])}, which this batch does not make")
        with ThreadPoolExecutor() as pool:  # a shard each: encoding and compressing need no interpreter
            list(pool.map(lambda key: self.write(table, key, by_key.get(key, frame.clear())), keys))

    def prune(self, wanted: set[str]) -> list[str]:
        """Remove everything of units that no source lists, unfinished ones too. Returns their keys."""
        gone: set[str] = set()
        for stage in self.names("done"):
            for key, mark in self.marks(stage).items():
                if key not in wanted:
                    gone.add(key)
                    self._remove_file(f"done/{stage}/{key}@{mark}")
        for folder in self.names(""):
            for key in self.shards(folder):
                if "__" in key and key not in wanted:  # tables of the whole have shards of other names
                    gone.add(key)
                    self._remove_file(f"{folder}/{key}.parquet")
        for key in gone:
            self.remove(f"images/{key}")
        return sorted(gone)


def _ordered(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """`frame` sorted by its key, or by all it has; what is in order already, or always the same, costs no sort."""
    if len(key) == 1 and frame[key[0]].is_sorted():
        return frame
    by = key or [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    varied = frame.select((pl.col(name).ne_missing(pl.col(name).first())).any() for name in by).row(0)
    by = [name for name, varies in zip(by, varied, strict=True) if varies]
    return frame.sort(by) if by else frame


def _unit(name: str) -> str:
    return name.removesuffix(".parquet")


def schema_of(table: str) -> Any:
    """The contract of a table of the lake: a unified table, a native one, or a stage's share of one."""
    from surgsigma_dagster.schema.stages import STAGE_TABLES

    return TABLES.get(table) or STAGE_TABLES[table]
