"""How many seconds the action under way still lasts."""

import polars as pl

from surgsigma_dagster.context.words import in_phase, seconds
from surgsigma_dagster.dialogue.task import Task

_LEFT = (pl.col("end_s") - pl.col("cutoff_s")).round(3)
_SHOWN = seconds(pl.col("cutoff_s") - pl.col("start_s"))
_OTHERS = pl.concat_list(
    seconds(pl.max_horizontal((_LEFT / 2).floor(), 1)),
    seconds(_LEFT * 2),
    seconds(_LEFT + 4),
    seconds((_LEFT * 3).floor()),
    seconds(pl.max_horizontal(_LEFT - 3, 1)),
)

TASK = Task(
    name="action_remaining_prediction",
    group="P",
    needs=("intervals:action",),
    grammar="duration",
    metric="seconds_off",
    scene="remaining",
    inputs=("clip",),
    eligible=pl.col("action").is_not_null(),
    case=pl.lit("one"),
    answer={"seconds": _LEFT, "action": pl.col("action")},
    slots={"seconds": pl.col("ahead_said")},
    question_slots={"action": pl.col("action_name")},
    weighing=pl.concat_str(in_phase(), pl.format("The clip shows {} of {}.", _SHOWN, "action_name")),
    conclusion=pl.format("It lasts for {} more.", "ahead_said"),
    correct=pl.col("ahead_said"),
    wrong=_OTHERS.list.unique().list.set_difference(pl.concat_list("ahead_said")).list.sort(),
)
