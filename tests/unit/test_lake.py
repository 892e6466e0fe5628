import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgsigma_dagster.resources.lake import Lake, StageFailed, signature
from tests.unit.made import native, table

FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Make = Callable[[list[str]], Mapping[str, pl.DataFrame]]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(uri=str(tmp_path / "lake"), cache_folder=str(tmp_path / "cache"))


def videos(*keys: str, n_frames: int = 1) -> pl.DataFrame:
    """A row of `videos` for each unit key of the source `s`."""
    names = [key.removeprefix("s__") for key in keys]
    return table(
        "videos",
        *(
            {
                "video_id": f"s/{name}",
                "source": "s",
                "video": name,
                "listed_procedure": name,
                "identity_rule": "x",
                "label_rate": 25.0,
                "first_index": 0,
                "timed": True,
                "partial": False,
                "procedure_type": "p",
                "media": "none",
                "status": "absent",
                "n_frames": n_frames,
            }
            for name in names
        ),
    )


class Maker:
    """Makes `videos` shards, and remembers for which units it was asked."""

    def __init__(self, fails: tuple[str, ...] = (), empty: tuple[str, ...] = ()) -> None:
        self.fails, self.empty, self.asked = fails, empty, list[str]()

    def __call__(self, keys: list[str]) -> dict[str, pl.DataFrame]:
        self.asked += keys
        for key in keys:
            if key in self.fails:
                raise ValueError(f"no luck with {key}\nand a second line")
        return {"videos": videos(*(key for key in keys if key not in self.empty))}


def rebuilt(lake: Lake, units: dict[str, str], make: Make, batch: int = 1) -> list[str]:
    return lake.rebuild("videos", units, ("videos",), make, batch=batch, workers=2).made


# Units


def test_a_unit_is_made_once_and_then_left_alone(lake: Lake) -> None:
    units = {"s__a": "1", "s__b": "1"}
    assert rebuilt(lake, units, Maker()) == ["s__a", "s__b"]
    again = Maker()
    done = lake.rebuild("videos", units, ("videos",), again)
    assert (again.asked, done.made, done.up_to_date) == ([], [], 2)
    assert lake.read("videos")["video_id"].to_list() == ["s/a", "s/b"]


def test_a_changed_signature_makes_that_unit_alone_again(lake: Lake) -> None:
    rebuilt(lake, {"s__a": "1", "s__b": "1"}, Maker())
    assert rebuilt(lake, {"s__a": "1", "s__b": "2"}, again := Maker()) == ["s__b"] == again.asked
    assert lake.marks("videos") == {"s__a": "1", "s__b": "2"}


def test_a_unit_that_was_interrupted_before_its_mark_is_made_again(lake: Lake) -> None:
    lake.write("videos", "s__a", videos("s__a", n_frames=99))
    assert lake.marks("videos") == {}
    rebuilt(lake, {"s__a": "1"}, Maker())
    assert lake.read("videos")["n_frames"].to_list() == [1]


def test_a_unit_that_fails_on_the_way_to_a_new_version_is_not_taken_for_the_old_one(lake: Lake) -> None:
    rebuilt(lake, {"s__a": "1"}, Maker())
    with pytest.raises(StageFailed):
        rebuilt(lake, {"s__a": "2"}, Maker(fails=("s__a",)))
    assert rebuilt(lake, {"s__a": "1"}, Maker()) == ["s__a"]


def test_a_failing_batch_leaves_the_others_done_and_every_reason_is_named(lake: Lake) -> None:
    units = dict.fromkeys(("s__a", "s__b", "s__c", "s__d"), "1")
    with pytest.raises(StageFailed) as caught:
        rebuilt(lake, units, Maker(fails=("s__a", "s__c")))
    head, *reasons = re.split(r": (?=ValueError)|; ", str(caught.value))
    assert head == "videos: 2 of 4 batches failed"
    assert sorted(reasons) == ["ValueError: no luck with s__a", "ValueError: no luck with s__c"]
    assert lake.shards("videos") == ["s__b", "s__d"]
    assert rebuilt(lake, units, Maker()) == ["s__a", "s__c"]


def test_an_error_without_words_is_named_by_its_kind(lake: Lake) -> None:
    def make(keys: list[str]) -> dict[str, pl.DataFrame]:
        raise NotADirectoryError

    with pytest.raises(StageFailed, match="NotADirectoryError"):
        rebuilt(lake, {"s__a": "1"}, make)


def test_an_empty_result_removes_the_old_shard_and_counts_as_done(lake: Lake) -> None:
    rebuilt(lake, {"s__a": "1", "s__b": "1"}, Maker())
    rebuilt(lake, {"s__a": "2", "s__b": "1"}, Maker(empty=("s__a",)))
    assert lake.shards("videos") == ["s__b"]
    assert lake.marks("videos") == {"s__a": "2", "s__b": "1"}


def test_rows_of_a_unit_that_was_not_asked_for_are_refused(lake: Lake) -> None:
    with pytest.raises(StageFailed, match="s__other"):
        rebuilt(lake, {"s__a": "1"}, lambda keys: {"videos": videos("s__a", "s__other")})
    assert lake.marks("videos") == {}


def test_pruning_removes_everything_of_units_that_are_gone(lake: Lake, tmp_path: Path) -> None:
    rebuilt(lake, {"s__a": "1", "s__b": "1"}, Maker())
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"jpeg")
    lake.put(picture, "images/s__a/000000.jpg")
    lake.write("sources", "all", table("sources"))
    assert lake.prune({"s__b"}) == ["s__a"]
    assert lake.shards("videos") == ["s__b"]
    assert lake.marks("videos") == {"s__b": "1"}
    assert lake.names("images") == []
    assert lake.prune({"s__b"}) == []


def test_pruning_finds_the_shards_of_a_unit_that_was_never_finished(lake: Lake) -> None:
    lake.write("videos", "s__gone", videos("s__gone"))
    lake.write("concepts", "all", table("concepts", {
        "concept_id": "x", "kind": "x", "name": "x", "synonyms": [], "definition": "x", "citation": "x"}))  # fmt: skip
    assert lake.prune(set()) == ["s__gone"]
    assert lake.shards("videos") == []
    assert lake.shards("concepts") == ["all"]


# Files


def test_putting_moves_a_file_and_leaves_nothing_beside_it(lake: Lake, tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        local = tmp_path / "made.jpg"
        local.write_bytes(content)
        lake.put(local, "images/s__a/0.jpg")
    assert not local.exists()
    assert lake.local("images/s__a/0.jpg").read_bytes() == b"new"
    assert lake.names("images/s__a") == ["0.jpg"]


def test_a_table_without_shards_is_an_empty_table_of_its_contract(lake: Lake) -> None:
    assert lake.read("frames").schema == table("frames").schema
    assert lake.read("native_boxes", ["s__a"]).is_empty()


def test_reading_some_units_leaves_the_others_out(lake: Lake) -> None:
    rebuilt(lake, {"s__a": "1", "s__b": "1", "s__c": "1"}, Maker())
    assert lake.read("videos", ["s__c", "s__a", "s__nowhere"])["video"].to_list() == ["a", "c"]


def test_a_column_that_is_all_null_keeps_its_type(lake: Lake) -> None:
    lake.write("videos", "s__a", videos("s__a").with_columns(reason=pl.lit(None)))
    assert lake.read("videos").schema["reason"] == pl.String


def test_a_missing_column_is_an_error_and_writes_nothing(lake: Lake) -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        lake.write("videos", "s__a", videos("s__a").drop("status"))
    assert lake.shards("videos") == []
    assert lake.names(".scratch") == []


records = st.lists(
    st.tuples(
        st.integers(0, 30), st.sampled_from(["Grasper", "Hook"]), st.booleans(), st.sampled_from(["line 2", "line 10"])
    ),
    min_size=1,
    max_size=20,
)


@FEW
@given(records, st.integers(0, 99))
def test_a_shard_is_the_same_bytes_whatever_the_order_of_its_rows(
    lake: Lake, rows: list[tuple[int, str, bool, str]], seed: int
) -> None:
    names = ("frame_index", "raw_value", "present", "locator")
    frame = native(presences=[dict(zip(names, row, strict=True)) for row in rows])["presences"]
    written = set()
    for given_frame in (frame, frame.sample(fraction=1, shuffle=True, seed=seed), frame.reverse()):
        lake.write("native_presences", "lab__v", given_frame)
        written.add(hashlib.sha256(lake.local("native_presences/lab__v.parquet").read_bytes()).hexdigest())
    assert len(written) == 1


def test_a_signature_sees_values_and_order_but_not_the_order_of_keys() -> None:
    assert signature({"a": 1, "b": 2}) == signature({"b": 2, "a": 1})
    assert (
        len({signature("a", "b"), signature("ab"), signature(["a", "b"]), signature("b", "a"), signature(None, "a")})
        == 5
    )
