from collections.abc import Callable
from functools import cache

import polars as pl
import pytest

from surgsigma_dagster.dialogue.sampling import default_sampling
from surgsigma_dagster.quality.rules import RULES
from surgsigma_dagster.schema.tables import ConversationCounts, Selection
from tests.unit.made import conversed, decided, frame_row, instrument, scene, source_row, table

Tables = dict[str, pl.DataFrame]
FIRST = pl.int_range(pl.len()) == 0


@cache
def whole() -> Tables:
    """A few frames, one of them without any instrument, and all that follows."""
    seen = {"instruments_complete": True, "phase": "phase/cholecystectomy/preparation"}
    frames = [{**seen, "instruments": []}, *[{**seen, "instruments": [instrument("hook")]}] * 4]
    times = [{**frame, "start_s": 10.0 * number} for number, frame in enumerate(frames)]
    scenes = scene(*times[:-1], {**times[-1], "split": "test"})
    tables = {
        "scene_context": scenes,
        "frames": table("frames", *(frame_row("cholect50", "VID01", number) for number in range(5))),
        "sources": table("sources", source_row("cholect50")),
        "conversations": conversed(scenes),
    }
    return tables | decided(tables)


def broken(rule: str, tables: Tables) -> list[str]:
    lazy = {name: frame.lazy() for name, frame in tables.items()}
    return RULES[rule].check(lazy).collect()["example"].sort().to_list()


def test_counts_by_every_part_add_up_to_the_rows() -> None:
    tables = whole()
    counts, talk = tables["conversation_counts"], tables["conversations"]
    ConversationCounts.validate(counts)
    Selection.validate(tables["selection"])
    assert counts["n"].sum() == talk.height == tables["selection"].height
    assert counts["n_kept"].sum() == tables["selection"]["kept"].sum()
    for part in ("task", "source", "split", "form"):
        rows = dict(talk.group_by(pl.col(part).cast(pl.String)).len().iter_rows())
        assert dict(counts.group_by(pl.col(part).cast(pl.String)).agg(pl.col("n").sum()).iter_rows()) == rows
    assert set(counts["specialty"]) == {"Hepatobiliary"}


@pytest.mark.parametrize("rule", ["counts_add_up", "sampling_keeps_its_word", "negatives_are_kept"])
def test_a_clean_corpus_keeps_its_word(rule: str) -> None:
    assert broken(rule, whole()) == []


def without(name: str, gone: pl.Expr) -> Callable[[Tables], Tables]:
    return lambda tables: {name: tables[name].filter(~gone)}


def changed(name: str, where: pl.Expr = FIRST, **columns: object) -> Callable[[Tables], Tables]:
    def change(tables: Tables) -> Tables:
        frame = tables[name]
        return {
            name: frame.with_columns(
                pl.when(where).then(value if isinstance(value, pl.Expr) else pl.lit(value)).otherwise(column)
                .cast(frame.schema[column]).alias(column)
                for column, value in columns.items()
            )
        }  # fmt: skip

    return change


NEGATIVE = pl.col("negative") & (pl.col("task") == "instrument_recognition")
IS_TEST = pl.col("conversation_id").str.contains("/open/.*000004")


@pytest.mark.parametrize(
    ("rule", "plant", "told"),
    [
        # S9 of the known defects: published per-task counts that do not add up to the headline.
        ("counts_add_up", changed("conversation_counts", n=pl.col("n") + 1), "image_captioning, cholect50"),
        ("counts_add_up", changed("conversation_counts", n_kept=pl.col("n_kept") - 1), "kept"),
        ("counts_add_up", without("conversation_counts", FIRST), ": 0 (0 kept), rows"),
        ("counts_add_up", without("conversations", FIRST), "no such conversation"),
        ("counts_add_up", without("selection", FIRST), "not decided on"),
        # S5: "No tools detected" is a true negative that a plain parser drops.
        ("negatives_are_kept", without("conversations", NEGATIVE), "cholect50/VID01/000000: no instrument"),
        ("negatives_are_kept", changed("conversations", NEGATIVE, negative=False), "no conversation says so"),
        ("negatives_are_kept",
         changed("selection", pl.col("conversation_id").str.starts_with("instrument_recognition"), kept=False),
         "instrument_recognition: none of 1 negatives is kept"),
        ("sampling_keeps_its_word", changed("selection", IS_TEST, kept=False), "left out of test"),
        ("sampling_keeps_its_word", changed("conversations", status="rejected"), "rejected, and kept"),
        ("sampling_keeps_its_word",
         changed("sampling_policy", pl.col("task") == "phase_recognition", conversations=3),
         "phase_recognition: 8 kept, cap 3"),
        ("sampling_keeps_its_word",
         changed("sampling_policy", pl.col("task") == "phase_recognition", conversations_a_video=3, at_least=0),
         "phase_recognition of cholect50/VID01: 8 kept, cap 3"),
        ("sampling_keeps_its_word",
         changed("sampling_policy", pl.col("task") == "phase_recognition", seconds_between=11, at_least=0),
         "less than 11.0 s after"),
    ],
)  # fmt: skip
def test_a_planted_defect_is_found_by_its_place(rule: str, plant: Callable[[Tables], Tables], told: str) -> None:
    found = broken(rule, whole() | plant(whole()))
    assert any(told in example for example in found), found


def test_an_empty_corpus_has_no_counts_and_breaks_nothing() -> None:
    tables = {name: frame.clear() for name, frame in whole().items()} | {"sampling_policy": default_sampling().table()}
    again = tables | decided(tables)
    assert again["conversation_counts"].is_empty()
    assert [broken(rule, again) for rule in ("counts_add_up", "sampling_keeps_its_word", "negatives_are_kept")] == [
        [], [], [],
    ]  # fmt: skip
