"""Subtitle files, WebVTT and SubRip: what is said, when, and on which line of the file that stands.

Our own reader, since the place of a cue in its file is what a label is traced by, and libraries drop it. Formats: W3C,
WebVTT, 2019; SubRip has no specification, its cues are WebVTT's with a comma before the milliseconds.
"""

from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers.rows import on_lines, reject, require
from surgsigma_dagster.sources.readers.tables import lines

_CLOCK = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]\d)[.,](\d{3})"
_TIMES = rf"^{_CLOCK}\s+-->\s+{_CLOCK}(?:\s.*)?$"
_UNSAID = r"^(?:WEBVTT|NOTE|STYLE|REGION)\b"


def captions(root: Path, file: str, video: str, language: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`captions` records of a file, a cue each, and rejects: cues without words, and those that repeat the one before.

    Rolling subtitles show each line twice: what the cue before said already is left out. A line of times that cannot
    be read, and words without times, are a `SourceError`.
    """
    rows = on_lines(lines(root, file), video).with_columns(pl.col("content").str.strip_chars())
    timed = pl.col("content").str.contains("-->", literal=True)
    times = pl.col("content").str.extract_groups(_TIMES).struct
    require(rows.filter(timed), times.field("3").is_not_null(), "HH:MM:SS.mmm --> HH:MM:SS.mmm", "content")

    def seconds(first: int) -> pl.Expr:
        hours, minutes, whole, thousandths = (times.field(str(first + k)).cast(pl.Float64) for k in range(4))
        return (hours.fill_null(0) * 3600 + minutes * 60 + whole + thousandths / 1000).round(3)

    blocks = rows.with_columns(block=(pl.col("content") == "").cum_sum()).filter(pl.col("content") != "")
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
        .select("block", words=pl.col("content").str.replace_all(r"<[^>]*>", "").str.strip_chars())
        .filter(pl.col("words") != "")
    )
    earlier = cues.select("block", "before").join(words, left_on="before", right_on="block").select("block", "words")
    for name, part in (("whole", words), ("raw_value", words.join(earlier, on=["block", "words"], how="anti"))):
        joined = part.group_by("block", maintain_order=True).agg(pl.col("words").str.join(" ").alias(name))
        cues = cues.join(joined, on="block", how="left", maintain_order="left")
    cues, empty = reject(cues, pl.col("whole").is_null(), "cue_without_words", "The cue has times and no words.")
    cues, rolled = reject(cues, pl.col("raw_value").is_null(), "repeats", "The cue before says the same.", "whole")
    ends_first = pl.format("It ends at {} s and starts at {} s.", "end_s", "start_s")
    cues, unordered = reject(cues, pl.col("end_s") <= pl.col("start_s"), "empty_interval", ends_first, "raw_value")
    return cues, pl.concat([empty, rolled, unordered])
