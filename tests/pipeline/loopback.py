"""Servers and services as processes on 127.0.0.1: started, waited for, shown when they fail, always stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

BIN = Path(sys.executable).parent
AWS = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback", "AWS_DEFAULT_REGION": "us-east-1"}


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
        for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            for process in self.running.values():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            until = time.monotonic() + patience_s
            for process in self.running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
        if error is not None:
            print(self.words())

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                command, env=dict(environment), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def words(self) -> str:
        """The last that every process said."""
        logs = {name: (self.folder / f"{name}.log").read_text("utf-8", "replace") for name in self.running}
        return "\n".join(f"----- {name}: {self.running[name].poll()}\n{log[-6000:]}" for name, log in logs.items())

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
