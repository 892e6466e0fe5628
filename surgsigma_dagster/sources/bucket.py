"""Sources in a bucket: `s3://bucket/prefix` is mirrored into a folder, since ffmpeg and the readers want files.

Only what is new or changed is fetched, what is gone is removed, and a listing that fails or holds nothing is an error:
a bucket that cannot be reached is not an empty one. Credentials and endpoint come from the environment (AWS_*).
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from surgsigma_dagster.progress import track
from surgsigma_dagster.sources.errors import SourceError

SCHEME = "s3://"
_LEDGER = ".mirror.json"
_SMALL = 1_000_000  # bytes of a label file that detection may look into
_TEXT = {".csv", ".json", ".yaml", ".yml", ".txt"}
_synced: dict[tuple[str, str], float] = {}  # when, since one build lists its sources many times


def is_bucket(location: str) -> bool:
    """Whether `location` is in a bucket."""
    return location.startswith(SCHEME)


def _objects(uri: str) -> tuple[Any, str, dict[str, dict[str, Any]]]:
    """File system, prefix, and objects below it by relative path. Raises `SourceError`."""
    import fsspec
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        fs, prefix = fsspec.core.url_to_fs(uri, use_listings_cache=False)
        prefix = prefix.rstrip("/")
        found = fs.find(prefix, detail=True)
    except (OSError, BotoCoreError, ClientError) as error:
        raise SourceError(uri, "", "a bucket that can be listed", f"{type(error).__name__}: {error}") from error
    objects = {
        name.removeprefix(f"{prefix}/"): facts
        for name, facts in found.items()
        if facts["type"] == "file" and not name.endswith("/")
    }
    if not objects:
        raise SourceError(uri, "", "objects below it", "none")
    if strange := [name for name in objects if ".." in PurePosixPath(name).parts or name.startswith("/")]:
        raise SourceError(uri, strange[0], "keys that stay inside a folder", strange[0])
    return fs, prefix, objects


def _state(facts: dict[str, Any]) -> list[Any]:
    return [facts["size"], str(facts.get("ETag", facts.get("LastModified", "")))]


def mirror(uri: str, folder: Path, *, fresh_s: float = 60.0) -> None:
    """Make `folder` hold what `uri` holds, unless this process did so less than `fresh_s` seconds ago.

    Raises `SourceError`; what was fetched by then stays.
    """
    key = (uri, str(folder))
    if key in _synced and time.monotonic() - _synced[key] < fresh_s and folder.is_dir():
        return
    fs, prefix, objects = _objects(uri)
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / _LEDGER
    known: dict[str, Any] = json.loads(ledger.read_text("utf-8")) if ledger.exists() else {}
    wanted = {name: _state(facts) for name, facts in objects.items()}
    for name in set(known) - set(wanted):
        (folder / name).unlink(missing_ok=True)
        del known[name]
    changed = [name for name, state in wanted.items() if known.get(name) != state or not (folder / name).is_file()]

    def fetch(name: str) -> str:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.part")
        fs.get_file(f"{prefix}/{name}", str(beside))
        beside.replace(target)
        return name

    try:
        with ThreadPoolExecutor(8) as pool:
            for name in track(pool.map(fetch, changed), total=len(changed), what=f"fetching {uri}"):
                known[name] = wanted[name]
    except OSError as error:
        raise SourceError(uri, "", "objects that can be read", f"{type(error).__name__}: {error}") from error
    finally:
        ledger.write_text(json.dumps(known, indent=0, sort_keys=True), "utf-8")
    _synced[key] = time.monotonic()


@contextmanager
def outline(uri: str) -> Iterator[Path]:
    """A folder with the names of what `uri` holds: small label files as they are, all others empty."""
    fs, prefix, objects = _objects(uri)
    folder = Path(tempfile.mkdtemp())
    try:
        for name, facts in objects.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
            if target.suffix.lower() in _TEXT and name.count("/") < 2 and facts["size"] <= _SMALL:
                fs.get_file(f"{prefix}/{name}", str(target))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
