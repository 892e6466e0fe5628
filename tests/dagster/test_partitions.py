"""Partitions follow the sources, never a folder that is merely not mounted, never a run in flight."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgsigma_dagster.automation import changed_videos, nightly_rebuild
from surgsigma_dagster.build import default_resources
from surgsigma_dagster.partitions import RANGE_END, RANGE_START, VIDEOS, partition_changes, register

KEYS = st.sets(st.sampled_from([f"s__{number}" for number in range(8)]))


@given(KEYS, KEYS, KEYS)
def test_after_registering_the_wanted_are_there_and_only_running_ones_linger(
    wanted: set[str], existing: set[str], in_flight: set[str]
) -> None:
    changes = partition_changes(wanted, existing, in_flight)
    after = (existing | set(changes.added)) - set(changes.removed)
    assert wanted <= after <= wanted | (existing & in_flight)


def test_a_partition_with_a_run_in_flight_is_not_removed() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        register(instance, {"a__1", "a__2", "a__3"})
        instance.create_run_for_job(
            _nothing, status=dg.DagsterRunStatus.STARTED, tags={RANGE_START: "a__2", RANGE_END: "a__3"}
        )
        changes = register(instance, {"a__3"})
        assert changes.removed == ["a__1"]
        assert set(instance.get_dynamic_partitions(VIDEOS.name)) == {"a__2", "a__3"}


@dg.job
def _nothing() -> None: ...


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """An in-house source of one video, which nothing decodes here."""
    root = tmp_path / "hospital"
    root.mkdir()
    (root / "source.yaml").write_text(
        "title: Ours\nspecialty: Urology\nprocedure_type: procedure/prostatectomy\nlicence: internal\n"
        "consent: {scope: research, reference: EC-1}\n"
    )
    (root / "one.mp4").write_bytes(b"not looked at")
    (root / "one.csv").write_text("start,end,track,label\n0,3,phase,idle time\n")
    path = tmp_path / "home" / "sources.yaml"
    path.parent.mkdir()
    path.write_text("sources: [{name: ours, dataset: in_house, root: ../hospital}]\n")
    return path


def _tick(sources: Path, instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    resources = default_resources(sources.parent)
    with dg.build_sensor_context(instance, cursor=cursor, resources=resources) as context:
        return changed_videos.evaluate_tick(context)


def test_a_new_video_starts_one_run_over_everything_and_then_nothing(sources: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = _tick(sources, instance)
        (request,) = first.run_requests
        assert request.tags[RANGE_START] == request.tags[RANGE_END] == "ours__one"
        again = _tick(sources, instance, first.cursor)
        assert not again.run_requests
        assert "nothing changed" in again.skip_message
        (sources.parent.parent / "hospital/two.mp4").write_bytes(b"new")
        changed = _tick(sources, instance, first.cursor)
        assert changed.run_requests[0].tags[RANGE_END] == "ours__two"
        assert changed.run_requests[0].run_key != request.run_key


def test_a_changed_label_starts_a_run_and_a_touched_file_does_not(sources: Path) -> None:
    labels = sources.parent.parent / "hospital/one.csv"
    with dg.DagsterInstance.ephemeral() as instance:
        first = _tick(sources, instance)
        labels.touch()
        assert not _tick(sources, instance, first.cursor).run_requests
        labels.write_text(labels.read_text().replace("0,3", "0,4"))
        assert _tick(sources, instance, first.cursor).run_requests


def test_a_folder_that_is_not_mounted_is_not_an_empty_one(sources: Path) -> None:
    hospital = sources.parent.parent / "hospital"
    with dg.DagsterInstance.ephemeral() as instance:
        first = _tick(sources, instance)
        hospital.rename(hospital.with_name("gone"))
        gone = _tick(sources, instance, first.cursor)
        assert not gone.run_requests
        assert "no such folder" in gone.skip_message
        assert instance.get_dynamic_partitions(VIDEOS.name) == ["ours__one"]


def test_the_nightly_schedule_asks_for_every_registered_video(sources: Path) -> None:
    with dg.instance_for_test() as instance:
        with dg.build_schedule_context(instance, resources=default_resources(sources.parent)) as context:
            (request,) = nightly_rebuild.evaluate_tick(context).run_requests
        assert request.tags[RANGE_START] == "ours__one"
