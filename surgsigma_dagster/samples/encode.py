"""Frames into a video file, with the same bytes for the same frames."""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import ffmpeg as ffmpeg_python

from surgsigma_dagster.samples.render import Image
from surgsigma_dagster.video.binary import MediaError

_CODECS: dict[str, dict[str, str | int]] = {
    ".mp4": {"f": "mp4", "c:v": "libx264", "preset": "veryfast", "g": 50},
    ".avi": {"f": "avi", "c:v": "mpeg4", "q:v": 5, "g": 120},  # AVI has no timestamps, so no B-frames
}


def encode(
    path: Path,
    frames: Iterable[Image],
    size: tuple[int, int],
    fps: int,
    ffmpeg: str,
    *,
    keep: str = "1",
    times: int = 1,
) -> None:
    """Write `frames` of `size` (width, height), blue first, at `fps`, as H.264 in MP4 or MPEG-4 in AVI.

    `keep` is a condition on the frame number `n` in ffmpeg's language: what is left keeps its timestamps,
    which makes the rate variable. Each frame is shown `times` times. Raises `MediaError` with ffmpeg's own words.
    """
    part = path.with_name(f".{path.name}.part")
    stream = ffmpeg_python.input("pipe:", f="rawvideo", pix_fmt="bgr24", s="{}x{}".format(*size), r=f"{fps}/{times}")
    chosen = stream.filter("fps", fps) if times > 1 else stream.filter("select", keep)
    output = chosen.output(
        f"file:{part}",
        **_CODECS[path.suffix],
        **{"pix_fmt": "yuv420p", "threads": 1},
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
