"""The verifier: does a chain say only what its scene's labels and their definitions say?

It reads the text alone, whoever wrote it, and holds no memory of how the generator works. A row gets pass, fail with
the first fault found, or stays "not run"; it never gets a pass by default.
"""

import polars as pl

from surgsigma_dagster.context.words import NUMBER_WORDS, seconds
from surgsigma_dagster.schema.tables import conform

LEVELS = ("perception", "relation", "context")
# What the verifier reads of a scene, beside how long it shows and foretells.
_LABELS = (
    "procedure_type", "phase", "step", "action", "instruments_complete", "instruments", "tissues", "triplets",
    "criteria", "actions", "motions",
)  # fmt: skip
GIVEAWAYS = r"(?i)\b(label\w*|annotat\w*|ground truth|data ?set)\b"
RESIDUE = r"[{}]|<[^>]*>|<\||(?i:\b(?:xxx|todo|null|nan)\b)"
_NO_INSTRUMENT = r"(?i)\bno (?:surgical )?(?:instruments?|tools?)\b"
_MANY = [*NUMBER_WORDS[2:], "many"]
_NAMED_KINDS = ["instrument", "tissue", "target", "phase", "step", "action", "basic_action", "criterion", "event"]


def _spaced(text: pl.Expr) -> pl.Expr:
    """Words in lower case, each with a blank of its own on both sides, so that patterns match whole words."""
    return pl.concat_str(pl.lit(" "), text.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", "  "), pl.lit(" "))


def _terms(concepts: pl.DataFrame) -> pl.DataFrame:
    """Every name a concept goes by: concept_id, term (spaced)."""
    names = pl.concat_list(pl.concat_list("name", "plural"), "synonyms").list.drop_nulls()
    return (
        concepts.filter(pl.col("kind").is_in(_NAMED_KINDS) & ~pl.col("concept_id").str.ends_with("/none"))
        .select("concept_id", term=names)
        .explode("term")
        .drop_nulls("term")
        .with_columns(term=_spaced(pl.col("term")))
        .unique()
        .sort("concept_id", "term")
    )


def _mentions(text: pl.Expr, terms: pl.DataFrame) -> pl.Expr:
    """The terms that `text` names, longest at each place."""
    patterns = terms["term"].unique().to_list()
    return _spaced(text).str.extract_many(sorted(patterns, key=lambda term: (-len(term), term)), leftmost=True)


def _allowed(scene: pl.DataFrame, concepts: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """What a chain on each scene may name and count: scene_id, terms, early_terms, numbers, counts (lists).

    That is its own concepts' names, and whatever their definitions and looks name; before level 3 (`early_terms`)
    definitions add nothing, since they name what a thing is about, not what is in view.
    """
    own = (
        pl.concat(
            [
                *(
                    scene.select("scene_id", concept_id=column)
                    for column in ("procedure_type", "phase", "step", "action")
                ),
                *(
                    _members(scene, column, "concept_id")
                    for column in ("instruments", "tissues", "criteria", "actions", "motions")
                ),
                *(
                    _members(scene, "triplets", part).rename({part: "concept_id"})
                    for part in ("instrument", "verb", "target")
                ),
            ]
        )
        .drop_nulls()
        .unique()
    )
    # A verb's forms may be another concept's name: "suturing" is a step, too.
    looks = pl.concat_str(
        "name", *(pl.col(part).fill_null("") for part in ("gerund", "third_person", "appearance")), separator=" . "
    )
    told = pl.concat_str(looks, "definition", separator=" . ")
    by_concept = (
        concepts.select("concept_id", looks=looks, told=told)
        .with_columns(
            told_terms=_mentions(pl.col("told"), terms),
            looks_terms=_mentions(pl.col("looks"), terms),
            told_numbers=pl.col("told").str.extract_all(r"\d+"),
        )
        .join(terms.group_by("concept_id").agg(pl.col("term")), on="concept_id", how="left")
        .select(
            "concept_id",
            "told_numbers",
            terms=pl.concat_list(pl.col("term").fill_null([]), "told_terms"),
            early_terms=pl.concat_list(pl.col("term").fill_null([]), "looks_terms"),
        )
    )
    joined = own.join(by_concept, on="concept_id")
    flat = joined.group_by("scene_id").agg(
        terms=pl.col("terms").explode(empty_as_null=True).drop_nulls().unique(),
        early_terms=pl.col("early_terms").explode(empty_as_null=True).drop_nulls().unique(),
        numbers=pl.col("told_numbers").explode(empty_as_null=True).drop_nulls().unique(),
    )
    boxed = [_members(scene, column, "x1", "y1", "x2", "y2") for column in ("instruments", "tissues")]
    corners = (
        pl.concat(boxed)
        .unpivot(index="scene_id")
        .drop_nulls("value")
        .group_by("scene_id")
        .agg(corners=pl.col("value").round().cast(pl.Int64).cast(pl.String).unique())
    )
    lasting = [seconds(pl.col("end_s") - pl.col("cutoff_s")), seconds(pl.col("cutoff_s") - pl.col("start_s"))]
    counted = scene.select(
        "scene_id",
        ordinals=pl.int_ranges(1, pl.col("criteria").list.len() + 1).cast(pl.List(pl.String)),
        durations=pl.concat_str(lasting, separator=" ", ignore_nulls=True).str.extract_all(r"\d+"),
    )
    several = (
        _members(scene, "instruments", "concept_id")
        .group_by("scene_id", "concept_id")
        .len("n")
        .filter(pl.col("n") > 1)
        .join(terms, on="concept_id")
        .with_columns(
            word=pl.col("n").replace_strict(dict(enumerate(NUMBER_WORDS)), default="many", return_dtype=pl.String)
        )
        .group_by("scene_id")
        .agg(counts=pl.format(" {} {}", "word", "term"))
    )
    return (
        flat.join(several, on="scene_id", how="left")
        .join(corners, on="scene_id", how="left")
        .join(counted, on="scene_id", how="left")
        .select(
            "scene_id",
            "terms",
            "early_terms",
            pl.col("counts").fill_null([]),
            numbers=pl.concat_list(
                "numbers", *(pl.col(name).fill_null([]) for name in ("corners", "ordinals", "durations"))
            ),
        )
    )


def _members(scene: pl.DataFrame, column: str, *fields: str) -> pl.DataFrame:
    return (
        scene.select("scene_id", column)
        .explode(column, empty_as_null=True)
        .drop_nulls(column)
        .unnest(column)
        .select("scene_id", *fields)
    )


def _first(found: str) -> pl.Expr:
    return pl.col(found).list.sort().list.first().str.replace_all("  ", " ").str.strip_chars_end()


def verify(
    chains: pl.DataFrame, scene: pl.DataFrame, concepts: pl.DataFrame, concludes: dict[str, str | None]
) -> pl.DataFrame:
    """`chains` (rows of `reasoning` with `conclusion` beside them) with `verified` and `verifier_reason` set.

    `concludes`: for each task, the column of `scene` whose concept only level 3 may name, or None. A chain on a
    scene that `scene` does not hold, or of an unknown task, stays "not run".
    """
    # A verdict depends on words and labels alone, and most scenes are like others: what is alike is judged once.
    lasting = [pl.col("end_s") - pl.col("cutoff_s"), pl.col("cutoff_s") - pl.col("start_s")]
    alike = scene.select("scene_id", scene_like=pl.col("scene_id").first().over(*_LABELS, *lasting))
    rows = chains.join(alike, on="scene_id", how="left", maintain_order="left")
    rows = rows.with_columns(like=pl.col("reasoning_id").first().over("task", "scene_like", *LEVELS, "conclusion"))
    verdicts = _judged(
        rows.filter(pl.col("reasoning_id") == pl.col("like")),
        scene.join(alike, left_on="scene_id", right_on="scene_like", how="semi"),
        concepts,
        concludes,
    )
    return conform("reasoning", rows.drop("verified", "verifier_reason").join(verdicts, on="like", how="left"))


def _judged(
    chains: pl.DataFrame, scene: pl.DataFrame, concepts: pl.DataFrame, concludes: dict[str, str | None]
) -> pl.DataFrame:
    """Verdicts on `chains` of the scenes `scene_like`: like (the chain's reasoning_id), verified, verifier_reason."""
    terms = _terms(concepts)
    counted = [
        f" {word} {term}"
        for term in terms.filter(pl.col("concept_id").str.starts_with("instrument/"))["term"].unique().sort()
        for word in _MANY
    ]
    counted.sort(key=len, reverse=True)  # "two suction rods" is no "two suction"
    whole = pl.concat_str(*LEVELS, separator=" ")
    early = pl.concat_str("perception", "relation", separator=" ")
    withheld: pl.Expr = pl.lit(None, pl.String)
    for task, column in concludes.items():
        if column:
            withheld = pl.when(pl.col("task") == task).then(pl.col(column)).otherwise(withheld)
    known = chains.drop("scene_id").rename({"scene_like": "scene_id"})
    known = known.join(_allowed(scene, concepts, terms), on="scene_id", how="left", maintain_order="left")
    known = known.join(
        scene.select(
            "scene_id",
            "phase",
            "step",
            "action",
            "instruments_complete",
            n_instruments=pl.col("instruments").list.len(),
            shown_before=pl.col("actions").list.eval(pl.element().struct.field("concept_id")),
        ),
        on="scene_id",
        how="left",
        maintain_order="left",
    ).with_columns(
        # Of a sequence, what was shown before may come again.
        withheld=pl.when(
            (pl.col("shown_before").list.len() < 2) | ~pl.col("shown_before").list.contains(withheld)
        ).then(withheld)
    )
    known = known.join(
        terms.group_by("concept_id").agg(withheld_terms=pl.col("term")),
        left_on="withheld",
        right_on="concept_id",
        how="left",
        maintain_order="left",
    ).with_columns(
        missing=pl.any_horizontal(
            [pl.col(level).str.strip_chars().str.len_chars().fill_null(0) == 0 for level in (*LEVELS, "conclusion")]
        ),
        strange=pl.concat_list(
            _mentions(early, terms).list.set_difference(pl.col("early_terms")),
            _mentions(whole, terms).list.set_difference(pl.col("terms")),
        ),
        miscounted=_spaced(whole).str.extract_many(counted, leftmost=True).list.set_difference(pl.col("counts")),
        uncounted=whole.str.extract_all(r"\d+").list.set_difference(pl.col("numbers")),
        early=_mentions(early, terms).list.set_intersection(pl.col("withheld_terms")),
        giveaway=whole.str.extract(GIVEAWAYS),
        residue=whole.str.extract(f"({RESIDUE})"),
        empty=whole.str.contains(_NO_INSTRUMENT),
    )
    fault = (
        pl.when("missing")
        .then(pl.lit("a level or the answer is missing"))
        .when(pl.col("residue").is_not_null())
        .then(pl.format("placeholder left: {}", "residue"))
        .when(pl.col("giveaway").is_not_null())
        .then(pl.format("speaks of the labels: {}", "giveaway"))
        .when(pl.col("strange").list.len() > 0)
        .then(pl.format("names what the labels do not:{}", _first("strange")))
        .when(pl.col("uncounted").list.len() > 0)
        .then(pl.format("a number that no label holds: {}", _first("uncounted")))
        .when(pl.col("miscounted").list.len() > 0)
        .then(pl.format("a count that no label holds:{}", _first("miscounted")))
        .when(pl.col("early").list.len() > 0)
        .then(pl.format("states the answer before level 3:{}", _first("early")))
        .when(pl.col("empty") & (pl.col("n_instruments") > 0))
        .then(pl.lit("says that no instrument is visible, where labels name one"))
        .when(~pl.col("context").str.ends_with(pl.col("conclusion")))
        .then(pl.lit("level 3 does not end in the answer"))
    )  # fmt: skip
    judged = pl.col("terms").is_not_null() & pl.col("task").is_in(list(concludes))
    verdict = pl.when(judged).then(fault)
    return known.select(
        like="reasoning_id",
        verified=pl.when(~judged)
        .then(pl.lit("not run"))
        .when(verdict.is_null())
        .then(pl.lit("pass"))
        .otherwise(pl.lit("fail")),
        verifier_reason=verdict,
    )
