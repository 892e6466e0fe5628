"""The report's tables on identity: which sources may overlap, which splits and labels contradict each other."""

from collections.abc import Mapping
from typing import Any

import polars as pl

N_LISTED = 200


def identity(tables: Mapping[str, pl.LazyFrame], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tables to list: title, note, columns, rows (of cells), more (how many rows are left out)."""
    claim = pl.format("{}: {}", *(pl.element().struct.field(part) for part in ("dataset", "split")))

    def side(which: str) -> pl.Expr:
        says = pl.when(f"{which}_says").then(pl.lit("")).otherwise(pl.lit("not "))
        name = pl.col(f"{which}_concept_id").replace(names)
        return pl.format("{}: {}{} ({})", f"{which}_source", says, name, f"{which}_place")

    found = [
        (
            "Sources that may show the same patients",
            "Unknown is not independent: where nobody says, pictures are compared, and alike videos are one procedure.",
            tables["source_overlaps"]
            .filter(pl.col("relation").cast(pl.String) != "independent")
            .select(
                sources=pl.format("{}, {}", "source_a", "source_b"), relation="relation",
                pictures_compared="content_check", shared_procedures="n_shared_procedures",
                given_away_by_pictures=pl.col("found_by_content").list.join("; "), standing_on="why",
            )
            .sort("relation", "standing_on", "sources", descending=[True, False, False])
            .with_columns(
                standing_on=pl.when(pl.col("standing_on") == pl.col("standing_on").shift(1))
                .then(pl.lit("the same"))
                .otherwise("standing_on")
            ),
        ),
        (
            "Official splits that contradict each other",
            "What each publication says of a procedure, and where it is here.",
            tables["split_conflicts"].select(
                procedure="procedure_id", published=pl.col("claims").list.eval(claim).list.join(", "), split="split",
                decided_by="split_rule",
            ),
        ),
        (
            "Do sources agree?",
            "Sources that label the same instants of a procedure.",
            tables["agreements"].select(
                sources=pl.format("{}, {}", "source_a", "source_b"), field="field", compared="n_compared",
                agreed="n_agreed", contradictions=pl.col("n_compared") - pl.col("n_agreed"),
            ),
        ),
        (
            "Contradictions between sources",
            "Of each, the label that is not believed says nothing at that instant.",
            tables["label_conflicts"].select(
                procedure="procedure_id", seconds="at_s", field="field", believed=side("kept"),
                overruled=side("overruled"), rule="rule",
            ),
        ),
    ]  # fmt: skip
    listed = []
    for title, note, lazy in found:
        frame = lazy.collect()
        if frame.height:
            rows = frame.head(N_LISTED).rows()
            more = frame.height - len(rows)
            listed.append({"title": title, "note": note, "columns": frame.columns, "rows": rows, "more": more})
    return listed
