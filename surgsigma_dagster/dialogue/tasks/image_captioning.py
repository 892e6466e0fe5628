"""A paragraph on the whole scene: procedure, phase, step, instruments, tissues and what is being done."""

import polars as pl

from surgsigma_dagster.context.words import sentence
from surgsigma_dagster.dialogue.pools import others
from surgsigma_dagster.dialogue.task import Task

_PARTS = {
    "procedure": pl.format("The image shows the operative field during {}.", "procedure_name"),
    "phase": pl.format("The procedure is in the phase {}.", "phase_name"),
    "step": pl.format("The step is {}.", "step_name"),
    "instruments": pl.format("Visible in the field: {}.", pl.coalesce("placed_all", "instruments_said")),
    "tissues": sentence(
        pl.format("{} {} in view", "tissues_said",
                  pl.when(pl.col("n_tissues") > 1).then(pl.lit("are")).otherwise(pl.lit("is")))
    ),
    "acts": sentence(pl.col("acts")),
    "action": pl.format("The action under way is {}.", "action_name"),
}  # fmt: skip
_CAPTION = pl.concat_str(_PARTS.values(), separator=" ", ignore_nulls=True)
_BUT_PHASE = pl.concat_str(
    (part for name, part in _PARTS.items() if name not in {"procedure", "phase"}), separator=" ", ignore_nulls=True
)
_KNOWN = pl.sum_horizontal(
    pl.col("phase_name", "step_name", "instruments_said", "tissues_said", "acts", "action_name").is_not_null()
)

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
        "step": pl.col("step"),
        "action": pl.col("action"),
        "instruments": pl.col("instruments"),
        "tissues": pl.col("tissues"),
        "triplets": pl.col("triplets"),
    },
    slots={"caption": _CAPTION},
    weighing=pl.lit("Taken together, what is seen and what is done place the image within the procedure."),
    conclusion=_CAPTION,
    correct=pl.col("phase_name"),
    wrong=others("phase_pool", pl.concat_list("phase_name")),
    option_prefix=pl.lit("The procedure is in the phase "),
    option_suffix=pl.concat_str(pl.lit(". "), _BUT_PHASE),
    # Wrong captions differ in the phase alone, which is false of this frame; a caption of another frame might be true.
    choosable=pl.col("phase").is_not_null(),
)
