"""What the adapter tests share: the real label files, and how a small native source is written and read."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.tables import TABLES
from surgsigma_dagster.sources.accounting import native_rows
from surgsigma_dagster.sources.adapter import NativeLabels, adapters
from surgsigma_dagster.sources.config import SourceEntry
from surgsigma_dagster.vocabulary.harmonization import harmonize, known_values

LABELS = Path(__file__).resolve().parents[3] / "shared" / "labels"

TOOLS = ("Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag")


def real(folder: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (LABELS / folder).is_dir(), reason=f"no real files in ../shared/labels/{folder}")


def read(adapter: str, root: Path) -> NativeLabels:
    found = adapters()[adapter]
    return found.labels(root, found.videos(root))


def unified(entry: SourceEntry) -> dict[str, pl.DataFrame]:
    """The label tables of a source whose images are 16 x 16."""
    listed, labels = entry.adapter.videos(entry.root), read(entry.dataset, entry.root)
    video_id = pl.concat_str(pl.lit(f"{entry.name}/"), "video").alias("video_id")
    native = {kind: labels[kind].with_columns(pl.lit(entry.name).alias("source"), video_id) for kind in NATIVE}
    rows = [(f"{entry.name}/{one.video}", one.procedure_type, 16, 16) for one in listed]
    schema = {
        name: TABLES["videos"].columns()[name].dtype for name in ("video_id", "procedure_type", "width", "height")
    }
    return harmonize(native, pl.DataFrame(rows, schema=schema, orient="row"), known_values(entry))


def counted(labels: NativeLabels) -> dict[str, tuple[int, int]]:
    """By file: rows accounted for, rows rejected."""
    return {file: (n_rows, n_rejected) for file, n_rows, n_rejected in native_rows(labels).iter_rows()}


def rules(labels: NativeLabels) -> list[str]:
    return labels["rejects"]["rule"].to_list()


def put(root: Path, file: str, content: str | bytes | dict[str, Any]) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, indent=1)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def coco_file(images: list[dict[str, Any]], annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"categories": [], "images": images, "annotations": annotations, **more}
