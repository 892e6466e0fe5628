"""The actions of a clip, in their order."""

import polars as pl

from surgsigma_dagster.dialogue.task import Task

_CAPTION = pl.concat_str(
    pl.format("The clip shows {}.", "procedure_name"),
    pl.format("The procedure is in the phase {}.", "phase_name"),
    "story",
    separator=" ",
    ignore_nulls=True,
)
_NAMES = pl.col("action_names")
_FIRST = _NAMES.list.first()
_LAST = _NAMES.list.last()
_N = _NAMES.list.len().cast(pl.Int64)
_INNER = _NAMES.list.slice(1, pl.max_horizontal(_N - 2, 0))
_ORDERS = pl.concat_list(
    _NAMES.list.reverse().list.join(", then "),
    pl.concat_list(_LAST, _INNER, _FIRST).list.join(", then "),
    pl.concat_list(_NAMES.list.slice(1), _FIRST).list.join(", then "),
    pl.concat_list(_LAST, _NAMES.list.head(pl.max_horizontal(_N - 1, 0))).list.join(", then "),
)

TASK = Task(
    name="video_captioning",
    group="U",
    needs=("intervals:action",),
    grammar="caption",
    metric="caption_overlap",
    scene="caption",
    inputs=("clip",),
    eligible=_N >= 2,
    case=pl.lit("one"),
    answer={"procedure": pl.col("procedure_type"), "phase": pl.col("phase"), "actions": pl.col("actions")},
    slots={"caption": _CAPTION},
    weighing=pl.lit("Put in their order on the clip's own time, the actions tell what is done."),
    conclusion=_CAPTION,
    correct=pl.col("sequence"),
    # The same actions in another order, which the clip does not show.
    wrong=_ORDERS.list.unique().list.set_difference(pl.concat_list("sequence")).list.sort(),
)
