"""A scene in words: the phrases that reasoning and dialogue are put together from, one row a scene.

Every phrase comes from the scene's own labels and the concepts' names and definitions. A phrase that the labels
cannot support is null, never filled in.
"""

import polars as pl

from surgsigma_dagster.vocabulary.concepts import NO_INSTRUMENTS

NUMBER_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
# Labels that say where an instrument is, and not which one.
UNNAMED = [
    "instrument/unspecified",
    "instrument/robotic_shaft",
    "instrument/robotic_wrist",
    "instrument/robotic_clasper",
]
# Sources list them among instruments; whoever asks for the instruments of a view does not mean them.
SEWN_WITH = ["instrument/suturing_needle", "instrument/suture_thread"]


def listed(items: pl.Expr) -> pl.Expr:
    """A list of strings as English: `a`, `a and b`, `a, b and c`; null where empty or null."""
    items = items.cast(pl.List(pl.String))  # no rows at all: the list's type is not known
    n = items.list.len()
    head = items.list.head(n - 1).list.join(", ")
    return (
        pl.when(n == 1)
        .then(items.list.first())
        .when(n > 1)
        .then(pl.concat_str(head, pl.lit(" and "), items.list.last()))
    )


def sentence(text: pl.Expr) -> pl.Expr:
    """`text` with a capital first letter and a full stop."""
    return pl.concat_str(text.str.slice(0, 1).str.to_uppercase(), text.str.slice(1), pl.lit("."))


def area(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    """The cell of a 3x3 grid that a point (0 to 1) lies in: `upper left` … `centre` … `lower right`."""

    def third(value: pl.Expr, names: list[str]) -> pl.Expr:
        return (value * 3).floor().clip(0, 2).cast(pl.Int64).replace_strict([0, 1, 2], names, return_dtype=pl.String)

    row, column = third(y, ["upper", "middle", "lower"]), third(x, ["left", "centre", "right"])
    cell = pl.concat_str(row, pl.lit(" "), column)
    return pl.when(cell == "middle centre").then(pl.lit("centre")).otherwise(cell)


def in_phase() -> pl.Expr:
    """A sentence on the phase, with a blank behind it; empty where the phase is not known."""
    return pl.format("The procedure is in the phase {}. ", "phase_name").fill_null("")


def seconds(value: pl.Expr) -> pl.Expr:
    """A duration as English: `1 second`, `10 seconds`, `2.5 seconds`."""
    tenths = (value * 10).round().cast(pl.Int64)
    rest = pl.when(tenths % 10 == 0).then(pl.lit("")).otherwise(pl.format(".{}", tenths % 10))
    return pl.concat_str(
        tenths // 10, rest, pl.when(tenths == 10).then(pl.lit(" second")).otherwise(pl.lit(" seconds"))
    )


def in_words(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """`scene` (rows of `scene_context`) with phrases beside it.

    Added columns, all nullable text unless said: procedure_name; phase_name, phase_definition, step_name,
    step_definition, action_name, action_definition; instruments_said (`a grasper and two hooks`; null where some may be
    unnamed, as placed_all is), masked_the (`the grasper and the hooks`: what an instrument mask covers), masked_ids
    (list), n_masked, instrument_names (list), instrument_ids (list, each once), instruments_named (none of unknown
    kind), placed (`a hook in the upper left`), placed_all (the same, where every instrument has a box), areas (list),
    looks (sentences), boxes (`hook (369,0),(877,567); …`), n_boxes; tissues_said, tissue_names (list), n_tissues,
    tissue_boxes, n_tissue_boxes, tissue_areas (list); acts (`the hook is dissecting the gallbladder; …`, targets where
    they are known), triplets_said (those with a target), n_acts (their number), acts_annotated (every verb and target
    is), acts_named (no instrument of unknown kind), first_doing (`the hook is dissecting the`), first_target,
    target_names (list), idle (`the grasper`), idle_is (`is`, `are`); criteria_said (`Criterion 1: Yes. …`), n_met,
    n_judged; of pairs motion_said (sentences); of footage action_names (list), sequence (`dissection, then
    clipping`), story (sentences); ahead_said (`3 seconds`, from the cutoff to the end).
    """
    rows = scene
    for column in ("procedure_type", "phase", "step", "action"):
        stem = column.removesuffix("_type")
        rows = rows.join(
            concepts.select(
                pl.col("concept_id").alias(column),
                pl.col("name").alias(f"{stem}_name"),
                pl.col("definition").alias(f"{stem}_definition"),
            ),
            on=column,
            how="left",
            maintain_order="left",
        )
    for part in (
        _instruments(scene, concepts),
        _tissues(scene, concepts),
        _acts(scene, concepts),
        _criteria(scene, concepts),
        _motions(scene, concepts),
        _actions(scene, concepts),
    ):
        rows = beside(rows, part, "scene_id")
    every = pl.col("n_boxes") == pl.col("instruments").list.len()
    return rows.with_columns(
        # "A grasper" says how many there are, which nobody knows of a scene in which some may be unnamed.
        pl.when(every & ~pl.col("partial")).then("placed").alias("placed_all"),
        pl.when(~pl.col("partial")).then("instruments_said").alias("instruments_said"),
        pl.col("n_boxes", "n_tissues", "n_tissue_boxes", "n_acts", "n_met", "n_judged").fill_null(0),
        pl.col("instrument_names", "instrument_ids", "masked_ids", "areas").fill_null([]),
        pl.col("tissue_names", "tissue_areas", "target_names", "action_names").fill_null([]),
        pl.col("instruments_named", "acts_annotated", "acts_named").fill_null(True),
        ahead_said=seconds(pl.col("end_s") - pl.col("cutoff_s")),
    )


def beside(rows: pl.DataFrame, facts: pl.DataFrame, key: str) -> pl.DataFrame:
    """`rows` with the other columns of `facts` (one row a `key`); a join that finds nothing would still copy."""
    if facts.is_empty():
        return rows.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in facts.schema.items() if name != key)
    return rows.join(facts, on=key, how="left", maintain_order="left")


def _entries(scene: pl.DataFrame, column: str) -> pl.DataFrame:
    listed_rows = scene.select("scene_id", "width", "height", column).explode(column, empty_as_null=True)
    return listed_rows.drop_nulls(column).unnest(column)


def _counted(n: pl.Expr) -> pl.Expr:
    words = pl.Series(NUMBER_WORDS)
    return n.replace_strict(dict(enumerate(words)), default="many", return_dtype=pl.String)


def _instruments(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    facts = concepts.select("concept_id", "name", "plural", "article", "number", "appearance")
    entries = _entries(scene, "instruments").join(facts, on="concept_id", how="left", maintain_order="left")
    single = pl.concat_str("article", pl.lit(" "), "name")
    by_kind = (
        entries.group_by("scene_id", "concept_id", maintain_order=True)
        .agg(pl.len().alias("n"), pl.col("name", "plural", "article", "number", "appearance").first())
        .with_columns(
            called=pl.when(pl.col("n") > 1).then(pl.coalesce("plural", "name")).otherwise("name"),
            said=pl.when(pl.col("n") == 1).then(single).otherwise(
                pl.concat_str(_counted(pl.col("n")), pl.lit(" "), pl.coalesce("plural", "name"))
            )
        )
    )  # fmt: skip
    tool = ~pl.col("concept_id").is_in(NO_INSTRUMENTS)
    several = _plural(pl.col("number")) | (pl.col("n") > 1)
    shows = pl.when(several).then(pl.lit(" show ")).otherwise(pl.lit(" shows "))
    names = by_kind.group_by("scene_id", maintain_order=True).agg(
        instruments_said=pl.col("said"),
        masked_the=pl.concat_str(pl.lit("the "), "called").filter(tool),
        masked_ids=pl.col("concept_id").filter(tool).sort(),
        n_masked=pl.col("n").filter(tool).sum().cast(pl.UInt32),
        instrument_names=pl.col("name"),
        instrument_ids=pl.col("concept_id").sort(),
        instruments_named=~pl.col("concept_id").is_in([*UNNAMED, *SEWN_WITH]).any(),
        looks=pl.concat_str(pl.lit("The "), "called", shows, "appearance", pl.lit(".")).drop_nulls().str.join(" "),
    )
    boxed = _boxed(entries).with_columns(placed=pl.concat_str(single, pl.lit(" in the "), "where"))
    places = boxed.group_by("scene_id", maintain_order=True).agg(
        placed=pl.col("placed"),
        boxes=pl.col("box").str.join("; "),
        areas=pl.col("where"),
        n_boxes=pl.len(),
    )
    joined = names.join(places, on="scene_id", how="left", maintain_order="left")
    return joined.with_columns(listed(pl.col(name)) for name in ("instruments_said", "masked_the", "placed"))


def _boxed(entries: pl.DataFrame) -> pl.DataFrame:
    """Entries that have a box, with the area that its centre lies in and the box as text."""
    middle = [(pl.col(f"{side}1") + pl.col(f"{side}2")) / 2 for side in ("x", "y")]
    corner = [pl.col(side).round().cast(pl.Int64) for side in ("x1", "y1", "x2", "y2")]
    return entries.drop_nulls("x1").with_columns(
        where=area(middle[0] / pl.col("width"), middle[1] / pl.col("height")),
        box=pl.format("{} ({},{}),({},{})", "name", *corner),
    )


def _plural(number: pl.Expr) -> pl.Expr:
    return number.fill_null("") == "plural"


def _tissues(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    entries = _entries(scene, "tissues").join(
        concepts.select("concept_id", "name"), on="concept_id", how="left", maintain_order="left"
    )
    names = (
        entries.unique(["scene_id", "concept_id"], maintain_order=True)
        .group_by("scene_id", maintain_order=True)
        .agg(tissues_said=pl.concat_str(pl.lit("the "), "name"), tissue_names=pl.col("name"), n_tissues=pl.len())
        .with_columns(listed(pl.col("tissues_said")))
    )
    places = (
        _boxed(entries)
        .group_by("scene_id", maintain_order=True)
        .agg(tissue_boxes=pl.col("box").str.join("; "), tissue_areas=pl.col("where"), n_tissue_boxes=pl.len())
    )
    return names.join(places, on="scene_id", how="left", maintain_order="left")


def _acts(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """Clauses for triplets: `acts` for those with a verb and a target, `idle` for instruments that do nothing."""
    named = _entries(scene, "triplets")
    for column in ("instrument", "verb", "target"):
        named = named.join(
            concepts.select(
                pl.col("concept_id").alias(column),
                pl.col("name").alias(f"{column}_name"),
                pl.col("number").alias(f"{column}_number"),
                pl.col("gerund").alias(f"{column}_gerund"),
            ),
            on=column,
            how="left",
            maintain_order="left",
        )
    is_idle = pl.col("verb") == "verb/none"
    is_acted_on = pl.col("target").is_not_null() & (pl.col("target") != "target/none")
    subject = pl.concat_str(pl.lit("the "), "instrument_name")
    verb = pl.when(_plural(pl.col("instrument_number"))).then(pl.lit(" are ")).otherwise(pl.lit(" is "))
    target = pl.when(pl.col("target") == "target/none").then(pl.lit("")).otherwise(
        pl.concat_str(pl.lit(" the "), "target_name")
    )  # fmt: skip
    doing = named.filter(~is_idle & pl.col("verb").is_not_null()).with_columns(
        full=pl.col("target").is_not_null(),
        acted_on=is_acted_on,
        clause=pl.concat_str(subject, verb, "verb_gerund", target.fill_null("")),
        before_target=pl.concat_str(subject, verb, "verb_gerund", pl.lit(" the ")),
    )
    idle = named.filter(is_idle).with_columns(clause=subject)
    whole = (pl.col("verb").is_not_null() & pl.col("target").is_not_null()) | is_idle.fill_null(False)
    each = named.group_by("scene_id", maintain_order=True).agg(
        acts_annotated=whole.all(), acts_named=~pl.col("instrument").is_in(UNNAMED).any()
    )
    done = doing.group_by("scene_id", maintain_order=True).agg(
        acts=pl.col("clause").unique(maintain_order=True).str.join("; "),
        triplets_said=pl.col("clause").filter("full").str.join("; "),
        n_acts=pl.col("full").sum(),
        first_doing=pl.col("before_target").filter("acted_on").first(),
        first_target=pl.col("target_name").filter("acted_on").first(),
        target_names=pl.col("target_name").filter("acted_on").unique().sort(),
    )
    held = (
        idle.group_by("scene_id", maintain_order=True)
        .agg(
            idle=pl.col("clause").unique(maintain_order=True),
            idle_is=pl.when((pl.col("clause").n_unique() > 1) | _plural(pl.col("instrument_number")).any())
            .then(pl.lit("are"))
            .otherwise(pl.lit("is")),
        )
        .with_columns(listed(pl.col("idle")))
    )
    for part in (done, held):
        each = each.join(part, on="scene_id", how="left", maintain_order="left")
    return each


def _criteria(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """`Criterion 1: Yes. …` in the order of the criteria's ids."""
    judged = _entries(scene, "criteria")
    number = pl.int_range(pl.len()).over("scene_id") + 1
    said = pl.format("Criterion {}: {}.", number, pl.when("met").then(pl.lit("Yes")).otherwise(pl.lit("No")))
    return (
        judged.join(concepts.select("concept_id", "definition"), on="concept_id", how="left", maintain_order="left")
        .with_columns(said=said)
        .group_by("scene_id", maintain_order=True)
        .agg(
            criteria_said=pl.col("said").str.join(" "),
            criteria_defined=pl.col("definition").str.join(" "),
            n_met=pl.col("met").sum(),
            n_judged=pl.len(),
        )
    )


def _motions(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """`The hook moves to the upper left and comes closer. …`, in the order of the instruments' ids."""
    moving = _entries(scene, "motions").join(
        concepts.select("concept_id", "name", "number"), on="concept_id", how="left", maintain_order="left"
    )
    # `context.motion` says what one instrument does; scissors do it in the plural.
    of_several = pl.col("move").str.replace(r"^(\w+)s\b", "$1").str.replace("it is", "they are", literal=True)
    move = pl.when(_plural(pl.col("number"))).then(of_several).otherwise("move")
    return (
        moving.group_by("scene_id", "concept_id", maintain_order=True)
        .agg(pl.col("name").first(), move=move.str.join(" and "))
        .group_by("scene_id", maintain_order=True)
        .agg(motion_said=pl.format("The {} {}.", "name", "move").str.join(" "))
    )


def _actions(scene: pl.DataFrame, concepts: pl.DataFrame) -> pl.DataFrame:
    """The actions of a stretch of footage as a list, a phrase and sentences, in order."""
    happening = _entries(scene, "actions").join(
        concepts.select("concept_id", "name"), on="concept_id", how="left", maintain_order="left"
    )
    place = pl.int_range(pl.len()).over("scene_id")
    opening = (
        pl.when(place == 0)
        .then(pl.lit("First comes "))
        .when((place == pl.len().over("scene_id") - 1) & (place > 1))
        .then(pl.lit("Finally there is "))
        .when(place % 2 == 1)
        .then(pl.lit("Then follows "))
        .otherwise(pl.lit("After that comes "))
    )
    return (
        happening.with_columns(told=pl.concat_str(opening, "name", pl.lit(".")))
        .group_by("scene_id", maintain_order=True)
        .agg(
            action_names=pl.col("name"), sequence=pl.col("name").str.join(", then "), story=pl.col("told").str.join(" ")
        )
    )
