"""`build_defs`: fresh Definitions on every call, with resources that tests, the CLI and compose may override."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from surgsigma_dagster import assets, checks
from surgsigma_dagster.automation import REBUILD, changed_videos, nightly_rebuild
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.dialogues import Dialogues
from surgsigma_dagster.resources.footage import Footage
from surgsigma_dagster.resources.identities import Identities
from surgsigma_dagster.resources.lake import Lake
from surgsigma_dagster.resources.outputs import Outputs
from surgsigma_dagster.resources.warehouse import Warehouse
from surgsigma_dagster.runs import console


def home() -> Path:
    """SURGSIGMA_HOME, else `surgsigma-home` in the working directory."""
    return Path(os.environ.get("SURGSIGMA_HOME", "surgsigma-home")).resolve()


def default_resources(root: Path, sources: Path | None = None) -> dict[str, Any]:
    """Resources on the home `root`; SURGSIGMA_LAKE and SURGSIGMA_SOURCES put lake and sources elsewhere.

    `sources` is the `sources.yaml` of this once, whatever the home is linked to.
    """
    lake = Lake(uri=os.environ.get("SURGSIGMA_LAKE", str(root / "lake")), cache_folder=str(root / "cache"))
    corpus = Corpus(sources_path=str(sources or os.environ.get("SURGSIGMA_SOURCES", root / "sources.yaml")), lake=lake)
    footage = Footage(corpus=corpus)
    return {
        "corpus": corpus,
        "footage": footage,
        "dialogues": Dialogues(footage=footage),
        "identities": Identities(corpus=corpus),
        "warehouse": Warehouse(path=str(root / "surgsigma.duckdb")),
        "outputs": Outputs(folder=str(root)),
    }


def build_defs(*, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The whole code location."""
    return dg.Definitions(
        assets=dg.load_assets_from_package_module(assets),
        asset_checks=[checks.quality_rules, checks.release_gate],
        jobs=[REBUILD],
        schedules=[nightly_rebuild],
        sensors=[changed_videos],
        loggers={"console": console},
        # Stages do their own parallel work; a process a step costs more than most steps.
        executor=dg.in_process_executor,
        resources={**default_resources(home()), **(resources or {})},
    )
