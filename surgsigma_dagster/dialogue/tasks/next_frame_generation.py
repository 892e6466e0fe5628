"""What the view looks like some seconds on, given how the instruments move until then."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="next_frame_generation",
    group="P",
    needs=("boxes:instrument", "masks:instrument"),
    grammar="duration",
    metric="psnr",
    scene="pair",
    targets=("later_frame",),
    eligible=pl.col("motion_said").is_not_null(),
    case=pl.lit("one"),
    answer={"seconds": (pl.col("end_s") - pl.col("cutoff_s")).round(3), "frame": pl.col("later_frame_id")},
    slots={"seconds": pl.col("ahead_said")},
    question_slots={"seconds": pl.col("ahead_said"), "motion": pl.col("motion_said")},
    weighing=pl.concat_str(in_phase(), pl.col("motion_said")),
    conclusion=pl.format("The view to be shown is that of {} on.", "ahead_said"),
)
