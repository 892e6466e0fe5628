from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.quality import rules
from surgsigma_dagster.quality.rules import RULES, Rule, evaluate, releasable
from surgsigma_dagster.schema.tables import QaResults
from tests.unit.made import corpus, table

Tables = dict[str, pl.DataFrame]
GRASPER = "cholect50/VID01/000000"


def results(tables: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    found = evaluate({name: frame.lazy() for name, frame in tables.items()})
    QaResults.validate(found, cast=True)
    return {row["rule"]: row for row in found.to_dicts()}


def changed(name: str, where: pl.Expr | None = None, **columns: object) -> Callable[[Tables], Tables]:
    """Tables with `columns` of the table `name` set in the rows `where` (the first row unless given)."""

    def change(tables: Tables) -> Tables:
        frame = tables[name]
        chosen = pl.int_range(pl.len()) == 0 if where is None else where
        values = [
            pl.when(chosen).then(value if isinstance(value, pl.Expr) else pl.lit(value)).otherwise(column)
            .cast(frame.schema[column]).alias(column)
            for column, value in columns.items()
        ]  # fmt: skip
        return {name: frame.with_columns(values)}

    return change


def added(name: str, **columns: object) -> Callable[[Tables], Tables]:
    """Tables with one more row of `name`: the first one, with `columns` set."""

    def change(tables: Tables) -> Tables:
        return {name: pl.concat([tables[name], changed(name, **columns)({name: tables[name].head(1)})[name]])}

    return change


def rejected(rule: str, stage: str = "ingestion") -> Callable[[Tables], Tables]:
    row = {
        "reject_id": "r",
        "stage": stage,
        "rule": rule,
        "reason": "told why",
        "source": "ours",
        "n_rows": 1,
        "video_id": "v",
        "locator": "l",
    }
    return lambda tables: {"rejects": pl.concat([tables["rejects"], table("rejects", row)])}


def said(where: pl.Expr, turn: str, text: Callable[[str], str]) -> Callable[[Tables], Tables]:
    """Tables with what one turn says (`question`, `answer_text`) changed in the conversations `where`."""

    def change(tables: Tables) -> Tables:
        talk = tables["conversations"].with_columns(chosen=where)
        turns = [text(one) if chosen else one for one, chosen in talk.select(turn, "chosen").rows()]
        return {"conversations": talk.drop("chosen").with_columns(pl.Series(turn, turns))}

    return change


def with_media(**fields: str) -> Callable[[Tables], Tables]:
    def change(tables: Tables) -> Tables:
        talk = tables["conversations"]
        media = talk["media"].to_list()
        media[0] = [media[0][0] | fields]
        return {"conversations": talk.with_columns(pl.Series("media", media, talk.schema["media"]))}

    return change


def asked_of_footage(kind: str, cutoff_s: float) -> Callable[[Tables], Tables]:
    """Tables with one more scene, whose answer stands on the first interval."""

    def change(tables: Tables) -> Tables:
        target = tables["intervals"]["label_id"][0]
        scene = {"scene_id": "new", "kind": kind, "cutoff_s": cutoff_s, "target_label_id": target}
        return added("scene_context", **scene)(tables)

    return change


def boxed_again(first: str | None, second: str | None, **columns: object) -> Callable[[Tables], Tables]:
    """Tables with a second box, six pixels from the first, and the instance of each."""

    def change(tables: Tables) -> Tables:
        own = changed("boxes", instance=first)(tables)
        return added("boxes", label_id="new", x1=16.0, x2=36.0, file="rater2.txt", instance=second, **columns)(own)

    return change


def of_intervals_alone(**columns: object) -> Callable[[Tables], Tables]:
    """Tables with `columns` of a video set of which there is nothing but an interval of frames."""

    def change(tables: Tables) -> Tables:
        video = "ours/case01"
        counted = changed("intervals", pl.col("video_id") == video, start_frame=0, end_frame=74)(tables)
        return counted | changed("videos", pl.col("video_id") == video, **columns)(tables)

    return change


OPEN, CHOICE = (pl.col("form").cast(pl.String) == form for form in ("open", "multiple choice"))
FIRST_CHOICE = CHOICE & (CHOICE.cum_sum() == 1)
FIRST_OPEN = OPEN & (OPEN.cum_sum() == 1)

# Rule: what to plant, and how many failures it makes.
PLANTS: list[tuple[str, Callable[[Tables], Tables], int | dict[str, int]]] = [
    ("sources_readable", rejected("unreadable_source"), 1),
    ("sources_readable", rejected("unreadable_labels"), 1),
    ("tables_keep_their_contract", changed("criteria", score=1.5), 1),
    (
        "tables_keep_their_contract",
        lambda tables: {"concepts": pl.concat([tables["concepts"], tables["concepts"].tail(1)])},
        1,
    ),
    ("frame_labels_have_frames", added("presences", label_id="new", frame_id="cholect50/VID01/000999"), 1),
    ("rows_have_videos", added("intervals", label_id="new", video_id="cholect50/VID99"), 1),
    ("rows_have_videos", added("frames", frame_id="cholect50/VID99/000000", video_id="cholect50/VID99"), 1),
    ("concepts_are_closed", added("boxes", label_id="new", concept_id="instrument/chainsaw"), 1),
    ("concepts_are_closed", added("triplets", label_id="new", target_concept_id="tissue/unobtainium"), 1),
    ("concepts_are_closed", changed("videos", procedure_type="procedure/unheard_of"), 1),
    ("concepts_are_closed", added("intervals", label_id="new", concept_id="action/clipping"), 1),
    ("boxes_inside_image", added("boxes", label_id="new", x2=100.5), 1),
    ("boxes_inside_image", added("boxes", label_id="new", y1=-0.5), 1),
    ("boxes_inside_image", added("boxes", label_id="new", x2=10.0), 1),
    ("an_instance_is_boxed_once", boxed_again("7", "7"), 1),  # a second rater's file
    ("intervals_inside_video", added("intervals", label_id="new", end_s=6.5), 1),
    (
        "labels_reach_the_end",
        added("intervals", label_id="new", track="step", start_s=0.0, end_s=1.0),
        {"labels_reach_the_end": 1, "concepts_are_closed": 1},  # the concept is still a phase's
    ),
    ("labels_reach_the_end", rejected("label_file_without_rows"), 1),
    ("videos_readable", changed("videos", status="quarantined", reason="cut off"), 1),
    ("videos_readable", changed("videos", status="absent", reason="v.mp4 links to no file", media_path="v.mp4"), 1),
    ("videos_readable", added("frames", frame_id="x", frame_index=99, status="quarantined", reason="cut off"), 1),
    ("values_are_mapped", added("alias_coverage", raw_value="Graspr", concept_id=pl.lit(None, pl.String)), 1),
    ("reasoning_is_grounded", changed("reasoning", verified="fail", verifier_reason="said too much"), 1),
    ("reasoning_is_grounded", changed("reasoning", verified="not run"), 1),
    ("no_placeholder_left", changed("reasoning", relation="The {instrument} is at rest."), 1),
    (
        "no_placeholder_left",
        said(FIRST_OPEN, "answer_text", lambda text: f"<|object_ref_start|> {text}"),
        {"no_placeholder_left": 1, "answers_parse_back": 1},
    ),
    ("no_placeholder_left", said(FIRST_OPEN, "question", lambda text: f"{text} TODO"), 1),
    ("conversations_are_traceable", changed("conversations", reasoning_id="nowhere"), 1),
    ("conversations_are_traceable", changed("conversations", label_ids=pl.lit(pl.Series([["made up"]])).first()), 1),
    (
        "conversations_are_traceable",
        changed("conversations", label_ids=pl.lit(pl.Series([[]], dtype=pl.List(pl.String))).first()),
        1,
    ),
    ("conversations_are_traceable", with_media(id="cholect50/VID01/000777"), 1),
    # The conversation itself, its procedure, and its picture; and the counts by split.
    (
        "one_split_per_procedure",
        changed("conversations", split="test"),
        {"one_split_per_procedure": 3, "counts_add_up": 2},
    ),
    # A conversation that follows another procedure than its video: no key of its own is in two splits.
    ("one_split_per_procedure", changed("conversations", pl.col("video_id") == "ours/case01", procedure_id="else"), 4),
    # A video that two procedures list.
    (
        "one_split_per_procedure",
        changed("procedures", pl.col("procedure_id") == "ours/case01", videos=["ours/case01", "endoscapes/170"]),
        2,
    ),
    (
        "one_split_per_procedure",
        changed("frames", pl.col("frame_id").is_in([GRASPER, "endoscapes/170/000000"]), sha256="same"),
        1,
    ),
    ("choices_have_one_right_option", said(FIRST_CHOICE, "question", lambda text: text.split("\n")[0]), 1),
    (
        "choices_have_one_right_option",
        said(FIRST_CHOICE, "question", lambda text: text + "\nD." + text.split("\nA.")[1].split("\n")[0]),
        1,
    ),
    *(
        (
            "choices_have_one_right_option",
            changed("conversations", FIRST_CHOICE, answer=answer),
            {"choices_have_one_right_option": 1, "answers_parse_back": 1},
        )
        for answer in ('{"option":"E"}', "{}")
    ),
    ("paths_are_relative", with_media(path="/data/secret/000000.jpg"), 1),
    ("paths_are_relative", with_media(path="images\\VID01\\0.jpg"), 1),
    ("paths_are_relative", changed("frames", image_path="images/../../0.jpg"), 1),
    (
        "unknown_overlaps_are_looked_into",
        lambda _: {
            "source_overlaps": table(
                "source_overlaps",
                {
                    "source_a": "cholect50",
                    "source_b": "ours",
                    "relation": "unknown",
                    "why": "nobody says",
                    "content_check": "not run",
                    "n_videos_compared": 0,
                    "n_shared_procedures": 0,
                    "found_by_content": [],
                },
            )
        },
        1,
    ),
    (
        "sources_agree",
        lambda _: {
            "label_conflicts": table(
                "label_conflicts",
                {
                    "procedure_id": "cholec/001",
                    "at_s": 1529.0,
                    "field": "phase",
                    "rule": "precedence of phase: family",
                    **{
                        f"{side}_{what}": "x"
                        for side in ("kept", "overruled")
                        for what in ("source", "concept_id", "place")
                    },
                    "kept_says": True,
                    "overruled_says": True,
                    "overruled_label_id": "x",
                },
            )
        },
        1,
    ),
    ("no_future_in_an_input", changed("conversations", FIRST_OPEN, cutoff_s=-0.04), 1),
    ("no_future_in_an_input", changed("conversations", FIRST_OPEN, cutoff_s=pl.lit(None, pl.Float64)), 1),
    ("the_future_is_the_answer", asked_of_footage("next_action", 0.5), 1),  # what comes next began at 0 s
    ("the_future_is_the_answer", asked_of_footage("remaining", 3.0), 1),  # what still lasts ended at 3 s
    ("clock_of_labels_fits_video", rejected("frame_beyond_video_end", "frames"), 1),
    # Of three videos, one has labels on frames, one intervals of frames too, and one counts seconds, at any rate.
    ("frame_numbers_are_the_files", changed("videos", pl.lit(True), frame_rate=59.94, media_path="v.mp4"), 2),
    ("frame_numbers_are_the_files", of_intervals_alone(frame_rate=2.0, media_path="v.mp4"), 1),
]


@pytest.mark.parametrize(
    ("rule", "plant", "n"), PLANTS, ids=[f"{number}-{rule}" for number, (rule, _, _) in enumerate(PLANTS)]
)
def test_a_planted_defect_fails_its_rule_and_no_other(
    rule: str, plant: Callable[[Tables], Tables], n: int | dict[str, int]
) -> None:
    expected = n if isinstance(n, dict) else {rule: n}
    found = results(corpus() | plant(corpus()))
    assert {name: row["n_failed"] for name, row in found.items() if row["status"] != "pass"} == expected
    assert len(found[rule]["examples"]) == expected[rule]
    assert all(found[rule]["examples"])


def test_every_rule_has_a_defect_planted() -> None:
    # Defects of these are planted beside what they are about: test_counts.py, test_rule_answers.py.
    elsewhere = {"counts_add_up", "sampling_keeps_its_word", "negatives_are_kept", "answers_parse_back"}
    assert {rule for rule, _, _ in PLANTS} == set(RULES) - elsewhere


def test_clean_tables_pass_every_rule() -> None:
    found = results(corpus())
    assert {row["status"] for row in found.values()} == {"pass"}
    assert found["reasoning_is_grounded"]["n_checked"] == corpus()["reasoning"].height > 0
    assert found["frame_labels_have_frames"]["n_checked"] == 19  # presences, boxes, triplets, criteria
    assert all(row["description"].endswith(".") for row in found.values())


def test_a_question_without_time_shows_its_own_frame_and_no_other() -> None:
    unknown = pl.lit(None, pl.Float64)
    untimed = corpus() | {
        "frames": corpus()["frames"].with_columns(pts_s=unknown),
        "conversations": corpus()["conversations"].with_columns(cutoff_s=unknown),
    }
    assert results(untimed)["no_future_in_an_input"]["status"] == "pass"
    shown = untimed["conversations"]["media"][0][0]["id"]
    another = next(name for name in untimed["frames"]["frame_id"] if name != shown)
    assert results(untimed | with_media(id=another)(untimed))["no_future_in_an_input"]["n_failed"] == 1


def test_sources_agree_of_as_many_instants_as_were_compared() -> None:
    compared = {"source_a": "cholec80", "source_b": "cholect50", "n_compared": 700, "n_agreed": 611}
    rows = [{**compared, "field": field} for field in ("phase", "instrument")]
    assert results(corpus() | {"agreements": table("agreements", *rows)})["sources_agree"]["n_checked"] == 1400


def test_an_unmapped_value_is_one_finding_however_many_videos_hold_it() -> None:
    two = [
        {"source": "lab", "video_id": f"lab/{video}", "field": "phase", "raw_value": "Prep", "n_rows": n}
        for video, n in (("a", 3), ("b", 4))
    ]
    found = results(corpus() | {"alias_coverage": table("alias_coverage", *two)})["values_are_mapped"]
    assert (found["n_failed"], found["examples"]) == (1, ["lab: phase 'Prep' in 7 rows"])


@pytest.mark.parametrize(
    "plant",
    [
        boxed_again("7", "8"),
        boxed_again(None, None),
        boxed_again("7", "7", concept_id="instrument/hook"),  # ids that each class counts for itself
        boxed_again("7", "7", frame_id="cholect50/VID01/000001"),  # a track
    ],
)
def test_boxes_of_other_instances_classes_and_frames_are_no_repetition(plant: Callable[[Tables], Tables]) -> None:
    assert results(corpus() | plant(corpus()))["an_instance_is_boxed_once"]["status"] == "pass"


@pytest.mark.parametrize(
    "columns",
    [
        {"label_rate": 30.0, "frame_rate": 29.97},  # NTSC by its usual name
        {"label_rate": 1.0, "frame_rate": 25.0, "media": "images"},  # an image bears its own number
        {"label_rate": 1.0, "frame_rate": 25.0, "status": "quarantined", "reason": "cut off"},  # nothing is shown of it
        {"label_rate": 25.0, "frame_rate": None, "media": "none"},
    ],
)
def test_a_clock_that_is_no_other_than_its_file_s_or_has_no_file_is_no_fault(columns: dict[str, Any]) -> None:
    tables = corpus() | changed("videos", pl.lit(True), **columns)(corpus())
    assert results(tables)["frame_numbers_are_the_files"]["status"] == "pass"


def test_many_failures_are_counted_and_only_the_first_shown() -> None:
    broken = (
        corpus()["reasoning"]
        .with_columns(verified=pl.lit("fail"), verifier_reason=pl.lit("x"))
        .cast(dict(corpus()["reasoning"].schema))
    )
    many = pl.concat(
        [broken.with_columns(reasoning_id=pl.format("{}-{}", "reasoning_id", pl.lit(k))) for k in range(3)]
    )
    found = results({**corpus(), "reasoning": pl.concat([corpus()["reasoning"], many])})["reasoning_is_grounded"]
    assert found["n_failed"] == 3 * broken.height > rules.N_EXAMPLES == len(found["examples"])


# A rule that did not run


def test_a_rule_that_raises_is_not_run_and_nothing_may_be_released(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: rules.Tables) -> pl.LazyFrame:
        raise ZeroDivisionError("nothing to divide by")

    monkeypatch.setitem(RULES, "broken", Rule("broken", "boxes", "Always holds.", "error", broken, ("boxes",)))
    found = evaluate({name: frame.lazy() for name, frame in corpus().items()})
    row = found.filter(pl.col("rule") == "broken").row(0, named=True)
    assert (row["status"], row["n_checked"], row["examples"]) == (
        "not run",
        0,
        ["ZeroDivisionError: nothing to divide by"],
    )
    assert found.filter(pl.col("status").cast(pl.String) == "pass").height == found.height - 1
    assert not releasable(found)


def test_a_missing_table_leaves_its_rules_not_run() -> None:
    found = results({name: frame for name, frame in corpus().items() if name != "boxes"})
    assert found["boxes_inside_image"]["status"] == "not run"
    assert found["paths_are_relative"]["status"] == "pass"


@pytest.mark.parametrize(
    ("severity", "status", "may"),
    [
        ("error", "fail", False),
        ("error", "not run", False),
        ("warning", "fail", True),
        ("warning", "not run", True),
        ("error", "pass", True),
    ],
)
def test_only_errors_stop_a_release(severity: str, status: str, may: bool) -> None:
    found = evaluate({name: frame.lazy() for name, frame in corpus().items()})
    chosen = pl.col("rule") == ("boxes_inside_image" if severity == "error" else "videos_readable")
    assert set(found.filter(chosen)["severity"].cast(pl.String)) == {severity}
    text = pl.when(chosen).then(pl.lit(status)).otherwise(pl.col("status").cast(pl.String))
    assert releasable(found.with_columns(status=text)) is may


def test_a_rule_that_was_left_out_is_no_pass() -> None:
    found = evaluate({name: frame.lazy() for name, frame in corpus().items()})
    assert releasable(found)
    assert not releasable(found.filter(pl.col("rule") != "boxes_inside_image"))
