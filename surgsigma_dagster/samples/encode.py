"""Frames into an H.264 file, with the same bytes for the same frames."""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import ffmpeg as ffmpeg_python

from surgsigma_dagster.samples.render import Image
from surgsigma_dagster.video.binary import MediaError


def encode(path: Path, frames: Iterable[Image], size: tuple[int, int], fps: int, ffmpeg: str, keep: str = "1") -> None:
    """Write `frames` of `size` (width, height), blue first, as an MP4 at `fps`.

    `keep` is a condition on the frame number `n` in ffmpeg's language: what is left keeps its timestamps,
    which makes the rate variable. Raises `MediaError` with ffmpeg's own words.
    """
    part = path.with_name(f".{path.name}.part")
    stream = ffmpeg_python.input("pipe:", f="rawvideo", pix_fmt="bgr24", s="{}x{}".format(*size), r=fps)
    output = stream.filter("select", keep).output(
        f"file:{part}",
        **{"f": "mp4", "c:v": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "g": 50, "threads": 1},
        **{"fps_mode": "passthrough", "fflags": "+bitexact", "flags:v": "+bitexact", "v": "error"},
    )
    with tempfile.TemporaryFile() as said:
        command = output.compile(cmd=ffmpeg, overwrite_output=True)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said, pipesize=1 << 20)
        assert process.stdin
        try:
            for frame in frames:
                process.stdin.write(frame.data)
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg has stopped: its exit code and its words follow
        except BaseException:
            process.kill()
            raise
        finally:
            code = process.wait()
        if code:
            said.seek(0)
            raise MediaError(f"{path}: ffmpeg exit code {code}: {said.read().decode('utf-8', 'replace').strip()}")
    part.replace(path)
