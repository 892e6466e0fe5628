"""What a rule is: a pure function, tables in, the ids of the rows that break it out; and what rules share.

Severity says what a failure means: `error`, a release would be wrong; `warning`, a person should look.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from surgsigma_dagster.schema.tables import TABLES, conform

Tables = Mapping[str, pl.LazyFrame]
N_EXAMPLES = 20


@dataclass(frozen=True)
class Rule:
    """`check` returns one row a failure, column `example`; `n_checked` counts what was looked at."""

    name: str
    table: str
    description: str
    severity: Literal["error", "warning"]
    check: Callable[[Tables], pl.LazyFrame]
    checked: tuple[str, ...] = ()  # tables whose rows are looked at; the rule's own table unless given
    counted: pl.Expr = field(default_factory=pl.len)  # how many a table's rows stand for


RULES: dict[str, Rule] = {}


def rule(
    table: str,
    severity: Literal["error", "warning"] = "error",
    checked: tuple[str, ...] = (),
    counted: pl.Expr | None = None,
) -> Callable[[Callable[[Tables], pl.LazyFrame]], Callable[[Tables], pl.LazyFrame]]:
    """Register a function as a rule; its name is the rule's, its docstring says what must hold."""

    def register(check: Callable[[Tables], pl.LazyFrame]) -> Callable[[Tables], pl.LazyFrame]:
        name = check.__name__
        description = " ".join((check.__doc__ or "").split())
        looked_at = pl.len() if counted is None else counted
        RULES[name] = Rule(name, table, description, severity, check, checked or (table,), looked_at)
        return check

    return register


def evaluate(tables: Tables) -> pl.DataFrame:
    """Rows of `qa_results`: every rule on `tables`. A rule that cannot run is "not run", with the reason."""
    rows = []
    for found in RULES.values():
        row = {"rule": found.name, "table": found.table, "description": found.description, "severity": found.severity}
        try:
            n_checked = sum(tables[name].select(found.counted).collect().item() for name in found.checked)
            failures = found.check(tables).select(pl.col("example").cast(pl.String)).collect()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            rows.append(row | {"status": "not run", "n_checked": 0, "n_failed": 0, "examples": [reason]})
            continue
        n_failed = failures.height
        rows.append(
            row
            | {
                "status": "fail" if n_failed else "pass",
                "n_checked": n_checked,
                "n_failed": n_failed,
                "examples": failures["example"].sort().head(N_EXAMPLES).to_list(),
            }
        )
    return conform("qa_results", pl.DataFrame(rows, schema_overrides={"examples": pl.List(pl.String)}))


def releasable(results: pl.DataFrame) -> bool:
    """Whether every rule was evaluated and none of severity `error` failed or could not run."""
    if set(RULES) - set(results["rule"]):
        return False
    bad = (pl.col("severity").cast(pl.String) == "error") & (pl.col("status").cast(pl.String) != "pass")
    return results.filter(bad).is_empty()


def one_by_one(parts: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """What `parts` find, one after the other: at once, each would hold its share of the tables in memory."""
    return pl.concat(part.collect().lazy() for part in parts)


def orphans(tables: Tables, child: str, column: str, parent: str, key: str) -> pl.LazyFrame:
    """Rows of `child` whose `column` is in no row's `key` of `parent`."""
    own = TABLES[child].primary_key()[0]
    return (
        tables[child]
        .filter(pl.col(column).is_not_null())
        .join(tables[parent].select(key), left_on=column, right_on=key, how="anti")
        .select(example=pl.format("{} → {}", own, column))
    )


def available() -> pl.Expr:
    """Whether a row's media can be used."""
    return pl.col("status").cast(pl.String) == "available"


def every_medium(talk: pl.LazyFrame) -> pl.LazyFrame:
    """What conversations show and ask for, a medium a row: conversation_id, scene_id, split, task, and the medium."""
    whose = ["conversation_id", "scene_id", "split", "task", "cutoff_s"]
    return pl.concat(
        talk.select(*whose, medium=column, role=pl.lit(column)).explode("medium", empty_as_null=False).unnest("medium")
        for column in ("media", "targets")
    )
