"""Web video: downloaded files, a manifest that says where each is from and on what terms, and narration beside them."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import (
    Adapter,
    Licence,
    NativeLabels,
    NativeVideo,
    Subject,
    Terms,
    stated_licence,
    strictest,
)
from surgsigma_dagster.sources.datasets.in_house import LABELS, TRACKS, intervals, remarks
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import FOOTAGE, TEXT, composed, is_utf8, require, table
from surgsigma_dagster.sources.readers.captions import captions

MANIFEST = "manifest.csv"
COLUMNS = dict.fromkeys(("video", "url", "licence", "channel", "title", "procedure_type"), TEXT)
NARRATION = (".vtt", ".srt")


class WebVideo(Adapter):
    """`manifest.csv` (video, url, licence, channel, title, procedure_type), and `<video>.mp4` (or of `FOOTAGE`).

    `<video>.vtt`, `<video>.srt` or `<video>.<language>.vtt` is narration: a cue is a row, counted in `captions`.
    `<video>.csv` or `<video>.json` holds intervals as in the in-house format. The manifest's lines are no labels; a
    video that it lists and nobody has downloaded yet has no media (`surgsigma sources fetch`); a file that it does not
    list is an error, since nobody knows its terms. Each video may be released if its licence is Creative Commons' and
    allows derivatives.
    """

    name = "web_video"
    title = "Web videos"
    specialty = "General"
    procedure_type = None
    licence = Licence("stated for each video", redistribution=False)
    citation = "not published"
    url = ""
    format_source = "docs/sources.md"
    yields = ("captions", *(f"intervals:{track}" for track in TRACKS))
    files_stand_alone = True
    signature = (MANIFEST,)

    def detect(self, root: Path) -> str | None:
        """Evidence: a manifest with our columns."""
        found = super().detect(root)
        return found if found and _is_ours(root / MANIFEST) else None

    def terms(self, root: Path) -> Terms:
        """The strictest licence of the videos that may be released, or of all where none may."""
        stated = {stated_licence(name) for name in manifest(root)["licence"]}
        one = strictest({licence for licence in stated if _is_open(licence)} or stated)
        return Terms(one, may_be_released=one.redistribution)

    def subject(self, root: Path) -> Subject:
        """Every kind of procedure that the manifest states."""
        return Subject(self.title, self.specialty, tuple(sorted(manifest(root)["procedure_type"].unique())))

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos of the manifest."""
        listed = manifest(root)
        files = [path for path in sorted(root.iterdir()) if path.is_file() and not path.name.startswith(".")]
        if strange := [path.name for path in files if not is_utf8(path.name)]:
            raise SourceError(ascii(strange[0]), "", "a UTF-8 file name", ascii(strange[0]))
        media = {composed(path.stem): path.name for path in files if path.suffix.lower() in FOOTAGE}
        if unlisted := sorted(set(media) - set(listed["video"])):
            raise SourceError(media[unlisted[0]], "", f"a line of {MANIFEST} with its terms", "none")
        found = []
        for row in listed.sort("video").to_dicts():
            video = row["video"]
            told = [path.name for path in files if _language(composed(path.name), video) is not None]
            labels = [path.name for path in files if composed(path.stem) == video and path.suffix.lower() in LABELS]
            found.append(
                NativeVideo(
                    video,
                    "video" if video in media else "none",
                    frame_rate=1.0,
                    path=media.get(video),
                    label_files=(*told, *labels),
                    procedure_type=row["procedure_type"],
                    licence=row["licence"],
                    attribution=f"{row['title']}, {row['channel']}, {row['url']}",
                )
            )
        return found

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Narration and intervals."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))

    def remarks(self, root: Path, videos: list[NativeVideo]) -> list[tuple[str, str]]:
        """Lines of the manifest whose licence keeps them out of a public release, and what csv files hold unread."""
        closed = [row for row in manifest(root).to_dicts() if not _is_open(stated_licence(row["licence"]))]
        said = [("not_released", f"{MANIFEST}, line {row['line']}: {row['video']}, {row['licence']}") for row in closed]
        return said + remarks(root, [file for one in videos for file in one.label_files])


def manifest(root: Path) -> pl.DataFrame:
    """The manifest: file, line and its columns, one line a video. Raises `SourceError` with the line."""
    rows = table(root, MANIFEST, COLUMNS).with_columns(pl.col(*COLUMNS).str.strip_chars())
    rows = rows.with_columns(pl.col("video").str.normalize("NFC"))
    require(rows, pl.col("video").is_first_distinct(), "a video that no other line has", "video")
    require(rows, ~pl.col("video").str.contains(r"[/\\]|^\."), "a file name without suffix, no path", "video")
    return require(rows, pl.col("url").str.contains(r"^https?://\S+$"), "an http(s) URL", "url")


def _is_open(licence: Licence) -> bool:
    return licence.redistribution and not licence.no_derivatives


def _is_ours(path: Path) -> bool:
    try:
        manifest(path.parent)
    except SourceError as error:
        return error.place != "line 1"
    return True


def _language(name: str, video: str) -> str | None:
    """The language that a narration file's name states, "" where it states none; None where it is no narration."""
    stem, dot, suffix = name.rpartition(".")
    if f"{dot}{suffix.lower()}" not in NARRATION or not stem.startswith(video):
        return None
    rest = stem.removeprefix(video)
    return rest[1:] if rest[:1] == "." else ("" if rest == "" else None)


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    for file in video.label_files:
        language = _language(composed(file), video.video)
        if language is not None:
            said, rejects = captions(root, file, video.video, language or None)
            yield {"captions": said, "rejects": rejects}
    yield from intervals(root, [(video.video, file) for file in video.label_files if not file.endswith(NARRATION)])


ADAPTER = WebVideo()
