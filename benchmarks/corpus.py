"""Labels of the shape and skew of a corpus of 5.98 million conversations: what the benchmarks work on.

Numbers are those that SurgVLM-DB, the predecessor of the SurgΣ database, states a task (see `TARGETS`), scaled to the
headline. Labels are drawn from the vocabulary with a fixed seed; they mean nothing, and no picture stands behind them.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa

from surgsigma_dagster.keys import frame_id, hashed_id
from surgsigma_dagster.schema.tables import TABLES, conform, empty
from surgsigma_dagster.vocabulary.concepts import aliases, concepts

CONVERSATIONS, VIDEOS, FRAMES = 5_980_000, 849, 1_810_000
# Thousands of conversations a task (arXiv 2603.16822 gives the headline, SurgVLM-DB the tasks). The tasks of clips are
# left out, the rest is scaled to the headline.
TARGETS = {
    "phase_recognition": 3248, "step_recognition": 1867, "instrument_recognition": 627, "safety_assessment": 293,
    "triplet_recognition": 189, "instrument_localization": 113 + 54, "tissue_recognition": 14, "tissue_localization": 9,
}  # fmt: skip
_SCALE = CONVERSATIONS / sum(TARGETS.values())
# Source, procedure, share of the videos.
_SOURCES = (
    ("cholect50", "cholecystectomy", 0.44),
    ("multibypass140", "gastric_bypass", 0.38),
    ("psi_ava", "prostatectomy", 0.18),
)
# Conversations that a frame with labels of the task makes: an open one, and one with options where that is possible.
_FORMS = {
    "phase_recognition": 2.0, "step_recognition": 2.0, "instrument_recognition": 1.97, "safety_assessment": 2.0,
    "triplet_recognition": 1.85, "instrument_localization": 1.48, "tissue_recognition": 1.0, "tissue_localization": 1.6,
}  # fmt: skip
_SEEN_IN = {
    "phase_recognition": ("cholect50", "multibypass140", "psi_ava"), "step_recognition": ("multibypass140", "psi_ava"),
}  # fmt: skip
_INSTRUMENTS = [
    f"instrument/{name}" for name in ("grasper", "hook", "clipper", "irrigator", "bipolar", "scissors")
]  # fmt: skip
_TISSUES = [f"tissue/{name}" for name in ("gallbladder", "liver", "cystic_duct", "omentum")]
_VERBS = [f"verb/{name}" for name in ("retract", "dissect", "coagulate", "grasp")]
_CRITERIA = [
    f"criterion/{name}" for name in ("cvs_1_two_structures", "cvs_2_hepatocystic_triangle", "cvs_3_cystic_plate")
]  # fmt: skip
_SIZES = np.array([(854, 480), (1920, 1080), (1280, 720)])


@cache
def videos(size: float) -> pl.DataFrame:
    """The videos at `size` (1 is the full corpus), of skewed lengths: video_id, source, split, n_frames, …"""
    n = max(round(VIDEOS * size), 3)
    draw = np.random.default_rng(7)
    lengths = draw.lognormal(0, 0.8, n)
    lengths = np.maximum((lengths / lengths.sum() * FRAMES * size).astype(int), 1)
    source = np.searchsorted(np.cumsum([share for *_, share in _SOURCES]), (np.arange(n) + 0.5) / n)
    table = pl.DataFrame({"number": range(n), "which": source, "n_frames": lengths})
    name, procedure = (pl.lit(pl.Series([row[k] for row in _SOURCES])).gather("which") for k in (0, 1))
    return table.select(
        "number",
        "n_frames",
        source=name,
        procedure_type=pl.concat_str(pl.lit("procedure/"), procedure),
        video_id=pl.concat_str(name, pl.lit("/VID"), pl.col("number").cast(pl.String).str.zfill(3)),
        procedure_id=pl.concat_str(pl.lit("case/"), pl.col("number").cast(pl.String).str.zfill(3)),
        split=pl.when(pl.col("number") % 10 < 7).then(pl.lit("train")).when(pl.col("number") % 10 < 8)
        .then(pl.lit("val")).otherwise(pl.lit("test")),
    )  # fmt: skip


def batches(size: float, most: int = 20_000) -> Iterator[pl.DataFrame]:
    """The videos in batches of about `most` frames."""
    yield from (
        videos(size).with_columns(batch=pl.col("n_frames").cum_sum() // most).partition_by("batch", include_key=False)
    )


@cache
def _share(size: float, task: str) -> float:
    """Of the frames of the sources that label `task`, the share that has its labels."""
    seen = videos(size).filter(pl.col("source").is_in(_SEEN_IN.get(task, ("cholect50",))))
    return frames_with(task) * size / int(seen["n_frames"].sum())


@cache
def _vocabulary(source: str, kind: str) -> list[str]:
    procedure = {name: procedure for name, procedure, _ in _SOURCES}[source]
    own = aliases(source, None, f"procedure/{procedure}")
    named = own.filter(pl.col("concept_id").str.starts_with(f"{kind}/"))["concept_id"].unique().sort().to_list()
    return [name for name in named if not name.endswith(("/none", "/no_step"))]


def _skewed(draw: np.random.Generator, names: list[str], n: int) -> np.ndarray:
    weights = 1 / np.arange(1, len(names) + 1)
    return np.array(names)[draw.choice(len(names), n, p=weights / weights.sum())]


def _lists(counts: np.ndarray, fields: dict[str, np.ndarray]) -> pl.Series:
    """A column of lists of structs, `counts` entries a row."""
    offsets = np.concatenate([[0], np.cumsum(counts)])
    entries = pa.StructArray.from_arrays([pa.array(value, from_pandas=True) for value in fields.values()], list(fields))
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), entries)))


def _boxes(draw: np.random.Generator, size: np.ndarray, boxed: np.ndarray) -> dict[str, np.ndarray]:
    corners = np.sort(draw.random((len(size), 2, 2)), axis=1) * 0.9
    corners[:, 1] += 0.05
    values = np.where(boxed[:, None], (corners * size[:, None, :]).reshape(-1, 4).round(2), np.nan)
    return dict(zip(("x1", "y1", "x2", "y2"), values.T, strict=True))


def frames_with(task: str) -> float:
    """How many frames of the full corpus have labels of `task`, about."""
    return TARGETS[task] * _SCALE / _FORMS[task]


def _of_stretch(column: str, video: dict[str, object]) -> pl.Expr:
    """The id of the label that says this phase or step of this video."""
    return pl.when(pl.col(column).is_not_null()).then(hashed_id(pl.lit(video["video_id"]), column, pl.col(column)))


def scenes(video: dict[str, object], size: float) -> pl.DataFrame:
    """Rows of `scene_context` for one row of `videos`: frames of one second, phases and steps in stretches."""
    draw = np.random.default_rng(int(str(video["number"])))
    source, n = str(video["source"]), int(str(video["n_frames"]))
    procedure = str(video["procedure_type"]).split("/")[1]

    def has(task: str) -> np.ndarray:
        if source not in _SEEN_IN.get(task, ("cholect50",)):
            return np.zeros(n, bool)
        return np.asarray(draw.random(n) < _share(size, task))

    def stretches(kind: str, task: str, longest: int) -> pl.Series:
        names = [name for name in _vocabulary(source, kind) if name.startswith(f"{kind}/{procedure}/")]
        if not names:
            return pl.Series([None] * n, dtype=pl.String)
        change = np.cumsum(draw.random(n) < 1 / longest)
        values = _skewed(draw, names, change[-1] + 1)[change]
        return pl.Series(np.where(has(task), values, None).tolist(), dtype=pl.String)

    phase, step = stretches("phase", "phase_recognition", 400), stretches("step", "step_recognition", 60)
    seen = has("instrument_recognition")
    relative = {task: _share(size, task) / _share(size, "instrument_recognition") for task in TARGETS}
    boxed, acting = (
        seen & (draw.random(n) < relative[task]) for task in ("instrument_localization", "triplet_recognition")
    )
    image = np.repeat(_SIZES[[int(str(video["number"])) % 3]], n, axis=0)
    n_seen = np.where(seen, draw.choice([0, 1, 2, 3], n, p=[0.03, 0.46, 0.45, 0.06]), 0)
    boxed &= n_seen > 0
    acting &= n_seen > 0
    instruments = _skewed(draw, _INSTRUMENTS, int(n_seen.sum()))
    first = np.concatenate([[0], np.cumsum(n_seen)])[:-1]
    tissue = has("tissue_recognition")
    n_tissues = np.where(tissue, draw.choice([1, 2], n, p=[0.6, 0.4]), 0)
    start = draw.integers(0, len(_TISSUES), n)
    placed = np.repeat(draw.random(n) < relative["tissue_localization"] / relative["tissue_recognition"], n_tissues)
    within = np.arange(int(n_tissues.sum())) - np.repeat(np.cumsum(n_tissues) - n_tissues, n_tissues)
    verb = _skewed(draw, _VERBS, int(acting.sum()))
    target = _skewed(draw, _TISSUES, int(acting.sum()))
    idle = draw.random(len(verb)) < 0.15
    judged = has("safety_assessment")
    met = draw.random(3 * int(judged.sum())) < 0.45
    nothing = pl.Series([[]] * n)
    frame_ids = frame_id(pl.lit(video["video_id"]), pl.col("frame_index"))
    return conform(
        "scene_context",
        pl.DataFrame({"frame_index": np.arange(n), "phase": phase, "step": step}).with_columns(
            scene_id=frame_ids,
            kind=pl.lit("frame"),
            frame_id=frame_ids,
            later_frame_id=pl.lit(None, pl.String), target_label_id=pl.lit(None, pl.String),
            action=pl.lit(None, pl.String),
            start_s=pl.col("frame_index"), cutoff_s=pl.col("frame_index"), end_s=pl.col("frame_index"),
            width=pl.Series(image[:, 0]), height=pl.Series(image[:, 1]),
            instruments_complete=pl.Series(seen), tissues_complete=pl.Series(tissue),
            partial=pl.lit(False),
            instruments=_lists(n_seen, {
                "concept_id": instruments,
                **_boxes(draw, np.repeat(image, n_seen, axis=0), np.repeat(boxed, n_seen)),
            }),
            tissues=_lists(n_tissues, {
                "concept_id": np.array(_TISSUES)[(np.repeat(start, n_tissues) + within) % len(_TISSUES)],
                **_boxes(draw, np.repeat(image, n_tissues, axis=0), placed),
            }),
            triplets=_lists(acting.astype(int), {
                "instrument": instruments[first[acting]],
                "verb": np.where(idle, "verb/none", verb), "target": np.where(idle, "target/none", target),
            }),
            criteria=_lists(judged * 3, {
                "concept_id": np.tile(_CRITERIA, int(judged.sum())), "met": met,
            }),
            actions=nothing, motions=nothing,
            label_ids=pl.concat_list(
                _of_stretch("phase", video), _of_stretch("step", video),
                pl.when(pl.Series((n_seen > 0) | seen | tissue | judged)).then(hashed_id(frame_ids)),
            ).list.drop_nulls(),
            **{name: pl.lit(video[name]) for name in ("video_id", "source", "procedure_id", "procedure_type", "split")},
        ),
    )  # fmt: skip


def known_values() -> pl.DataFrame:
    """What verbatim values of the sources mean, as the pipeline hands it on."""
    return (
        pl.concat(
            aliases(source, None, f"procedure/{procedure}").select(
                pl.lit(source).alias("source"), "field", "raw_value", "concept_id"
            )
            for source, procedure, _ in _SOURCES
        )
        .unique()
        .sort("source", "field", "raw_value")
    )


def frames(scene: pl.DataFrame) -> pl.DataFrame:
    """Rows of `frames` for scenes: pictures that are said to be there."""
    return _filled(
        "frames",
        scene,
        frame_index=pl.col("start_s"),
        pts_s=pl.col("start_s"),
        image_root=pl.lit("lake"),
        image_path=pl.concat_str(pl.lit("images/"), "frame_id", pl.lit(".jpg")),
        sha256=hashed_id("picture", pl.col("frame_id")),
        status=pl.lit("available"),
    )


def labels(scene: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The labels that `label_ids` of scenes name: rows of `intervals` and `presences`."""
    stretches = [
        scene.drop_nulls(track)
        .group_by("video_id", "source", concept_id=track)
        .agg(start_s=pl.col("start_s").min(), end_s=pl.col("end_s").max())
        .with_columns(track=pl.lit(track))
        for track in ("phase", "step")
    ]
    common = {"n_rows": pl.lit(1), "file": pl.lit("labels.txt"), "locator": pl.lit("line 1"), "raw_value": pl.lit("x")}
    shown = scene.filter(pl.col("label_ids").list.contains(hashed_id(pl.col("frame_id"))))
    return {
        "intervals": _filled(
            "intervals",
            pl.concat(stretches),
            label_id=hashed_id(pl.col("video_id"), pl.col("track"), pl.col("concept_id")),
            **common,
        ),
        "presences": _filled(
            "presences",
            shown,
            label_id=hashed_id(pl.col("frame_id")),
            concept_id=pl.lit(_INSTRUMENTS[0]),
            present=pl.lit(True),
            **common,
        ),
    }


def facts(size: float) -> dict[str, pl.DataFrame]:
    """The small tables, one file each: sources, videos, procedures, concepts, aliases, and those without rows."""
    listed = videos(size)
    split = listed.select("procedure_id", "procedure_type", "split", videos=pl.concat_list("video_id"))
    made = {
        "sources": _filled(
            "sources",
            listed.unique("source"),
            dataset=pl.col("source"),
            title=pl.col("source"),
            specialty=pl.lit("Hepatobiliary"),
            licence=pl.lit("CC-BY-NC-SA-4.0"),
            non_commercial=pl.lit(True),
            share_alike=pl.lit(True),
            no_derivatives=pl.lit(False),
            may_be_released=pl.lit(True),
            citation=pl.lit("made up"),
            url=pl.lit("none"),
        ),
        "videos": _filled(
            "videos",
            listed,
            video=pl.col("video_id"),
            listed_procedure=pl.col("procedure_id"),
            identity_rule=pl.lit("made up"),
            label_rate=pl.lit(1.0),
            first_index=pl.lit(0),
            timed=pl.lit(True),
            partial=pl.lit(False),
            media=pl.lit("images"),
            complete=pl.lit([], pl.List(pl.String)),
            status=pl.lit("available"),
            duration_s=pl.col("n_frames"),
        ),
        "procedures": _filled(
            "procedures",
            split,
            specialty=pl.lit("Hepatobiliary"),
            split_rule=pl.lit("made up"),
            identity_rule=pl.lit("made up"),
        ),
        "concepts": conform("concepts", concepts()),
        "aliases": conform("aliases", known_values()),
    }
    large = {"frames", "scene_context", "reasoning", "conversations", "intervals", "presences"}
    return {name: made.get(name, empty(name)) for name in TABLES if name not in large | {"builds", "qa_results"}}


def _filled(table: str, rows: pl.DataFrame, **values: pl.Expr) -> pl.DataFrame:
    """`rows` with `values`, as `table`; what is not given is null."""
    rows = rows.with_columns(**values)
    missing = [name for name in TABLES[table].columns() if name not in rows.columns]
    return conform(table, rows.with_columns(pl.lit(None).alias(name) for name in missing))
