"""Asset checks: one a rule of `quality.rules`, on the asset whose table it speaks of, and the gate before a release.

The rules are evaluated once, by the asset `qa_results`; checks read its rows. A check on a table cannot hold back
what `qa_results` itself is made from, so the one that blocks stands on `unified_tables`, before `release`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from surgsigma_dagster.metadata import markdown_table
from surgsigma_dagster.quality.rules import RULES, releasable
from surgsigma_dagster.resources.corpus import Corpus

_ASSET = {
    "aliases": "vocabulary",
    "builds": "unified_tables",
    "concepts": "vocabulary",
    "conversation_counts": "selection",
    "label_conflicts": "agreements",
    "source_overlaps": "procedures",
}
GATE = dg.AssetCheckSpec(
    "releasable", asset="unified_tables", blocking=True,
    description="Every rule of severity error passed: a release of these tables would be right.",
)  # fmt: skip
SPECS = [
    dg.AssetCheckSpec(
        rule.name,
        asset=_ASSET.get(rule.table, rule.table),
        description=rule.description,
        additional_deps=["qa_results"],
        metadata={"severity": rule.severity, "tables": ", ".join(rule.checked)},
    )
    for rule in RULES.values()
    if _ASSET.get(rule.table, rule.table) != "qa_results"
]


def _result(row: dict[str, Any], spec: dg.AssetCheckSpec) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if row["severity"] == "error" else dg.AssetCheckSeverity.WARN
    examples = pl.DataFrame({"worst rows": row["examples"]}, schema={"worst rows": pl.String})
    return dg.AssetCheckResult(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=row["status"] == "pass",
        severity=severity,
        description=f"{row['status']}: {row['n_failed']} of {row['n_checked']} rows",
        metadata={
            "status": row["status"],
            "rows_checked": row["n_checked"],
            "rows_failed": row["n_failed"],
            "examples": dg.MetadataValue.md(markdown_table(examples)),
        },
    )


@dg.multi_asset_check(name="quality_rules", specs=SPECS, can_subset=True)
def quality_rules(context: dg.AssetCheckExecutionContext, corpus: Corpus) -> Iterator[dg.AssetCheckResult]:
    """Each rule's row of `qa_results` as a check of the asset that it speaks of."""
    rows = {row["rule"]: row for row in corpus.lake.read("qa_results").to_dicts()}
    unknown = {"severity": "error", "status": "not run", "n_checked": 0, "n_failed": 0, "examples": []}
    for spec in SPECS:
        if spec.key in context.selected_asset_check_keys:
            yield _result(rows.get(spec.name, unknown), spec)


@dg.multi_asset_check(name="release_gate", specs=[GATE])
def release_gate(context: dg.AssetCheckExecutionContext, corpus: Corpus) -> Iterator[dg.AssetCheckResult]:
    """Holds the release back where a rule of severity error did not pass."""
    results = corpus.lake.read("qa_results")
    bad = results.filter(pl.col("status").cast(pl.String) != "pass").select("rule", "severity", "status", "n_failed")
    if not releasable(results):
        errors = bad.filter(pl.col("severity").cast(pl.String) == "error")["rule"].to_list()
        context.log.error(f"no release: {', '.join(errors) or 'not every rule was run'}; see the report")
    yield dg.AssetCheckResult(
        asset_key=GATE.asset_key,
        check_name=GATE.name,
        passed=releasable(results),
        metadata={"not_passed": dg.MetadataValue.md(markdown_table(bad))},
    )
