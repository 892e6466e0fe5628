"""docs/adding_a_dataset.md, followed word by word in a copy of the package: what it shows works as it stands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from surgsigma_dagster.sources import readers
from surgsigma_dagster.sources.adapter import NativeVideo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding_a_dataset.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([^`\s]+)`\n\n```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CLOCKS = re.findall(r"^\| [^|`]+ \| `([^`]+)`[^|]* \| ([^|]+) \| `(runs[^|]+)` \|$", PAGE, re.MULTILINE)
(TURNED_DOWN,) = re.findall(r"^[^`\n].*:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DETECT, CHECK, BUILD = COMMANDS.splitlines()
ALIASES = "surgsigma_dagster/vocabulary/aliases/larkfield.yaml"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, the page's files in their places, and a picture for each second."""
    folder = tmp_path_factory.mktemp("lab")
    package, ignored = folder / "surgsigma_dagster", shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "surgsigma_dagster", package, ignore=ignored)
    for mapped in ("assets", "resources"):  # packages that live at the top level of the repository
        shutil.copytree(ROOT / mapped, package / mapped, ignore=ignored)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "utf-8")
    pictures = folder / "larkfield" / "frames" / "L01"
    pictures.mkdir(parents=True)
    ramp = np.linspace(40, 200, 320, dtype=np.uint8)
    for second in range(6):
        picture = np.dstack([np.tile(np.roll(ramp, 20 * second), (180, 1)), np.full((180, 320, 2), 90, np.uint8)])
        cv2.imwrite(str(pictures / f"{second:06d}.png"), cv2.rectangle(picture, (40, 30), (140, 90), (30, 30, 220), -1))
    return folder


def run(lab: Path, command: str) -> str:
    """Standard output of a command of the page, run with the copy."""
    program, *arguments = shlex.split(command)
    assert program == "surgsigma"
    done = subprocess.run(
        [sys.executable, "-m", "surgsigma_dagster.cli", *arguments],
        cwd=lab, env=os.environ | {"PYTHONPATH": str(lab)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dataset_is_two_files_of_the_package() -> None:
    assert sorted(name for name in FILES if name.startswith("surgsigma_dagster/")) == [
        "surgsigma_dagster/sources/datasets/larkfield.py", ALIASES,
    ]  # fmt: skip
    assert not [name for name in FILES if (ROOT / name).exists()], "an example that is there proves nothing"


def test_it_is_recognised_and_every_word_of_it_is_mapped(lab: Path) -> None:
    found = json.loads(run(lab, f"{DETECT} --json"))
    assert [(row["dataset"], row["evidence"]) for row in found["found"]] == [
        ("larkfield", "Larkfield: found phases/L01.csv")
    ]
    assert found["added"] == ["larkfield"]
    said = json.loads(run(lab, f"{CHECK} --json"))
    assert [row["records"] for row in said["sources"]] == ["3 intervals, 2 boxes, 6 images"]
    assert (said["problems"], said["unmapped"]) == ([], [])


def test_with_the_first_two_lines_alone_a_check_lists_what_means_nothing_yet(lab: Path) -> None:
    (lab / "ours.yaml").write_text("sources:\n  - {name: ours, dataset: larkfield, root: larkfield}\n", "utf-8")
    aliases = lab / ALIASES
    try:
        aliases.write_text("".join(FILES[ALIASES].splitlines(keepends=True)[:2]), "utf-8")
        said = json.loads(run(lab, "surgsigma sources check ours.yaml --json"))
    finally:
        aliases.write_text(FILES[ALIASES], "utf-8")
    assert {row["raw_value"] for row in said["unmapped"]} == {"Prep", "Calot", "Clip+Cut", "L-hook", "forceps"}


@pytest.mark.slow
def test_it_builds_into_conversations_that_lead_back_to_their_line(lab: Path) -> None:
    run(lab, DETECT)
    made = json.loads(run(lab, f"{BUILD} --json"))
    assert made["success"]

    def rows(table: str) -> pl.DataFrame:
        return pl.read_parquet(lab / "surgsigma-home" / "lake" / table / "*.parquet")

    intervals = rows("intervals").sort("start_s").select("raw_value", "concept_id", "start_s", "end_s", "locator")
    assert intervals.rows() == [
        ("Prep", "phase/cholecystectomy/preparation", 0.0, 2.0, "lines 2-3"),
        ("Calot", "phase/cholecystectomy/calot_triangle_dissection", 2.0, 5.0, "lines 4-6"),
        ("Clip+Cut", "phase/cholecystectomy/clipping_and_cutting", 5.0, 6.0, "line 7"),
    ]
    boxes = rows("boxes")
    assert boxes.sort("locator").select("concept_id", "frame_id", "x1", "y2", "locator").rows() == [
        ("instrument/hook", "larkfield/L01/000003", 39.0, 89.0, "/annotation/object[1]"),
        ("instrument/grasper", "larkfield/L01/000003", 179.0, 149.0, "/annotation/object[2]"),
    ]
    located = rows("conversations").filter(task="instrument_localization", scene_id="larkfield/L01/000003")
    assert set(boxes["label_id"]) <= set(located["label_ids"].explode())
    assert rows("conversations").filter(task="phase_recognition")["scene_id"].n_unique() == 6


def test_each_clock_of_the_table_gives_seconds_and_frames_of_the_file() -> None:
    """Two labels of the first phase, one of the second, each on the clock of its line."""
    ntsc = 60000 / 1001
    told = [
        ("25.0", 0, [(0.0, 2 / 25, 0, 1), (2 / 25, 3 / 25, 2, 2)]),
        ("25.0", 1, [(0.0, 2 / 25, 1, 2), (2 / 25, 3 / 25, 3, 3)]),
        ("60000 / 1001", 0, [(0.0, 4 / ntsc, 0, 3), (4 / ntsc, 6 / ntsc, 4, 5)]),
        ("25.0", 0, [(0.0, 2.0), (2.0, 3.0)]),
    ]
    assert [rate for rate, *_ in CLOCKS] == [rate for rate, *_ in told]
    for (_, index, code), (_, first, spans) in zip(CLOCKS, told, strict=True):
        rows = pl.DataFrame({"file": "L01.csv", "line": [2, 3, 4], "phase": ["a", "a", "b"]})
        rows = rows.with_columns(frame_index=pl.int_range(first, first + 3))
        if index.startswith("`"):
            rows = rows.with_columns(eval(index.strip("`"), {"pl": pl}))
        found = eval(code, {"runs": readers.runs, "rows": rows})
        wanted = ("start_s", "end_s", "start_frame", "end_frame")
        assert found.select(column for column in wanted if column in found.columns).rows() == spans


def test_a_row_with_a_stranger_is_turned_down_alone() -> None:
    rows = pl.DataFrame({"file": "L01.csv", "line": [2, 3], "id": [1, 9]})
    names = {"pl": pl, "rows": rows, "video": NativeVideo("L01", "none", 1.0), "PHASES": {1: "Prep"}}
    exec(TURNED_DOWN, {**vars(readers), **names}, names)
    assert names["rows"].select("locator", "phase").rows() == [("line 2", "Prep")]
    assert names["rejects"].select("video", "locator", "raw_value").rows() == [("L01", "line 3", "9")]
