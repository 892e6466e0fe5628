"""A paragraph on the whole scene: procedure, phase, step, instruments, tissues and what is being done."""

import polars as pl

from surgsigma_dagster.context.words import sentence
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task
from surgsigma_dagster.keys import hashed

# "No step" is a label, but nothing that a caption tells.
_IN_STEP = ~pl.col("step").str.ends_with("/no_step")
_PARTS = {
    "procedure": pl.format("The image shows the operative field during {}.", "procedure_name"),
    "phase": pl.format("The procedure is in the phase {}.", "phase_name"),
    "step": pl.format("The step is {}.", pl.when(_IN_STEP).then("step_name")),
    "instruments": pl.format("Visible in the field: {}.", pl.coalesce("placed_all", "instruments_said")),
    "tissues": sentence(
        pl.format("{} {} in view", "tissues_said",
                  pl.when(pl.col("n_tissues") > 1).then(pl.lit("are")).otherwise(pl.lit("is")))
    ),
    "acts": sentence(pl.col("acts")),
    "action": pl.format("The action under way is {}.", "action_name"),
}  # fmt: skip
_CAPTION = pl.concat_str(_PARTS.values(), separator=" ", ignore_nulls=True)
_KNOWN = pl.sum_horizontal(part.is_not_null() for name, part in _PARTS.items() if name != "procedure")


def _option(**other: pl.Expr) -> pl.Expr:
    """The caption without its first sentence, which any option would share, and with `other` parts."""
    parts = {**_PARTS, **other}
    return pl.concat_str(
        (part for name, part in parts.items() if name != "procedure"), separator=" ", ignore_nulls=True
    )


_DRAW = hashed(pl.col("scene_id"), "image_captioning", "other")
_PHASES = others("phase_pool", pl.concat_list("phase_name"))
_AREAS = others("area_pool", pl.col("areas"))


def _other_phase(place: int) -> pl.Expr:
    """The sentence of another phase, one a place; null where the source knows no other."""
    n = _PHASES.list.len()
    name = _PHASES.list.get((_DRAW + place) % pl.max_horizontal(n, 1), null_on_oob=True)
    return pl.format("The procedure is in the phase {}.", name)


_PLACED = pl.col("placed_all").str.splitn(" in the ", 2)
_ELSEWHERE = pl.concat_str(
    pl.lit("Visible in the field: "),
    _PLACED.struct.field("field_0"),
    pl.lit(" in the "),
    _AREAS.list.get(_DRAW // (1 << 32) % pl.max_horizontal(_AREAS.list.len(), 1), null_on_oob=True),
    _PLACED.struct.field("field_1").str.strip_prefix(pl.col("areas").list.first()),
    pl.lit("."),
)


def _when_known(sentence: pl.Expr, **other: pl.Expr) -> pl.Expr:
    return pl.when(sentence.is_not_null()).then(_option(**other))


_PHASE_ELSE = _other_phase(0)
# Phase and place, each right in two options: what most options say is no hint.
_BOTH = pl.concat_list(
    _when_known(_PHASE_ELSE, phase=_PHASE_ELSE),
    _when_known(_ELSEWHERE, instruments=_ELSEWHERE),
    _when_known(_PHASE_ELSE + _ELSEWHERE, phase=_PHASE_ELSE, instruments=_ELSEWHERE),
)
_PHASE_ALONE = pl.concat_list(_when_known(phase, phase=phase) for phase in map(_other_phase, range(3)))

TASK = Task(
    name="image_captioning",
    group="U",
    needs=("intervals:phase", "intervals:step"),
    grammar="caption",
    metric="caption_overlap",
    # One fact is an answer to another task; a caption joins several.
    eligible=_KNOWN >= 2,
    case=pl.lit("one"),
    answer={
        "procedure": pl.col("procedure_type"),
        "phase": pl.col("phase"),
        "step": pl.when(_IN_STEP).then("step"),
        "action": pl.col("action"),
        "instruments": pl.when("partial").then(pl.col("instruments").list.head(0)).otherwise("instruments"),
        "tissues": pl.col("tissues"),
        "triplets": pl.col("triplets"),
    },
    slots={"caption": _CAPTION},
    weighing=pl.lit("Taken together, what is seen and what is done place the image within the procedure."),
    conclusion=_CAPTION,
    correct=_option(),
    wrong=pl.when(pl.col("placed_all").is_not_null())
    .then(_BOTH)
    .otherwise(_PHASE_ALONE)
    .list.drop_nulls()
    .list.unique(maintain_order=True),
    # A wrong caption says what is false of this frame; a caption of another frame might be true.
    choosable=pl.col("phase").is_not_null(),
)
