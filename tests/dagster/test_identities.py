"""Who is who, on a corpus: names where a registry knows them, pictures where it does not, and one split for each."""

import random
from pathlib import Path

import polars as pl
import pytest

from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.identities import Identities
from surgsigma_dagster.resources.lake import Lake
from tests.unit.made import frame_row, source_row, table, video_row

SHOWN = [("public", "video67", "cholec80"), ("ours", "case01", "in_house"), ("ours", "case02", "in_house")]
BLIND = ("labels_only", "op_1", "in_house")  # a source without pictures


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    """A public operation, copied into a hospital's folder beside one of its own, and labels without pictures."""
    lake = Lake(uri=str(tmp_path / "lake"), cache_folder=str(tmp_path / "cache"))
    draw = random.Random(0)
    looks = {name: [draw.getrandbits(64) for _ in range(30)] for name in ("copied", "own")}
    frames = [
        frame_row(source, video, k) | {"perceptual_hash": looks["own" if video == "case02" else "copied"][k]}
        for source, video, _ in SHOWN
        for k in range(30)
    ]
    datasets = {source: dataset for source, _, dataset in [*SHOWN, BLIND]}
    lake.write("sources", "all", table("sources", *(source_row(name, dataset=datasets[name]) for name in datasets)))
    lake.write("videos", "all", table("videos", *(video_row(*one) for one in [*SHOWN, BLIND])))
    lake.write("frames", "all", table("frames", *frames))
    entries = "".join(f"  - {{name: {name}, dataset: {dataset}, root: {name}}}\n" for name, dataset in datasets.items())
    (tmp_path / "sources.yaml").write_text(f"sources:\n{entries}splits: splits.yaml\n")
    (tmp_path / "splits.yaml").write_text("ours/case02: val\nours/nobody: test\n")
    return Identities(corpus=Corpus(sources_path=str(tmp_path / "sources.yaml"), lake=lake))


def test_a_copy_in_a_hospital_folder_joins_the_registered_operation_and_its_split(identities: Identities) -> None:
    assert identities.write_procedures() == ["ours/nobody"]
    rows = {row["procedure_id"]: row for row in identities.corpus.lake.read("procedures").to_dicts()}
    assert rows["cholec/067"]["videos"] == ["ours/case01", "public/video67"]
    assert "look alike" in rows["cholec/067"]["identity_rule"]
    assert rows["cholec/067"]["split"] == "train"  # Endoscapes trains on it, so the family's rule does
    assert (rows["ours/case02"]["split"], rows["ours/case02"]["split_rule"]) == ("val", "the user's split file")
    assert sum(len(row["videos"]) for row in rows.values()) == len(SHOWN) + 1


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("ours/case01: test\n", "test"),
        ("ours/case01: test\ncholec/067: val\n", "val"),
    ],
)
def test_a_file_of_splits_may_call_a_joined_operation_by_either_name(
    file: str, split: str, identities: Identities
) -> None:
    Path(identities.corpus.sources_path).with_name("splits.yaml").write_text(file)
    assert identities.write_procedures() == []
    (row,) = identities.corpus.lake.read("procedures").filter(pl.col("procedure_id") == "cholec/067").to_dicts()
    assert (row["split"], row["split_rule"]) == (split, "the user's split file")


def test_what_nobody_knows_is_told_with_whether_anybody_looked(identities: Identities) -> None:
    identities.write_procedures()
    told = identities.corpus.lake.read("source_overlaps").select("source_a", "source_b", "relation", "content_check")
    assert set(told.iter_rows()) == {
        ("labels_only", "ours", "unknown", "not run"),
        ("labels_only", "public", "unknown", "not run"),
        ("ours", "public", "unknown", "run"),
    }
    found = identities.corpus.lake.read("source_overlaps").filter(pl.col("n_shared_procedures") > 0)
    ((pair,),) = found["found_by_content"].to_list()
    assert pair.startswith("ours/case01 = public/video67")
