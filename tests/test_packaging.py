"""The package on disk is the package that is installed, and its parts know only whom they may know."""

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from surgsigma_dagster.cli import app
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.sources.adapter import adapters

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ORCHESTRATION = {
    "build",
    "automation",
    "partitions",
    "checks",
    "metadata",
    "definitions",
    "cli",
    "runs",
    "plan",
    "inspection",
}


def _folder(package: str) -> Path:
    name = package.removeprefix("surgsigma_dagster.")
    return ROOT / name if name in {"assets", "resources"} else ROOT / package.replace(".", "/")


def test_every_package_on_disk_is_listed() -> None:
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "surgsigma_dagster").rglob("__init__.py")
    }
    assert found | {"surgsigma_dagster.assets", "surgsigma_dagster.resources"} == listed
    assert all((_folder(package) / "__init__.py").is_file() for package in listed)


@pytest.mark.parametrize(
    ("page", "command", "n"),
    [("sources.md", ["sources", "list"], len(adapters())), ("tasks.md", ["tasks"], len(tasks()))],
)
def test_lists_in_the_docs_are_what_the_code_holds(page: str, command: list[str], n: int) -> None:
    table = CliRunner().invoke(app, [*command, "--markdown"]).stdout.strip()
    assert table.count("\n") == n + 1
    text = (ROOT / "docs" / page).read_text("utf-8")
    assert table in text, f"docs/{page} is behind: put in what `surgsigma {' '.join(command)} --markdown` prints"


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_domain_code_knows_nothing_of_dagster_assets_or_resources() -> None:
    banned = ("dagster", "surgsigma_dagster.assets", "surgsigma_dagster.resources")
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "surgsigma_dagster").rglob("*.py")
        if path.parent.name != "surgsigma_dagster" or path.stem not in ORCHESTRATION
        for name in _imports(path)
        if any(name == ban or name.startswith(f"{ban}.") for ban in banned)
    ]
    assert found == []


def test_resources_know_no_assets() -> None:
    found = [name for path in (ROOT / "resources").glob("*.py") for name in _imports(path)]
    assert not [name for name in found if name.startswith("surgsigma_dagster.assets")]


def test_only_build_sees_the_assets() -> None:
    found = [
        path.stem
        for path in (ROOT / "surgsigma_dagster").rglob("*.py")
        if any(name.startswith("surgsigma_dagster.assets") for name in _imports(path))
    ]
    assert found == ["build"]


@pytest.mark.slow
def test_the_wheel_works_from_an_empty_folder(tmp_path: Path) -> None:
    """Built, unpacked beside nothing else, loaded: data files and the mapped packages come along."""
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    target = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)]
    subprocess.run(target, check=True, capture_output=True)
    script = (
        "import surgsigma_dagster as s; assert 'site' in s.__file__, s.__file__\n"
        "from surgsigma_dagster.definitions import defs; from surgsigma_dagster.dialogue.task import tasks\n"
        "from surgsigma_dagster.vocabulary.concepts import concepts\n"
        "from surgsigma_dagster.sources.adapter import adapters\n"
        "print(len(defs.resolve_asset_graph().get_all_asset_keys()), [t.templates.version for t in tasks().values()],"
        " concepts().height, len(adapters()))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
