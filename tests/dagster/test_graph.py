"""The graph that a person sees: its assets, groups, owners and dependencies, and what may start by itself."""

import json
from pathlib import Path

import dagster as dg
import pytest

from surgsigma_dagster.build import build_defs
from surgsigma_dagster.quality.rules import RULES
from surgsigma_dagster.schema.lineage import LINEAGE
from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.tables import TABLES

SNAPSHOT = Path(__file__).with_name("graph.json")


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return build_defs()


def test_the_graph_is_the_one_that_was_agreed(defs: dg.Definitions) -> None:
    """Changed on purpose? Delete graph.json, run once, and read the difference in review."""
    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): {
            "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "group": graph.get(key).group_name,
            "owners": sorted(graph.get(key).owners),
            "kinds": sorted(graph.get(key).kinds),
            "partitioned": graph.get(key).is_partitioned,
        }
        for key in sorted(graph.get_all_asset_keys())
    }
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())
    assert 10 <= len(found) <= 34


def test_every_asset_says_what_it_is(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    assert [key for key in graph.get_all_asset_keys() if not graph.get(key).description] == []


def test_every_table_asset_shows_its_documented_columns(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        if key.path[-1] in TABLES:
            schema = graph.get(key).metadata["dagster/column_schema"]
            assert [column.name for column in schema.columns] == list(TABLES[key.path[-1]].columns())
            assert all(column.description for column in schema.columns)


def test_lineage_speaks_of_columns_that_exist(defs: dg.Definitions) -> None:
    native = {name for schema in NATIVE.values() for name in schema.columns()}
    columns = {**{table: set(schema.columns()) for table, schema in TABLES.items()}, "native_labels": native}
    columns["vocabulary"] = columns["concepts"] | columns["aliases"]
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    for table, made in LINEAGE.items():
        assert set(made) <= columns[table]
        for name in (name for names in made.values() for name in names):
            asset, _, column = name.partition(".")
            assert asset in keys, name
            assert column in columns[asset], name


def test_every_rule_is_a_check_of_an_asset_and_one_check_blocks(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    checks = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys}
    assert set(checks) == {*RULES, "releasable"}
    assert [name for name, spec in checks.items() if spec.blocking] == ["releasable"]


def test_nothing_starts_by_itself(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert [found.name for found in repository.schedule_defs] == ["nightly_rebuild"]
    assert [found.name for found in repository.sensor_defs] == ["changed_videos"]
    assert all(found.default_status.value == "STOPPED" for found in repository.schedule_defs)
    assert all(found.default_status.value == "STOPPED" for found in repository.sensor_defs)
