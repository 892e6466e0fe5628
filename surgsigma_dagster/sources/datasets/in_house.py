"""In-house data: a folder of videos, a csv or JSON list of intervals beside each, and a source.yaml about them."""

from codecs import BOM_UTF8
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
    Kind,
    document,
    entries,
    in_order,
    is_utf8,
    on_lines,
    optional,
    records,
    reject,
    seconds,
    table,
)
from surgsigma_dagster.sources.sidecar import SIDECAR, sidecar

LABELS = (".csv", ".json")
MEDIA = FOOTAGE
CELL = replace(TEXT, expected="text or a number", holds=lambda value: TEXT.holds(value) or NUMBER.holds(value))
COLUMNS = ("start", "end", "track", "label")
TRACKS = ("phase", "step", "action", "event")


class InHouse(Adapter):
    """`<stem>.mp4` (or another of `FOOTAGE`) anywhere under the root, beside it `<stem>.csv`: start, end, track, label.

    `<stem>.json` may stand instead: a list of objects with those keys. Times are seconds or H:MM:SS(.mmm). A csv line
    or an object is a row, counted in `intervals` or `rejects`. Rows of different tracks may overlap; in one track, a
    row that starts before an earlier one ends is rejected. Boxes and masks are the `coco` format's.
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
        ours = (path.suffix.lower() in MEDIA or _is_ours(path) for path in root.rglob("*.*") if path.is_file())
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
        return Subject(value["title"], value["specialty"], value["procedure_type"])

    def videos(self, root: Path) -> list[NativeVideo]:
        """Every video file, and every csv with our header whose video is missing, by name without suffix."""
        value = sidecar(root)
        files = sorted(path for path in root.rglob("*.*") if not path.name.startswith("."))
        media = _by_stem(root, (path for path in files if path.suffix.lower() in MEDIA))
        beside = {root / Path(file).with_suffix("") for file in media.values()}
        tables = (path for path in files if path.suffix.lower() in LABELS)
        labels = _by_stem(root, (path for path in tables if path.with_suffix("") in beside or _is_ours(path)))
        if not media and not labels:
            raise SourceError(root, "", f"a video ({', '.join(MEDIA)})", "none")
        stated = value.get("videos") or {}
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


def intervals(root: Path, files: list[tuple[str, str]]) -> list[dict[str, pl.DataFrame]]:
    """Records of csv and JSON files of intervals, given as (video, file)."""
    cells: dict[str, Kind] = {name: optional(TEXT) for name in COLUMNS}
    rows = [
        _listed(root, file, video) if file.lower().endswith(".json") else on_lines(table(root, file, cells), video)
        for video, file in files
    ]
    return _judged(pl.concat(rows, how="diagonal")) if rows else []


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
        line=pl.int_range(pl.len(), dtype=pl.Int64), video=pl.lit(video), n_rows=pl.lit(1, pl.Int64)
    )


def _judged(rows: pl.DataFrame) -> list[dict[str, pl.DataFrame]]:
    stripped = rows.with_columns(pl.col(COLUMNS).str.strip_chars())
    rows = stripped.filter(pl.any_horizontal(pl.col(COLUMNS).is_not_null())).with_columns(
        start_s=seconds(pl.col("start")), end_s=seconds(pl.col("end")), field="track", raw_value="label"
    )
    times = pl.format("{} to {}", pl.col("start").fill_null(""), pl.col("end").fill_null(""))
    unclear = pl.format("Start and end are seconds or H:MM:SS, here they are {}.", times)
    rows, untimed = reject(rows, pl.any_horizontal(pl.col("start_s", "end_s").is_null()), "unreadable_time", unclear)
    unknown = ~pl.col("track").fill_null("").is_in(TRACKS)
    rows, untracked = reject(rows, unknown, "unknown_track", f"The track is none of {', '.join(TRACKS)}.", "track")
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
        if found.setdefault(path.stem, file) != file:
            raise SourceError(file, "", f"a name that {found[path.stem]} does not have too", path.stem)
    return found


def _is_ours(path: Path) -> bool:
    if path.suffix.lower() != ".csv":
        return False
    with path.open("rb") as file:
        return file.readline().removeprefix(BOM_UTF8).strip() == ",".join(COLUMNS).encode()


ADAPTER = InHouse()
