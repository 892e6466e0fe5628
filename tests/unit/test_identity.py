from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.identity.procedures import procedure_of, read_splits, split_of
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.sources.errors import SourceError

FEW = settings(max_examples=40, deadline=None)
RDV_TEST = [6, 10, 14, 32, 42, 51, 73, 74, 80, 111]
ids = st.one_of(
    st.integers(1, 120).map(lambda n: f"cholec/{n:03d}"), st.integers(1, 201).map(lambda n: f"endoscapes/{n}"),
    st.text("abc/01", min_size=1, max_size=6).map(lambda text: f"ours/{text}"),
)  # fmt: skip


def procedure(dataset: str, video: str, source: str | None = None, patient: str | None = None) -> str:
    return procedure_of(source or dataset, dataset, NativeVideo(video, "none", 25.0, patient=patient))[0]


def splits(*procedures: str, seed: int = 7, chosen: dict[str, str] | None = None) -> dict[str, str]:
    rows = split_of(list(procedures), seed, chosen or {})
    return dict(rows.select("procedure_id", "split").iter_rows())


# Procedures


def test_one_operation_in_five_datasets_is_one_procedure() -> None:
    shown = [
        ("cholec80", "video67"), ("cholect50", "VID67"), ("endoscapes", "1"), ("m2cai16_tool", "tool_video_01"),
        ("m2cai16_tool_locations", "v01"),
    ]  # fmt: skip
    assert {procedure(*video) for video in shown} == {"cholec/067"}


@pytest.mark.parametrize(
    ("endoscapes", "cholec"), [(1, 67), (2, 68), (3, 70), (4, 71), (7, 72), (10, 96), (33, 110), (121, 66), (127, 103)]
)
def test_endoscapes_videos_of_the_cholec_family_are_its_procedures(endoscapes: int, cholec: int) -> None:
    assert procedure("endoscapes", str(endoscapes)) == procedure("cholect50", f"VID{cholec}") == f"cholec/{cholec:03d}"


def test_equal_numbers_of_endoscapes_and_cholec80_mean_nothing() -> None:
    registered = {1, 2, 3, 4, 7, 10, 33, 121, 127}
    for number in range(1, 202):
        own = procedure("endoscapes", str(number))
        assert own != f"cholec/{number:03d}"
        assert own.startswith("cholec/") == (number in registered)


def test_m2cai_videos_beyond_the_shared_ten_are_their_own() -> None:
    assert procedure("m2cai16_tool_locations", "v10") == "cholec/076"
    assert procedure("m2cai16_tool_locations", "v11") == "m2cai16_tool_locations/v11"


def test_two_copies_of_a_dataset_show_the_same_procedures() -> None:
    assert procedure("multibypass140", "SBP01", "at_home") == procedure("multibypass140", "SBP01", "on_the_server")


def test_equal_file_names_in_two_hospital_folders_are_two_operations() -> None:
    assert procedure("in_house", "case01", "ward_a") != procedure("in_house", "case01", "ward_b")


def test_videos_of_one_patient_are_one_procedure_inside_their_source_alone() -> None:
    first, second = (procedure("in_house", stem, "ward_a", "P-0007") for stem in ("case01", "case01_part2"))
    assert first == second == "ward_a/P-0007"
    assert procedure("in_house", "case01", "ward_b", "P-0007") != first


def test_the_rule_that_decided_is_named() -> None:
    said = [procedure_of("s", name, NativeVideo(video, "none", 1.0, patient=patient))[1] for name, video, patient in (
        ("cholec80", "video01", None), ("in_house", "a", "P-1"), ("psi_ava", "CASE001", None))]  # fmt: skip
    assert len(set(said)) == 3
    assert "cholec" in said[0]


# Splits


def test_test_videos_of_rendezvous_are_test_in_every_dataset() -> None:
    for number in RDV_TEST:
        assert set(splits(procedure("cholect50", f"VID{number:02d}")).values()) == {"test"}, number
        assert procedure("cholec80", f"video{number:02d}") == procedure("cholect50", f"VID{number:02d}")


def test_cholect50_train_videos_in_the_test_range_of_cholec80_are_not_test() -> None:
    disputed = [49, 52, 56, 57, 60, 62, 65, 66, 68, 70, 75, 79]
    assert set(splits(*(f"cholec/{number:03d}" for number in disputed)).values()) == {"train"}


def test_other_cholec80_videos_keep_their_official_split() -> None:
    assert splits("cholec/001", "cholec/043", "cholec/053") == {
        "cholec/001": "train", "cholec/043": "val", "cholec/053": "test",
    }  # fmt: skip


def test_endoscapes_keeps_its_official_split() -> None:
    assert splits("endoscapes/120", "endoscapes/122", "endoscapes/162", "endoscapes/201") == {
        "endoscapes/120": "train", "endoscapes/122": "val", "endoscapes/162": "test", "endoscapes/201": "test",
    }  # fmt: skip


@FEW
@given(st.sets(ids, min_size=1, max_size=12), st.sets(ids, max_size=12), st.integers(0, 1000))
def test_more_procedures_never_move_another(first: set[str], more: set[str], seed: int) -> None:
    alone, together = splits(*first, seed=seed), splits(*sorted(first | more, reverse=True), seed=seed)
    assert alone.keys() == first
    assert {procedure: together[procedure] for procedure in first} == alone


def test_the_hash_shares_out_eight_one_one() -> None:
    shares = list(splits(*(f"ours/{number}" for number in range(4000))).values())
    assert shares.count("train") / 4000 == pytest.approx(0.8, abs=0.02)
    assert shares.count("val") / 4000 == pytest.approx(0.1, abs=0.02)


def test_another_seed_shares_out_otherwise() -> None:
    procedures = [f"ours/{number}" for number in range(100)]
    assert splits(*procedures, seed=1) != splits(*procedures, seed=2)


def test_a_user_s_file_wins_over_every_rule(tmp_path: Path) -> None:
    file = tmp_path / "splits.yaml"
    file.write_text("cholec/006: train\nours/P-1: val\n")
    chosen = read_splits(file)
    found = split_of(["cholec/006", "ours/P-1", "cholec/010"], 7, chosen)
    assert dict(found.select("procedure_id", "split").iter_rows()) == {
        "cholec/006": "train", "ours/P-1": "val", "cholec/010": "test",
    }  # fmt: skip
    rules = dict(found.select("procedure_id", "split_rule").iter_rows())
    assert rules["cholec/006"] == "the user's split file" != rules["cholec/010"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ours/P-1: training\n", ["ours/P-1", "train, val or test", "training"]),
        ("ours/P-1: [train]\n", ["ours/P-1", "train, val or test"]),
        ("- train\n", ["mapping"]),
        ("", ["mapping"]),
        ("ours: {train\n", ["YAML"]),
        (None, ["no such file"]),
    ],
)
def test_a_wrong_split_file_is_refused_by_file_and_key(content: str | None, said: list[str], tmp_path: Path) -> None:
    file = tmp_path / "my_splits.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SourceError, match=r"my_splits\.yaml") as caught:
        read_splits(file)
    assert all(part in str(caught.value) for part in said)
