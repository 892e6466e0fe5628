"""The lake on a folder and on S3: the same shards, marks and removals, whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import s3fs

from surgsigma_dagster.resources.lake import Lake, Rebuilt, StageFailed

from .loopback import AWS, free_port, s3

TABLE = "timestamps"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own, reached through the environment alone, as in docker-compose.yml."""
    for name, value in {**AWS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"b{abs(hash(tmp_path))}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}/some/lake"


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    uri = request.getfixturevalue("bucket") if request.param == "s3" else str(tmp_path / "lake")
    return Lake(uri=uri, cache_folder=str(tmp_path / "cache"))


def elsewhere(lake: Lake, folder: Path) -> Lake:
    """The same lake from another machine."""
    return Lake(uri=lake.uri, cache_folder=str(folder))


def rows(video: str, *times: float) -> pl.DataFrame:
    return pl.DataFrame({"video_id": video, "file_frame": list(range(len(times))), "pts_s": list(times)})


def rebuild(lake: Lake, units: dict[str, str], times: dict[str, list[float]] | None = None) -> Rebuilt:
    """Units `a__1` of videos `a/1`, one row each unless `times` says otherwise."""

    def make(keys: list[str]) -> dict[str, pl.DataFrame]:
        if "bad__1" in keys:
            raise OSError("no such disk")
        made = (rows(key.replace("__", "/"), *(times or {}).get(key, [0.0])) for key in keys)
        return {TABLE: pl.concat(frame.cast({"pts_s": pl.Float64}) for frame in made)}

    return lake.rebuild("stage", units, (TABLE,), make, batch=1, workers=2)


def test_a_lake_where_nothing_was_written_is_empty_and_keeps_its_columns(lake: Lake) -> None:
    assert lake.shards(TABLE) == []
    assert lake.marks("stage") == {}
    assert lake.read(TABLE).schema == {"video_id": pl.String, "file_frame": pl.Int64, "pts_s": pl.Float64}


def test_written_shards_are_read_by_another_machine_in_the_order_of_their_keys(lake: Lake, tmp_path: Path) -> None:
    lake.write(TABLE, "b__1", rows("b/1", 0.0, 0.04))
    lake.write(TABLE, "a__1", rows("a/1", 0.5))
    lake.write(TABLE, "a__1-2", rows("a/1-2", 0.7))
    other = elsewhere(lake, tmp_path / "other")
    assert other.shards(TABLE) == ["a__1", "a__1-2", "b__1"]
    assert other.read(TABLE)["video_id"].to_list() == ["a/1", "a/1-2", "b/1", "b/1"]
    assert other.read(TABLE, ["b__1", "not there"])["pts_s"].to_list() == [0.0, 0.04]


def test_a_shard_without_rows_goes_away(lake: Lake) -> None:
    lake.write(TABLE, "a__1", rows("a/1", 0.0))
    assert lake.read(TABLE).height == 1
    lake.write(TABLE, "a__1", rows("a/1").clear())
    lake.write(TABLE, "never__written", rows("a/1").clear())
    assert lake.shards(TABLE) == []
    assert lake.read(TABLE).is_empty()


def test_a_rebuild_makes_what_is_stale_and_skips_what_is_done_wherever_it_was_done(lake: Lake, tmp_path: Path) -> None:
    assert rebuild(lake, {"a__1": "v1", "b__1": "v1"}).made == ["a__1", "b__1"]
    again = rebuild(elsewhere(lake, tmp_path / "other"), {"a__1": "v1", "b__1": "v2"}, {"b__1": [1.0, 2.0]})
    assert (again.made, again.up_to_date) == (["b__1"], 1)
    assert lake.marks("stage") == {"a__1": "v1", "b__1": "v2"}
    assert lake.read(TABLE)["pts_s"].to_list() == [0.0, 1.0, 2.0]


def test_a_failing_unit_leaves_the_others_done_and_is_made_next_time(lake: Lake) -> None:
    with pytest.raises(StageFailed, match="1 of 3 batches failed: OSError: no such disk"):
        rebuild(lake, {"a__1": "v1", "bad__1": "v1", "c__1": "v1"})
    assert lake.marks("stage") == {"a__1": "v1", "c__1": "v1"}
    assert rebuild(lake, {"a__1": "v1", "c__1": "v1"}).up_to_date == 2


def test_pruning_takes_everything_of_a_unit_and_nothing_of_its_neighbours(lake: Lake, tmp_path: Path) -> None:
    rebuild(lake, {"a__1": "v1", "a__12": "v1"})
    for key in ("a__1", "a__12"):
        picture = tmp_path / "picture.jpg"
        picture.write_bytes(key.encode())
        lake.put(picture, f"images/{key}/000001.jpg")
        assert lake.local(f"images/{key}/000001.jpg").read_bytes() == key.encode()
    assert lake.read(TABLE).height == 2
    assert lake.prune({"a__12"}) == ["a__1"]
    assert lake.shards(TABLE) == ["a__12"]
    assert lake.marks("stage") == {"a__12": "v1"}
    assert lake.names("images/a__1") == []
    assert lake.local("images/a__12/000001.jpg").read_bytes() == b"a__12"
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert not [path for path in left if "a__1/" in path or "a__1." in path or "a__1@" in path]


def test_a_file_is_fetched_once_and_again_when_another_machine_has_changed_it(bucket: str, tmp_path: Path) -> None:
    lake = Lake(uri=bucket, cache_folder=str(tmp_path / "cache"))
    other = elsewhere(lake, tmp_path / "other")
    lake.write(TABLE, "a__1", rows("a/1", 0.0))
    lake.write(TABLE, "b__1", rows("b/1", 0.0))
    (first, beside) = lake.shard_paths(TABLE)
    fetched = first.stat()
    assert lake.shard_paths(TABLE) == [first, beside]
    assert lake.local(f"{TABLE}/a__1.parquet") == first
    assert first.stat().st_ino == fetched.st_ino
    other.write(TABLE, "a__1", rows("a/1", 3.0))
    assert lake.read(TABLE)["pts_s"].to_list() == [3.0, 0.0]
    assert not first.exists()
    assert beside.exists()
    assert len([path for path in (tmp_path / "cache").rglob("*.parquet") if path.is_file()]) == 2


def test_a_store_that_does_not_answer_is_not_taken_for_an_empty_lake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in {**AWS, **nobody}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(Exception, match="Could not connect to the endpoint"):
        Lake(uri="s3://bucket/lake", cache_folder=str(tmp_path)).marks("stage")
