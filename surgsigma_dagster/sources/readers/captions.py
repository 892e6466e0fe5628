"""Subtitle files, WebVTT and SubRip: what is said, when, and on which line of the file that stands.

Our own reader, since the place of a cue in its file is what a label is traced by, and libraries drop it. Formats: W3C,
WebVTT, 2019; SubRip has no specification, its cues are WebVTT's with a comma before the milliseconds.
"""

import html
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.rows import on_lines, reject, require
from surgsigma_dagster.sources.readers.tables import lines

_CLOCK = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]\d)[.,](\d{3})"
_TIMES = rf"^{_CLOCK}\s+-->\s+{_CLOCK}(?:\s.*)?$"
_UNSAID = r"^(?:WEBVTT|NOTE|STYLE|REGION)\b"
_SOUND = r"\[[^\[\]]*\]|\([^()]*\)|[♪♫#>\-\s]"  # what subtitles for the deaf write beside words: [Music], (laughter), ♪


def captions(root: Path, file: str, video: str, language: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`captions` records of a file, a cue each, and rejects: cues without words or of sounds, and those that repeat the
    one before.

    Rolling subtitles show each line twice: what the cue before said already is left out. They hold lines of a single
    blank, which end no cue unless another begins there. A line of times that cannot be read, and words without times,
    are a `SourceError`.
    """
    rows = on_lines(lines(root, file), video)
    rows = rows.with_columns(pl.col("content").str.strip_chars(), empty=pl.col("content") == "")
    timed = pl.col("content").str.contains("-->", literal=True)
    times = pl.col("content").str.extract_groups(_TIMES).struct
    require(rows.filter(timed), times.field("3").is_not_null(), "HH:MM:SS.mmm --> HH:MM:SS.mmm", "content")

    def seconds(first: int) -> pl.Expr:
        hours, minutes, whole, thousandths = (times.field(str(first + k)).cast(pl.Float64) for k in range(4))
        return (hours.fill_null(0) * 3600 + minutes * 60 + whole + thousandths / 1000).round(3)

    numbered = pl.col("content").shift(-1).str.contains(r"^\d+$") & timed.shift(-2)
    begins = (timed.shift(-1) | numbered).fill_null(False)
    ends = pl.col("empty") | ((pl.col("content") == "") & begins)
    blocks = rows.with_columns(block=ends.cum_sum()).filter(pl.col("content") != "")
    cues = blocks.filter(timed).with_columns(start_s=seconds(1), end_s=seconds(5), language=pl.lit(language, pl.String))
    if twice := cues.filter(pl.col("block").is_duplicated()).to_dicts():
        raise SourceError(file, twice[1]["locator"], "a blank line between two cues", repr(twice[1]["content"]))
    other = blocks.filter(pl.col("content").first().over("block").str.contains(_UNSAID))
    lost = blocks.join(cues, on="block", how="anti").join(other, on="block", how="anti")
    require(lost, pl.lit(False), "a cue with its times", "content")
    cues = cues.with_columns(before=pl.col("block").shift(1))
    words = (
        blocks.join(cues.select("block", cue="line"), on="block")
        .filter(pl.col("line") > pl.col("cue"))
        .select("block", words=_read_aloud(pl.col("content")))
        .filter(pl.col("words") != "")
    )
    earlier = cues.select("block", "before").join(words, left_on="before", right_on="block").select("block", "words")
    for name, part in (("whole", words), ("raw_value", words.join(earlier, on=["block", "words"], how="anti"))):
        joined = part.group_by("block", maintain_order=True).agg(pl.col("words").str.join(" ").alias(name))
        cues = cues.join(joined, on="block", how="left", maintain_order="left")
    cues, empty = reject(cues, pl.col("whole").is_null(), "cue_without_words", "The cue has times and no words.")
    cues, rolled = reject(cues, pl.col("raw_value").is_null(), "repeats", "The cue before says the same.", "whole")
    silent = pl.col("raw_value").str.replace_all(_SOUND, "") == ""
    cues, sounds = reject(cues, silent, "sound", "It names a sound and holds no words that are said.", "raw_value")
    ends_first = pl.format("It ends at {} s and starts at {} s.", "end_s", "start_s")
    cues, unordered = reject(cues, pl.col("end_s") <= pl.col("start_s"), "empty_interval", ends_first, "raw_value")
    return cues, pl.concat([empty, rolled, sounds, unordered])


def _read_aloud(content: pl.Expr) -> pl.Expr:
    """A line of a cue without its tags, entities as the characters that they stand for."""
    bare = content.str.replace_all(r"<[^>]*>", "")
    return bare.map_elements(html.unescape, return_dtype=pl.String).str.replace_all("\u00a0", " ").str.strip_chars()
