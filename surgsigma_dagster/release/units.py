"""Boxes in another convention than pixels, at export: in the words, in the answer as data, and in the reasoning alike.

Tables hold pixels. A trainer may want fractions of the image, thousandths, or cells of a 3x3 grid. A record whose
answer is in one convention while its reasoning quotes another teaches neither: all of a row is converted, or nothing.
"""

from typing import Literal

import polars as pl

from surgsigma_dagster.context.words import area
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.schema.tables import VISIBLE

Convention = Literal["pixel", "unit", "thousand", "grid"]
BOX = r"\((\d+),(\d+)\),\((\d+),(\d+)\)"
# A box, or whatever lies between two: joined again, tokens are the text.
_TOKENS = rf"{BOX}|[^(]+|\("
_CORNERS = ("x1", "y1", "x2", "y2")
_BOXES_IN_JSON = r'"boxes":(\[[^\]]*\])'

# Words on the convention, as the templates and the reasoning have them, and what stands for them.
_PHRASES = (
    (r", from its upper left to its lower right corner, in pixels of the image", {
        "unit": ", from its upper left to its lower right corner, in fractions of the image's width and height",
        "thousand": ", from its upper left to its lower right corner, in thousandths of the image's width and height",
        "grid": "; the cell of a 3x3 grid that its centre lies in is told"}),
    (r"\b([Ii])n pixel coordinates\b", {
        "unit": "${1}n coordinates from 0 to 1", "thousand": "${1}n coordinates from 0 to 1000",
        "grid": "${1}n cells of a 3x3 grid"}),
    (r"\bpixel coordinates\b", {
        "unit": "coordinates from 0 to 1", "thousand": "coordinates from 0 to 1000", "grid": "grid cell"}),
    (r"\b([Ii])n pixels(?: of the image)?\b", {
        "unit": "${1}n fractions of the image", "thousand": "${1}n thousandths of the image",
        "grid": "${1}n cells of a 3x3 grid"}),
    (r"\bpixels\b", {"unit": "edges", "thousand": "edges", "grid": "edges"}),
)  # fmt: skip
_ASK = {
    "unit": " Write a box as (x1,y1),(x2,y2), from 0 to 1 of the image's width and height.",
    "thousand": " Write a box as (x1,y1),(x2,y2), from 0 to 1000 of the image's width and height.",
    "grid": " For each, name the cell of a 3x3 grid that its centre lies in, instead of corners.",
}
_GRID_SYSTEM = "You say where things lie in surgical images, by the cells of a 3x3 grid."  # for prompts on corners
_LEAD = r"^[^():]*: "  # words before a box


def in_units(rows: pl.DataFrame, scenes: pl.LazyFrame, boxes: Convention) -> pl.DataFrame:
    """`rows` (conversations with perception, relation and context beside them) with boxes in the convention `boxes`.

    `scenes`: rows of `scene_context`, which tell each scene's size and boxes in pixels. Text holds a box as
    `(x1,y1),(x2,y2)`: in pixels, from 0 to 1 with three decimals, from 0 to 1000, or as `(upper left)`. The answer as
    data says its unit; `size` stays that of the image in pixels. Raises `ValueError` naming a scene whose size is not
    known, where a text holds a box.
    """
    if boxes == "pixel":
        return rows
    known = scenes.filter(pl.col("scene_id").is_in(rows["scene_id"].unique().implode())).collect()
    sizes = known.select("scene_id", "width", "height")
    places = _places(known)
    names = [name for name, task in tasks().items() if task.grammar == "boxes"]
    located = pl.col("task").is_in(names)
    before = pl.col("earlier").list.eval(pl.element().struct.field("task").is_in(names)).list.any()
    asked = located & (pl.col("form").cast(pl.String) != "multiple choice")
    numbered = rows.with_row_index("row").join(sizes, on="scene_id", how="left", maintain_order="left")
    turns = (
        numbered.select("row", "scene_id", "width", "height", "earlier")
        .explode("earlier", empty_as_null=False)
        .unnest("earlier")
        .with_columns(question=_asking("question", located, boxes), answer=_leading("answer", located, boxes))
    )
    for column in ("question", "answer"):
        turns = turns.with_columns(_converted(turns, column, places, boxes))
    earlier = turns.group_by("row", maintain_order=True).agg(earlier=pl.struct("task", "question", "answer"))
    numbered = numbered.with_columns(
        system=_system(located | before, boxes),
        question=_asking("question", asked, boxes),
        answer_text=_leading("answer_text", asked, boxes),
        context=pl.when(located).then(_told(pl.col("context"), boxes)).otherwise("context"),
    )
    for column in ("question", "answer_text", "perception", "relation", "context"):
        numbered = numbered.with_columns(_converted(numbered, column, places, boxes))
    of_data = numbered.filter(pl.col("answer").str.contains('"unit":"pixel"', literal=True))
    told = numbered.drop("earlier").join(earlier, on="row", how="left", maintain_order="left")
    return (
        told.join(_data(of_data, boxes), on="row", how="left", maintain_order="left")
        .with_columns(
            earlier=pl.coalesce("earlier", pl.lit([], rows.schema["earlier"])), answer=pl.coalesce("data", "answer")
        )
        .select(rows.columns)
    )


def _told(text: pl.Expr, boxes: Convention) -> pl.Expr:
    for pattern, words in _PHRASES:
        text = text.str.replace_all(pattern, words[boxes])
    return text


def _system(where: pl.Expr, boxes: Convention) -> pl.Expr:
    said = _told(pl.col("system"), boxes)
    if boxes == "grid":
        of_corners = pl.col("system").str.contains(r"corner|rectangle|pixel")
        said = pl.when(of_corners).then(pl.lit(_GRID_SYSTEM)).otherwise(said)
    return pl.when(where).then(said).otherwise("system")


def _asking(column: str, where: pl.Expr, boxes: Convention) -> pl.Expr:
    """A question that says in which convention it is to be answered, whether or not there is anything to box."""
    said = pl.concat_str(_told(pl.col(column), boxes), pl.lit(_ASK[boxes]))
    return pl.when(where).then(said).otherwise(column).alias(column)


def _leading(column: str, where: pl.Expr, boxes: Convention) -> pl.Expr:
    """An answer whose words before the boxes fit the convention; before cells ("Bounding box: …") there are none."""
    said = _told(pl.col(column), boxes)
    if boxes == "grid":
        bare = pl.col(column).str.replace(_LEAD, "")
        bare = pl.concat_str(bare.str.head(1).str.to_uppercase(), bare.str.slice(1))
        said = pl.when(pl.col(column).str.contains(BOX)).then(bare).otherwise(said)
    return pl.when(where).then(said).otherwise(column).alias(column)


def _places(scenes: pl.DataFrame) -> pl.DataFrame:
    """The boxes of `scenes` as text finds them: scene_id, token (the rounded box), and its true corners."""
    entries = pl.concat(
        scenes.select("scene_id", entry=column).explode("entry", empty_as_null=False).unnest("entry")
        for column in ("instruments", "tissues")
    ).drop_nulls("x1")
    rounded = [pl.col(corner).round().cast(pl.Int64) for corner in _CORNERS]
    return entries.select("scene_id", *_CORNERS, token=pl.format("({},{}),({},{})", *rounded)).unique(
        ["scene_id", "token"], keep="first", maintain_order=True
    )


def _converted(rows: pl.DataFrame, column: str, places: pl.DataFrame, boxes: Convention) -> pl.Series:
    """`column` with every box in it converted: by the scene's own box where it has one that reads so."""
    holding = rows.filter(pl.col(column).str.contains(BOX))
    if holding.is_empty():
        return rows[column]
    tokens = (
        holding.select("row", "scene_id", "width", "height", token=pl.col(column).str.extract_all(_TOKENS))
        .with_row_index("text")
        .explode("token")
        .join(places, on=["scene_id", "token"], how="left", maintain_order="left")
    )
    read = [
        pl.coalesce(corner, pl.col("token").str.extract(f"^{BOX}$", place).cast(pl.Float64)).alias(corner)
        for place, corner in enumerate(_CORNERS, 1)
    ]
    tokens = tokens.with_columns(read)
    unknown = tokens.filter(pl.col("x1").is_not_null() & pl.any_horizontal(pl.col("width", "height").is_null()))
    if unknown.height:
        raise ValueError(f"the size of {unknown['scene_id'][0]} is not known: its boxes cannot be told by {boxes}")
    said = pl.when(pl.col("x1").is_null()).then("token").otherwise(_written(boxes)).str.join("")
    texts = tokens.group_by("text", maintain_order=True).agg(said=said)["said"]
    place = rows.select(pl.arg_where(pl.col(column).str.contains(BOX))).to_series()
    return rows[column].scatter(place, texts)


def _relative(corner: str, by: int) -> pl.Expr:
    return (pl.col(corner) * by / pl.col("width" if corner[0] == "x" else "height")).round()


def _cell() -> pl.Expr:
    across, down = ((pl.col(f"{side}1") + pl.col(f"{side}2")) / 2 for side in "xy")
    return area(across / pl.col("width"), down / pl.col("height"))


def _written(boxes: Convention) -> pl.Expr:
    """A box as text."""
    if boxes == "grid":
        return pl.format("({})", _cell())
    numbers = [_relative(corner, 1000).cast(pl.Int64) for corner in _CORNERS]
    if boxes == "thousand":
        return pl.format("({},{}),({},{})", *numbers)
    digits = [
        part for number in numbers for part in (number // 1000, (number % 1000).cast(pl.String).str.zfill(3))
    ]  # fmt: skip
    return pl.format("({}.{},{}.{}),({}.{},{}.{})", *digits)


def _data(rows: pl.DataFrame, boxes: Convention) -> pl.DataFrame:
    """The answers of `rows` as data in the convention: row, data (JSON)."""
    stated = pl.col("answer").str.extract(_BOXES_IN_JSON)
    entries = (
        rows.select("row", "width", "height", entry=stated.str.json_decode(pl.List(VISIBLE.dtype)))
        .explode("entry", empty_as_null=False)
        .unnest("entry")
    )
    if boxes == "grid":
        entry = [_cell().alias("cell")]
    elif boxes == "thousand":
        entry = [_relative(corner, 1000).cast(pl.Int64).alias(corner) for corner in _CORNERS]
    else:
        entry = [(_relative(corner, 1000) / 1000).round(3).alias(corner) for corner in _CORNERS]
    listed = entries.group_by("row", maintain_order=True).agg(boxes=pl.struct("concept_id", *entry))
    encoded = listed.select("row", boxes=pl.struct("boxes").struct.json_encode().str.head(-1).str.slice(1))
    return rows.join(encoded, on="row", how="left").select(
        "row",
        data=pl.col("answer")
        .str.replace('"unit":"pixel"', f'"unit":"{boxes}"', literal=True)
        .str.replace(_BOXES_IN_JSON, pl.coalesce("boxes", pl.lit('"boxes":[]'))),
    )
