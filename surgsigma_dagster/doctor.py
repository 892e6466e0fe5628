"""What a build needs of this machine, looked at."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from surgsigma_dagster.video.binary import MediaError, binary, run

_CODECS = {"decoder": ["h264", "hevc", "mpeg4", "mjpeg"], "encoder": ["mjpeg", "libx264"]}
_PACKAGES = ["dagster", "dagster-webserver", "polars", "duckdb", "pyarrow", "dataframely", "ffmpeg-python", "s3fs"]
_FREE_GB = 5


def examined(home: Path) -> list[dict[str, Any]]:
    """One row a thing looked at: what, ok, found, and how to mend it."""
    rows: list[dict[str, Any]] = []

    def saw(what: str, ok: bool, found: object, mend: str = "") -> None:
        rows.append({"what": what, "ok": ok, "found": str(found), "mend": "" if ok else mend})

    for name in ("ffmpeg", "ffprobe"):
        try:
            path = binary(name)
            said, _ = run([path, "-version"], timeout_s=30)
            saw(name, True, f"{path} ({said.decode().split(' Copyright')[0].removeprefix(name + ' version ')})")
        except MediaError as error:
            saw(name, False, error, f"install it, or set SURGSIGMA_{name.upper()} to its path")
    if rows[0]["ok"]:
        for kind, wanted in _CODECS.items():
            listed, _ = run([binary("ffmpeg"), "-hide_banner", f"-{kind}s"], timeout_s=30)
            have = {line.split()[1] for line in listed.decode().splitlines() if len(line.split()) > 1}
            missing = [codec for codec in wanted if codec not in have]
            saw(f"{kind}s", not missing, ", ".join(c for c in wanted if c in have),
                f"this ffmpeg lacks {', '.join(missing)}: unset SURGSIGMA_FFMPEG to use the bundled one")  # fmt: skip
    for package in _PACKAGES:
        try:
            saw(package, True, version(package))
        except PackageNotFoundError:
            saw(package, False, "not installed", f"pip install {package}")
    saw("python", sys.version_info >= (3, 11), platform.python_version(), "use Python 3.11 or newer")
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    saw(
        "disk", free > _FREE_GB, f"{free:.1f} GB free at {there}", f"frames need room: free {_FREE_GB} GB or use --home"
    )
    saw("home", os.access(there, os.W_OK), home, f"{there} cannot be written: use --home")
    return rows
