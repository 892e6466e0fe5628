"""A clip from its first frame and a caption: video captioning the other way round."""

import polars as pl

from surgsigma_dagster.context.words import in_phase
from surgsigma_dagster.dialogue.task import Task

TASK = Task(
    name="conditional_video_generation",
    group="P",
    needs=("intervals:action",),
    grammar="medium",
    metric="psnr",
    scene="conditional",
    inputs=("first_frame",),
    targets=("target_clip",),
    eligible=pl.col("story").is_not_null(),
    case=pl.lit("one"),
    answer={"clip": pl.col("target_clip_medium").struct.field("id"), "actions": pl.col("actions")},
    question_slots={"caption": pl.col("story")},
    weighing=pl.concat_str(
        in_phase(), pl.lit("The clip begins with the frame given and follows the caption in its order.")
    ),
    conclusion=pl.lit("The clip shows what the caption tells, from the first frame on."),
)
