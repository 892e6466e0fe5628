"""What must hold of the tables. A rule is a pure function: tables in, the ids of the rows that break it out.

Severity says what a failure means: `error`, a release would be wrong; `warning`, a person should look.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import polars as pl

from surgsigma_dagster.reasoning.verifier import RESIDUE
from surgsigma_dagster.schema.tables import FRAME_LABELS, LABELS, TABLES, conform

Tables = Mapping[str, pl.LazyFrame]
N_EXAMPLES = 20


@dataclass(frozen=True)
class Rule:
    """`check` returns one row a failure, column `example`; `n_checked` counts what was looked at."""

    name: str
    table: str
    description: str
    severity: Literal["error", "warning"]
    check: Callable[[Tables], pl.LazyFrame]
    checked: tuple[str, ...] = ()  # tables whose rows are looked at; the rule's own table unless given


RULES: dict[str, Rule] = {}


def rule(
    table: str, severity: Literal["error", "warning"] = "error", checked: tuple[str, ...] = ()
) -> Callable[[Callable[[Tables], pl.LazyFrame]], Callable[[Tables], pl.LazyFrame]]:
    """Register a function as a rule; its name is the rule's, its docstring says what must hold."""

    def register(check: Callable[[Tables], pl.LazyFrame]) -> Callable[[Tables], pl.LazyFrame]:
        name = check.__name__
        RULES[name] = Rule(name, table, " ".join((check.__doc__ or "").split()), severity, check, checked or (table,))
        return check

    return register


def evaluate(tables: Tables) -> pl.DataFrame:
    """Rows of `qa_results`: every rule on `tables`. A rule that cannot run is "not run", with the reason."""
    rows = []
    for found in RULES.values():
        row = {"rule": found.name, "table": found.table, "description": found.description, "severity": found.severity}
        try:
            n_checked = sum(tables[name].select(pl.len()).collect().item() for name in found.checked)
            failures = found.check(tables).select(pl.col("example").cast(pl.String)).collect()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            rows.append(row | {"status": "not run", "n_checked": 0, "n_failed": 0, "examples": [reason]})
            continue
        n_failed = failures.height
        rows.append(
            row
            | {
                "status": "fail" if n_failed else "pass",
                "n_checked": n_checked,
                "n_failed": n_failed,
                "examples": failures["example"].sort().head(N_EXAMPLES).to_list(),
            }
        )
    return conform("qa_results", pl.DataFrame(rows, schema_overrides={"examples": pl.List(pl.String)}))


def releasable(results: pl.DataFrame) -> bool:
    """Whether every rule was evaluated and none of severity `error` failed or could not run."""
    if set(RULES) - set(results["rule"]):
        return False
    bad = (pl.col("severity").cast(pl.String) == "error") & (pl.col("status").cast(pl.String) != "pass")
    return results.filter(bad).is_empty()


def _orphans(tables: Tables, child: str, column: str, parent: str, key: str) -> pl.LazyFrame:
    own = TABLES[child].primary_key()[0]
    return (
        tables[child]
        .filter(pl.col(column).is_not_null())
        .join(tables[parent].select(key), left_on=column, right_on=key, how="anti")
        .select(example=pl.format("{} → {}", own, column))
    )


def _available() -> pl.Expr:
    return pl.col("status").cast(pl.String) == "available"


def _every_medium(talk: pl.LazyFrame) -> pl.LazyFrame:
    """What conversations show and ask for, a medium a row: conversation_id, scene_id, split, task, and the medium."""
    whose = ["conversation_id", "scene_id", "split", "task", "cutoff_s"]
    return pl.concat(
        talk.select(*whose, medium=column, role=pl.lit(column)).explode("medium", empty_as_null=False).unnest("medium")
        for column in ("media", "targets")
    )


@rule("sources", checked=("sources", "rejects"))
def sources_readable(tables: Tables) -> pl.LazyFrame:
    """Every source could be listed and every label file read."""
    unreadable = pl.col("rule").is_in(["unreadable_source", "unreadable_labels"])
    return tables["rejects"].filter(unreadable).select(example="reason")


@rule("builds", checked=tuple(name for name in TABLES if name not in {"builds", "qa_results"}))
def tables_keep_their_contract(tables: Tables) -> pl.LazyFrame:
    """Every row of every table satisfies its contract: types, nulls, ranges, unique keys."""
    broken = []
    for name, schema in TABLES.items():
        if name in {"builds", "qa_results"}:
            continue
        counts: Counter[str] = Counter()
        rows = tables[name]
        for part in chain([rows.head(0).collect()], rows.collect_batches(chunk_size=100_000)):
            counts.update(schema.filter(part)[1].counts())
        twice = rows.group_by(schema.primary_key()).len("n").filter(pl.col("n") > 1).select(pl.col("n").sum())
        counts["primary_key"] = twice.collect(engine="streaming").item()  # a key comes twice across parts, too
        broken += [f"{name}: {rule} ({count} rows)" for rule, count in counts.items() if count]
    return pl.LazyFrame({"example": broken}, schema={"example": pl.String})


@rule("frames", checked=FRAME_LABELS)
def frame_labels_have_frames(tables: Tables) -> pl.LazyFrame:
    """Every frame label speaks of a frame that has a row."""
    return pl.concat([_orphans(tables, kind, "frame_id", "frames", "frame_id") for kind in FRAME_LABELS])


@rule("videos", checked=("frames", *LABELS))
def rows_have_videos(tables: Tables) -> pl.LazyFrame:
    """Every frame and label belongs to a listed video."""
    return pl.concat([_orphans(tables, kind, "video_id", "videos", "video_id") for kind in ("frames", *LABELS)])


@rule("concepts", checked=("sources", "videos", *LABELS))
def concepts_are_closed(tables: Tables) -> pl.LazyFrame:
    """Every concept id of a label is in the vocabulary, and a track holds concepts of its own kind."""
    columns = [(kind, "concept_id") for kind in LABELS] + [
        ("triplets", "verb_concept_id"),
        ("triplets", "target_concept_id"),
    ]
    columns += [("sources", "procedure_type"), ("videos", "procedure_type")]
    unknown = [_orphans(tables, kind, column, "concepts", "concept_id") for kind, column in columns]
    stray = tables["intervals"].filter(
        pl.col("concept_id").str.split("/").list.first() != pl.col("track").cast(pl.String)
    )
    return pl.concat([*unknown, stray.select(example=pl.format("{} in track {}", "concept_id", "track"))])


@rule("boxes")
def boxes_inside_image(tables: Tables) -> pl.LazyFrame:
    """Every box has area and lies inside its image."""
    inside = (
        (pl.col("x1") >= 0) & (pl.col("y1") >= 0) & (pl.col("x2") <= pl.col("width"))
        & (pl.col("y2") <= pl.col("height")) & (pl.col("x1") < pl.col("x2")) & (pl.col("y1") < pl.col("y2"))
    )  # fmt: skip
    return tables["boxes"].filter(~inside).select(example="label_id")


@rule("intervals", "warning")
def intervals_inside_video(tables: Tables) -> pl.LazyFrame:
    """No interval reaches more than a second beyond the end of its video."""
    return (
        tables["intervals"]
        .join(tables["videos"].select("video_id", "duration_s"), on="video_id")
        .filter(pl.col("end_s") > pl.col("duration_s") + 1)
        .select(example=pl.format("{} ends at {} s, {} at {} s", "label_id", "end_s", "video_id", "duration_s"))
    )


@rule("videos", "warning")
def videos_readable(tables: Tables) -> pl.LazyFrame:
    """No video is quarantined; single blank frames are set aside, since they show nothing."""
    quarantined = (pl.col("status").cast(pl.String) == "quarantined") & ~pl.col("reason").str.starts_with("blank")
    frames = tables["frames"].filter(quarantined).select("video_id", "reason")
    videos = tables["videos"].filter(quarantined).select("video_id", "reason")
    return pl.concat([videos, frames]).unique("video_id").select(example=pl.format("{}: {}", "video_id", "reason"))


@rule("aliases", "warning", checked=("alias_coverage",))
def values_are_mapped(tables: Tables) -> pl.LazyFrame:
    """Every verbatim value is mapped to a concept."""
    return (
        tables["alias_coverage"]
        .filter(pl.col("concept_id").is_null())
        .group_by("source", "field", "raw_value")
        .agg(pl.col("n_rows").sum())
        .select(example=pl.format("{}: {} '{}' in {} rows", "source", "field", "raw_value", "n_rows"))
    )


@rule("reasoning")
def reasoning_is_grounded(tables: Tables) -> pl.LazyFrame:
    """Every chain was verified, and speaks only of its frame's labels and their definitions."""
    return (
        tables["reasoning"]
        .filter(pl.col("verified").cast(pl.String) != "pass")
        .select(example=pl.format("{}: {}", "reasoning_id", pl.col("verifier_reason").fill_null("not run")))
    )


@rule("conversations", checked=("conversations", "reasoning"))
def no_placeholder_left(tables: Tables) -> pl.LazyFrame:
    """No turn and no reasoning holds an unfilled slot, markup or a stand-in word."""
    before = pl.col("earlier").list.eval(pl.concat_str(pl.element().struct.field("question", "answer"), separator=" "))
    # Column by column: joined to one text, all conversations would lie in memory.
    spoken = [pl.col("system", "question", "answer_text"), before.list.join(" ")]
    thought = [pl.col("perception", "relation", "context")]
    return pl.concat(
        tables[table].filter(pl.any_horizontal(*(text.str.contains(RESIDUE) for text in texts))).select(example=key)
        for table, key, texts in (("conversations", "conversation_id", spoken), ("reasoning", "reasoning_id", thought))
    )


@rule("conversations")
def conversations_are_traceable(tables: Tables) -> pl.LazyFrame:
    """Every conversation has its reasoning, its labels, and media that are there."""
    talk = tables["conversations"]
    labels = pl.concat([tables[kind].select("label_id") for kind in LABELS])
    unlabelled = (
        talk.select("conversation_id", "label_ids")
        .explode("label_ids", empty_as_null=True)
        .join(labels, left_on="label_ids", right_on="label_id", how="anti")
    )
    there = pl.concat(
        [
            tables["frames"].filter(_available()).select(id="frame_id"),
            tables["clips"].filter(_available()).select(id="clip_id"),
            tables["dense_images"].select(id="rendition_id"),
        ]
    )
    unseen = _every_medium(talk).join(there, on="id", how="anti")
    return pl.concat(
        [
            _orphans(tables, "conversations", "reasoning_id", "reasoning", "reasoning_id"),
            unlabelled.select(example=pl.format("{}: label", "conversation_id")),
            unseen.select(example=pl.format("{}: {}", "conversation_id", "id")),
        ]
    )


@rule("procedures", checked=("conversations",))
def one_split_per_procedure(tables: Tables) -> pl.LazyFrame:
    """No procedure, and no identical picture, is in two splits, across all sources and tasks."""
    talk = tables["conversations"].select("procedure_id", "scene_id", pl.col("split").cast(pl.String))
    hashed = pl.concat(
        [
            tables["frames"].select("sha256", id="frame_id"),
            tables["clips"].select("sha256", id="clip_id"),
            tables["dense_images"].select("sha256", id="rendition_id"),
        ]
    )
    media = _every_medium(tables["conversations"]).select("scene_id", "id", pl.col("split").cast(pl.String)).unique()
    pictures = media.join(hashed, on="id")
    return pl.concat(
        [
            found.drop_nulls(key)
            .group_by(key)
            .agg(pl.col("split").unique().sort(), shown=pl.col("scene_id").unique().sort().head(3))
            .filter(pl.col("split").list.len() > 1)
            .select(
                example=pl.format(
                    "{} in {}: {}", key, pl.col("split").list.join(" and "), pl.col("shown").list.join(", ")
                )
            )
            for key, found in (("procedure_id", talk), ("sha256", pictures))
        ]
    )


@rule("source_overlaps")
def unknown_overlaps_are_looked_into(tables: Tables) -> pl.LazyFrame:
    """Two sources that may share patients, with conversations of both, had their pictures compared."""
    talking = tables["conversations"].select("source").unique()
    return (
        tables["source_overlaps"]
        .filter(pl.col("relation").cast(pl.String) == "unknown", pl.col("content_check").cast(pl.String) == "not run")
        .join(talking, left_on="source_a", right_on="source", how="semi")
        .join(talking, left_on="source_b", right_on="source", how="semi")
        .select(example=pl.format("{} and {}: {}", "source_a", "source_b", "why"))
    )


@rule("label_conflicts", "warning", checked=("agreements",))
def sources_agree(tables: Tables) -> pl.LazyFrame:
    """No two sources contradict each other about the same instant; where they do, one is overruled there."""
    return tables["label_conflicts"].select(
        example=pl.format(
            "{} at {} s, {}: {} ({}) against {} ({})",
            "procedure_id", "at_s", "field", "kept_source", "kept_place", "overruled_source", "overruled_place",
        )
    )  # fmt: skip


@rule("conversations")
def choices_have_one_right_option(tables: Tables) -> pl.LazyFrame:
    """Every multiple-choice question has at least two options, all different, and names one of them."""
    option = pl.col("question").str.extract_all(r"\n[A-D]\. [^\n]+")
    texts = option.list.eval(pl.element().str.slice(4))
    letters = option.list.eval(pl.element().str.slice(1, 1))
    named = pl.col("answer").str.json_path_match("$.option")
    right = (texts.list.n_unique() == texts.list.len()) & (texts.list.len() >= 2) & letters.list.contains(named)
    return (
        tables["conversations"]
        .filter(pl.col("form").cast(pl.String) == "multiple choice")
        .filter(~right.fill_null(False))
        .select(example="conversation_id")
    )


@rule("conversations", checked=("conversations", "frames", "clips", "intervals", "scene_context"))
def no_future_in_an_input(tables: Tables) -> pl.LazyFrame:
    """Nothing that a model sees is later than the cutoff, and what it is to foretell begins no earlier.

    Times are those of frames and clips as they were made, not those that conversations tell. An action that still lasts
    is labelled beyond the cutoff; a coming action's label begins at it or after.
    """
    made = pl.concat(
        [
            tables["frames"].select(id="frame_id", until_s="pts_s"),
            tables["dense_images"].join(tables["frames"], on="frame_id").select(id="rendition_id", until_s="pts_s"),
            tables["clips"].select(id="clip_id", until_s="last_pts_s"),
        ]
    )
    shown = _every_medium(tables["conversations"]).filter(
        (pl.col("role") == "media") & ~((pl.col("kind") == "image") & pl.col("id").str.contains(r"/\d{8}-\d{8}$"))
    )  # the first frame of a clip is as early as the clip begins
    seen = shown.join(made, on="id", how="left")
    late = seen.filter(
        (pl.col("until_s") > pl.col("cutoff_s") + 1e-6)
        | (pl.col("until_s").is_null() & pl.col("cutoff_s").is_not_null())
    )
    told = (
        tables["scene_context"]
        .join(
            tables["intervals"].select("label_id", from_s="start_s", to_s="end_s"),
            left_on="target_label_id",
            right_on="label_id",
        )
        .select("scene_id", pl.col("kind").cast(pl.String), "cutoff_s", "from_s", "to_s")
    )
    known = told.filter(
        ((pl.col("kind") == "next_action") & (pl.col("from_s") < pl.col("cutoff_s") - 1e-6))
        | ((pl.col("kind") == "remaining") & (pl.col("to_s") <= pl.col("cutoff_s")))
    )
    talk = tables["conversations"].select("conversation_id", "scene_id")
    return pl.concat(
        [
            late.select(
                example=pl.format("{}: {} until {} s, cutoff {} s", "conversation_id", "id", "until_s", "cutoff_s")
            ),
            talk.join(known, on="scene_id").select(
                example=pl.format("{}: the answer begins at {} s", "conversation_id", "from_s")
            ),
        ]
    )


@rule("conversations", checked=("conversations", "frames"))
def paths_are_relative(tables: Tables) -> pl.LazyFrame:
    """No path is absolute, climbs out of its root or uses backslashes."""
    bad = r"^/|^[A-Za-z]:|\\|(^|/)\.\.(/|$)"
    frames = tables["frames"].filter(pl.col("image_path").str.contains(bad)).select(example="frame_id")
    talk = _every_medium(tables["conversations"]).filter(pl.col("path").str.contains(bad))
    return pl.concat([frames, talk.select(example="conversation_id")])


@rule("rejects", "warning", checked=("rejects",))
def clock_of_labels_fits_video(tables: Tables) -> pl.LazyFrame:
    """No label means a frame beyond the end of its video."""
    beyond = pl.col("rule") == "frame_beyond_video_end"
    return tables["rejects"].filter(beyond).select(example=pl.format("{} {}: {}", "video_id", "locator", "reason"))
