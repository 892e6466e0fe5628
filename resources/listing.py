"""What sources hold before anything is read: their videos, and content hashes that say what changed."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

from surgsigma_dagster.keys import unit_key
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.sources.config import SourceEntry, SourcesConfig
from surgsigma_dagster.sources.errors import SourceError, unreadable
from surgsigma_dagster.sources.readers import UNREAD

LABELS_ONLY = "the source holds labels only"


@dataclass(frozen=True)
class Listed:
    """One video of one source, as listed."""

    entry: SourceEntry
    native: NativeVideo

    @property
    def video_id(self) -> str:
        """`source/video`."""
        return f"{self.entry.name}/{self.native.video}"

    @property
    def lacks(self) -> str | None:
        """Why there is no footage to look at; None where there is."""
        root, native = self.entry.root, self.native
        if native.path:
            path = root / native.path
            return None if path.exists() else f"{native.path} {'links to no file' if path.is_symlink() else 'is gone'}"
        for file in map(Path, native.label_files):
            for suffix in UNREAD:
                beside = (root / file).with_suffix(suffix)
                if beside.is_file():
                    return f"{beside.relative_to(root).as_posix()}: suffix {suffix} is not read: remux to mp4"
        return LABELS_ONLY


@dataclass
class Listing:
    """Every video that the sources hold, by unit key, and the sources that could not be listed."""

    videos: dict[str, Listed] = field(default_factory=dict)
    failed: dict[str, SourceError] = field(default_factory=dict)


def list_sources(config: SourcesConfig) -> Listing:
    """List every source of `config`. A source that fails is named with its error; the others go on."""
    found = Listing()
    for entry in config.sources:
        try:
            entry.fetch()
            if not entry.root.is_dir():
                raise SourceError(entry.root, "", f"the folder of source {entry.name}", "no such folder")
            for native in entry.videos():
                listed = Listed(entry, native)
                key = unit_key(listed.video_id)
                if key in found.videos:
                    raise SourceError(entry.root, native.video, "video ids that differ as file names", key)
                found.videos[key] = listed
        except SourceError as error:
            found.failed[entry.name] = error
        except OSError as error:
            found.failed[entry.name] = unreadable(error, entry.root)
    return found


class ContentHashes:
    """SHA-256 of files, remembered between builds for as long as size and time of change hold."""

    def __init__(self, ledger: Path) -> None:
        self._ledger, self._lock = ledger, threading.Lock()
        self._known: dict[str, str] = json.loads(ledger.read_text("utf-8")) if ledger.exists() else {}

    def sha256(self, path: Path) -> str:
        """Content hash of `path`."""
        stat = path.stat()
        name = f"{path}|{stat.st_size}|{stat.st_mtime_ns}"
        if name not in self._known:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            with self._lock:
                self._known[name] = found
        return self._known[name]

    def remember(self) -> None:
        """Write the ledger, in one step."""
        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        beside = self._ledger.with_suffix(".new")
        with self._lock:
            beside.write_text(json.dumps(self._known, indent=0, sort_keys=True), "utf-8")
        beside.replace(self._ledger)
