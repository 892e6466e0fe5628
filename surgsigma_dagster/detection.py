"""Which datasets lie where, and their entries in a `sources.yaml`."""

import json
from pathlib import Path
from typing import Any

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.bucket import is_bucket, outline
from surgsigma_dagster.sources.config import load_sources
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import is_footage


def detected(location: str) -> list[dict[str, Any]]:
    """Which datasets lie in a folder or bucket, or in the folders inside it, two deep: dataset, root, evidence.

    A folder in which several are recognised is listed with each; inside it nothing else is looked for. Raises
    `SourceError` where a bucket cannot be listed.
    """
    if is_bucket(location):
        with outline(location) as folder:
            found = _detected(folder)
        base = location.rstrip("/")
        for row in found:
            inside = Path(row["root"]).relative_to(folder).as_posix()
            row["root"] = base if inside == "." else f"{base}/{inside}"
        return found
    return _detected(Path(location).resolve())


def _detected(folder: Path) -> list[dict[str, Any]]:
    if not may_be_listed(folder):
        raise SourceError(folder, "", "a folder that may be listed", "permission denied")
    found, roots = [], [folder]
    for _ in range(3):
        unknown = []
        for root in roots:
            here = [
                {"dataset": name, "root": str(root), "evidence": evidence}
                for name, adapter in adapters().items()
                if (evidence := adapter.detect(root))
            ]
            found += here
            unknown += [] if here else [root]
        roots = [path for root in unknown for path in sorted(root.iterdir()) if path.is_dir() and may_be_listed(path)]
    return sorted(found, key=lambda row: row["root"])


def may_be_listed(folder: Path) -> bool:
    """No, for example, for `lost+found` of a mounted disk."""
    try:
        next(folder.iterdir(), None)
    except PermissionError:
        return False
    return True


def _named(dataset: str, names: set[str]) -> str:
    """A name that is not among `names`, to which it is added."""
    name, number = dataset, 2
    while name in names:
        name, number = f"{dataset}_{number}", number + 1
    names.add(name)
    return name


def entries(found: list[dict[str, Any]]) -> list[str]:
    """The entries of what was detected, each with a name of its own, as a new sources.yaml has them."""
    names: set[str] = set()
    return [
        f"  - {{name: {_named(row['dataset'], names)}, dataset: {row['dataset']}, root: {json.dumps(row['root'])}}}"
        for row in found
    ]


def holds_footage(folder: Path) -> bool:
    """Whether video files lie in a folder, or up to two folders deeper."""
    return any(is_footage(path.name) for glob in ("*", "*/*", "*/*/*") for path in folder.glob(glob))


def write_entries(found: list[dict[str, Any]], sources: Path) -> list[str]:
    """Append the entries that `sources` (a sources.yaml, made where there is none) lacks; returns their names.

    What stands in the file stays as it is, comments included. Raises `SourceError` for a file that cannot be read.
    """
    known, names = set(), set()
    text = sources.read_text("utf-8") if sources.exists() else "sources:\n"
    if sources.exists():
        for entry in load_sources(sources).sources:
            known.add((entry.dataset, entry.location))
            names.add(entry.name)
    added = []
    for row in found:
        root = row["root"]
        place = root if is_bucket(root) else str(Path(root).resolve())
        if (row["dataset"], place) in known:
            continue
        name = _named(row["dataset"], names)
        inside = not is_bucket(root) and Path(root).is_relative_to(sources.resolve().parent)
        shown = Path(root).relative_to(sources.resolve().parent).as_posix() if inside else root
        added.append((name, f"  - {{name: {name}, dataset: {row['dataset']}, root: {json.dumps(shown)}}}\n"))
    if added:
        sources.parent.mkdir(parents=True, exist_ok=True)
        beside = sources.with_name(f".{sources.name}.new")
        beside.write_text(_with_entries(text, "".join(line for _, line in added)), "utf-8")
        beside.replace(sources)
    return [name for name, _ in added]


def _with_entries(text: str, entries: str) -> str:
    """`entries` behind the last line of the section `sources:`, indented as that section is."""
    lines = text.splitlines(keepends=True)
    begin = next((n for n, line in enumerate(lines) if line.startswith("sources:")), None)
    if begin is None:
        return f"{text.rstrip()}\n\nsources:\n{entries}".lstrip()
    end = begin + 1
    last = begin
    while end < len(lines) and (not lines[end].strip() or lines[end][0] in " -#"):
        if lines[end].strip() and lines[end][0] != "#":
            last = end
        end += 1
    item = next((line for line in lines[begin + 1 : end] if line.lstrip().startswith("- ")), "  - ")
    indent = item[: len(item) - len(item.lstrip())]
    own = "".join(f"{indent}{line.strip()}\n" for line in entries.splitlines())
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    return "".join([*lines[: last + 1], own, *lines[last + 1 :]])
