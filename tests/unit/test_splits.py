"""Published splits, number by number: known, contradictions in a table, and a default that leaks nowhere."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest

from surgsigma_dagster.identity.procedures import claims_of, procedure_of, read_splits, split_conflicts, split_of
from surgsigma_dagster.sources.adapter import NativeVideo


def numbers(*ranges: int | tuple[int, int]) -> set[int]:
    return {n for one in ranges for n in (range(one[0], one[1] + 1) if isinstance(one, tuple) else [one])}


# CholecT50's RDV split (Nwoye and Padoy, arXiv:2204.05235) where it contradicts Cholec80's, and the videos that its
# owner proposes to take out of Cholec80's splits (CAMMA-public/camma_dataset_overlaps).
RDV_TEST = numbers(6, 10, 14, 32, 42, 51, 73, 74, 80, 111)
RDV_TRAIN_IN_CHOLEC80_TEST = numbers(43, 47, 48, 49, 52, 56, 57, 60, 62, 65, 66, 68, 70, 75, 79)
TAKEN_OUT_OF_TRAIN, TAKEN_OUT_OF_VAL = numbers(6, 10, 14, 32), numbers(42)
TAKEN_OUT_OF_TEST = numbers(49, 50, 52, 56, 57, 60, 62, 65, 66, 67, 68, 70, 71, 72, 75, 78, 79)
ENDOSCAPES_TRAIN = numbers(67, 68, 70, 71, 72, 96, 110)  # as procedures of the family

# By dataset: how its videos are called, and what it publishes.
PUBLISHED: dict[str, tuple[str, dict[str, set[int]]]] = {
    "cholec80": ("video{:02d}", {"train": numbers((1, 40)), "val": numbers((41, 48)), "test": numbers((49, 80))}),
    "cholect50": (
        "VID{:02d}",
        {
            "train": numbers(1, 2, 4, 5, 13, 15, 18, 22, 23, 25, 26, 27, 31, 35, 36, 40, 92, 96, 103, 110)
            | RDV_TRAIN_IN_CHOLEC80_TEST,
            "val": numbers(8, 12, 29, 50, 78),
            "test": RDV_TEST,
        },
    ),
    "endoscapes": ("{}", {"train": numbers((1, 120)), "val": numbers((121, 161)), "test": numbers((162, 201))}),
    "m2cai16_tool": ("tool_video_{:02d}", {"train": numbers((1, 10)), "test": numbers((11, 15))}),
    "autolaparo": ("{:02d}", {"train": numbers((1, 10)), "val": numbers((11, 14)), "test": numbers((15, 21))}),
    "endovis18_vqa": ("seq_{}", {"train": numbers((2, 4), 6, 7, (9, 12), 14, 15), "val": numbers(1, 5, 16)}),
    "cholec80_vqa": (
        "video{:02d}",
        {
            "train": numbers((1, 40)) - numbers(5, 11, 12, 17, 19, 26, 27, 31),
            "val": numbers(5, 11, 12, 17, 19, 26, 27, 31),
        },
    ),
}
FAMILY = [f"cholec/{n:03d}" for n in sorted(numbers((1, 80), 92, 96, 103, 110, 111))]


def procedure(dataset: str, video: str) -> str:
    return procedure_of(dataset, dataset, NativeVideo(video, "none", 25.0))[0]


def default(procedures: Iterable[str]) -> dict[str, str]:
    return dict(split_of(procedures, 7, {}).select("procedure_id", "split").iter_rows())


def family(numbers_: set[int]) -> list[str]:
    return [f"cholec/{n:03d}" for n in sorted(numbers_)]


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_every_published_number_is_known_to_the_dataset_that_publishes_it(dataset: str) -> None:
    name, published = PUBLISHED[dataset]
    for split, videos in published.items():
        for number in videos:
            assert claims_of(procedure(dataset, name.format(number)))[dataset] == split, (dataset, number)
    beyond = max(max(videos) for videos in published.values()) + 1
    assert dataset not in claims_of(procedure(dataset, name.format(beyond)))


def test_rendezvous_splits_fifty_videos_as_published() -> None:
    sizes = {split: len(videos) for split, videos in PUBLISHED["cholect50"][1].items()}
    assert sizes == {"train": 35, "val": 5, "test": 10}


def test_the_owners_recommendation_is_the_default_for_every_video_of_the_family() -> None:
    expected = dict.fromkeys(family(numbers((1, 40)) - TAKEN_OUT_OF_TRAIN), "train")
    expected |= dict.fromkeys(family(numbers((41, 48)) - TAKEN_OUT_OF_VAL), "val")
    expected |= dict.fromkeys(family(numbers((49, 80)) - TAKEN_OUT_OF_TEST), "test")
    # What is taken out of Cholec80's splits stays where CholecT50, or else Endoscapes, has it.
    expected |= dict.fromkeys(family(RDV_TEST), "test")
    expected |= dict.fromkeys(family(RDV_TRAIN_IN_CHOLEC80_TEST & TAKEN_OUT_OF_TEST), "train")
    expected |= dict.fromkeys(family(numbers(50, 78)), "val")
    expected |= dict.fromkeys(family(ENDOSCAPES_TRAIN | numbers(92, 96, 103, 110)), "train")
    assert default(FAMILY) == expected


def test_no_video_that_rendezvous_or_endoscapes_tests_on_is_trained_on() -> None:
    for dataset in ("cholect50", "endoscapes", "autolaparo"):
        name, published = PUBLISHED[dataset]
        tested = [procedure(dataset, name.format(number)) for number in published["test"]]
        assert set(default(tested).values()) == {"test"}, dataset


def test_every_contradiction_between_the_two_official_splits_is_a_row_with_both_sides() -> None:
    rows = split_conflicts(split_of(FAMILY, 7, {})).to_dicts()
    said = {row["procedure_id"]: {claim["dataset"]: claim["split"] for claim in row["claims"]} for row in rows}
    both = {
        name: (claims["cholec80"], claims["cholect50"])
        for name, claims in said.items()
        if {"cholec80", "cholect50"} <= {*claims} and claims["cholec80"] != claims["cholect50"]
    }
    assert {name for name, pair in both.items() if pair == ("train", "test")} == {*family(TAKEN_OUT_OF_TRAIN)}
    assert {name for name, pair in both.items() if pair[1] == "train"} == {*family(RDV_TRAIN_IN_CHOLEC80_TEST)}
    assert {name: pair for name, pair in both.items() if pair[1] == "test"}["cholec/042"] == ("val", "test")
    assert {name for name, pair in both.items() if pair == ("train", "val")} == {*family(numbers(8, 12, 29))}
    assert {name for name, pair in both.items() if pair == ("test", "val")} == {*family(numbers(50, 78))}


def test_a_video_in_seven_datasets_has_one_split_however_it_is_asked_for() -> None:
    shown = {
        "cholec80": "video66", "cholect50": "VID66", "cholect45": "VID66", "cholectrack20": "VID66",
        "cholecinstanceseg": "t50_VID66", "m2cai16_tool": "tool_video_15", "endoscapes": "121",
    }  # fmt: skip
    assert {procedure(dataset, video) for dataset, video in shown.items()} == {"cholec/066"}
    assert claims_of("cholec/066") == {
        "cholec80": "test", "cholect50": "train", "endoscapes": "val", "m2cai16_tool": "test",
    }  # fmt: skip
    assert default(["cholec/066"]) == {"cholec/066": "train"}


def test_a_file_of_splits_moves_what_it_names_and_the_contradiction_stays_told(tmp_path: Path) -> None:
    file = tmp_path / "splits.yaml"
    file.write_text("".join(f"{name}: test\n" for name in family(TAKEN_OUT_OF_TEST)))
    found = split_of(FAMILY, 7, read_splits(file))
    moved = found.filter(pl.col("procedure_id").is_in(family(TAKEN_OUT_OF_TEST)))
    assert {*moved["split"]} == {"test"}
    assert {*moved["split_rule"]} == {"the user's split file"}
    rest = found.join(moved, on="procedure_id", how="anti")
    assert dict(rest.select("procedure_id", "split").iter_rows()).items() <= default(FAMILY).items()
    assert {*family(RDV_TRAIN_IN_CHOLEC80_TEST)} <= {*split_conflicts(found)["procedure_id"]}


def test_what_a_dataset_outside_the_recommendation_tests_on_is_not_trained_on() -> None:
    stated = {"cholec/092": {"cholectrack20": "test"}, "cholec/062": {"m2cai16_tool": "test"}, "cholec/011": {}}
    found = split_of(stated, 7, {}, stated)
    assert dict(found.select("procedure_id", "split").iter_rows()) == {
        "cholec/011": "train", "cholec/062": "train", "cholec/092": "test",
    }  # fmt: skip
    assert found.filter(procedure_id="cholec/092")["split_rule"].item() == "official: cholectrack20"
    assert "cholec/092" in split_conflicts(found)["procedure_id"].to_list()
