"""Servers as processes on 127.0.0.1: started, waited for, shown when they fail, always stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
AWS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


class Processes:
    """Processes by name, each the head of its own group; use as a context manager, which ends every group."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is not None:
            print(self.words())
        self.stop(*self.running)

    def stop(self, *names: str) -> None:
        """End these processes and what they started: asked first, then killed."""
        for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            for name in names:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.running[name].pid, number)
            until = time.monotonic() + patience_s
            for name in names:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.running[name].wait(max(0.0, until - time.monotonic()))

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def words(self) -> str:
        """The last that every process said."""
        said = []
        for name, process in self.running.items():
            log = (self.folder / f"{name}.log").read_text("utf-8", "replace")
            said.append(f"----- {name}: exit code {process.poll()}\n{log[-6000:]}")
        return "\n".join(said)

    def wait_for(self, what: str, ready: Callable[[], object], *, timeout_s: float, every_s: float = 0.3) -> None:
        """Return when `ready` is true; fail when time is up, or when a process ended with an error before."""
        until = time.monotonic() + timeout_s
        while not ready():
            ended = [name for name, process in self.running.items() if process.poll()]
            assert not ended, f"{', '.join(ended)} ended while waiting for {what}"
            assert time.monotonic() < until, f"{what}: not after {timeout_s:.0f} s"
            time.sleep(every_s)


def start_s3(processes: Processes, name: str, port: int) -> None:
    """A server that speaks the S3 protocol and keeps objects in memory (moto)."""
    environment = {"PATH": os.environ["PATH"], **AWS}
    command = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    processes.start(name, command, environment, processes.folder)


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[str]:
    """The address of an S3 server of its own."""
    port = free_port()
    with Processes(folder) as processes:
        start_s3(processes, "s3", port)
        processes.wait_for("S3", lambda: listening(port), timeout_s=60)
        yield f"http://127.0.0.1:{port}"


def postgres_binaries() -> Path:
    """Where `initdb` and `postgres` lie; skips the test where this machine has none."""
    folders = [Path("/usr/local/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folders += [Path(found).parent for found in [shutil.which("initdb")] if found]
    for folder in folders:
        if (folder / "initdb").exists():
            return (folder / "initdb").resolve().parent
    pytest.skip("no Postgres on this machine: neither initdb on PATH nor /usr/lib/postgresql/*/bin")


@contextlib.contextmanager
def postgres(processes: Processes, name: str, port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Postgres with the user, the password and the database that its image would make of `environment`."""
    binaries, user = postgres_binaries(), environment["POSTGRES_USER"]
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
    data, password = str(folder / "data"), folder / "password"
    as_user: list[str] = []
    try:
        password.write_text(environment["POSTGRES_PASSWORD"])
        if os.geteuid() == 0:  # Postgres refuses to be root
            as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            for path in (folder, password):
                shutil.chown(path, "nobody", "nogroup")
        made = ["-D", data, "-U", user, "--pwfile", str(password), "--auth=scram-sha-256"]
        made += ["--encoding=UTF8", "--locale=C", "--no-sync"]
        initdb = [*as_user, str(binaries / "initdb"), *made]
        subprocess.run(initdb, check=True, capture_output=True, timeout=60, cwd=folder)
        served = [
            "-D",
            data,
            "-p",
            str(port),
            "-k",
            "",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]
        command = [*as_user, str(binaries / "postgres"), *served]
        processes.start(name, command, {"PATH": os.environ["PATH"]}, folder)
        createdb = [str(binaries / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", user, "-w"]
        processes.wait_for(
            "Postgres",
            lambda: (
                not subprocess.run(
                    [*createdb, environment["POSTGRES_DB"]],
                    env={"PGPASSWORD": environment["POSTGRES_PASSWORD"]},
                    capture_output=True,
                    check=False,
                    timeout=30,
                ).returncode
            ),
            timeout_s=30,
        )
        yield
    finally:
        processes.stop(*({name} & set(processes.running)))
        shutil.rmtree(folder, ignore_errors=True)
