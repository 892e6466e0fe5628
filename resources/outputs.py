"""Where finished things go: the release folder and the report, beside the tables."""

from pathlib import Path

import dagster as dg
import polars as pl

from surgsigma_dagster.quality.rules import releasable
from surgsigma_dagster.release.folder import Released, write_release
from surgsigma_dagster.release.report import render_report
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.schema.tables import TABLES


class Outputs(dg.ConfigurableResource):
    """Outputs under one local folder."""

    folder: str

    @property
    def release_folder(self) -> Path:
        """The newest release."""
        return Path(self.folder, "release")

    @property
    def report_path(self) -> Path:
        """The newest report."""
        return Path(self.folder, "report.html")

    def write_release(self, corpus: Corpus) -> Released:
        """Write the release. Raises `dagster.Failure` where a rule that guards it did not pass."""
        results = corpus.lake.read("qa_results")
        if not releasable(results):
            bad = results.filter(
                (pl.col("severity").cast(pl.String) == "error") & (pl.col("status").cast(pl.String) != "pass")
            )
            raise dg.Failure(f"no release: {', '.join(bad['rule'].to_list())} did not pass; see qa_results")
        builds = corpus.lake.read("builds")
        return write_release(
            self.release_folder,
            corpus.lake.scan("conversations"),
            corpus.lake.scan("reasoning"),
            corpus.lake.scan("scene_context"),
            corpus.lake.read("sources"),
            corpus.lake.read("videos"),
            corpus.media_file,
            audience=corpus.config_.audience,
            boxes=corpus.config_.boxes,
            kept_ids=corpus.lake.scan("selection").filter("kept").select("conversation_id"),
            build={
                "code_version": builds["code_version"][0],
                "seed": corpus.config_.seed,
                "tables": dict(builds.select("table", "signature").iter_rows()),
            },
        )

    def write_report(self, corpus: Corpus) -> Path:
        """Write `report.html`, in one step."""
        beside = self.report_path.with_name(".report.html.new")
        beside.parent.mkdir(parents=True, exist_ok=True)
        tables = {name: corpus.lake.scan(name) for name in TABLES if name not in {"aliases", "builds"}}
        html = render_report(tables, corpus.media_file)
        beside.write_text(html, "utf-8")
        beside.replace(self.report_path)
        return self.report_path
