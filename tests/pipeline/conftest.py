"""Homes built through the command line, as a user builds them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SURGSIGMA = str(Path(sys.executable).with_name("surgsigma"))


def surgsigma(*arguments: str | Path, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line tool; its words are shown where the exit code is another than expected."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SURGSIGMA_", "DAGSTER_"))}
    done = subprocess.run(
        [SURGSIGMA, *map(str, arguments)], capture_output=True, text=True, timeout=280, env=environment, check=False
    )
    assert expect is None or done.returncode == expect, f"{done.stdout}\n{done.stderr}"
    return done


def built(sources: Path, home: Path, *, expect: int = 0) -> dict[str, Any]:
    """Build and return what `--json` says."""
    return json.loads(surgsigma("build", "--sources", sources, "--home", home, "--json", expect=expect).stdout)


@pytest.fixture(scope="session")
def demo_home(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home built from the samples without disturbance; read only."""
    home = tmp_path_factory.mktemp("demo")
    assert built(samples / "sources.yaml", home)["success"]
    return home
