"""Ids: how rows and units are named, and hashes that no library release changes."""

import re

import polars as pl
import polars_hash  # noqa: F401  registers the expressions' nchash namespace

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def unit_key(video_id: str) -> str:
    """`source/video` as a partition key and file name: `source__video`."""
    source, _, video = video_id.partition("/")
    return f"{source}__{_UNSAFE.sub('-', video)}"


def frame_id(video_id: pl.Expr, frame_index: pl.Expr) -> pl.Expr:
    """`video_id/frame_index`, six digits."""
    return pl.concat_str(video_id, frame_index.cast(pl.String).str.pad_start(6, "0"), separator="/")


def _joined(parts: tuple[pl.Expr | str, ...]) -> pl.Expr:
    texts = [pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts]
    return pl.concat_str([text.fill_null("") for text in texts], separator="\x1f")


def hashed(*parts: pl.Expr | str, seed: int = 0) -> pl.Expr:
    """A 64-bit number (xxHash64) that depends on the parts and the seed alone; a null counts as empty."""
    return _joined(parts).nchash.xxhash64(seed=seed)  # type: ignore[attr-defined]


def hashed_id(*parts: pl.Expr | str) -> pl.Expr:
    """An id of sixteen hexadecimal digits (the start of XXH3-128) that depends on the parts alone; a null is empty."""
    digest = _joined(parts).nchash.xxh3_128(return_binary=True, byte_order="big")  # type: ignore[attr-defined]
    return digest.bin.slice(0, 8).bin.encode("hex")


def clip_id(video_id: pl.Expr, start_s: pl.Expr, end_s: pl.Expr) -> pl.Expr:
    """`video_id/start-end`, milliseconds from the first frame, eight digits each."""
    begin, end = ((at * 1000).round().cast(pl.Int64).cast(pl.String).str.zfill(8) for at in (start_s, end_s))
    return pl.concat_str(video_id, pl.lit("/"), begin, pl.lit("-"), end)
