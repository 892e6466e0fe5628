"""From videos to procedures, from procedures to splits: pure functions over the facts in this folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from surgsigma_dagster.identity.registry import facts, family_number, is_format, video_number, within
from surgsigma_dagster.keys import hashed
from surgsigma_dagster.schema.tables import SPLITS, conform
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.sources.errors import SourceError

_STRICTEST = ("test", "val", "train")
Claims = Mapping[str, Mapping[str, str]]  # by procedure: what each dataset's split says of it


def procedure_of(source: str, dataset: str, video: NativeVideo) -> tuple[str, str]:
    """The procedure that `video` shows, and the rule that says so.

    Registered families come first; a pseudonymous patient names a procedure of its own source; any other video
    of a public dataset is a procedure named by dataset and id, so that two copies of a dataset are one. Where
    the dataset is only a format that anyone fills, equal ids in two folders mean nothing.
    """
    if registered := family_number(dataset, video.video):
        family, number = registered
        return f"{family}/{number:03d}", f"registered: {family} family"
    if video.patient is not None:
        return f"{source}/{video.patient}", "stated by the source"
    owner = source if is_format(dataset) else dataset
    return f"{owner}/{video.video}", "one video, one procedure"


def merged(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Procedures that pictures show to be one, by pairs: each to the one that it is called by, itself left out.

    Registered procedures lend their name; else the first by name does.
    """
    group: dict[str, set[str]] = {}
    for pair in pairs:
        joined = set().union(*(group.get(procedure, {procedure}) for procedure in pair))
        group.update(dict.fromkeys(joined, joined))
    names = {str(family["name"]) for family in facts("shared_procedures")["families"]}

    def called(procedures: set[str]) -> str:
        return min(procedures, key=lambda procedure: (procedure.split("/")[0] not in names, procedure))

    found = {procedure: called(procedures) for procedure, procedures in group.items()}
    return {procedure: name for procedure, name in found.items() if name != procedure}


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


def claims_of(procedure_id: str) -> dict[str, str]:
    """What each dataset's official split says of a procedure, whether the dataset is at hand or not."""
    found = {}
    for dataset, official in facts("splits")["official"].items():
        number = video_number(dataset, procedure_id)
        split = next((s for s in SPLITS if number is not None and within(number, official.get(s, []))), None)
        if split:
            found[dataset] = split
    return found


def _ruled(procedure_id: str, claims: Mapping[str, str]) -> tuple[str, str] | None:
    owner, _, own = procedure_id.partition("/")
    for rule in facts("splits")["rules"]:
        split = next((s for s in SPLITS if own.isdigit() and within(int(own), rule.get(s, []))), None)
        if rule["family"] == owner and split:
            outside = {who: said for who, said in claims.items() if who not in rule["between"]}
            return _official(outside) if split != "test" and "test" in outside.values() else (split, rule["rule"])
    return None


def _official(claims: Mapping[str, str]) -> tuple[str, str]:
    split = min(claims.values(), key=_STRICTEST.index)
    return split, f"official: {', '.join(sorted(who for who, said in claims.items() if said == split))}"


def split_of(
    procedure_ids: Iterable[str], seed: int, chosen: Mapping[str, str], stated: Claims | None = None
) -> pl.DataFrame:
    """One split a procedure: columns procedure_id, split, split_rule, claims.

    `chosen` (the user's file) wins, then the settled rules, unless a dataset that they do not speak of tests on the
    procedure, then official splits, of which test wins over val and val over train, then a hash of id and seed: adding
    a procedure never moves another. `stated`: what the sources' own trees say, by procedure and dataset.
    """
    rows = []
    for procedure in sorted(set(procedure_ids)):
        claims = claims_of(procedure) | dict((stated or {}).get(procedure, {}))
        decided: tuple[str, str] | None = None
        if procedure in chosen:
            decided = chosen[procedure], "the user's split file"
        elif ruled := _ruled(procedure, claims):
            decided = ruled
        elif claims:
            decided = _official(claims)
        said = [{"dataset": who, "split": split} for who, split in sorted(claims.items())]
        rows.append((procedure, *(decided or (None, None)), said))
    shares = facts("splits")["hash_shares"]
    draw = hashed(pl.col("procedure_id"), "split", seed=seed) % sum(shares.values())
    claim = pl.List(pl.Struct({"dataset": pl.String, "split": pl.String}))
    types: dict[str, Any] = {"procedure_id": pl.String, "split": pl.String, "split_rule": pl.String, "claims": claim}
    return pl.DataFrame(rows, schema=types, orient="row").with_columns(
        pl.col("split_rule").fill_null("hash of procedure and seed"),
        split=pl.coalesce(
            "split",
            pl.when(draw < shares["train"])
            .then(pl.lit("train"))
            .when(draw < shares["train"] + shares["val"])
            .then(pl.lit("val"))
            .otherwise(pl.lit("test")),
        ),
    )


def split_conflicts(splits: pl.DataFrame) -> pl.DataFrame:
    """Rows of `split_conflicts`: official splits that contradict each other, or the split that was chosen."""
    said = pl.col("claims").list.eval(pl.element().struct.field("split")).list.unique()
    against = said.list.set_difference(pl.concat_list("split")).list.len() > 0
    return conform("split_conflicts", splits.filter(against))
