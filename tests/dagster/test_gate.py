"""A release is held back by a failed rule, whoever starts it; the tables and the report are there to look at."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from surgsigma_dagster import checks
from surgsigma_dagster.build import build_defs, default_resources
from surgsigma_dagster.quality.rules import RULES
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.schema.tables import conform
from surgsigma_dagster.sources.datasets import jigsaws
from surgsigma_dagster.sources.readers import Kind
from tests.unit.test_adapters_rules import WRITERS


def _results(corpus: Corpus, **status: str) -> None:
    rows = [
        {
            "rule": rule.name, "table": rule.table, "description": rule.description, "severity": rule.severity,
            "status": status.get(rule.name, "pass"), "n_checked": 10, "n_failed": int(rule.name in status),
            "examples": ["cholec80/video01/000025"] if rule.name in status else [],
        }
        for rule in RULES.values()
    ]  # fmt: skip
    corpus.lake.write("qa_results", "all", conform("qa_results", pl.DataFrame(rows)))


@pytest.fixture
def resources(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "sources.yaml").write_text("sources: [{name: a, dataset: cholec80, root: .}]")
    return default_resources(tmp_path)


@pytest.mark.parametrize(
    ("status", "passed"),
    [
        ({}, True),
        ({"values_are_mapped": "fail"}, True),
        ({"boxes_inside_image": "fail"}, False),
        ({"boxes_inside_image": "not run"}, False),
    ],
)
def test_only_what_makes_a_release_wrong_closes_the_gate(
    status: dict[str, str], passed: bool, resources: dict[str, Corpus]
) -> None:
    _results(resources["corpus"], **status)
    (result,) = checks.release_gate(dg.build_asset_check_context(), corpus=resources["corpus"])
    assert result.passed is passed


def test_a_mistake_in_an_adapter_is_a_reject_that_holds_the_release_and_costs_one_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("jigsaws", "cholec80"):
        WRITERS[name](tmp_path / name)
    entries = ", ".join(f"{{name: {name}, dataset: {name}, root: {name}}}" for name in ("jigsaws", "cholec80"))
    (tmp_path / "sources.yaml").write_text(f"sources: [{entries}]")
    corpus, spaced = default_resources(tmp_path)["corpus"], jigsaws.spaced

    def mistaken(root: Path, files: list[str], columns: dict[str, Kind]) -> pl.DataFrame:
        return spaced(root, files, columns) if "B001" not in files[0] else pl.DataFrame({"n": [int("x61")]})

    monkeypatch.setattr(jigsaws, "spaced", mistaken)

    corpus.write_native_labels(corpus.listing())
    rejects = corpus.lake.scan("ingestion_rejects").filter(rule="unreadable_labels").collect()
    assert rejects.select("source", "video_id", "file").rows() == [
        ("jigsaws", "jigsaws/Suturing_B001", "surgsigma_dagster/sources/datasets/jigsaws.py")
    ]
    assert "found ValueError: invalid literal for int() with base 10: 'x61'" in rejects["reason"][0]
    read = corpus.lake.scan("native_intervals").collect()["video_id"].unique()
    assert {"jigsaws/Knot_Tying_C002", "cholec80/video01"} <= set(read)

    monkeypatch.setattr(jigsaws, "listing", lambda *_: int("x61"))
    assert {*corpus.listing().failed} == {"jigsaws"}
    assert {*corpus.write_sources()["source"]} == {"jigsaws", "cholec80"}
    (reject,) = corpus.lake.scan("ingestion_rejects").filter(rule="unreadable_source").collect().to_dicts()
    assert (reject["source"], reject["file"]) == ("jigsaws", "jigsaws.py")


def test_a_release_started_by_hand_is_refused_too(resources: dict[str, Corpus]) -> None:
    _results(resources["corpus"], one_split_per_procedure="fail")
    with pytest.raises(dg.Failure, match="one_split_per_procedure"):
        resources["outputs"].write_release(resources["corpus"])


def test_a_check_shows_counts_severity_and_the_worst_rows(resources: dict[str, Corpus]) -> None:
    _results(resources["corpus"], boxes_inside_image="fail", values_are_mapped="fail")
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(checks.quality_rules))
    defs = dg.Definitions.merge(build_defs(resources=resources), dg.Definitions(jobs=[job]))
    run = defs.resolve_job_def("checks").execute_in_process(raise_on_error=False)
    results = {result.check_name: result for result in run.get_asset_check_evaluations()}
    assert set(results) == set(RULES)
    failed = results["boxes_inside_image"]
    assert failed.asset_key == dg.AssetKey("boxes")
    assert failed.severity == dg.AssetCheckSeverity.ERROR
    assert failed.metadata["rows_failed"].value == 1
    assert "cholec80/video01/000025" in failed.metadata["examples"].value
    assert results["values_are_mapped"].severity == dg.AssetCheckSeverity.WARN
