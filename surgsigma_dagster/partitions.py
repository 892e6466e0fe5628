"""Partitions: one a video, registered from what the sources hold."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import dagster as dg

_NAME = "videos"
VIDEOS = dg.DynamicPartitionsDefinition(name=_NAME)
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class PartitionChanges:
    """Keys to register and keys to remove."""

    added: list[str]
    removed: list[str]
    kept: set[str] = field(default_factory=set)  # of sources that failed to list


def partition_changes(wanted: set[str], existing: set[str], in_flight: set[str]) -> PartitionChanges:
    """What registering `wanted` means: new keys, and old ones that are gone and that no run is working on."""
    return PartitionChanges(sorted(wanted - existing), sorted(existing - wanted - in_flight))


def register(instance: dg.DagsterInstance, wanted: set[str], failed: Collection[str] = ()) -> PartitionChanges:
    """Make the registered partitions those of `wanted`; those of sources that `failed` to list stay as they are."""
    existing = set(instance.get_dynamic_partitions(_NAME))
    kept = {key for key in existing if key.split("__")[0] in failed}
    changes = partition_changes(wanted, existing, _in_flight(instance) | kept)
    if changes.added:
        instance.add_dynamic_partitions(_NAME, changes.added)
    for key in changes.removed:
        instance.delete_dynamic_partition(_NAME, key)
    return replace(changes, kept=kept)


def _in_flight(instance: dg.DagsterInstance) -> set[str]:
    running = instance.get_runs(
        filters=dg.RunsFilter(
            statuses=[
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
            ]
        )
    )
    keys: set[str] = set()
    registered = instance.get_dynamic_partitions(_NAME)
    for run in running:
        first, last = run.tags.get(RANGE_START), run.tags.get(RANGE_END)
        if first in registered and last in registered:
            keys.update(registered[registered.index(first) : registered.index(last) + 1])
        keys.update({run.tags.get("dagster/partition", "")} - {""})
    return keys


def range_tags(instance: dg.DagsterInstance) -> dict[str, str]:
    """Run tags that ask for every registered video in one run; none where no video is registered."""
    keys = instance.get_dynamic_partitions(_NAME)
    return {RANGE_START: keys[0], RANGE_END: keys[-1]} if keys else {}
