"""Sources that label the same instant: agreement is counted, a contradiction has two places and one winner."""

from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.context.scene import scene_context
from surgsigma_dagster.identity.agreement import comparable, compared, precedence, statements
from surgsigma_dagster.schema.tables import LABELS
from surgsigma_dagster.vocabulary.harmonization import harmonize
from tests.unit.made import Row, frame_row, joined, known, native, table, video_row

DATASETS = {"c80": "cholec80", "t50": "cholect50"}
VIDEOS = {"c80": "c80/video74", "t50": "t50/VID74"}
CALOT, DISSECTION = "phase/cholecystectomy/calot_triangle_dissection", "phase/cholecystectomy/gallbladder_dissection"


def labels(c80: dict[str, list[Row]], t50: dict[str, list[Row]]) -> dict[str, pl.DataFrame]:
    records = joined(
        native(source="c80", video="video74", **c80),
        native(source="t50", video="VID74", **t50),
    )
    videos = table("videos", video_row("c80", "video74", "cholec80"), video_row("t50", "VID74", "cholect50"))
    made = harmonize(records, videos, pl.concat([known(*item) for item in DATASETS.items()]))
    assert made["rejects"].is_empty()
    return {kind: made[kind] for kind in LABELS}


def judged(found: dict[str, pl.DataFrame], declared: dict[str, list[str]] | None = None) -> dict[str, pl.DataFrame]:
    videos = pl.DataFrame({"video_id": [*VIDEOS.values()], "procedure_id": ["cholec/074"] * 2})
    frames = pl.concat([found[kind].select("frame_id") for kind in ("presences", "triplets")]).unique()
    frame = pl.col("frame_id").str.extract(r"(\d+)$").cast(pl.Int64)
    at_s = pl.when(pl.col("frame_id").str.starts_with("c80")).then(frame / 25).otherwise(frame)
    said = statements(found, videos, frames.with_columns(at_s=at_s))
    return compared(said, comparable(DATASETS), precedence(DATASETS, declared or {}))


def phase(name: str, first: int, last: int, rate: float) -> Row:
    times = {"start_s": first / rate, "end_s": (last + 1) / rate}
    return {"raw_value": name, "start_frame": first, "end_frame": last, **times, "locator": f"{name} {first}"}


CONTRADICTION = labels(
    {"intervals": [phase("GallbladderDissection", 0, 249, 25), phase("CalotTriangleDissection", 250, 499, 25)]},
    {
        "intervals": [
            phase("gallbladder-dissection", 0, 10, 1),
            phase("carlot-triangle-dissection", 11, 15, 1),
        ]
    },
)


def test_a_second_of_one_is_frame_25k_of_the_other_and_every_contradiction_has_both_places() -> None:
    found = judged(CONTRADICTION)
    assert found["agreements"].select("field", "n_compared", "n_agreed").rows() == [("phase", 16, 15)]
    (row,) = found["label_conflicts"].to_dicts()
    assert (row["at_s"], row["kept_source"], row["overruled_source"]) == (10.0, "c80", "t50")
    assert (row["kept_concept_id"], row["overruled_concept_id"]) == (CALOT, DISSECTION)
    assert row["kept_place"] == "intervals.txt, CalotTriangleDissection 250"
    assert row["overruled_place"] == "intervals.txt, gallbladder-dissection 0"
    assert row["rule"] == "precedence of phase: family"


def test_precedence_declared_by_the_user_turns_the_verdict_round() -> None:
    (row,) = judged(CONTRADICTION, {"phase": ["t50"]})["label_conflicts"].to_dicts()
    assert (row["kept_source"], row["overruled_source"], row["rule"]) == (
        "t50", "c80", "precedence of phase: sources.yaml",
    )  # fmt: skip


def test_a_yes_and_a_no_contradict_each_other_and_silence_does_not() -> None:
    found = judged(
        labels(
            {
                "presences": [
                    {"frame_index": 50, "raw_value": "Hook", "present": False, "locator": "line 4"},
                    {"frame_index": 50, "raw_value": "Grasper", "present": True, "locator": "line 4 too"},
                    {"frame_index": 50, "raw_value": "Clipper", "present": True, "locator": "line 4 again"},
                ]
            },
            {
                "triplets": [
                    {"frame_index": 2, "raw_instrument": "hook", "raw_verb": "dissect"},
                    {"frame_index": 2, "raw_instrument": "grasper", "locator": "/2/1"},
                ]
            },
        )
    )
    assert found["agreements"].select("field", "n_compared", "n_agreed").rows() == [("instrument", 2, 1)]
    (row,) = found["label_conflicts"].to_dicts()
    assert (row["kept_source"], row["kept_says"], row["overruled_source"], row["overruled_says"]) == (
        "t50", True, "c80", False,
    )  # fmt: skip


def overruled_scene(field: str, concept: str, says: bool) -> dict[str, Any]:
    records = native(
        source="lab",
        intervals=[{"raw_value": "preparation", "end_s": 3.0}],
        presences=[{"raw_value": "grasper"}, {"raw_value": "hook", "present": False, "locator": "line 2"}],
        triplets=[{"raw_instrument": "grasper"}],
    )
    videos = table("videos", video_row("lab", "v", "cholect50"))
    made = harmonize(records, videos, known("lab", "cholect50"))
    procedures = table("procedures", {
        "procedure_id": "p", "procedure_type": "procedure/cholecystectomy", "specialty": "x", "split": "train",
        "split_rule": "x", "identity_rule": "x", "videos": ["lab/v"]})  # fmt: skip
    against = pl.DataFrame({"frame_id": ["lab/v/000000"], "field": [field], "concept_id": [concept], "says": [says]})
    kinds = {kind: made[kind] for kind in LABELS}
    (row,) = scene_context(table("frames", frame_row("lab", "v", 0)), kinds, procedures, videos, against).to_dicts()
    return row


@pytest.mark.parametrize(
    ("field", "concept", "says", "left"),
    [
        ("phase", "phase/cholecystectomy/preparation", True, {"phase": None, "instruments_complete": True}),
        ("instrument", "instrument/grasper", True, {"triplets": [], "instruments": []}),
        ("instrument", "instrument/hook", False, {"instruments_complete": False}),
    ],
)
def test_an_overruled_label_says_nothing_about_its_frame(
    field: str, concept: str, says: bool, left: dict[str, object]
) -> None:
    row = overruled_scene(field, concept, says)
    assert {name: row[name] for name in left} == left
