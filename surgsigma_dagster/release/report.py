"""`report.html`."""

from collections.abc import Mapping

import polars as pl

from surgsigma_dagster.release.pictures import Resolve


def render_report(tables: Mapping[str, pl.LazyFrame], resolve: Resolve) -> str:
    """The report."""
    del resolve
    return "<html>" + str(len(tables)) + "</html>"
