"""docker-compose.yml: what it exposes, and its own commands run as processes of this machine, from sensor to table.

No Docker is needed: each service's command, environment and configs are taken from the file; host names, ports and
folders of the containers become those of the test. MinIO's part is played by moto, which speaks the same protocol.
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
SENSOR = {"repositoryLocationName": "surgsigma", "repositoryName": "__repository__", "sensorName": "changed_videos"}
SOURCES = """\
sources:
  - {name: endoscapes, dataset: endoscapes, root: endoscapes, licence: CC0-1.0}
  - {name: cholect50, dataset: cholect50, root: CholecT50, licence: CC0-1.0}
"""


class Loopback:
    """The services of the file on 127.0.0.1, their folders under `root`, started in the order they depend on."""

    def __init__(self, root: Path, variables: dict[str, str], processes: Processes, stack: contextlib.ExitStack) -> None:
        self.variables, self.processes, self.stack = variables, processes, stack
        ports = [str(port) for service in SERVICES.values() for port in (*service.get("expose", ()), *service.get("ports", ()))]
        self.ports = {port.split(":")[-1]: str(free_port()) for port in ports}
        self.folders: dict[str, Path] = {}
        for service in SERVICES.values():
            for mount in service.get("volumes", ()):
                source, target = self.interpolated(mount).removesuffix(":ro").split(":")
                self.folders[target] = Path(source) if source.startswith("/") else root / target[1:]
            for config in service.get("configs", ()):
                self.folders[str(Path(config["target"]).parent)] = root / config["target"][1:].rpartition("/")[0]
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        for config in (config for service in SERVICES.values() for config in service.get("configs", ())):
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
        return re.sub(rf"\b({'|'.join(SERVICES)}):(\d+)", lambda found: f"127.0.0.1:{self.ports[found[2]]}", text)

    def environment(self, name: str) -> dict[str, str]:
        """What the service's container would know, and nothing of this machine but where programs are."""
        return {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": self.here("/opt/dagster"), **self.here(SERVICES[name].get("environment", {}))}

    def up(self, name: str) -> None:
        """Start a service after those that it waits for, each as far as it waits for it."""
        if name in self.started:
            return
        self.started.add(name)
        service = SERVICES[name]
        for other, how in service.get("depends_on", {}).items():
            self.up(other)
            if how["condition"] == "service_healthy":
                self.processes.wait_for(f"{other} to be healthy", functools.partial(self.healthy, other), timeout_s=90)
            else:
                assert how["condition"] == "service_completed_successfully"
                ended = self.processes.running[other]
                self.processes.wait_for(f"{other} to be done", lambda ended=ended: ended.poll() == 0, timeout_s=60)
        if name == "postgres":
            self.stack.enter_context(postgres(self.processes, name, int(self.ports["5432"]), self.environment(name)))
        elif name == "minio":
            start_s3(self.processes, name, int(self.ports["9000"]))
        else:
            self.processes.start(name, self.here(service["command"]), self.environment(name), Path(self.here("/opt/dagster")))

    def healthy(self, name: str) -> bool:
        """The service's own health check, where its program is here; else whether it listens."""
        if not all(listening(int(self.ports[port])) for port in SERVICES[name]["expose"]):
            return False
        _, *command = self.here(SERVICES[name]["healthcheck"]["test"])
        if name in {"postgres", "minio"}:
            return True
        done = subprocess.run(command, env=self.environment(name), capture_output=True, timeout=60, check=False)
        return done.returncode == 0

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
    variables = {"POSTGRES_PASSWORD": "not: a %imple one", "S3_PASSWORD": "only for this test", "SURGSIGMA_DATA": str(data)}
    with contextlib.ExitStack() as stack, Processes(root) as processes:
        loopback = Loopback(root, variables, processes, stack)
        for name in SERVICES:
            loopback.up(name)
        processes.wait_for("the webserver", lambda: listening(int(loopback.ports["3000"])), timeout_s=90)
        yield loopback


@pytest.mark.slow
@pytest.mark.timeout(600)  # every wait has a limit of its own
def test_a_sensor_switched_on_in_the_ui_leads_to_a_lake_on_s3_and_tables_that_answer(samples: Path, tmp_path: Path) -> None:
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
            by_source = dict(tables.sql("SELECT source, count(*) FROM conversations GROUP BY source").fetchall())
        assert set(by_source) == {"cholect50", "endoscapes"}


def test_nothing_listens_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:3000:3000"]


def test_a_password_is_asked_for_and_never_given() -> None:
    secrets = [
        str(value)
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|SECRET", name)
    ]
    assert secrets
    assert [value for value in secrets if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)] == []


def test_only_what_runs_the_pipeline_sees_sources_and_lake_and_cannot_change_the_sources() -> None:
    seeing = {name for name, service in SERVICES.items() if any("SURGSIGMA_DATA" in mount for mount in service.get("volumes", ()))}
    assert seeing == {"code"}
    assert [mount for mount in SERVICES["code"]["volumes"] if mount.endswith(":/data:ro")]
    holding = {name for name, service in SERVICES.items() if "AWS_SECRET_ACCESS_KEY" in service.get("environment", {})}
    assert holding == {"code", "bucket"}
