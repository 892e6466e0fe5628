"""What must hold of the tables. A rule is a pure function: tables in, the ids of the rows that break it out.

Severity says what a failure means: `error`, a release would be wrong; `warning`, a person should look.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import polars as pl

from surgsigma_dagster.dialogue.grammar import agrees, parse, told
from surgsigma_dagster.dialogue.sampling import answer_class, counts
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
            failures = _collected(found.check(tables).select(pl.col("example").cast(pl.String)))
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


def _collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """`rows` in bounded memory, or at once where polars' streaming engine panics (columns of one value, no rows)."""
    try:
        return rows.collect(engine="streaming")
    except pl.exceptions.PanicException:
        return rows.collect()


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
    spoken = tables["conversations"].select(
        example="conversation_id",
        text=pl.concat_str("system", before.list.join(" "), "question", "answer_text", separator=" "),
    )
    thought = tables["reasoning"].select(
        example="reasoning_id", text=pl.concat_str("perception", "relation", "context", separator=" ")
    )
    return pl.concat([spoken, thought]).filter(pl.col("text").str.contains(RESIDUE)).select("example")


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
    """No procedure, no video and no identical picture is in two splits, across all sources and tasks."""
    talk = tables["conversations"].select(
        "conversation_id", "procedure_id", "video_id", "scene_id", pl.col("split").cast(pl.String)
    )
    hashed = pl.concat(
        [
            tables["frames"].select("sha256", id="frame_id"),
            tables["clips"].select("sha256", id="clip_id"),
            tables["dense_images"].select("sha256", id="rendition_id"),
        ]
    )
    media = _every_medium(tables["conversations"]).select("scene_id", "id", pl.col("split").cast(pl.String)).unique()
    pictures = media.join(hashed, on="id")
    # What a conversation says of itself is not believed: its video belongs to the procedure that lists it.
    owners = (
        tables["procedures"]
        .select("videos", owner="procedure_id", owner_split=pl.col("split").cast(pl.String))
        .explode("videos", empty_as_null=True)
    )
    told, owned = pl.struct("procedure_id", "split"), pl.struct(procedure_id="owner", split="owner_split")
    astray = talk.join(owners, left_on="video_id", right_on="videos", how="left").filter(told.ne_missing(owned))
    return pl.concat(
        [
            astray.select(
                example=pl.format(
                    "{} is of {} in {}, its video of {}",
                    "conversation_id",
                    "procedure_id",
                    "split",
                    pl.concat_str("owner", pl.lit(" in "), "owner_split").fill_null("no procedure"),
                )
            )
        ]
        + [
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


@rule("conversations")
def answers_parse_back(tables: Tables) -> pl.LazyFrame:
    """Every answer's text parses back into the answer that is stored as data; earlier turns, stored as text, parse."""
    # Every answer, but each that differs once: few do of millions, since images share their phases and instruments.
    talk = tables["conversations"].select(
        "conversation_id", "task", text="answer_text", data=told(pl.col("task"), pl.col("answer"))
    )
    before = (
        tables["conversations"]
        .select("conversation_id", "earlier")
        .explode("earlier", empty_as_null=False)
        .unnest("earlier")
        .select("conversation_id", "task", text="answer", data=pl.lit(None, pl.String))
    )
    said = pl.concat([talk, before])
    key = ["task", "text", "data"]
    different = said.select(key).unique().collect(engine="streaming")
    wrong = different.filter(pl.Series([not _parses_back(*row) for row in different.iter_rows()], dtype=pl.Boolean))
    return said.join(wrong.lazy(), on=key, how="semi", nulls_equal=True).select(
        example=pl.format("{}: {}", "conversation_id", "text")
    )


def _parses_back(task: str, text: str, data: str | None) -> bool:
    try:
        answer = parse(task, text)
        return data is None or agrees(answer, json.loads(data))
    except (ValueError, LookupError, TypeError):  # also where the data have not the task's shape
        return False


@rule("conversation_counts", checked=("conversation_counts", "conversations", "selection"))
def counts_add_up(tables: Tables) -> pl.LazyFrame:
    """The counts by task, source, specialty, split and form are those of the rows, and each row is kept or is not."""
    by = ["task", "source", "specialty", "split", "form"]
    told, found = (
        table.with_columns(pl.col("split", "form").cast(pl.String)).select(*by, "n", "n_kept")
        for table in (
            tables["conversation_counts"],
            counts(tables["conversations"], tables["selection"], tables["sources"]),
        )
    )
    off = told.join(found, on=by, how="full", coalesce=True, nulls_equal=True).filter(
        ~(pl.col("n").eq_missing(pl.col("n_right")) & pl.col("n_kept").eq_missing(pl.col("n_kept_right")))
    )
    key = pl.concat_str(pl.col(by).fill_null("?"), separator=", ")
    pairs = [(pl.col(name).fill_null(0), pl.col(f"{name}_right").fill_null(0)) for name in ("n", "n_kept")]
    (n, rows), (n_kept, rows_kept) = pairs
    undecided = tables["conversations"].join(tables["selection"], on="conversation_id", how="anti")
    unknown = tables["selection"].join(tables["conversations"], on="conversation_id", how="anti")
    return pl.concat(
        [
            off.select(example=pl.format("{}: {} ({} kept), rows {} ({} kept)", key, n, n_kept, rows, rows_kept)),
            *(
                rows.select(example=pl.format("{}: {}", "conversation_id", pl.lit(what)))
                for rows, what in ((undecided, "not decided on"), (unknown, "no such conversation"))
            ),
        ]
    )


@rule("selection", checked=("selection", "conversations", "sampling_policy"))
def sampling_keeps_its_word(tables: Tables) -> pl.LazyFrame:
    """What is kept for training is within the policy's caps and as far apart as it says; nothing else is left out."""
    rows = (
        tables["conversations"]
        .select(
            "conversation_id", "task", "scene_id", "video_id", "form", "status", "split", klass=answer_class()
        )
        .join(tables["selection"].select("conversation_id", "kept"), on="conversation_id")
    )  # fmt: skip
    train = pl.col("split").cast(pl.String) == "train"
    accepted = pl.col("status").cast(pl.String) == "accepted"
    kept = rows.filter("kept", train).join(tables["sampling_policy"], on="task")
    enough = pl.len().over("task") > pl.col("at_least")  # below that, only the cap of the task holds
    by_task = kept.group_by("task").agg(n=pl.len(), limit=pl.col("conversations").first())
    by_video = kept.filter(enough).group_by("task", "video_id").agg(
        n=pl.len(), limit=pl.col("conversations_a_video").first()
    )  # fmt: skip
    near = (
        kept.filter(enough)
        .filter(pl.col("form").cast(pl.String) == "open", pl.col("seconds_between") > 0)
        .join(tables["scene_context"].select("scene_id", "start_s"), on="scene_id")
        .sort("task", "video_id", "klass", "start_s")
        .filter(pl.col("start_s").diff().over("task", "video_id", "klass") < pl.col("seconds_between") - 1e-3)
    )
    return pl.concat(
        [
            rows.filter("kept", ~accepted).select(example=pl.format("{}: rejected, and kept", "conversation_id")),
            rows.filter(~train, accepted, ~pl.col("kept")).select(
                example=pl.format("{}: left out of {}", "conversation_id", pl.col("split").cast(pl.String))
            ),
            *(
                found.filter(pl.col("n") > pl.col("limit")).select(
                    example=pl.format("{}: {} kept, cap {}", pl.concat_str(key, separator=" of "), "n", "limit")
                )
                for found, key in ((by_task, ["task"]), (by_video, ["task", "video_id"]))
            ),
            near.select(example=pl.format("{}: less than {} s after the last", "conversation_id", "seconds_between")),
        ]
    )


@rule("conversations", checked=("conversations", "scene_context", "selection"))
def negatives_are_kept(tables: Tables) -> pl.LazyFrame:
    """Where labels say that no instrument is in view, a conversation says so; no task loses all of its negatives."""
    nothing = pl.col("instruments_complete") & (pl.col("instruments").list.len() == 0)
    said = tables["conversations"].filter("negative", pl.col("task") == "instrument_recognition")
    unsaid = (
        tables["scene_context"]
        .filter(pl.col("kind").cast(pl.String) == "frame", nothing)
        .join(tables["frames"].filter(_available()), on="frame_id", how="semi")
        .join(said, on="scene_id", how="anti")
    )
    lost = (
        tables["conversations"]
        .filter("negative", pl.col("status").cast(pl.String) == "accepted")
        .select("conversation_id", "task")
        .join(tables["selection"].select("conversation_id", "kept"), on="conversation_id")
        .join(tables["sampling_policy"].filter(pl.col("negatives") > 0), on="task", how="semi")
        .group_by("task")
        .agg(pl.col("kept").any(), n=pl.len())
        .filter(~pl.col("kept"))
    )
    return pl.concat(
        [
            unsaid.select(example=pl.format("{}: no instrument, and no conversation says so", "scene_id")),
            lost.select(example=pl.format("{}: none of {} negatives is kept", "task", "n")),
        ]
    )


@rule("conversations", checked=("conversations", "frames", "clips", "dense_images"))
def no_future_in_an_input(tables: Tables) -> pl.LazyFrame:
    """Nothing that a model sees is later than the cutoff of its question, by the times of the files themselves."""
    shown = _every_medium(tables["conversations"]).filter(pl.col("role") == "media")
    # The first frame of a clip bears the clip's id and is as early as the clip begins.
    first = (pl.col("kind") == "image") & pl.col("clip_start_s").is_not_null()
    made = pl.concat(
        [
            tables["frames"].select(id="frame_id", until_s="pts_s"),
            tables["dense_images"].join(tables["frames"], on="frame_id").select(id="rendition_id", until_s="pts_s"),
            tables["clips"].select(id="clip_id", until_s="last_pts_s", clip_start_s="first_pts_s"),
        ],
        how="diagonal",
    )
    until = pl.when(first).then("clip_start_s").otherwise("until_s")
    return (
        shown.join(made, on="id")
        .with_columns(until=until)
        .filter((pl.col("until") > pl.col("cutoff_s") + 1e-6).fill_null(True))
        .select(
            example=pl.format(
                "{}: {} until {} s, cutoff {} s",
                "conversation_id", "id", *(pl.col(at).cast(pl.String).fill_null("?") for at in ("until", "cutoff_s")),
            )
        )
    )  # fmt: skip


@rule("scene_context", checked=("scene_context", "intervals"))
def the_future_is_the_answer(tables: Tables) -> pl.LazyFrame:
    """What footage is asked about lies ahead: a coming action begins at the cutoff or after, a lasting one goes on."""
    told = tables["scene_context"].join(
        tables["intervals"].select("label_id", from_s="start_s", to_s="end_s"),
        left_on="target_label_id", right_on="label_id",
    )  # fmt: skip
    kind = pl.col("kind").cast(pl.String)
    begun = (kind == "next_action") & (pl.col("from_s") < pl.col("cutoff_s") - 1e-6)
    over = (kind == "remaining") & (pl.col("to_s") <= pl.col("cutoff_s"))
    return told.filter(begun | over).select(
        example=pl.format("{}: cutoff {} s, label {} to {} s", "scene_id", "cutoff_s", "from_s", "to_s")
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
