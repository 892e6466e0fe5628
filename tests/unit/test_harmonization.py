import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.quality.rules import RULES
from surgsigma_dagster.schema.tables import LABELS, TABLES
from surgsigma_dagster.vocabulary.concepts import NOTHING
from surgsigma_dagster.vocabulary.harmonization import harmonize, unmapped_values
from tests.unit.made import Row, joined, known, native, table, video_row

FEW = settings(max_examples=15, deadline=None)
Tables = dict[str, pl.DataFrame]


def harmonized(
    records: Tables, size: tuple[int, int] | None = (100, 50), dataset: str = "cholect50", **nothing: str
) -> Tables:
    """`records` of the source `lab`, which is a copy of `dataset`; `nothing`: by field, a value that says nothing."""
    video = table("videos", video_row("lab", "v", dataset, size))
    aliases = known("lab", dataset)
    silent = {"source": "lab", "field": [*nothing], "raw_value": [*nothing.values()], "concept_id": NOTHING}
    said = pl.DataFrame(silent | {"by_name": False, "procedure_types": [[]] * len(nothing)}, schema=aliases.schema)
    return harmonize(records, video, pl.concat([aliases, said]))


def box(x1: float, y1: float, x2: float, y2: float, **rest: object) -> Row:
    return {"raw_value": "grasper", "x1": x1, "y1": y1, "x2": x2, "y2": y2, **rest}


def corners(made: Tables) -> list[tuple[float, ...]]:
    return made["boxes"].select("x1", "y1", "x2", "y2").rows()


# Values


def test_three_spellings_of_three_datasets_are_one_concept() -> None:
    spelled = {
        "cholec80": "GallbladderRetraction",
        "cholect50": "gallbladder-extraction",
        "in_house": "Gallbladder  Extraction",
    }
    records = joined(*(native(source=name, intervals=[{"raw_value": raw}]) for name, raw in spelled.items()))
    videos = table("videos", *(video_row(name, "v", name) for name in spelled))
    made = harmonize(records, videos, pl.concat([known(name, name) for name in spelled]))
    assert set(made["intervals"]["concept_id"]) == {"phase/cholecystectomy/gallbladder_extraction"}
    assert set(made["intervals"]["raw_value"]) == set(spelled.values())
    assert made["rejects"].is_empty()


def test_a_name_means_nothing_to_a_source_that_has_its_own_list() -> None:
    made = harmonized(native(intervals=[{"raw_value": "gallbladder extraction"}, {"raw_value": "Preparation"}]))
    assert made["intervals"].is_empty()
    assert made["rejects"]["raw_value"].sort().to_list() == ["Preparation", "gallbladder extraction"]


def test_a_value_that_no_alias_lists_is_turned_down_with_its_place() -> None:
    made = harmonized(
        native(
            presences=[
                {"raw_value": "grasper"},
                {"raw_value": "Graspr", "file": "t/1.txt", "locator": "line 9", "n_rows": 3},
            ]
        )
    )
    assert made["presences"]["concept_id"].to_list() == ["instrument/grasper"]
    (reject,) = made["rejects"].to_dicts()
    told = {
        key: reject[key] for key in ("stage", "rule", "source", "video_id", "file", "locator", "raw_value", "n_rows")
    }
    assert told == {
        "stage": "harmonization", "rule": "unmapped_value", "source": "lab", "video_id": "lab/v", "file": "t/1.txt",
        "locator": "line 9", "raw_value": "Graspr", "n_rows": 3,
    }  # fmt: skip
    coverage = {row["raw_value"]: (row["concept_id"], row["n_rows"]) for row in made["alias_coverage"].to_dicts()}
    assert coverage == {"grasper": ("instrument/grasper", 1), "Graspr": (None, 3)}


def test_a_value_that_says_nothing_is_turned_down_as_meant_and_needs_no_alias() -> None:
    seen = [{"raw_value": "Idle", "locator": "lines 1-4", "n_rows": 4}, {"raw_value": "preparation"}]
    made = harmonized(native(intervals=seen), phase="Idle")
    assert made["intervals"]["raw_value"].to_list() == ["preparation"]
    (reject,) = made["rejects"].to_dicts()
    assert (reject["stage"], reject["rule"], reject["raw_value"], reject["n_rows"]) == (
        "harmonization", "no_label", "Idle", 4,
    )  # fmt: skip
    assert reject["reason"].endswith("nothing is meant by phase 'Idle'")
    coverage = made["alias_coverage"]
    assert coverage.filter(raw_value="Idle").select("concept_id", "n_rows").row(0) == (NOTHING, 4)
    assert RULES["values_are_mapped"].check({"alias_coverage": coverage.lazy()}).collect().is_empty()


@pytest.mark.parametrize("part", ["instrument", "verb", "target"])
def test_a_triplet_is_turned_down_for_the_part_that_says_nothing(part: str) -> None:
    made = harmonized(native(triplets=[{f"raw_{part}": "-"}, {}]), **{part: "-"})
    assert made["triplets"]["raw_value"].to_list() == ["grasper"]
    assert made["rejects"].select("rule", "raw_value").rows() == [("no_label", "-")]
    assert f"meant by {part} '-'" in made["rejects"]["reason"].item()


def test_what_is_known_to_say_nothing_hides_nothing_in_its_frame() -> None:
    seen = box(0, 0, 10, 10)
    made = harmonized(native(boxes=[seen | {"raw_value": value} for value in ("-", "telekinesis")]), instrument="-")
    hidden = {row["rule"]: row["frame_id"] for row in made["rejects"].to_dicts()}
    assert hidden == {"no_label": None, "unmapped_value": "lab/v/000000"}


def test_rows_of_an_unknown_word_are_counted_once_whatever_is_made_of_them() -> None:
    place = [{"file": "a.json", "locator": f"/annotations/{k}", "frame_index": k} for k in range(4)]
    records = native(
        presences=[{"raw_value": "Graspr", **at} for at in place],
        boxes=[{"raw_value": "Graspr", "x1": 0, "y1": 0, "x2": 9, "y2": 9, **at} for at in place],
        triplets=[{"raw_instrument": "Graspr", "raw_verb": verb, **at} for at in place for verb in ("retract", "tug")],
        intervals=[{"raw_value": "Lunch", "locator": "lines 2-31", "n_rows": 30}, {"raw_value": "preparation"}],
    )
    videos = table("videos", video_row("lab", "v", "cholect50")).select("video_id", "procedure_type")
    found = unmapped_values(records, videos, known("lab", "cholect50"))
    assert found.rows() == [
        ("lab", "phase", "Lunch", 30), ("lab", "instrument", "Graspr", 4), ("lab", "verb", "tug", 4),
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["instrument", "verb", "target"])
def test_a_triplet_is_turned_down_for_the_part_that_is_unknown(part: str) -> None:
    made = harmonized(native(triplets=[{f"raw_{part}": "telekinesis"}]))
    assert made["triplets"].is_empty()
    assert made["rejects"]["raw_value"].to_list() == ["telekinesis"]
    assert f"no alias for {part} 'telekinesis'" in made["rejects"]["reason"].item()


def test_not_annotated_and_nothing_are_two_things() -> None:
    said = [{"raw_verb": None, "raw_target": None}, {"raw_verb": "null_verb", "raw_target": "null_target"}]
    made = harmonized(native(triplets=said))
    verbs = made["triplets"].select("verb_concept_id", "target_concept_id").rows()
    assert sorted(verbs, key=str) == [("verb/none", "target/none"), (None, None)]


def test_one_spelling_means_what_its_field_says() -> None:
    made = harmonized(native(triplets=[{"raw_target": "specimen_bag"}], presences=[{"raw_value": "specimen_bag"}]))
    assert made["triplets"]["target_concept_id"].to_list() == ["instrument/specimen_bag"]
    assert made["rejects"]["raw_value"].to_list() == ["specimen_bag"]  # no instrument class of CholecT50


@pytest.mark.parametrize(("score", "met"), [(0.0, False), (0.33, False), (0.5, True), (1.0, True)])
def test_a_criterion_is_met_from_one_half(score: float, met: bool) -> None:
    made = harmonized(native(criteria=[{"score": score}]), dataset="endoscapes")
    assert made["criteria"].select("score", "met").rows() == [(score, met)]


# Boxes


def test_a_relative_box_is_in_pixels_of_the_size_that_its_file_states() -> None:
    relative = {"unit": "relative", "width": 1920, "height": 1080}
    made = harmonized(native(boxes=[box(0.25, 0.5, 0.5, 1.0, **relative)]))
    assert corners(made) == [(480.0, 540.0, 960.0, 1080.0)]
    assert made["boxes"].select("width", "height", "clipped").row(0) == (1920, 1080, False)


def test_a_relative_box_without_a_size_takes_the_video_s() -> None:
    made = harmonized(native(boxes=[box(0.25, 0.5, 0.5, 1.0, unit="relative", width=None, height=None)]), (854, 480))
    assert corners(made) == [(213.5, 240.0, 427.0, 480.0)]


@pytest.mark.parametrize("unit", ["relative", "pixel"])
def test_a_box_on_an_image_of_unknown_size_is_turned_down(unit: str) -> None:
    made = harmonized(native(boxes=[box(0.1, 0.1, 0.2, 0.2, unit=unit, width=None, height=None)]), None)
    assert made["boxes"].is_empty()
    assert made["rejects"]["rule"].to_list() == ["unknown_image_size"]


@pytest.mark.parametrize(
    ("given_box", "kept"),
    [
        ((-5, 10, 20, 30), (0, 10, 20, 30)),
        ((90, 40, 130, 70), (90, 40, 100, 50)),
        ((-1, -1, 101, 51), (0, 0, 100, 50)),
    ],
)
def test_a_box_partly_outside_is_clipped_and_says_so(given_box: tuple[float, ...], kept: tuple[float, ...]) -> None:
    made = harmonized(native(boxes=[box(*given_box)]))
    assert corners(made) == [kept]
    assert made["boxes"]["clipped"].to_list() == [True]


@pytest.mark.parametrize(
    "given_box",
    [
        (-20, 0, -5, 10),
        (100, 0, 120, 10),
        (0, 50, 10, 60),
        (30, 10, 20, 20),
        (10, 10, 10, 20),
        (-1, -1, -1, -1),
        (0, 0, 0, 0),
    ],
)
def test_a_box_without_anything_inside_the_image_is_turned_down(given_box: tuple[float, ...]) -> None:
    made = harmonized(native(boxes=[box(*given_box)]))
    assert made["boxes"].is_empty()
    assert made["rejects"].select("rule", "raw_value").rows() == [("box_without_area", "grasper")]


def test_the_same_box_twice_in_a_frame_is_one_instrument_and_the_repetition_is_told() -> None:
    here = [box(1, 1, 9, 9, locator=place) for place in ("line 10", "line 2")]
    elsewhere = [box(1, 1, 9, 8, locator="line 3"), box(1, 1, 9, 9, locator="line 9", frame_index=25)]
    made = harmonized(native(boxes=[*here, *elsewhere]))
    assert sorted(made["boxes"]["locator"]) == ["line 2", "line 3", "line 9"]
    (row,) = made["rejects"].to_dicts()
    assert (row["rule"], row["locator"], row["n_rows"]) == ("repeated_box", "line 10", 1)
    assert row["reason"].endswith("the same box stands in boxes.txt, line 2")


def test_a_box_that_ends_on_the_border_is_not_clipped_by_rounding() -> None:
    made = harmonized(native(boxes=[box(0.1, 0.2, 1.0000001, 1.0, unit="relative")]))
    assert made["boxes"].select("x2", "clipped").rows() == [(100.0, False)]


@FEW
@given(st.lists(st.tuples(*[st.floats(-0.5, 1.5)] * 4), min_size=1, max_size=8), st.sampled_from(["relative", "pixel"]))
def test_what_is_kept_lies_inside_its_image(boxes: list[tuple[float, ...]], unit: str) -> None:
    scale = 1 if unit == "relative" else 100
    made = harmonized(native(boxes=[box(*(side * scale for side in sides), unit=unit) for sides in boxes]))
    for x1, y1, x2, y2 in corners(made):
        assert 0 <= x1 < x2 <= 100
        assert 0 <= y1 < y2 <= 50
    assert made["boxes"].height + made["rejects"]["n_rows"].sum() == len(boxes)


# Intervals and clips


def test_an_interval_that_ends_before_it_begins_is_turned_down() -> None:
    made = harmonized(native(intervals=[{"raw_value": "preparation", "start_s": 9.0, "end_s": 9.0}]))
    assert made["rejects"]["rule"].to_list() == ["interval_without_length"]


# Nothing is lost


def test_labels_of_one_line_on_two_frames_or_in_two_places_are_two() -> None:
    there = {"locator": "lines 2-900", "raw_value": "grasper"}
    made = harmonized(
        native(
            presences=[there | {"frame_index": 0}, there | {"frame_index": 25}, there | {"frame_index": 25}],
            boxes=[box(1, 1, 9, 9, **there), box(1, 1, 9, 8, **there)],
        )
    )
    assert made["presences"].sort("frame_id").select("frame_id", "n_rows").rows() == [
        ("lab/v/000000", 1),
        ("lab/v/000025", 2),
    ]
    assert made["boxes"].height == 2


values = st.sampled_from(["grasper", "hook", "Hook", "", "naïve 'value': {}"])
whole = st.integers(0, 3)
placed = {"locator": st.sampled_from(["line 1", "line 2", "/a/0"]), "n_rows": st.integers(1, 50), "frame_index": whole}
corner = st.one_of(st.floats(-2, 2), st.integers(-50, 150).map(float))
KINDS = {
    "intervals": {
        "raw_value": st.sampled_from(["preparation", "Preparation"]),
        "start_s": st.floats(0, 9),
        "end_s": st.floats(0, 9),
    },
    "presences": {"raw_value": values, "present": st.booleans()},
    "boxes": {
        "raw_value": values,
        "x1": corner,
        "y1": corner,
        "x2": corner,
        "y2": corner,
        "unit": st.sampled_from(["pixel", "relative"]),
        "width": st.sampled_from([None, 40]),
        "instance": st.sampled_from([None, "1"]),
    },
    "masks": {"field": st.just("instrument"), "raw_value": values, "mask_value": st.sampled_from([None, 1, 2])},
    "triplets": {
        "raw_instrument": values,
        "raw_verb": st.sampled_from([None, "retract", "null_verb", "?"]),
        "raw_target": st.sampled_from([None, "liver", "?"]),
    },
    "criteria": {"raw_value": st.just("C1"), "score": st.floats(0, 1)},
    "rejects": {"raw_value": st.sampled_from([None, "x"])},
}
many_records = st.fixed_dictionaries(
    {kind: st.lists(st.fixed_dictionaries(placed | own), max_size=6) for kind, own in KINDS.items()}
)


@FEW
@given(many_records, st.sampled_from([None, (100, 50)]))
def test_every_native_row_is_a_label_or_a_reject(records: dict[str, list[Row]], size: tuple[int, int] | None) -> None:
    given_tables = native(**records)
    made = harmonized(given_tables, size)
    for name, found in made.items():
        TABLES[name].validate(found, cast=True)
    where = ["file", "locator"]
    told = pl.concat(made[kind].select(where) for kind in (*LABELS, "rejects")).unique().sort(where)
    assert told.equals(pl.concat(given_tables[kind].select(where) for kind in given_tables).unique().sort(where))


@FEW
@given(many_records)
def test_records_that_differ_stay_apart(records: dict[str, list[Row]]) -> None:
    given_tables = native(**records)
    made = harmonized(given_tables)
    unknown = made["alias_coverage"].filter(pl.col("concept_id").is_null())["raw_value"].to_list()
    for kind in ("presences", "masks", "triplets"):
        records_of = given_tables[kind].drop("n_rows").unique()
        named = pl.col(
            [name for name in ("raw_value", "raw_instrument", "raw_verb", "raw_target") if name in records_of]
        )
        assert made[kind].height == records_of.filter(~pl.any_horizontal(named.is_in(unknown).fill_null(False))).height


@FEW
@given(many_records, st.randoms(use_true_random=False))
def test_the_order_of_records_means_nothing(records: dict[str, list[Row]], chance: random.Random) -> None:
    forwards = native(**records)
    shuffled = {
        kind: found.sample(fraction=1, shuffle=True, seed=chance.randint(0, 99)) for kind, found in forwards.items()
    }
    once, again = harmonized(forwards), harmonized(shuffled)
    for name, found in once.items():
        if name in LABELS:  # they have an order of their own
            assert found.equals(again[name]), name
        else:
            key = TABLES[name].primary_key()
            assert found.sort(key).equals(again[name].sort(key)), name


def test_labels_stand_in_the_order_of_the_video() -> None:
    seen = [{"frame_index": frame, "raw_value": tool} for frame in (50, 9, 100) for tool in ("hook", "grasper")]
    spans = [{"raw_value": "preparation", "start_s": at, "end_s": at + 1} for at in (10.0, 2.0, 30.0)]
    made = harmonized(native(presences=seen, intervals=spans))
    assert [(frame[-3:], tool) for frame, tool in made["presences"].select("frame_id", "raw_value").rows()] == [
        (frame, tool) for frame in ("009", "050", "100") for tool in ("grasper", "hook")
    ]
    assert made["intervals"]["start_s"].to_list() == [2.0, 10.0, 30.0]
