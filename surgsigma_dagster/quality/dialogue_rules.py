"""Rules on what is made: reasoning, conversations, what they show, and which are kept."""

import json

import polars as pl

from surgsigma_dagster.dialogue.grammar import agrees, parse, told
from surgsigma_dagster.dialogue.sampling import answer_class, counts
from surgsigma_dagster.quality.rule import Tables, available, every_medium, one_by_one, orphans, rule
from surgsigma_dagster.reasoning.verifier import RESIDUE
from surgsigma_dagster.schema.tables import LABELS


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
            tables["frames"].filter(available()).select(id="frame_id"),
            tables["clips"].filter(available()).select(id="clip_id"),
            tables["dense_images"].select(id="rendition_id"),
        ]
    )
    unseen = every_medium(talk).join(there, on="id", how="anti")
    return one_by_one(
        [
            orphans(tables, "conversations", "reasoning_id", "reasoning", "reasoning_id"),
            unlabelled.select(example=pl.format("{}: label", "conversation_id")),
            unseen.select(example=pl.format("{}: {}", "conversation_id", "id")),
        ]
    )


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
    ids = [tables[name].select("conversation_id") for name in ("conversations", "selection")]
    undecided, unknown = (
        ids[0].join(ids[1], on="conversation_id", how="anti"),
        ids[1].join(ids[0], on="conversation_id", how="anti"),
    )
    return one_by_one(
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
    chosen = tables["selection"].select("conversation_id", "kept")
    train = pl.col("split").cast(pl.String) == "train"
    accepted = pl.col("status").cast(pl.String) == "accepted"
    wrongly = (
        tables["conversations"]
        .select("conversation_id", "split", train=train, accepted=accepted)
        .join(chosen, on="conversation_id")
        .filter((pl.col("kept") & ~pl.col("accepted")) | (~pl.col("train") & pl.col("accepted") & ~pl.col("kept")))
    )
    kept = tables["conversations"].filter(train).join(chosen.filter("kept"), on="conversation_id", how="semi")
    n = kept.group_by("task", "video_id").agg(n=pl.len()).collect().lazy()
    by_task = n.group_by("task").agg(pl.col("n").sum()).join(tables["sampling_policy"], on="task")
    policy = by_task.filter(pl.col("n") > pl.col("at_least"))  # below that, only the cap of the task holds
    by_video = n.join(policy.drop("n"), on="task")
    thinned = policy.filter(pl.col("seconds_between") > 0).select("task", "seconds_between")
    near = (
        kept.filter(pl.col("form").cast(pl.String) == "open")
        .select("conversation_id", "task", "video_id", "scene_id", klass=answer_class())
        .join(thinned, on="task")
        .join(tables["scene_context"].select("scene_id", "start_s"), on="scene_id")
        .sort("task", "video_id", "klass", "start_s")
        .filter(pl.col("start_s").diff().over("task", "video_id", "klass") < pl.col("seconds_between") - 1e-3)
    )
    split = pl.col("split").cast(pl.String)
    parts = [
        wrongly.select(
            example=pl.when("kept")
            .then(pl.format("{}: rejected, and kept", "conversation_id"))
            .otherwise(pl.format("{}: left out of {}", "conversation_id", split))
        ),
        *(
            found.filter(pl.col("n") > pl.col(limit)).select(
                example=pl.format("{}: {} kept, cap {}", pl.concat_str(key, separator=" of "), "n", limit)
            )
            for found, key, limit in (
                (by_task, ["task"], "conversations"), (by_video, ["task", "video_id"], "conversations_a_video"),
            )
        ),
        near.select(example=pl.format("{}: less than {} s after the last", "conversation_id", "seconds_between")),
    ]  # fmt: skip
    return one_by_one(parts)


@rule("conversations", checked=("conversations", "scene_context", "selection"))
def negatives_are_kept(tables: Tables) -> pl.LazyFrame:
    """Where labels say that no instrument is in view, a conversation says so; no task loses all of its negatives."""
    nothing = pl.col("instruments_complete") & (pl.col("instruments").list.len() == 0)
    said = tables["conversations"].filter("negative", pl.col("task") == "instrument_recognition")
    unsaid = (
        tables["scene_context"]
        .filter(pl.col("kind").cast(pl.String) == "frame", nothing)
        .join(tables["frames"].filter(available()), on="frame_id", how="semi")
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
    shown = every_medium(tables["conversations"]).filter(pl.col("role") == "media")
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
    # Where frames have no time, a question has no cutoff: it shows its own frame, or an image made for it.
    untimed = pl.all_horizontal(pl.col("until", "cutoff_s").is_null())
    own = pl.concat_str("id", pl.lit("/")).str.starts_with(pl.concat_str("scene_id", pl.lit("/")))
    return (
        shown.join(made, on="id")
        .with_columns(until=until)
        .filter((pl.col("until") > pl.col("cutoff_s") + 1e-6).fill_null(~(untimed & own)))
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
    talk = every_medium(tables["conversations"]).filter(pl.col("path").str.contains(bad))
    return pl.concat([frames, talk.select(example="conversation_id")])
