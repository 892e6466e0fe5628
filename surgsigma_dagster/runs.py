"""Running the rebuild job from a terminal: on the home's own Dagster instance, so that the UI shows its runs."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from rich.console import Console
from rich.markup import escape

from surgsigma_dagster.partitions import range_tags, register
from surgsigma_dagster.resources.corpus import Corpus

_DAGSTER_YAML = """\
# Written once by surgsigma; yours to edit.
telemetry:
  enabled: false
nux:
  enabled: false
python_logs:
  managed_python_loggers: [surgsigma]
  python_log_level: INFO
concurrency:
  runs: {max_concurrent_runs: 1}
  pools: {default_limit: 1}
"""
_WORKSPACE_YAML = """\
load_from:
  - python_module: {module_name: surgsigma_dagster.definitions, location_name: surgsigma}
"""


_BY_COMMAND_LINE = {"surgsigma/started_by": "command line"}


class BusyError(RuntimeError):
    """A home that another build is working on."""


@dataclass(frozen=True)
class Home:
    """A folder that holds everything of one corpus: lake, tables, release, report, and the Dagster instance."""

    root: Path

    @property
    def sources(self) -> Path:
        """A link to the `sources.yaml` that this home is built from."""
        return self.root / "sources.yaml"

    @property
    def workspace(self) -> Path:
        """The workspace file that the UI of this home loads."""
        return self.root / "dagster" / "workspace.yaml"

    def prepare(self) -> None:
        """Make the folder a Dagster home; sets the environment that Dagster reads."""
        dagster_home = self.root / "dagster"
        dagster_home.mkdir(parents=True, exist_ok=True)
        for path, text in ((dagster_home / "dagster.yaml", _DAGSTER_YAML), (self.workspace, _WORKSPACE_YAML)):
            if not path.exists():
                path.write_text(text)
        if (
            not {"DAGSTER_HOME", "SURGSIGMA_HOME"} <= os.environ.keys()
        ):  # a deployment sets both: its instance is elsewhere
            os.environ["DAGSTER_HOME"] = str(dagster_home)
        os.environ["SURGSIGMA_HOME"] = str(self.root)

    def point_at(self, sources: Path) -> None:
        """Link the home to the `sources.yaml` that it is built from."""
        if self.sources.resolve() != sources.resolve():
            self.sources.unlink(missing_ok=True)
            self.sources.symlink_to(sources.resolve())


class _Lines(logging.Handler):
    """One line a stage, with what it did and how long it took; warnings and failures."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)  # Dagster logs its events as debug messages
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.began: dict[str, float] = {}
        self.said: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event, step = meta.get("dagster_event"), meta.get("step_key") or ""
        if event is None:
            message = str(meta.get("orig_message", record.getMessage()))
            if record.levelno >= logging.WARNING:
                self.console.print(f"[yellow]! {step}: {escape(message)}")
            elif record.levelno >= logging.INFO:
                self.said[step] = message
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            self.began[step] = time.monotonic()
        elif kind == "STEP_SUCCESS":
            took = time.monotonic() - self.began.get(step, time.monotonic())
            self.console.print(f"[green]✓[/] {step:<18} {took:6.1f} s  {escape(self.said.get(step, ''))}")
        elif kind == "STEP_FAILURE":
            error = event.step_failure_data.error
            cause = error.cause or error if error else None
            self.console.print(f"[red]✗ {step}: {escape(cause.message.strip()) if cause else 'failed'}")


@dg.logger
def console(_: dg.InitLoggerContext) -> logging.Logger:
    """Progress for a person: a line a stage."""
    logger = logging.Logger("surgsigma.console", logging.DEBUG)
    logger.addHandler(_Lines())
    return logger


@contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of the home that was prepared."""
    with dg.DagsterInstance.get() as found:
        yield found


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Hold the home's lock. Raises `BusyError` where another command line build holds it."""
    with (home.root / "dagster" / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(f"another build is running on {home.root}; wait for it or use another --home") from error
        yield


def _bury(dagster: dg.DagsterInstance) -> None:
    """Mark runs of killed command line builds as failed: whoever holds the lock knows that they are dead."""
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED]
    for run in dagster.get_runs(filters=dg.RunsFilter(statuses=unfinished, tags=_BY_COMMAND_LINE)):
        dagster.report_run_failed(run, "the process was killed; the next build went on from what it had finished")


def rebuild(home: Home, corpus: Corpus, sources: Path, select: str | None = None) -> dg.JobExecutionResult:
    """Run the job `rebuild` in this process over everything that the sources hold, or a selection of its assets.

    `select` is Dagster's asset selection syntax. The result's `success` says how it went. Raises `BusyError`,
    `ValueError` for a selection that Dagster cannot read, and `KeyboardInterrupt` once an interrupted run is recorded.
    """
    repository = ReconstructableRepository.for_module("surgsigma_dagster.definitions", "defs")
    graph = repository.get_definition().asset_graph
    try:
        selection = sorted(dg.AssetSelection.from_string(select).resolve(graph)) if select else None
    except Exception as error:
        raise ValueError(f"{select!r} selects no assets: {' '.join(str(error).split())[:200]}") from error
    with _alone(home), instance() as dagster:
        _bury(dagster)
        if busy := dagster.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]), limit=1):
            raise BusyError(f"run {busy[0].run_id[:8]}, started in the UI, is working on {home.root}; wait for it")
        home.point_at(sources)
        listing = corpus.listing()
        register(dagster, set(listing.videos), listing.failed)
        result = dg.execute_job(
            repository.get_reconstructable_job("rebuild"),
            instance=dagster,
            tags={**range_tags(dagster), **_BY_COMMAND_LINE},
            run_config={"loggers": {"console": {}}},
            asset_selection=selection,
            raise_on_error=False,
        )
        if any(event.is_failure and "interrupted" in (event.message or "") for event in result.all_events):
            raise KeyboardInterrupt
        return result
