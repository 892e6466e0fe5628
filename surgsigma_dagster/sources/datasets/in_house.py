"""In-house data: a folder of videos, a csv or JSON list of intervals beside each, and a source.yaml about them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import (
    Adapter,
    Licence,
    NativeLabels,
    NativeVideo,
    Subject,
    Terms,
)
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    FOOTAGE,
    NUMBER,
    TEXT,
    composed,
    document,
    entries,
    in_order,
    is_utf8,
    on_lines,
    optional,
    records,
    reject,
    seconds,
)
from surgsigma_dagster.sources.readers.spreadsheets import has_columns, sheet, with_points
from surgsigma_dagster.sources.sidecar import SIDECAR, procedure_types, sidecar

LABELS = (".csv", ".json")
CELL = replace(TEXT, expected="text or a number", holds=lambda value: TEXT.holds(value) or NUMBER.holds(value))
COLUMNS: dict[str, tuple[str, ...]] = {  # and other names of the same in a header
    "start": ("start time", "start s", "start (s)", "from"),
    "end": ("end time", "end s", "end (s)", "to"),
    "track": (),
    "label": (),
}
TRACKS = ("phase", "step", "action", "event")


class InHouse(Adapter):
    """`<stem>.mp4` (or another of `FOOTAGE`) anywhere under the root, beside it `<stem>.csv`: start, end, track, label.

    The csv is read as spreadsheets write it (`readers.spreadsheets`). `<stem>.json` may stand instead: a list of
    objects with those keys. Times are seconds or H:MM:SS(.mmm). A csv line or an object is a row, counted in
    `intervals` or `rejects`. Rows of different tracks may overlap; in one track, a row that starts before an earlier
    one ends is rejected. Boxes and masks are the `coco` format's.
    source.yaml states title, specialty, procedure type, licence and consent; unless it says otherwise nothing
    may be released.
    """

    name = "in_house"
    title = "In-house videos"
    specialty = "General"
    procedure_type = None
    licence = Licence("in-house", redistribution=False)
    citation = "not published"
    url = ""
    format_source = "docs/sources.md"
    yields = tuple(f"intervals:{track}" for track in TRACKS)
    signature = (SIDECAR,)

    def detect(self, root: Path) -> str | None:
        """Evidence: source.yaml, and a video or a table of ours somewhere below it."""
        ours = (path.suffix.lower() in FOOTAGE or _is_ours(path) for path in root.rglob("*.*") if path.is_file())
        found = super().detect(root)
        return found if found and any(ours) else None

    def terms(self, root: Path) -> Terms:
        """Licence and consent as source.yaml states them."""
        value = sidecar(root)
        consent = value["consent"]
        released = value.get("may_be_released") == "true"
        licence = Licence(value["licence"], redistribution=released)
        return Terms(licence, consent["scope"], released, consent["reference"])

    def subject(self, root: Path) -> Subject:
        """Title, specialty and procedure type as source.yaml states them."""
        value = sidecar(root)
        return Subject(value["title"], value["specialty"], procedure_types(value))

    def videos(self, root: Path) -> list[NativeVideo]:
        """Every video file, and every csv with our header whose video is missing, by name without suffix."""
        value = sidecar(root)
        files = sorted(path for path in root.rglob("*.*") if not path.name.startswith("."))
        media = _by_stem(root, (path for path in files if path.suffix.lower() in FOOTAGE))
        beside = {composed(str(root / Path(file).with_suffix(""))) for file in media.values()}
        tables = (path for path in files if path.suffix.lower() in LABELS)
        labels = _by_stem(
            root, (path for path in tables if composed(str(path.with_suffix(""))) in beside or _is_ours(path))
        )
        if not media and not labels:
            raise SourceError(root, "", f"a video ({', '.join(FOOTAGE)})", "none")
        stated = value["videos"]
        if unknown := stated.keys() - media.keys() - labels.keys():
            raise SourceError(SIDECAR, "/videos", "names of videos in this folder", sorted(unknown))
        return [
            NativeVideo(
                stem,
                "video" if stem in media else "none",
                frame_rate=1.0,
                path=media.get(stem),
                label_files=(labels[stem],) if stem in labels else (),
                procedure_type=stated.get(stem, {}).get("procedure_type", value["procedure_type"]),
                patient=stated.get(stem, {}).get("patient"),
            )
            for stem in sorted(media.keys() | labels.keys())
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Intervals; the bad rows of a file do not stop the good ones."""
        return NativeLabels.concat(intervals(root, [(one.video, file) for one in videos for file in one.label_files]))

    def remarks(self, root: Path, videos: list[NativeVideo]) -> list[tuple[str, str]]:
        """Columns that are not read, and files in another encoding."""
        return remarks(root, [file for one in videos for file in one.label_files])


def intervals(root: Path, files: list[tuple[str, str]]) -> list[dict[str, pl.DataFrame]]:
    """Records of csv and JSON files of intervals, given as (video, file)."""
    rows = [
        _listed(root, file, video) if file.lower().endswith(".json") else _tabled(root, file, video)
        for video, file in files
    ]
    return _judged(pl.concat(rows, how="diagonal")) if rows else []


def remarks(root: Path, files: Iterable[str]) -> list[tuple[str, str]]:
    """What csv files hold that is not read, and which are no UTF-8; those that cannot be read are told elsewhere."""
    said = []
    for file in files:
        if file.lower().endswith(".csv"):
            try:
                found = sheet(root, file, COLUMNS)
            except SourceError:
                continue
            if found.ignored:
                said.append(("ignored_columns", f"{file}, line 1: {', '.join(found.ignored)}"))
            if found.encoding == "Windows-1252":
                said.append(("encoding", f"{file}: no UTF-8, read as Windows-1252"))
    return said


def _tabled(root: Path, file: str, video: str) -> pl.DataFrame:
    """Rows of a csv: the columns as they are written, and the times to be read."""
    found = sheet(root, file, COLUMNS)
    times = with_points(found, ("start", "end")).select(start_read="start", end_read="end")
    return on_lines(pl.concat([found.rows, times], how="horizontal"), video)


def _listed(root: Path, file: str, video: str) -> pl.DataFrame:
    """Objects of a JSON list as the csv has them; their `line` is their place in the list."""
    found = list(entries(file, document(root, file), "", list))
    kinds = {name: optional(CELL) for name in COLUMNS}
    written = [
        (pointer, {key: str(value) if CELL.holds(value) else value for key, value in row.items()})
        if isinstance(row, dict)
        else (pointer, row)
        for pointer, row in found
    ]
    rows = records(file, written, kinds)
    return rows.with_columns(
        start_read="start",
        end_read="end",
        line=pl.int_range(pl.len(), dtype=pl.Int64),
        video=pl.lit(video),
        n_rows=pl.lit(1, pl.Int64),
    )


def _judged(rows: pl.DataFrame) -> list[dict[str, pl.DataFrame]]:
    stripped = rows.with_columns(pl.col(*COLUMNS).str.strip_chars())
    rows = stripped.filter(pl.any_horizontal(pl.col(*COLUMNS).is_not_null())).with_columns(
        start_s=seconds(pl.col("start_read")), end_s=seconds(pl.col("end_read")),
        field=pl.col("track").str.to_lowercase(), raw_value="label",
    )  # fmt: skip
    # 1:30 is a minute and a half here and an hour and a half there, 1,234 a second and a bit or twenty minutes.
    times = pl.format("'{}' to '{}'", pl.col("start").fill_null(""), pl.col("end").fill_null(""))
    unclear = pl.format("Start and end are seconds or H:MM:SS, in one way only; here they are {}.", times)
    rows, untimed = reject(rows, pl.any_horizontal(pl.col("start_s", "end_s").is_null()), "unreadable_time", unclear)
    unknown = ~pl.col("field").fill_null("").is_in(TRACKS)
    none_of = pl.format(f"The track is '{{}}', none of {', '.join(TRACKS)}.", pl.col("track").fill_null(""))
    rows, untracked = reject(rows, unknown, "unknown_track", none_of, "track")
    rows, unnamed = reject(rows, pl.col("label").is_null(), "no_label", "The label is empty.")
    rows, reversed_ = in_order(rows)
    track = ["video", "field"]
    rows = rows.sort(*track, "start_s", "line").with_columns(
        reach=pl.col("end_s").cum_max().shift(1).over(track),
        longest=pl.when(pl.col("end_s") == pl.col("end_s").cum_max())
        .then("locator")
        .forward_fill()
        .shift(1)
        .over(track),
    )
    meets = pl.format("It starts at {} s, before {} of its track ends.", "start_s", "longest")
    rows, overlapping = reject(rows, pl.col("start_s") < pl.col("reach"), "overlap", meets, "label")
    rejects = pl.concat([untimed, untracked, unnamed, reversed_, overlapping])
    return [{"intervals": rows, "rejects": rejects}]


def _by_stem(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        file = path.relative_to(root).as_posix()
        if not is_utf8(file):
            raise SourceError(ascii(file), "", "a UTF-8 file name", ascii(path.name))
        if (other := found.setdefault(composed(path.stem), file)) != file:
            raise SourceError(file, "", f"a name that {other} does not have too", path.stem)
    return found


def _is_ours(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and has_columns(path, COLUMNS)


ADAPTER = InHouse()
