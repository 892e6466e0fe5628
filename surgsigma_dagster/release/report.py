"""`report.html`: what a person needs in order to judge a corpus, in one file that opens from disk.

Numbers are polars expressions over the unified tables; Python loops only over the few conversations shown.
The look is `report.html.jinja`, and escaping is its autoescape. No clock time: same tables, same bytes.
"""

import base64
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from surgsigma_dagster.keys import hashed
from surgsigma_dagster.quality.rules import RULES, releasable
from surgsigma_dagster.release.folder import released_sources
from surgsigma_dagster.release.pictures import Resolve, drawn, jpeg, strip
from surgsigma_dagster.release.report_identity import identity
from surgsigma_dagster.schema.tables import LABELS, TABLES, TRACKS

Tables = Mapping[str, pl.LazyFrame]
N_BARS, N_LISTED, N_EXAMPLES, N_SHOWN = 12, 200, 3, 5
PICTURE_WIDTH = 420  # pixels
LONG_ANSWER = 160  # characters; longer data is folded
_OPTION = re.compile(r"([A-Z])\. (.+)")
_CUT = "\x1f"


def render_report(tables: Tables, resolve: Resolve) -> str:
    """The report on `tables` (unified tables by name) as one HTML page; `resolve` finds the frames' pictures.

    A picture that cannot be read is named in its place.
    """
    names = dict(tables["concepts"].select("concept_id", "name").collect().iter_rows())
    return _template().render(
        headline=_headline(tables),
        verdict=_verdict(tables["qa_results"].collect()),
        missing=_missing(tables),
        conversations=_grid(
            tables["conversations"].group_by("task", "form", "source", "split").len("n").collect(),
            rows=["task", "form"],
            columns=["source", "split"],
        ),
        sources=_sources(tables, names),
        splits=_splits(tables, names),
        identity=identity(tables, names),
        labels=_grid(
            pl.concat(
                tables[kind].group_by("source").len("n").select(pl.lit(kind).alias("table"), "source", "n")
                for kind in LABELS
            ).collect(),
            rows=["table"],
            columns=["source"],
        ),
        distributions=_distributions(tables, names),
        coverage=_coverage(tables),
        basic_actions=_basic_actions(tables["basic_actions"], names),
        rules=_rules(tables["qa_results"]),
        rejects=_rejects(tables["rejects"]),
        shown=_shown(tables, names, resolve),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("surgsigma_dagster.release", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"n": "{:,}".format, "duration": _duration, "words": _words}
    return environment.get_template("report.html.jinja")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _top(frame: pl.DataFrame, n: int) -> dict[str, Any]:
    return {"rows": frame.head(n).to_dicts(), "more": max(frame.height - n, 0), "total": frame.height}


def _largest(frame: pl.DataFrame, by: str, *then: str) -> pl.DataFrame:
    return frame.sort(by, *then, descending=[True] + [False] * len(then))


def _named(column: str, names: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace(names)


def _counts(frame: pl.LazyFrame, column: str) -> dict[str, int]:
    return dict(frame.group_by(column).len().sort(column).collect().iter_rows())


def _rows(frame: pl.LazyFrame) -> int:
    return frame.select(pl.len()).collect().item()


def _grid(counts: pl.DataFrame, *, rows: list[str], columns: list[str]) -> dict[str, Any]:
    """`counts` (one row a cell, its number in `n`) as a table with sums; `total` is the sum of all cells."""
    heads = counts.select(columns).unique().sort(columns)
    if heads.is_empty():
        return {"heads": [], "rows": [], "sums": [], "total": 0}
    cell = pl.concat_str(columns, separator=_CUT)
    wide = (
        counts.with_columns(cell=cell)
        .pivot("cell", index=rows, values="n", aggregate_function="sum")
        .sort(rows)
        .select(*rows, *heads.select(cell).to_series().to_list())
        .fill_null(0)
    )
    numbers = wide.drop(rows)
    sums = numbers.select(pl.sum_horizontal(pl.all())).to_series()
    lines = zip(wide.select(rows).rows(), numbers.rows(), sums, strict=True)
    return {
        "heads": heads.rows(),
        "rows": [{"of": of, "cells": cells, "sum": row_sum} for of, cells, row_sum in lines],
        "sums": numbers.sum().row(0),
        "total": sums.sum(),
    }


# Headline -----------------------------------------------------------------------------------------


def _headline(tables: Tables) -> dict[str, Any]:
    talk, frames = tables["conversations"], tables["frames"]
    known = pl.col("duration_s").is_not_null()
    hours = tables["videos"].filter(known).select(hours=pl.col("duration_s").sum() / 3600, videos=pl.len())
    return {
        "sources": _rows(tables["sources"]),
        "videos": _counts(tables["videos"], "status"),
        "procedures": _counts(tables["procedures"], "split"),
        "footage": hours.collect().row(0, named=True),
        "frames": _counts(frames, "status"),
        "frames_used": talk.select("media")
        .explode("media", empty_as_null=False)
        .unnest("media")
        .join(frames, left_on="id", right_on="frame_id", how="semi")  # no smoke, depth or mask that was made of one
        .select(pl.col("id").n_unique())
        .collect()
        .item(),
        "labels": {kind: n for kind in LABELS if (n := _rows(tables[kind]))},
        "conversations": _counts(talk, "form"),
        "turned_down": _counts(talk, "status").get("rejected", 0),
        "rejects": _counts(tables["rejects"], "stage"),
        "native_rejects": tables["rejects"].select(pl.col("n_rows").sum()).collect().item(),
    }


def _verdict(results: pl.DataFrame) -> dict[str, Any]:
    left_out = [
        {"rule": name, "status": "not run", "severity": RULES[name].severity, "n_failed": 0, "n_checked": 0}
        for name in sorted(set(RULES) - set(results["rule"]))
    ]
    return {
        "releasable": releasable(results),
        "n_rules": results.height,
        "open": [*results.filter(pl.col("status") != "pass").sort("severity", "status", "rule").to_dicts(), *left_out],
    }


def _missing(tables: Tables) -> dict[str, Any]:
    """Why footage or pictures are not here, commonest reason first."""
    return _top(
        _largest(
            pl.concat(
                tables[kind]
                .filter(pl.col("status") != "available")
                .group_by("source", "status", "reason")
                .len("n")
                .with_columns(kind=pl.lit(kind))
                for kind in ("videos", "frames")
            ).collect(),
            "n",
            "kind",
            "source",
            "status",
            "reason",
        ),
        N_BARS,
    )


# Sources, splits ----------------------------------------------------------------------------------


def _sources(tables: Tables, names: Mapping[str, str]) -> list[dict[str, Any]]:
    def count(table: str, **counted: pl.Expr) -> pl.LazyFrame:
        return tables[table].group_by("source").agg(**counted)

    here = (pl.col("status") == "available").sum()
    labels = pl.concat(tables[kind].select("source") for kind in LABELS).group_by("source").len("labels")
    rows = (
        tables["sources"]
        .join(count("videos", videos=pl.len(), videos_here=here), on="source", how="left")
        .join(count("frames", frames=pl.len(), frames_here=here), on="source", how="left")
        .join(labels, on="source", how="left")
        .join(count("conversations", conversations=pl.len()), on="source", how="left")
        .with_columns(
            pl.col("videos", "videos_here", "frames", "frames_here", "labels", "conversations").fill_null(0),
            procedure=_named("procedure_type", names).fill_null("several kinds of procedure"),
        )
        .sort("source")
        .collect()
    )
    _, held = released_sources(rows, "public")
    return [row | {"held": held.get(row["source"])} for row in rows.to_dicts()]


def _splits(tables: Tables, names: Mapping[str, str]) -> dict[str, Any]:
    talk = tables["conversations"].group_by("procedure_id").len("conversations")
    procedures = (
        tables["procedures"]
        .join(talk, on="procedure_id", how="left")
        .with_columns(
            pl.col("conversations").fill_null(0),
            n_videos=pl.col("videos").list.len(),
            procedure=_named("procedure_type", names),
        )
        .collect()
    )
    return {
        "counts": procedures.group_by("procedure", "split", "split_rule")
        .agg(pl.len().alias("procedures"), pl.col("n_videos", "conversations").sum())
        .sort("procedure", "split", "split_rule")
        .to_dicts(),
        "procedures": _top(_largest(procedures, "n_videos", "procedure_id"), N_LISTED),
        "empty": [split for split in ("val", "test") if split not in procedures["split"].cast(pl.String).to_list()],
        "shared": procedures.filter(pl.col("n_videos") > 1).height,
    }


# Labels -------------------------------------------------------------------------------------------


def _distributions(tables: Tables, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Charts of horizontal bars: `share` of the longest, `met` of the bar where it is divided."""
    within = pl.col("concept_id").str.extract(r"^[^/]+/([^/]+)/").str.replace_all("_", " ")
    tracks = (
        tables["intervals"]
        .group_by("track", "concept_id")
        .agg(n=pl.len(), size=(pl.col("end_s") - pl.col("start_s")).sum())
        .with_columns(name=_named("concept_id", names), of=within)
        .collect()
    )
    shows = {kind: tables[kind] for kind in ("boxes", "masks", "triplets")}
    shows["presences"] = tables["presences"].filter("present")
    seen = (
        pl.concat(table.select("frame_id", "concept_id") for table in shows.values())
        .unique()
        .group_by("concept_id")
        .agg(size=pl.len())
        .with_columns(name=_named("concept_id", names))
        .collect()
    )
    instrument = pl.col("concept_id").str.starts_with("instrument/")
    triplets = (
        tables["triplets"]
        .group_by("concept_id", "verb_concept_id", "target_concept_id")
        .agg(size=pl.len())
        .with_columns(
            name=pl.concat_str(
                _named("concept_id", names),
                _named("verb_concept_id", names).fill_null("—"),
                _named("target_concept_id", names).fill_null("—"),
                separator=" · ",
            )
        )
        .collect()
    )
    criteria = (
        tables["criteria"]
        .group_by("concept_id")
        .agg(size=pl.len(), met=pl.col("met").sum())
        .with_columns(name=_named("concept_id", names))
        .collect()
    )
    time, frames = "labelled time, in so many intervals", "frames in which a label shows it"
    charts = [
        *((f"{track}s", time, tracks.filter(pl.col("track") == track)) for track in TRACKS),
        ("instruments", frames, seen.filter(instrument)),
        ("tissues and targets", frames, seen.filter(~instrument)),
        ("triplets", "labels; — is not annotated", triplets),
        ("criteria", "frames judged; the full bar is met", criteria),
    ]
    return [
        {"title": title, "unit": unit}
        | _top(
            _largest(chart, "size", "name", "concept_id").with_columns(
                share=pl.col("size") / pl.max_horizontal(pl.col("size").max(), 1e-9)
            ),
            N_BARS,
        )
        for title, unit, chart in charts
        if chart.height
    ]


def _coverage(tables: Tables) -> dict[str, Any]:
    values = (
        tables["alias_coverage"]
        .group_by("source", "field", "raw_value", "concept_id")
        .agg(pl.col("n_rows").sum(), videos=pl.col("video_id").n_unique())
        .collect()
    )
    values = _largest(values, "n_rows", "source", "field", "raw_value", "concept_id")
    mapped = pl.col("concept_id").is_not_null()
    fields = values.group_by("source", "field").agg(
        mapped=mapped.sum(),
        unmapped=(~mapped).sum(),
        mapped_rows=pl.col("n_rows").filter(mapped).sum(),
        n_rows=pl.col("n_rows").sum(),
    )
    return {
        "fields": _largest(fields, "unmapped", "source", "field").to_dicts(),
        "unmapped": _top(values.filter(~mapped), N_LISTED),
        "mapped": _top(values.filter(mapped), N_LISTED),
    }


def _basic_actions(actions: pl.LazyFrame, names: Mapping[str, str]) -> dict[str, Any]:
    met = _largest(actions.filter(pl.col("n_labels") > 0).collect(), "n_labels", "concept_id")
    return _top(met.with_columns(basic_action=_named("basic_action_id", names)), N_LISTED) | {
        "labels": met["n_labels"].sum(),
        "unmapped": met.filter(pl.col("basic_action_id").is_null())["n_labels"].sum(),
    }


# Quality ------------------------------------------------------------------------------------------


def _rules(results: pl.LazyFrame) -> list[dict[str, Any]]:
    turn = pl.col("status").cast(pl.String).replace_strict({"fail": 0, "not run": 1, "pass": 2})
    return results.sort(turn, "severity", "rule").collect().to_dicts()


def _rejects(rejects: pl.LazyFrame) -> list[dict[str, Any]]:
    return (
        rejects.sort(hashed(pl.col("reject_id"), "report"), "reject_id")
        .group_by("stage", "rule", "source", maintain_order=True)
        .agg(
            entries=pl.len(),
            n_rows=pl.col("n_rows").sum(),
            examples=pl.struct("reason", "video_id", "file", "locator", "raw_value").head(N_EXAMPLES),
        )
        .sort("stage", "entries", "rule", "source", descending=[False, True, False, False])
        .collect()
        .to_dicts()
    )


# Conversations ------------------------------------------------------------------------------------


def _chosen(conversations: pl.LazyFrame) -> pl.DataFrame:
    """Ids of `N_SHOWN` accepted conversations a task, drawn by hash; forms alternate, sources take turns."""
    draw = hashed(pl.col("conversation_id"), "report")
    place = (hashed(pl.col("task"), pl.col("source"), "report") // 2).cast(pl.Int64)
    return (
        conversations.filter(pl.col("status") == "accepted")
        .select(
            "conversation_id",
            "task",
            "form",
            draw=draw,
            turn=draw.rank("ordinal").over("task", "form", "source"),
            # The forms go through the sources from opposite ends, so that five places reach five sources.
            place=pl.when(pl.col("form") == "open").then(place).otherwise(-place),
        )
        .sort("turn", "place", "draw", "conversation_id")
        .with_columns(position=pl.int_range(pl.len()).over("task", "form"))
        .sort("task", "position", "form")
        .group_by("task", maintain_order=True)
        .head(N_SHOWN)
        .select("conversation_id")
        .collect()
    )


def _shown(tables: Tables, names: Mapping[str, str], resolve: Resolve) -> dict[str, list[dict[str, Any]]]:
    """The chosen conversations by task, each with its picture, its reasoning and the labels behind it."""
    chosen = _chosen(tables["conversations"])
    thought = ("perception", "relation", "context", "generator", "verified", "verifier_reason")
    found = chosen.lazy()
    for table, key, columns in (
        ("conversations", "conversation_id", TABLES["conversations"].columns()),
        ("reasoning", "reasoning_id", thought),
        ("scene_context", "scene_id", ("frame_id", "start_s")),
        ("sources", "source", ("licence_url",)),
    ):
        looked_up = tables[table].select({key, *columns})
        found = found.join(looked_up, on=key, how="left", maintain_order="left")
    rows = found.collect()
    labels = _labels_behind(tables, rows["label_ids"].explode(empty_as_null=False).unique())
    shown_frames = rows["frame_id"].drop_nulls().unique()
    boxes = (
        tables["boxes"]
        .filter(pl.col("frame_id").is_in(shown_frames.implode()))
        .select("frame_id", "x1", "y1", "x2", "y2", name=_named("concept_id", names))
        .sort("frame_id", "x1", "y1", "x2", "y2", "name")
        .collect()
        .rows_by_key("frame_id", named=True)
    )
    shown: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_dicts():
        answer, long = json.loads(row["answer"]), len(row["answer"]) > LONG_ANSWER
        shown.setdefault(row["task"], []).append(
            row
            | {
                "pictures": [
                    _picture(row["source"], medium, boxes.get(medium["id"], []), resolve) | {"what": what}
                    for what, column in (("shown", "media"), ("to be made", "targets"))
                    for medium in row[column] or []
                ],
                "spoken": _turns(row),
                "right": answer.get("option"),
                "long": long,
                "answer": json.dumps(answer, ensure_ascii=False, indent=1 if long else None),
                "labels": sorted(
                    (labels.get(label_id, {"label_id": label_id}) for label_id in row["label_ids"]),
                    key=lambda label: (label.get("table", ""), label.get("file", ""), label["label_id"]),
                ),
            }
        )
    return shown


def _turns(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is said, turn by turn: role, text, options."""
    asked = [*row["earlier"], {"question": row["question"], "answer": row["answer_text"]}]
    said = [(role, turn[key]) for turn in asked for role, key in (("user", "question"), ("assistant", "answer"))]
    return [_spoken(role, text) for role, text in [("system", row["system"]), *said]]


def _spoken(role: str, content: str) -> dict[str, Any]:
    """A turn with its lettered options apart from its text."""
    lines = content.split("\n")
    options = [found.groups() for line in lines if (found := _OPTION.fullmatch(line))]
    text = "\n".join(line for line in lines if not _OPTION.fullmatch(line))
    return {"role": role, "text": text, "options": options}


def _picture(
    source: str, medium: Mapping[str, Any], boxes: list[dict[str, Any]], resolve: Resolve
) -> dict[str, str | int]:
    """A medium as a data URI (`uri`), of a clip a strip of its frames, or why there is none (`missing`)."""
    draw = strip if medium["kind"] == "clip" else drawn
    try:
        image = draw(resolve(source, medium["root"], medium["path"]), boxes, PICTURE_WIDTH)
    except OSError as error:
        return {"missing": f"Picture missing: {medium['path']} ({error.strerror or type(error).__name__})"}
    except (ValueError, cv2.error):
        return {"missing": f"Picture unreadable: {medium['path']} (not an image)"}
    uri = f"data:image/jpeg;base64,{base64.b64encode(jpeg(image, 78)).decode()}"
    return {"uri": uri, "boxes": len(boxes), "name": medium["id"]}


def _labels_behind(tables: Tables, label_ids: pl.Series) -> dict[str, dict[str, Any]]:
    """Labels by id: table, verbatim values, concepts, what they say, file and locator."""

    def rounded(column: str) -> pl.Expr:
        return pl.col(column).round(2)

    def either(column: str, yes: str, no: str) -> pl.Expr:
        return pl.when(column).then(pl.lit(yes)).otherwise(pl.lit(no))

    says = {
        "intervals": pl.format("{} from {} s to {} s", pl.col("track"), rounded("start_s"), rounded("end_s")),
        "presences": either("present", "visible", "not visible"),
        "boxes": pl.format("({}, {}) to ({}, {}) px", *map(rounded, ("x1", "y1", "x2", "y2"))),
        "masks": pl.coalesce(
            pl.format("polygon of {} points", pl.col("polygon").list.len() // 2),
            pl.format("value {} in {}", "mask_value", "mask_path"),
            pl.lit("a region"),
        ),
        "triplets": pl.lit("instrument, verb, target"),
        "criteria": pl.format("score {}, {}", rounded("score"), either("met", "met", "not met")),
        "questions": pl.col("question"),
        "depths": pl.format("{} depth in {}", "origin", "depth_path"),
        "captions": pl.format("from {} s to {} s", rounded("start_s"), rounded("end_s")),
    }
    raw = {"triplets": ["raw_value", "raw_verb", "raw_target"]}
    concepts = {"triplets": ["concept_id", "verb_concept_id", "target_concept_id"]}
    found = pl.concat(
        tables[kind]
        .filter(pl.col("label_id").is_in(label_ids.implode()))
        .select(
            "label_id",
            "file",
            "locator",
            "n_rows",
            table=pl.lit(kind),
            says=says[kind],
            raw=pl.concat_list(raw.get(kind, ["raw_value"])).list.drop_nulls(),
            concepts=pl.concat_list(concepts.get(kind, ["concept_id"])).list.drop_nulls(),
        )
        for kind in LABELS
    ).collect()
    return {row["label_id"]: row for row in found.to_dicts()}
