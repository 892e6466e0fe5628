"""The grounded generator: three levels written from a scene's own labels and the concepts' definitions, nothing else.

Level 1 says what is visible and where, level 2 who does what to what, level 3 what that means; it ends in the answer.
"""

import polars as pl

from surgsigma_dagster.context.words import sentence
from surgsigma_dagster.dialogue.engine import asked
from surgsigma_dagster.dialogue.task import Task
from surgsigma_dagster.schema.tables import Reasoning

GENERATOR = "grounded"

_KIND = pl.col("kind").cast(pl.String)
_OF_FRAMES = _KIND.is_in(["frame", "pair"])
_VIEW = (
    pl.when(_OF_FRAMES)
    .then(pl.format("This is a view of the operative field during {}.", "procedure_name"))
    .when(_KIND == "conditional")
    .then(pl.format("The first frame shows the operative field during {}.", "procedure_name"))
    .otherwise(pl.format("The clip shows the operative field during {}.", "procedure_name"))
)
_SEEN = (
    pl.when(pl.col("placed_all").is_not_null())
    .then(pl.format(" In view: {}.", "placed_all"))
    .when(pl.col("instruments_said").is_not_null())
    .then(pl.format(" In view: {}.", "instruments_said"))
    .when("instruments_complete")
    .then(pl.lit(" No instrument is in view."))
    .otherwise(pl.lit(""))
)
_LOOKS = pl.when(pl.col("looks") != "").then(pl.format(" {}", "looks")).otherwise(pl.lit("")).fill_null("")
_TISSUES = (
    pl.when(pl.col("n_tissues") > 1)
    .then(pl.format(" {} can be seen.", _tissues := pl.concat_str(pl.lit("T"), pl.col("tissues_said").str.slice(1))))
    .when(pl.col("n_tissues") == 1)
    .then(pl.format(" {} can be seen.", _tissues))
    .otherwise(pl.lit(""))
)
PERCEPTION = pl.concat_str(_VIEW, _SEEN, _LOOKS, _TISSUES)

_IDLE = pl.format(
    "{} {} in view but not interacting with any tissue.",
    pl.concat_str(pl.lit("T"), pl.col("idle").str.slice(1)),
    "idle_is",
)
_ACTION = pl.format("The action under way is {}.", "action_name")
_UNSETTLED = (
    pl.when(pl.col("instruments_said").is_not_null())
    .then(pl.lit("What each instrument does to the tissue is left open by this single view."))
    .when("instruments_complete")
    .then(pl.lit("With no instrument in view, nothing acts on the tissue."))
    .otherwise(pl.lit("What the instruments do is not judged from this view."))
)
# What footage shows is its actions; the one that is asked for stays for level 3.
_OVER_TIME = (
    pl.when(_KIND == "action")
    .then(pl.lit("Over the clip, what the instruments do to the tissue is one action."))
    .when(_KIND == "remaining")
    .then(pl.lit("One action is under way, and the clip ends before it does."))
    .otherwise("story")
)
_AT_ONCE = pl.coalesce(
    pl.concat_str([sentence(pl.col("acts")), _IDLE, _ACTION], separator=" ", ignore_nulls=True).replace("", None),
    _UNSETTLED,
)
RELATION = pl.when(_OF_FRAMES).then(_AT_ONCE).otherwise(_OVER_TIME)


def chains(words: pl.DataFrame, task: Task) -> pl.DataFrame:
    """One chain for each scene that `task` can be asked of: columns of `reasoning`, not yet verified.

    Keeps beside them `conclusion` (the task's last sentence) for the verifier.
    """
    rows = asked(words.lazy(), task)
    if task.concludes and task.scene == "frame":
        # An action and a step may go by one name: before level 3 that would be the answer.
        told = pl.col("action_name") == pl.col(f"{task.concludes}_name")
        rows = rows.with_columns(action_name=pl.when(~told.fill_null(False)).then("action_name"))
    return (
        rows.select(
            reasoning_id=pl.format("{}/{}", pl.lit(task.name), "scene_id"),
            task=pl.lit(task.name),
            scene_id="scene_id",
            video_id="video_id",
            source="source",
            perception=PERCEPTION,
            relation=RELATION,
            context=pl.concat_str(task.weighing, pl.lit(" "), task.conclusion),
            generator=pl.lit(GENERATOR),
            verified=pl.lit("not run"),
            verifier_reason=pl.lit(None, pl.String),
            label_ids="label_ids",
            conclusion=task.conclusion,
        )
        .collect()
        .select(*Reasoning.columns(), "conclusion")
    )
