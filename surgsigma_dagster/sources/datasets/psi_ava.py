"""PSI-AVA: eight robot-assisted radical prostatectomies, phases, steps, instrument boxes and actions."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INDEX,
    INTEGER,
    NUMBER,
    TEXT,
    agreeing,
    categories,
    coco,
    document,
    entries,
    images,
    listing,
    many,
    moments,
    named,
    on_lines,
    reject,
    repeats,
    require,
    require_relative,
    runs,
    table,
    text,
)

FRAME_RATE = 1.0
BASES = ("", "data_annotations/", "outputs/data_annotations/")
KEYFRAMES = ("keyframes", "outputs/PSIAVA/keyframes")
COCO, CSV = "psi-ava*/fold*/coco_anns/*_coco_anns*.json", "psi-ava*/fold*/annotations/*.csv"
PBTXT = "psi-ava*/fold*/annotations/surgery_*_list.pbtxt"
NAMES = {  # kind: its section in the JSON, its pbtxt
    "instrument": ("/categories", "TOOLS"),
    "action": ("/action_categories", "ACTIONS"),
    "step": ("/step_categories", "STEPS"),
    "phase": ("/phase_categories", "PHASES"),
}
SIDES = ("x1", "y1", "x2", "y2")
ACTIONS = ("action_1", "action_2", "action_3")
COLUMNS = {
    **{"video": TEXT, "frame_index": INDEX, "instance": INTEGER, **dict.fromkeys(SIDES, NUMBER)},
    **dict.fromkeys((*ACTIONS, "instrument_id", "step_id", "phase_id"), INTEGER),
}
LABEL = ("video", "frame_index", "place", "instrument_id", "action_ids", "step_id", "phase_id")

Names = dict[str, dict[int, str]]


class PsiAva(Adapter):
    """COCO files of keyframes, AVA csv files that repeat them, and csv files of phase and step at 1 fps.

    An annotation of a COCO file is a row, counted in `boxes`; its actions (`triplets` without a target),
    phase and step are further records of the row. A csv line is a row: with a box, it repeats an annotation
    (`rejects`) or is treated like one; with a box of zeros, it has none, and is counted in the `intervals`, a
    run of phases and a run of steps, that its line falls in. Fold 2 repeats fold 1. The csv's last columns
    are step, then phase; its ids are named by the JSON of the tree, or by the pbtxt files where there is
    none.
    """

    name = "psi_ava"
    title = "PSI-AVA"
    specialty = "Urology"
    procedure_type = "procedure/prostatectomy"
    licence = Licence("not stated", redistribution=False)
    citation = "Valderrama et al., MICCAI 2022, arXiv:2212.04582"
    url = "https://github.com/BCV-Uniandes/TAPIR"
    format_source = "real files"
    yields = ("boxes:instrument", "intervals:phase", "intervals:step", "triplets")
    tested_on_real_files = True
    signature = tuple(f"{base}{pattern}" for base in BASES for pattern in (COCO, CSV))

    def videos(self, root: Path) -> list[NativeVideo]:
        """Cases that have keyframes or labels."""
        media = next((found for folder in KEYFRAMES if (found := listing(root, folder, r"(CASE\d+)"))), {})
        labels = []
        for file in _files(root, COCO):
            cases = coco(root, file).images["file_name"].str.extract(r"^(\w+)/").drop_nulls()
            labels.append({case: [file] for case in cases.unique()})
        for file in _files(root, CSV):
            cases = table(root, file, COLUMNS, header=False)["video"]
            labels.append({case: [file] for case in cases.unique()})
        naming = _files(root, COCO)[:1] or _files(root, PBTXT)
        return self.listed(root, labels, media, "images", FRAME_RATE, shared=naming)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, steps, boxes, instruments with their actions, and frames."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        shown, copies = images(root, [video.path for video in videos if video.path], r"(?P<frame>\d{5})")
        yield {"images": shown, "rejects": copies}
        files = {file: None for video in videos for file in video.label_files}
        cocos, csvs = ([file for file in files if file.endswith(end)] for end in (".json", ".csv"))
        names = _csv_names(root) if csvs else {}
        rows = [*(_coco_rows(root, file) for file in cocos), *(_csv_rows(root, file, names) for file in csvs)]
        if rows:
            wanted = pl.col("video").is_in([video.video for video in videos])
            labelled = pl.concat(rows).filter(wanted)
            zero = pl.all_horizontal(pl.col(side) == 0 for side in SIDES) & pl.col("line").is_not_null()
            yield from _keyframes(labelled.filter(~zero))
            yield from _seconds(labelled.filter(zero))


def _keyframes(rows: pl.DataFrame) -> Iterator[dict[str, pl.DataFrame]]:
    rows, again = repeats(rows, LABEL)
    stated, nameless = reject(
        rows, pl.col("instrument").is_null(), "unnamed_box", "A box of no instrument.", hides=True
    )
    yield from ({"rejects": rejects} for rejects in (again, nameless))
    yield {"boxes": stated.with_columns(field=pl.lit("instrument"), raw_value="instrument")}
    actions = stated.explode("actions", empty_as_null=False)
    yield {"triplets": actions.with_columns(raw_instrument="instrument", raw_verb="actions")}
    for field in ("phase", "step"):
        agreed, conflicts = agreeing(rows, field)
        yield {"intervals": moments(agreed, field, field, FRAME_RATE), "rejects": conflicts}


def _seconds(rows: pl.DataFrame) -> Iterator[dict[str, pl.DataFrame]]:
    for field in ("phase", "step"):
        agreed, conflicts = agreeing(rows, field)
        found, again = repeats(
            runs(agreed, field, field, FRAME_RATE), ["video", "raw_value", "start_frame", "end_frame"]
        )
        yield from ({"rejects": rejects} for rejects in (conflicts, again))
        yield {"intervals": found}


def _coco_rows(root: Path, file: str) -> pl.DataFrame:
    fields = {"id": INTEGER, "actions": many(INTEGER), "phase": INTEGER, "step": INTEGER}
    found = coco(root, file, annotation_fields=fields)
    rows = found.annotations
    frame = pl.col("file_name").str.extract_groups(r"^(\w+)/(\d{1,9})\.\w+$").struct
    require(rows, frame.field("2").is_not_null(), "CASE…/frame.jpg as file_name", "file_name")
    x1, y1, x2, y2 = map(pl.col, SIDES)
    width, height = pl.col("width"), pl.col("height")
    rows = rows.rename({"category_id": "instrument_id", "actions": "action_ids"}).with_columns(
        video=frame.field("1"),
        frame_index=frame.field("2").cast(pl.Int64),
        instance=pl.col("id").cast(pl.String),
        step_id="step",
        phase_id="phase",
        unit=pl.lit("pixel"),
        line=pl.lit(None, pl.Int64),
        n_rows=pl.lit(1, pl.Int64),
        place=_place(x1 / width, y1 / height, x2 / width, y2 / height),
    )
    return _named(rows, _json_names(file, found.document))


def _csv_rows(root: Path, file: str, names: Names) -> pl.DataFrame:
    rows = require_relative(table(root, file, COLUMNS, header=False), SIDES)
    rows = on_lines(rows, pl.col("video")).with_columns(
        action_ids=pl.concat_list(ACTIONS).list.eval(pl.element().filter(pl.element() > 0)),
        instance=pl.col("instance").cast(pl.String),
        unit=pl.lit("relative"),
        width=pl.lit(None, pl.Int64),
        height=pl.lit(None, pl.Int64),
        place=_place(*map(pl.col, SIDES)),
    )
    return _named(rows, names)


def _place(*sides: pl.Expr) -> pl.Expr:
    return pl.concat_list(side.round(4) for side in sides)


def _named(rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    known = pl.Series([*names["action"]], dtype=pl.Int64)
    unknown = pl.col("action_ids").list.set_difference(pl.lit(known.implode()))
    require(rows, unknown.list.len() == 0, "ids of actions", "action_ids")
    actions = pl.element().replace_strict(known, pl.Series([*names["action"].values()]), default=None)
    return rows.with_columns(
        instrument=named(rows, "instrument_id", names["instrument"], "instruments", null=0),
        step=named(rows, "step_id", names["step"], "steps"),
        phase=named(rows, "phase_id", names["phase"], "phases"),
        actions=pl.col("action_ids").list.eval(actions),
    ).select(
        *(
            "video",
            "file",
            "locator",
            "n_rows",
            "frame_index",
            "instance",
            "instrument",
            "actions",
            "step",
            "phase",
        ),
        *(*SIDES, "unit", "width", "height", "line", *LABEL[2:]),
    )


def _csv_names(root: Path) -> Names:
    for file in _files(root, COCO):
        return _json_names(file, document(root, file))
    return {kind: _pbtxt(root, list_) for kind, (_, list_) in NAMES.items()}


def _json_names(file: str, value: Any) -> Names:
    found = dict(entries(file, value, "", dict))
    return {kind: categories(file, found.get(place), place) for kind, (place, _) in NAMES.items()}


def _pbtxt(root: Path, list_: str) -> dict[int, str]:
    files = [file for file in _files(root, PBTXT) if file.endswith(f"surgery_{list_}_list.pbtxt")]
    if not files:
        raise SourceError(root, "", f"a COCO file or surgery_{list_}_list.pbtxt, to name the ids", "neither")
    found = re.findall(r'name:\s*"([^"]+)"\s+label_id:\s*(\d{1,9})', text(root, files[0]))
    return {int(id_): name for name, id_ in found}


def _files(root: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for base in BASES for path in root.glob(f"{base}{pattern}"))


ADAPTER = PsiAva()
