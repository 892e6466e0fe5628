"""From videos to procedures, from procedures to splits: pure functions over the facts in this folder."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from surgsigma_dagster.keys import hashed
from surgsigma_dagster.schema.tables import SPLITS
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.sources.errors import SourceError


@cache
def _facts(name: str) -> dict[str, Any]:
    return yaml.safe_load((files(__package__) / name).read_text("utf-8"))


def procedure_of(source: str, dataset: str, video: NativeVideo) -> tuple[str, str]:
    """The procedure that `video` shows, and the rule that says so.

    Registered families come first; a pseudonymous patient names a procedure of its own source; any other video
    of a public dataset is a procedure named by dataset and id, so that two copies of a dataset are one. Where
    the dataset is only a format that anyone fills, equal ids in two folders mean nothing.
    """
    for family in _facts("shared_procedures.yaml")["families"]:
        member = family["members"].get(dataset)
        match = re.fullmatch(member["pattern"], video.video) if member else None
        if not member or not match:
            continue
        number = int(match[1])
        first, last = member.get("only", (number, number))
        if "map" in member:
            number = member["map"].get(number, -1)
        elif not first <= number <= last:
            continue
        else:
            number += member.get("offset", 0)
        if number >= 0:
            return f"{family['name']}/{number:03d}", f"registered: {family['name']} family"
    if video.patient is not None:
        return f"{source}/{video.patient}", "stated by the source"
    owner = source if dataset in _facts("shared_procedures.yaml")["formats"] else dataset
    return f"{owner}/{video.video}", "one video, one procedure"


def _within(number: int, ranges: list[int | str]) -> bool:
    for item in ranges:
        first, _, last = str(item).partition("-")
        if int(first) <= number <= int(last or first):
            return True
    return False


def read_splits(path: Path) -> dict[str, str]:
    """A user's split file: `procedure_id: train|val|test`. Raises `SourceError` for anything else."""
    try:
        found = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else "no such file"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(path, "", "YAML", " ".join(str(error).split())) from error
    if not isinstance(found, dict):
        raise SourceError(path, "", "a mapping of procedure_id to split", found)
    for procedure, split in found.items():
        if split not in SPLITS:
            raise SourceError(path, str(procedure), "train, val or test", split)
    return {str(procedure): split for procedure, split in found.items()}


def split_of(procedure_ids: list[str], seed: int, chosen: dict[str, str]) -> pl.DataFrame:
    """One split a procedure: columns procedure_id, split, split_rule.

    `chosen` (the user's file) wins, then published splits, then a hash of id and seed: adding a procedure never
    moves another.
    """
    facts = _facts("splits.yaml")
    rows: dict[str, tuple[str, str]] = {}
    for procedure in procedure_ids:
        if procedure in chosen:
            rows[procedure] = chosen[procedure], "the user's split file"
            continue
        number = procedure.rpartition("/")[2]
        for rule in facts["rules"]:
            if procedure.startswith(rule["prefix"]) and number.isdigit():
                found = [split for split in SPLITS if _within(int(number), rule.get(split, []))]
                if found:
                    rows[procedure] = found[0], rule["rule"]
                    break
    shares = facts["hash_shares"]
    draw = hashed(pl.col("procedure_id"), "split", seed=seed) % sum(shares.values())
    return (
        pl.DataFrame({"procedure_id": sorted(set(procedure_ids))}, schema={"procedure_id": pl.String})
        .with_columns(
            split=pl.col("procedure_id").replace_strict(
                {k: v[0] for k, v in rows.items()}, default=None, return_dtype=pl.String
            ),
            split_rule=pl.col("procedure_id").replace_strict(
                {k: v[1] for k, v in rows.items()}, default="hash of procedure and seed", return_dtype=pl.String
            ),
        )
        .with_columns(
            split=pl.coalesce(
                "split",
                pl.when(draw < shares["train"])
                .then(pl.lit("train"))
                .when(draw < shares["train"] + shares["val"])
                .then(pl.lit("val"))
                .otherwise(pl.lit("test")),
            )
        )
    )
