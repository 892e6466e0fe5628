"""SurgΣ-DB v0.1: the first release of conversations on CholecT50 frames; its known defects are mended or rejected."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, DEFECTS, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    TEXT,
    divided,
    document,
    many,
    matching,
    optional,
    records,
    reject,
    section,
)

RELEASE = "SurgSigma_v0.1_T50subset.json"
DENSE, ARCHIVE = "dense_prediction", "dense_prediction.tar.gz"
TOOLS = ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator")  # those of CholecT50
WIDTH, HEIGHT = 854, 480  # of the images whose pixels the reasoning quotes
GRID = 1000  # the answers' boxes are in thousandths of the image
FRAME = r"VID(\d+)[/_](\d{6})\.\w+$"
RESIDUE = r"<\|[^|>]*\|>"
SPLICED = r"\d ?is ?\d|\( ?is ?\d"
NONE_SEEN = r"(?i)^no tools? detected"
BOX = r"([A-Za-z][A-Za-z_ -]*?)\s*:?\s*\((\d{1,4}), ?(\d{1,4})\)?, ?\(?(\d{1,4}), ?(\d{1,4})\)"
QUOTED = r"\[(\d{1,4}), ?(\d{1,4}), ?(\d{1,4}), ?(\d{1,4})\]"
SIDES = ("x1", "y1", "x2", "y2")
_ANNO = {
    "id": INTEGER,
    "task type": many(INTEGER),
    "images": many(INTEGER),
    "question": TEXT,
    "answer": TEXT,
    "gt label": optional(TEXT),
    "thinking": optional(TEXT),
}


class SurgSigmaV01(Adapter):
    """`SurgSigma_v0.1_T50subset.json` with tables videos, images and annos; frames in `CholecT50/videos/VIDxx/`.

    An anno is a row: it makes a record in `questions`, and what it says of instruments makes `boxes` or, where no tool
    is detected, `presences` of CholecT50's six (all absent). What an anno is follows from its answer: the numbers of
    its task types are published in part only. Mended: `VID2/` beside `VID02/`, absolute paths, chat-template residue,
    boxes in thousandths of the image. Turned down: coordinates with letters inside, boxes that leave the image, annos
    without a frame, rows of `videos` that name Cholec80 videos which do not exist. Reasoning that quotes boxes quotes
    pixels of an 854 x 480 image: it is kept where they are those of the answer, else dropped. Of the dense
    predictions, unpacked depth images are `depths` by a model; masks and desmoked frames are left, since nothing says
    what their values mean. Form and defects as users of the release report them.
    """

    name = "surgsigma_v01"
    title = "SurgΣ-DB v0.1"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "SurgΣ, 2026, arXiv:2603.16822"
    url = "https://arxiv.org/abs/2603.16822"
    format_source = "users' reports"
    yields = ("boxes:instrument", "depths", "presences:instrument", "questions:text")
    signature = (RELEASE,)

    def videos(self, root: Path) -> list[NativeVideo]:
        """CholecT50 videos that the release has frames of."""
        release = _read(root)
        folders = {f"VID{int(n):02d}": files for n, files in matching(root, ["*/videos/VID*"], r".*/VID(\d+)").items()}
        depths: dict[str, list[str]] = {}
        for number, files in matching(
            root, [f"{DENSE}/depth/**/*.*"], rf"{DENSE}/depth/.*VID(\d+)[/_]\d{{6}}\.\w+"
        ).items():
            depths.setdefault(f"VID{int(number):02d}", []).extend(files)
        found = {video: [RELEASE] for video in release.images["video"].drop_nulls().unique().to_list()}
        media = {video: folders[video] for video in found if video in folders}
        return self.listed(root, [found, depths], media, "images", frame_rate=1.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Questions, boxes, absences, depth and frames."""
        return NativeLabels.concat(_records(root, videos) if videos else [])

    def defects(self, root: Path) -> pl.DataFrame:
        """What is wrong with the release, S1 to S9 as users reported it, and what is done about it."""
        return _defects(root)


@dataclass(frozen=True)
class _Release:
    videos: pl.DataFrame  # locator, number, dataset, path
    images: pl.DataFrame  # image_id, path, video, frame_index, repadded, absolute
    annos: pl.DataFrame  # locator, video, frame_index, question, answer, said (label or answer), thinking, types


def _read(root: Path) -> _Release:
    try:
        stat = (root / RELEASE).stat()
    except OSError as error:
        raise SourceError(RELEASE, "", "the release", error.strerror) from error
    return _parsed(root, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def _parsed(root: Path, _mtime: int, _size: int) -> _Release:
    """The release as tables. Half a gigabyte of JSON is parsed once for as long as the file stays what it is."""
    value = document(root, RELEASE)
    told = records(
        RELEASE, section(RELEASE, value, "videos"), {"id": INTEGER, "source dataset": TEXT, "video path": TEXT}
    )
    videos = told.with_columns(number=pl.col("video path").str.extract(r"(?i)vid(?:eo)?(\d+)\.\w+$").cast(pl.Int64))
    shown = records(RELEASE, section(RELEASE, value, "images"), {"id": INTEGER, "image path": TEXT})
    place = pl.col("image path").str.extract_groups(FRAME).struct
    number = place.field("1").cast(pl.Int64)
    images = shown.select(
        "locator",
        image_id="id",
        path="image path",
        video=pl.when(number.is_not_null()).then(pl.concat_str(pl.lit("VID"), number.cast(pl.String).str.zfill(2))),
        frame_index=place.field("2").cast(pl.Int64),
        repadded=place.field("1") != number.cast(pl.String).str.zfill(2),
        absolute=pl.col("image path").str.contains(r"^/|^[A-Za-z]:"),
    )
    annos = records(RELEASE, section(RELEASE, value, "annos"), _ANNO)
    value.clear()
    annos = annos.with_columns(image_id=pl.col("images").list.first()).join(
        images.select("image_id", "video", "frame_index").unique("image_id", keep="first"),
        on="image_id", how="left", maintain_order="left",
    )  # fmt: skip
    return _Release(
        videos,
        images,
        annos.select(
            "locator",
            "video",
            "frame_index",
            "question",
            "thinking",
            answer=pl.col("answer").str.replace_all(RESIDUE, ""),
            residue=pl.col("answer").str.contains(RESIDUE),
            said=pl.coalesce("gt label", "answer").str.replace_all(RESIDUE, "").str.strip_chars(),
            types=pl.col("task type"),
        ),
    )


def _rows(release: _Release) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Annos that stand, as records, and rejects."""
    rows = release.annos.with_columns(file=pl.lit(RELEASE), n_rows=pl.lit(1, pl.Int64))
    first = release.images["video"].min()  # bears what belongs to no video
    rows = rows.with_columns(shown_in="video", video=pl.col("video").fill_null(first))
    rows, lost = reject(rows, pl.col("shown_in").is_null(), "no_frame", "Its first image is no frame of a video.")
    spliced = pl.any_horizontal(pl.col("answer", "said").str.contains(SPLICED))
    letters = "Letters stand inside its coordinates: which digits they replaced is not known."
    rows, spoiled = reject(rows, spliced, "spliced_coordinates", letters, "answer", hides=True)
    corners = pl.col("said").str.extract_all(BOX).list.join(" ").str.extract_all(r"\d+").cast(pl.List(pl.Int64))
    outside = corners.list.eval(pl.element() > GRID).list.any()
    far = f"A corner is beyond {GRID} thousandths of the image."
    rows, beyond = reject(rows, outside, "box_beyond_image", far, "said", hides=True)
    return rows, pl.concat([lost, spoiled, beyond])


def _boxes(rows: pl.DataFrame) -> pl.DataFrame:
    """Boxes of the answers, one row each: x1 … y2 in thousandths of the image, and the `nth` of its anno."""
    found = rows.select(
        "video", "file", "locator", "n_rows", "frame_index", "thinking", box=pl.col("said").str.extract_all(BOX)
    )
    single = (
        found.explode("box", empty_as_null=True)
        .drop_nulls("box")
        .with_columns(nth=pl.int_range(pl.len()).over("locator"))
    )
    parts = pl.col("box").str.extract_groups(BOX).struct
    corners = {side: parts.field(str(k)).cast(pl.Float64) for k, side in enumerate(SIDES, 2)}
    return single.with_columns(raw_value=parts.field("1").str.strip_chars(), **corners)


def _quotes(boxes: pl.DataFrame) -> pl.DataFrame:
    """Annos whose reasoning quotes boxes: locator, grid (in the answer's unit), pixels (of 854 x 480), by one pixel."""
    quote = boxes.select("locator", quote=pl.col("thinking").str.extract_all(QUOTED))
    quoted = quote.unique("locator", maintain_order=True).explode("quote", empty_as_null=True).drop_nulls("quote")
    numbers = pl.col("quote").str.extract_groups(QUOTED).struct
    quoted = quoted.with_columns(
        **{f"q{side}": numbers.field(str(k)).cast(pl.Float64) for k, side in enumerate(SIDES, 1)}
    )
    both = quoted.join(boxes.select("locator", *SIDES), on="locator")
    scale = {"x1": WIDTH, "y1": HEIGHT, "x2": WIDTH, "y2": HEIGHT}
    same = [pl.col(f"q{side}") == pl.col(side) for side in SIDES]
    near = [(pl.col(f"q{side}") - pl.col(side) * scale[side] / GRID).abs() <= 1 for side in SIDES]
    by_quote = both.group_by("locator", "quote", maintain_order=True).agg(
        grid=pl.all_horizontal(same).any(), pixels=pl.all_horizontal(near).any()
    )
    return by_quote.group_by("locator", maintain_order=True).agg(pl.col("grid", "pixels").all())


def _records(root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
    release = _read(root)
    wanted = pl.col("video").is_in([video.video for video in videos])
    rows, rejects = _rows(release)
    rows = rows.filter(wanted)
    boxes = _boxes(rows)
    wrong = _quotes(boxes).filter(~pl.col("grid") & ~pl.col("pixels"))
    trusted = rows.join(wrong, on="locator", how="left", maintain_order="left").with_columns(
        reasoning=pl.when(pl.col("grid").is_null()).then("thinking")
    )
    yield {
        "questions": trusted.with_columns(field=pl.lit("text"), raw_value="answer", task=pl.lit(None, pl.String)),
        "rejects": rejects.filter(wanted),
    }
    if videos[0].video == release.images["video"].min():  # what belongs to no video is told once
        yield {"rejects": _unresolvable(release, videos[0].video)}
    thousandths = [divided(pl.col(side), GRID).alias(side) for side in SIDES]
    yield {
        "boxes": boxes.with_columns(
            *thousandths,
            field=pl.lit("instrument"),
            unit=pl.lit("relative"),
            instance=pl.col("nth").cast(pl.String),
        )
    }
    tools = pl.DataFrame({"raw_value": TOOLS})
    empty = rows.filter(pl.col("said").str.contains(NONE_SEEN)).join(tools, how="cross")
    yield {"presences": empty.with_columns(field=pl.lit("instrument"), present=pl.lit(False))}
    yield _frames(root, videos, release)


def _unresolvable(release: _Release, video: str) -> pl.DataFrame:
    """Rows of `videos` that name a Cholec80 video beyond its 80."""
    rows = release.videos.with_columns(video=pl.lit(video), n_rows=pl.lit(1, pl.Int64))
    reason = "Cholec80 has videos 1 to 80: this one is of Cholec120 and known by its CholecT50 frames alone."
    return reject(rows, _beyond_cholec80(), "unresolvable_video", reason, "video path")[1]


def _beyond_cholec80() -> pl.Expr:
    return (pl.col("source dataset").str.to_lowercase() == "cholec80") & (pl.col("number") > 80)


def _frames(root: Path, videos: list[NativeVideo], release: _Release) -> dict[str, pl.DataFrame]:
    """Frames that are there, and depth images."""
    files = [
        (f"VID{int(number):02d}", int(frame), file)
        for number, found in matching(root, ["*/videos/VID*/*.*"], r".*/VID(\d+)/\d{6}\.(?:png|jpg|jpeg)").items()
        for file in found
        for frame in [Path(file).stem]
    ]
    text = {"video": pl.String, "frame_index": pl.Int64, "file": pl.String}
    wanted = pl.col("video").is_in([video.video for video in videos])
    shown = (
        pl.DataFrame(files, text, orient="row")
        .filter(wanted)
        .unique(["video", "frame_index"], keep="first", maintain_order=True)
    )
    whole = {"locator": pl.lit("file"), "n_rows": pl.lit(1, pl.Int64)}
    depth = [(one.video, file) for one in videos for file in one.label_files if file != RELEASE]
    if gone := next((file for _, file in depth if not (root / file).is_file()), None):
        raise SourceError(gone, "", "a depth image", "no such file")
    depths = pl.DataFrame(depth, {"video": pl.String, "file": pl.String}, orient="row").with_columns(
        **whole, frame_index=pl.col("file").str.extract(r"(\d{6})\.\w+$").cast(pl.Int64), depth_file="file",
        unit=pl.lit("relative"), origin=pl.lit("model"),
    )  # fmt: skip
    return {"images": shown.with_columns(**whole), "depths": depths}


# The report on defects


def _dense(root: Path) -> pl.DataFrame:
    """Dense predictions, packed or not: path, kind, video, frame_index."""
    if (root / DENSE).is_dir():
        paths = [path.relative_to(root).as_posix() for path in (root / DENSE).rglob("*.*")]
    elif (root / ARCHIVE).is_file():
        try:
            with tarfile.open(root / ARCHIVE) as archive:
                paths = [member.name for member in archive if member.isfile()]
        except (tarfile.TarError, EOFError, OSError) as error:
            raise SourceError(ARCHIVE, "", "a gzipped tar archive", error) from error
    else:
        paths = []
    place = pl.col("path").str.extract_groups(FRAME).struct
    return pl.DataFrame({"path": sorted(paths)}, schema={"path": pl.String}).with_columns(
        kind=pl.col("path").str.extract(r"(?:^|/)(desmoke|seg|depth)/"),
        video=pl.concat_str(pl.lit("VID"), place.field("1").cast(pl.Int64).cast(pl.String).str.zfill(2)),
        frame_index=place.field("2").cast(pl.Int64),
    )


def _defects(root: Path) -> pl.DataFrame:
    release, dense = _read(root), _dense(root)
    rows, rejects = _rows(release)
    boxes = _boxes(rows)
    quotes = _quotes(boxes)
    frames, key = release.images, ["video", "frame_index"]
    unshipped = dense.drop_nulls(key).join(frames.drop_nulls(key), on=key, how="anti")
    types = release.annos["types"].list.len().sum()
    spliced = rejects.filter(pl.col("rule") == "spliced_coordinates")
    seen = {"localization": boxes, "masks": dense.filter(pl.col("kind") == "seg"), "annos": rows}
    covered = ", ".join(f"{found['video'].n_unique()} have {what}" for what, found in seen.items())
    uneven = frames.select("video").drop_nulls().unique().join(boxes.select("video").unique(), on="video", how="anti")
    strange = release.videos.filter(_beyond_cholec80())
    found = [
        ("S1", "videos that do not exist in their source", strange, strange.height, release.videos.height,
         "rejected; their frames are CholecT50's"),
        ("S2", "image paths without zero padding", (padded := frames.filter("repadded")), padded.height, frames.height,
         "padded"),
        ("S3", "boxes in thousandths, whose reasoning quotes pixels",
         (mixed := boxes.join(quotes.filter(~pl.col("grid")), on="locator")), mixed.height, boxes.height,
         "boxes made relative; reasoning kept where its pixels are the answer's"),
        ("S4", "chat-template residue in answers", (left := release.annos.filter("residue")), left.height,
         release.annos.height, f"stripped; {spliced.height} with letters inside numbers rejected"),
        ("S5", "true negatives, which a plain parser drops",
         (none := rows.filter(pl.col("said").str.contains(NONE_SEEN))), none.height, rows.height,
         "kept: six instruments absent"),
        ("S6", "frames of dense predictions whose image was never listed",
         (gone := unshipped.unique(key, maintain_order=True)), gone.height, dense.drop_nulls(key).unique(key).height,
         "left out"),
        ("S7", f"videos without localization; {covered}", uneven, uneven.height, frames["video"].n_unique(),
         "coverage is this row"),
        ("S8", "absolute paths", (rooted := frames.filter("absolute")), rooted.height, frames.height,
         "made relative by video and frame number"),
        ("S9", "task types that annos name beyond one each", release.annos.filter(pl.col("types").list.len() != 1),
         abs(types - release.annos.height), types, "counts are of annos, each once"),
    ]  # fmt: skip
    listed = [(defect, what, n, of, _example(rows), done) for defect, what, rows, n, of, done in found]
    return pl.DataFrame(listed, schema=DEFECTS, orient="row")


def _example(rows: pl.DataFrame) -> str | None:
    """The first place where it is met."""
    for column in ("locator", "path", "video"):
        if column in rows.columns and rows.height:
            return str(rows.sort(column)[column][0]) if column == "video" else str(rows[column][0])
    return None


ADAPTER = SurgSigmaV01()
