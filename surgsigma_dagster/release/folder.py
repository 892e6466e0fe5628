"""The release folder: conversations a split as Parquet and ShareGPT-style JSONL, media, and a manifest.

A public release holds only sources that may be released; an internal one says on its face that it must not leave.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.release.sharegpt import released_path, write_conversations
from surgsigma_dagster.release.units import Convention

MEDIA = ("media", "targets")  # columns of conversations that name files
Resolve = Callable[[str, str, str], Path]  # source, root ("lake" or "source"), path → local file


@dataclass(frozen=True)
class Released:
    """Counts of a release."""

    conversations: int
    media: int
    held_back: Mapping[str, str]  # source, or video of a source that is not → why


def released_sources(sources: pl.DataFrame, audience: str) -> tuple[list[str], dict[str, str]]:
    """Sources in a release for `audience`, and why the others are not.

    Raises `ValueError` for an audience other than public or internal: a slip of the pen must not open a release.
    """
    if audience not in ("public", "internal"):
        raise ValueError(f"a release is public or internal, not {audience!r}")
    held: dict[str, str] = {}
    for row in sources.to_dicts():
        if audience == "public" and not row["may_be_released"]:
            scope = f" (consent: {row['consent_scope']})" if row["consent_scope"] else ""
            held[row["source"]] = f"no grant to release it{scope}"
        elif audience == "public" and row["no_derivatives"]:
            held[row["source"]] = f"{row['licence']} allows no derivatives"
    return [name for name in sources["source"].to_list() if name not in held], held


def write_release(
    folder: Path,
    conversations: pl.LazyFrame,
    reasoning: pl.LazyFrame,
    scenes: pl.LazyFrame,
    sources: pl.DataFrame,
    videos: pl.DataFrame,
    resolve: Resolve,
    *,
    audience: str,
    build: Mapping[str, Any],
    boxes: Convention = "pixel",
    kept_ids: pl.LazyFrame | None = None,
) -> Released:
    """Write the release beside `folder` and swap it in. A split without conversations has no file.

    `boxes` is the convention that words and data hold boxes in; `kept_ids` a column conversation_id of what to release,
    where not everything that may be.

    Frames of the lake are hard links where the disk allows; images of a source are copied, so that whoever edits a
    release in place does not edit the data set.
    """
    names, held = released_sources(sources, audience)
    if audience == "public":
        closed = videos.filter(~pl.col("own_licence_allows") & pl.col("source").is_in(names))
        reasons = closed.select("video_id", pl.format("no right to release it by its licence, {}", "licence"))
        conversations = conversations.filter(~pl.col("video_id").is_in(closed["video_id"].implode()))
        held |= dict(reasons.iter_rows())
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "conversations").mkdir(parents=True)
    kept = conversations.filter((pl.col("status").cast(pl.String) == "accepted") & pl.col("source").is_in(names))
    if kept_ids is not None:
        kept = kept.join(kept_ids, on="conversation_id", how="semi")
    media = (
        pl.concat(kept.select("source", medium=column).explode("medium", empty_as_null=False) for column in MEDIA)
        .unnest("medium")
        .select("source", "root", "path", released=released_path(pl.col)).unique("released").sort("released")
        .collect(engine="streaming")
    )  # fmt: skip
    for source, root, path, released in media.iter_rows():
        _place(resolve(source, root, path), beside / released, link=root == "lake")
    counts = write_conversations(beside / "conversations", kept, reasoning, scenes, boxes=boxes)
    by_task = (
        kept.group_by("task", "form", "source", "split").len("conversations").collect()
        .with_columns(pl.col("form", "split").cast(pl.String)).sort("task", "form", "source", "split")
    )  # fmt: skip
    named = (
        videos.filter(pl.col("attribution").is_not_null()).select("video_id", "licence", "attribution")
        .join(kept.select("video_id").unique().collect(), on="video_id", how="semi").sort("video_id")
    )  # fmt: skip
    manifest = {
        "audience": audience,
        "boxes": boxes,
        "notice": "holds data that must not leave this institution" if audience == "internal" else "",
        "build": dict(build),
        "conversations": counts,
        "counts": by_task.to_dicts(),
        "sources": [row for row in sources.sort("source").to_dicts() if row["source"] in names],
        "attributions": named.to_dicts(),
        "held_back": held,
        "files": {
            path.relative_to(beside).as_posix(): _sha256(path) for path in sorted(beside.rglob("*")) if path.is_file()
        },
    }
    (beside / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return Released(sum(counts.values()), media.height, held)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(original: Path, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    original = original.resolve()  # a link to a symlink would leave without its picture
    try:
        if link:
            os.link(original, target)
    except OSError:
        link = False
    if not link:
        shutil.copyfile(original, target)
