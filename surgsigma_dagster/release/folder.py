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

from surgsigma_dagster.schema.tables import SPLITS

MEDIA = ("media", "targets")  # columns of conversations that name files
Resolve = Callable[[str, str, str], Path]  # source, root ("lake" or "source"), path → local file


@dataclass(frozen=True)
class Released:
    """Counts of a release."""

    conversations: int
    media: int
    held_back: Mapping[str, str]  # source → why


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
    sources: pl.DataFrame,
    resolve: Resolve,
    *,
    audience: str,
    build: Mapping[str, Any],
) -> Released:
    """Write the release beside `folder` and swap it in. A split without conversations has no file.

    Frames of the lake are hard links where the disk allows; images of a source are copied, so that whoever edits a
    release in place does not edit the data set.
    """
    names, held = released_sources(sources, audience)
    beside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    (beside / "conversations").mkdir(parents=True)
    kept = conversations.filter((pl.col("status").cast(pl.String) == "accepted") & pl.col("source").is_in(names))
    media = (
        pl.concat(kept.select("source", medium=column).explode("medium", empty_as_null=False) for column in MEDIA)
        .unnest("medium")
        .select("source", "root", "path", released=_released_path(pl.col)).unique("released").sort("released").collect()
    )  # fmt: skip
    for source, root, path, released in media.iter_rows():
        _place(resolve(source, root, path), beside / released, link=root == "lake")
    counts: dict[str, int] = {}
    for split in SPLITS:
        rows = _sharegpt(kept.filter(pl.col("split").cast(pl.String) == split), reasoning).collect()
        counts[split] = rows.height
        if rows.is_empty():
            continue
        rows.write_parquet(beside / "conversations" / f"{split}.parquet", compression="zstd")
        rows.write_ndjson(beside / "conversations" / f"{split}.jsonl")
    by_task = (
        kept.group_by("task", "form", "source", "split").len("conversations").collect()
        .with_columns(pl.col("form", "split").cast(pl.String)).sort("task", "form", "source", "split")
    )  # fmt: skip
    manifest = {
        "audience": audience,
        "notice": "holds data that must not leave this institution" if audience == "internal" else "",
        "build": dict(build),
        "conversations": counts,
        "counts": by_task.to_dicts(),
        "sources": [row for row in sources.sort("source").to_dicts() if row["source"] in names],
        "held_back": held,
        "files": {
            path.relative_to(beside).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(beside.rglob("*"))
            if path.is_file()
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


def _released_path(part: Callable[[str], pl.Expr]) -> pl.Expr:
    """Where a file lies in the release: media/source/video/…, or the source's own path for its images.

    Files of the lake are `images/source__video/…`, `clips/…` and `dense/…`; their names differ among these.
    """
    source = part("id").str.split("/").list.first()
    in_lake = part("path").str.replace(r"^\w+/", "").str.replace("__", "/", literal=True)
    in_source = pl.concat_str(source, pl.lit("/"), part("path"))
    return pl.concat_str(pl.lit("media/"), pl.when(part("root") == "lake").then(in_lake).otherwise(in_source))


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


def _sharegpt(conversations: pl.LazyFrame, reasoning: pl.LazyFrame) -> pl.LazyFrame:
    """Rows as trainers read them: id, images, conversations (from, value), and what to filter by."""
    levels = reasoning.select("reasoning_id", "perception", "relation", "context")
    thought = pl.concat_str("perception", "relation", "context", separator="\n")
    shown = pl.col("media").list.eval(pl.concat_str(pl.lit("<"), pl.element().struct.field("kind"), pl.lit(">\n")))
    shown = shown.list.join("").str.replace_all("<clip>", "<video>", literal=True)

    def turn(role: str, said: pl.Expr) -> pl.Expr:
        return pl.struct(pl.lit(role).alias("from"), said.alias("value"))

    spoken = [
        turn("system", pl.col("system")),
        turn("human", pl.concat_str(shown, "question")),
        turn("gpt", pl.format("<think>\n{}\n</think>\n<answer>{}</answer>", thought, "answer_text")),
    ]
    return (
        conversations.join(levels, on="reasoning_id", how="left")
        .select(
            id="conversation_id",
            media=pl.col("media").list.eval(_released_path(pl.element().struct.field)),
            targets=pl.col("targets").list.eval(_released_path(pl.element().struct.field)),
            conversations=pl.concat_list(spoken),
            task="task",
            form=pl.col("form").cast(pl.String),
            answer="answer",
            source="source",
            procedure_id="procedure_id",
            split=pl.col("split").cast(pl.String),
            licence="licence",
            label_ids="label_ids",
            template_id="template_id",
        )
        .sort("id")
    )
