"""docker-compose.yml: what it exposes, and its own commands run as processes here, from sensor to table.

No Docker is needed: each service's command, environment and configs are taken from the file; host names,
ports and folders of the containers become those of the test. moto plays MinIO's part: the same protocol.
"""

import contextlib
import functools
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import s3fs
import yaml

from .loopback import BIN, Processes, free_port, listening, postgres, start_s3

FILE = Path(__file__).parents[2] / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
SENSOR = {
    "repositoryLocationName": "surgsigma",
    "repositoryName": "__repository__",
    "sensorName": "changed_videos",
}
SOURCES = """\
sources:
  - {name: endoscapes, dataset: endoscapes, root: endoscapes, licence: CC0-1.0}
  - {name: cholect50, dataset: cholect50, root: CholecT50, licence: CC0-1.0}
"""


def declared(section: str) -> list[Any]:
    """The entries of a list that services may have: ports, expose, volumes, configs."""
    return [entry for service in SERVICES.values() for entry in service.get(section, ())]


class Loopback:
    """The services of the file on 127.0.0.1, their folders under `root`, each started after what it needs."""

    def __init__(
        self, root: Path, variables: dict[str, str], processes: Processes, stack: contextlib.ExitStack
    ) -> None:
        self.variables, self.processes, self.stack = variables, processes, stack
        ports = [*declared("expose"), *declared("ports")]
        self.ports = {port.split(":")[-1]: str(free_port()) for port in ports}
        self.folders = {str(Path(config["target"]).parent): root for config in declared("configs")}
        for mount in declared("volumes"):
            source, target = self.interpolated(mount).removesuffix(":ro").split(":")
            self.folders[target] = Path(source) if source.startswith("/") else root
        for target, folder in self.folders.items():
            if folder == root:
                self.folders[target] = root / target[1:]
            self.folders[target].mkdir(parents=True, exist_ok=True)
        for config in declared("configs"):
            content = yaml.safe_load(COMPOSE["configs"][config["source"]]["content"])
            Path(self.here(config["target"])).write_text(yaml.safe_dump(self.here(content)))
        self.started: set[str] = set()

    def interpolated(self, text: str) -> str:
        return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: self.variables[found[1]], text)

    def here(self, value: Any) -> Any:
        """A value of the file with the test's variables, addresses and folders in it."""
        if isinstance(value, dict):
            return {name: self.here(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.here(inner) for inner in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return int(self.ports.get(str(value), value))
        if not isinstance(value, str):
            return value
        if value in {"0.0.0.0", *SERVICES}:
            return "127.0.0.1"
        text = self.ports.get(value, self.interpolated(value))
        for target in sorted(self.folders, key=len, reverse=True):
            if text == target or text.startswith(f"{target}/"):
                return f"{self.folders[target]}{text.removeprefix(target)}"
        address = rf"\b({'|'.join(SERVICES)}):(\d+)"
        return re.sub(address, lambda found: f"127.0.0.1:{self.ports[found[2]]}", text)

    def environment(self, name: str) -> dict[str, str]:
        """What the service's container would know, and nothing of this machine but where programs are."""
        programs = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": self.here("/opt/dagster")}
        return {**programs, **self.here(SERVICES[name].get("environment", {}))}

    def up(self, name: str) -> None:
        """Start a service after those that it waits for, each as far as it waits for it."""
        if name in self.started:
            return
        self.started.add(name)
        service = SERVICES[name]
        for other, how in service.get("depends_on", {}).items():
            self.up(other)
            reached = {"service_healthy": self.healthy, "service_completed_successfully": self.done}
            ready = functools.partial(reached[how["condition"]], other)
            self.processes.wait_for(f"{other}: {how['condition']}", ready, timeout_s=90)
        environment = self.environment(name)
        if name == "postgres":
            self.stack.enter_context(postgres(self.processes, name, int(self.ports["5432"]), environment))
        elif name == "minio":
            start_s3(self.processes, name, int(self.ports["9000"]))
        else:
            cwd = Path(self.here("/opt/dagster"))
            self.processes.start(name, self.here(service["command"]), environment, cwd)

    def done(self, name: str) -> bool:
        """Whether a one-shot service ended well."""
        return self.processes.running[name].poll() == 0

    def healthy(self, name: str) -> bool:
        """The service's own health check, where its program is here; else whether it listens."""
        if not all(listening(int(self.ports[port])) for port in SERVICES[name]["expose"]):
            return False
        if name in {"postgres", "minio"}:
            return True
        _, *command = self.here(SERVICES[name]["healthcheck"]["test"])
        environment = self.environment(name)
        return not subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode

    def graphql(self, query: str, **variables: Any) -> Any:
        """What the webserver answers. Raises where it complains."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['3000']}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Runs of the job `rebuild`."""
        query = """{ runsOrError(filter: {pipelineName: "rebuild"}) { __typename
            ... on Runs { results { runId status tags { key value } } } } }"""
        return list(self.graphql(query)["runsOrError"]["results"])

    def failures(self, run: str) -> list[str]:
        """What a run says of its failed steps."""
        query = """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events { __typename
            ... on MessageEvent { message }
            ... on ExecutionStepFailureEvent { stepKey error { message causes { message } } } } } } }"""
        events = self.graphql(query, run=run)["logsForRun"]["events"]
        return [json.dumps(event) for event in events if event["__typename"].endswith("FailureEvent")]


@contextlib.contextmanager
def everything_up(samples: Path, root: Path) -> Iterator[Loopback]:
    """The whole file, on two of the sample sources."""
    data = root / "data"
    data.mkdir()
    (data / "sources.yaml").write_text(SOURCES)
    for folder in ("endoscapes", "CholecT50"):
        (data / folder).symlink_to(samples / folder)
    passwords = {"POSTGRES_PASSWORD": "not: a %imple one", "S3_PASSWORD": "only for this test"}
    with contextlib.ExitStack() as stack, Processes(root) as processes:
        loopback = Loopback(root, {**passwords, "SURGSIGMA_DATA": str(data)}, processes, stack)
        for name in SERVICES:
            loopback.up(name)
        processes.wait_for("the webserver", lambda: listening(int(loopback.ports["3000"])), timeout_s=90)
        yield loopback


@pytest.mark.slow
@pytest.mark.timeout(600)  # every wait has a limit of its own
def test_a_sensor_switched_on_in_the_ui_leads_to_a_lake_on_s3_and_tables_that_answer(
    samples: Path, tmp_path: Path
) -> None:
    with everything_up(samples, tmp_path) as loopback:
        switch = "mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"
        assert loopback.graphql(switch, sensor=SENSOR)["startSensor"]["__typename"] == "Sensor"
        wait_for = loopback.processes.wait_for
        wait_for("the daemon to launch a run", loopback.runs, timeout_s=90, every_s=1)
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        wait_for("the run to end", lambda: loopback.runs()[0]["status"] in ended, timeout_s=180, every_s=1)
        (run,) = loopback.runs()
        assert run["status"] == "SUCCESS", "\n".join(loopback.failures(run["runId"]))
        assert {"key": "dagster/sensor_name", "value": "changed_videos"} in run["tags"]

        endpoint = f"http://127.0.0.1:{loopback.ports['9000']}"
        lake = s3fs.S3FileSystem(key="any", secret="any", endpoint_url=endpoint, skip_instance_cache=True)
        shards = [Path(path).name for path in lake.ls("surgsigma/lake/conversations")]
        assert {shard.split("__")[0] for shard in shards} == {"cholect50", "endoscapes"}
        with duckdb.connect(loopback.here("/srv/surgsigma/surgsigma.duckdb"), read_only=True) as tables:
            sources = tables.sql("SELECT DISTINCT source FROM conversations ORDER BY source").fetchall()
        assert sources == [("cholect50",), ("endoscapes",)]


def test_nothing_listens_beyond_this_machine() -> None:
    assert declared("ports") == ["127.0.0.1:3000:3000"]


def test_a_password_is_asked_for_and_never_given() -> None:
    known = [pair for service in SERVICES.values() for pair in service.get("environment", {}).items()]
    secrets = {value for name, value in known if re.search("PASSWORD|SECRET", name)}
    assert secrets
    assert [value for value in secrets if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)] == []


def test_only_what_runs_the_pipeline_sees_the_sources_which_it_cannot_change_and_the_lake() -> None:
    mounts = {name: service.get("volumes", []) for name, service in SERVICES.items()}
    seeing = [(name, mount) for name, found in mounts.items() for mount in found if "SURGSIGMA_DATA" in mount]
    assert [(name, mount.rpartition("}")[2]) for name, mount in seeing] == [("code", ":/data:ro")]
    keys = {name for name, service in SERVICES.items() if "AWS_SECRET_ACCESS_KEY" in service.get("environment", {})}
    assert keys == {"code", "bucket"}
