"""CholecTrack20: 20 laparoscopic cholecystectomies at 1 fps, boxes of seven tools with their tracks, phases."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    BINARY,
    INTEGER,
    NUMBER,
    agreeing,
    at,
    categories,
    corners,
    document,
    entries,
    exhaustive,
    footage,
    images,
    is_footage,
    many,
    matching,
    member,
    moments,
    named,
    optional,
    records,
    reject,
    require,
    runs,
    section,
)

STEP, FRAME_RATE, FIRST = 25, 25.0, 1
SPLITS = ("Training", "Validation", "Testing")
PHASES = (  # by id where the file names none: those of CholecT50, which it took over
    "preparation",
    "carlot-triangle-dissection",
    "clipping-and-cutting",
    "gallbladder-dissection",
    "gallbladder-packaging",
    "cleaning-and-coagulation",
    "gallbladder-extraction",
)
PHASE_PLACES = ("/categories/phases", "/categories/phase")
EVENTS = ("bleeding", "smoke")
FIELDS = {
    "instrument": INTEGER,
    "tool_bbox": many(NUMBER, 4),
    "phase": optional(INTEGER),
    **dict.fromkeys(("intraoperative_track", "intraoperative_track_id"), optional(INTEGER)),
    **dict.fromkeys(EVENTS, optional(BINARY)),
}
SIZE = {"width": optional(INTEGER), "height": optional(INTEGER)}
SIDES = ("x", "y", "w", "h")
PLACES = ("/annotations/{}", "/annotations/{}..{}")


class CholecTrack20(Adapter):
    """One JSON file a video; `annotations` holds a list of tools by frame: 1, 26, 51, … of the 25 fps video.

    A tool is a row, counted in `boxes` and in the phase `intervals` of its frame, or in `rejects`; bleeding
    and smoke are events, and every tool of a frame is annotated, so `presences` of all follow. Boxes come
    relative (README's table) and in pixels (README's text): each is read by its own values, and pixels must
    lie in the image that the file states. Verb, target and triplet are ids that no part of the file names,
    and are not read; phases are named by `categories.phases`, or where that is absent by CholecT50's ids 0 to
    6. VID31's labels ship as VID30's: a file that names another video than its folder, or whose frames are
    those of another video's images, is turned down as a whole.
    """

    name = "cholectrack20"
    title = "CholecTrack20"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Nwoye et al., CholecTrack20, CVPR 2025, arXiv:2312.07352"
    url = "https://github.com/CAMMA-public/cholectrack20"
    format_source = "owner's documentation"
    yields = ("boxes:instrument", "intervals:event", "intervals:phase", "presences:instrument")
    signature = tuple(f"{split}/VID*/*.json" for split in SPLITS)
    splits = {r"^Training/": "train", r"^Validation/": "val", r"^Testing/": "test"}

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of the three splits; a folder of frames is preferred to a video file."""
        labels = matching(root, self.signature, r"\w+/(VID\d+)/[^/]+\.json")
        media = {
            **footage(root, [f"{split}/VID*/*" for split in SPLITS], r"\w+/(VID\d+)/[^/]+"),
            **_frame_folders(root),
        }
        found = [
            replace(video, first_index=FIRST) for video in self.listed(root, [labels], media, "images", FRAME_RATE)
        ]
        return [replace(video, media="video") if is_footage(video.path) else video for video in found]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Boxes, presences, phases, events and frames."""
        return NativeLabels.concat(part for video in videos for part in self._records(root, video))

    def _records(self, root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
        if video.media == "images" and video.path:
            shown, copies = images(root, [video.path], r"(?P<frame>\d{6})", video=video.video)
            yield {"images": shown, "rejects": copies}
        for file in video.label_files:
            value = document(root, file)
            frames, rows = _rows(file, value, video.video)
            if said := _another_video(root, file, value, video.video, set(frames["frame_index"])):
                _, rejects = reject(rows, pl.lit(True), "labels_of_another_video", said)
                yield {"rejects": rejects}
            else:
                yield from _labels(frames, rows, [*_tools(file, value).values()])


def _frame_folders(root: Path) -> dict[str, list[str]]:
    return matching(root, [f"{split}/VID*/Frames" for split in SPLITS], r"\w+/(VID\d+)/Frames")


def _tools(file: str, value: Any) -> dict[int, str]:
    declared = dict(section(file, value, "categories", dict))
    return categories(file, declared.get("/categories/tools"), "/categories/tools")


def _phase_names(file: str, value: Any) -> tuple[dict[int, str], str]:
    """Phases by id, and who says so. One key or the other: a file that has both is no format that anybody knows."""
    declared = dict(section(file, value, "categories", dict))
    places = [place for place in PHASE_PLACES if place in declared]
    if not places:
        return dict(enumerate(PHASES)), "CholecT50's phases 0 to 6, since /categories names none,"
    if len(places) > 1:
        raise SourceError(file, "/categories", "one list of phases", " and ".join(places))
    return categories(file, declared[places[0]], places[0]), places[0]


def _another_video(root: Path, file: str, value: Any, video: str, labelled: set[int]) -> str | None:
    """Why the labels in `file` cannot be those of `video`, or None.

    Where frames are on disk, one set of frame numbers holds the other: all labelled frames have an image, or
    all images are labelled. Where neither does, they are of two videos.
    """
    named = value.get("video") if isinstance(value.get("video"), dict) else {}
    for stated in (Path(file).stem, named.get("name"), named.get("seq")):
        other = re.fullmatch(r"(?i)vid(\d+)", stated) if isinstance(stated, str) else None
        if other and int(other[1]) != int(video.removeprefix("VID")):
            return f"It lies in the folder of {video} and says that it is {stated}."
    shown = {
        other: {int(path.stem) for path in (root / folder).iterdir() if re.fullmatch(r"\d{6}\.\w+", path.name)}
        for other, (folder, *_) in _frame_folders(root).items()
    }
    own = shown.get(video, set())
    if labelled <= own or own <= labelled:
        return None
    nearest = max(shown, key=lambda other: len(shown[other] & labelled))
    return (
        f"Of its {len(labelled)} frames, {len(labelled & own)} are among the {len(own)} images of {video}, and "
        f"{len(labelled & shown[nearest])} among those of {nearest}."
    )


def _rows(file: str, value: Any, video: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frames that the file lists, empty ones too, and its rows, a tool each."""
    listed = section(file, value, "annotations", dict)
    frame = pl.col("locator").str.extract(r"^/annotations/([1-9]\d{0,8})(?:/\d+)?$").cast(pl.Int64)
    frames = pl.DataFrame({"locator": [place for place, _ in listed]}, schema={"locator": pl.String})
    frames = frames.with_columns(file=pl.lit(file), video=pl.lit(video), frame_index=frame)
    on_clock = (pl.col("frame_index") - FIRST) % STEP == 0
    require(frames, on_clock, "a frame 1, 26, 51, … (25 fps, from 1) as key", "locator")
    places = [entry for place, rows in listed for entry in entries(file, rows, place, list)]
    rows = records(file, places, FIELDS)
    stated = value.get("video")
    phases, declared = _phase_names(file, value)
    size = {side: member(file, stated, side, kind, "/video") for side, kind in SIZE.items()} if stated else {}
    return frames, rows.with_columns(
        video=pl.lit(video),
        frame_index=frame,
        n_rows=pl.lit(1, pl.Int64),
        raw_value=named(rows, "instrument", _tools(file, value), "/categories/tools", null=-1),
        phase=named(rows, "phase", phases, declared, null=-1),
        instance=pl.coalesce("intraoperative_track", "intraoperative_track_id").cast(pl.String),
        width=pl.lit(size.get("width"), pl.Int64),
        height=pl.lit(size.get("height"), pl.Int64),
        **{side: pl.col("tool_bbox").list.get(i) for i, side in enumerate(SIDES)},
    )


def _labels(frames: pl.DataFrame, rows: pl.DataFrame, tools: list[str]) -> Iterator[dict[str, pl.DataFrame]]:
    phased, conflicts = agreeing(rows, "phase")
    yield {"intervals": _phases(phased.drop_nulls("phase")), "rejects": conflicts}
    for event in EVENTS:
        said = rows.filter(event).with_columns(event=pl.lit(event))
        yield {"intervals": moments(said, "event", "event", FRAME_RATE, first_index=FIRST)}
    place = pl.concat_str("locator", pl.lit("/0"))
    listed = frames.with_columns(
        locator=pl.when(place.is_in(rows["locator"].implode())).then(place).otherwise(pl.lit(WHOLE_FILE)),
        n_rows=pl.lit(1, pl.Int64),
    )
    yield {"presences": exhaustive(listed, rows, tools, "instrument")}
    yield from _boxes(rows)


def _phases(rows: pl.DataFrame) -> pl.DataFrame:
    """Runs of phases, each frame for its second; `/annotations/1..51` is three frames."""
    seconds = (
        rows.group_by("video", "file", "frame_index")
        .agg(pl.col("phase").first(), pl.col("n_rows").sum())
        .sort("frame_index")
        .with_columns(line=pl.col("frame_index") // STEP)
    )
    found = runs(seconds, "phase", "phase", FRAME_RATE, first_index=FIRST, step=STEP)
    last = found.with_columns(last=pl.col("end_frame") + 1 - STEP)
    return last.with_columns(locator=at(PLACES, "start_frame", "last"))


def _boxes(rows: pl.DataFrame) -> Iterator[dict[str, pl.DataFrame]]:
    x, y, w, h = map(pl.col, SIDES)
    rows, unnamed = reject(rows, pl.col("raw_value").is_null(), "unnamed_box", "A box of no instrument.", hides=True)
    none = pl.all_horizontal(pl.col(side) == -1 for side in SIDES)
    rows, unplaced = reject(rows, none, "no_box", "Its box is -1 throughout.")
    relative = pl.all_horizontal(pl.col(side).abs() <= 1 for side in SIDES)
    inside = (x > -w) & (y > -h) & (x < pl.col("width")) & (y < pl.col("height"))
    inside &= (w <= pl.col("width")) & (h <= pl.col("height"))
    outside = ~relative & ~inside.fill_null(True)
    reason = pl.format("The box is neither relative nor pixels of an image of {} by {}.", "width", "height")
    text = pl.col("tool_bbox").list.eval(pl.element().cast(pl.String)).list.join(", ")
    rows, lost = reject(rows.with_columns(text=text), outside, "box_outside_image", reason, "text", hides=True)
    yield from ({"rejects": rejects} for rejects in (unnamed, unplaced, lost))
    yield {
        "boxes": rows.with_columns(
            **corners(x, y, w, h),
            field=pl.lit("instrument"),
            unit=pl.when(relative).then(pl.lit("relative")).otherwise(pl.lit("pixel")),
            **{side: pl.when(~relative).then(side) for side in SIZE},
        )
    }


ADAPTER = CholecTrack20()
