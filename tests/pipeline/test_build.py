"""The whole chain through the command line: what it makes, what it repeats, what it survives."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import cv2
import duckdb
import numpy as np
import polars as pl
import pytest

from surgsigma_dagster.build import default_resources
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.schema.tables import TABLES

from .conftest import SURGSIGMA, built, surgsigma

pytestmark = pytest.mark.slow


def contents(home: Path) -> dict[str, bytes]:
    """Bytes of every unified table's shards and of the release, by relative path."""
    files = [path for table in TABLES for path in (home / "lake" / table).glob("*.parquet")]
    files += [path for path in (home / "release").rglob("*") if path.is_file()]
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in files}


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "surgsigma.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_the_samples_give_every_table_rows_but_those_they_have_no_labels_for(demo_home: Path) -> None:
    counts = {table: query(demo_home, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}
    assert {table for table, n in counts.items() if n == 0} == {
        "questions", "captions", "label_conflicts",
    }  # fmt: skip


def test_each_of_the_18_tasks_is_asked_openly_and_as_multiple_choice_where_the_answer_is_words(demo_home: Path) -> None:
    asked = query(demo_home, "SELECT DISTINCT task, form FROM conversations WHERE status = 'accepted'")
    words = {
        "instrument_recognition", "instrument_localization", "tissue_recognition", "tissue_localization",
        "phase_recognition", "step_recognition", "action_recognition", "triplet_recognition", "safety_assessment",
        "image_captioning", "video_captioning", "action_remaining_prediction", "next_action_planning",
    }  # fmt: skip
    pictures = {
        "instrument_segmentation", "desmoking", "depth_estimation", "next_frame_generation",
        "conditional_video_generation",
    }  # fmt: skip
    assert {task for task, form in asked if form == "open"} == words | pictures == set(tasks())
    assert {task for task, form in asked if form == "multiple choice"} == words


def test_what_a_picture_task_asks_for_is_a_file_of_its_kind(demo_home: Path) -> None:
    """Masks are black and white in the frame's size, depth has one channel of 16 bits, clips begin as their frame."""
    lake = demo_home / "lake"
    asked = (
        "SELECT media[1].path, targets[1].path FROM conversations WHERE task = '{}' ORDER BY conversation_id LIMIT 3"
    )
    for _, target in query(demo_home, asked.format("instrument_segmentation")):
        mask = cv2.imread(str(lake / target), cv2.IMREAD_UNCHANGED)
        assert mask.ndim == 2
        assert set(np.unique(mask)) == {0, 255}
    for _, target in query(demo_home, asked.format("depth_estimation")):
        depth = cv2.imread(str(lake / target), cv2.IMREAD_UNCHANGED)
        assert (depth.ndim, depth.dtype) == (2, np.uint16)
        assert depth.max() > 60_000
    for shown, target in query(demo_home, asked.format("conditional_video_generation")):
        first = cv2.VideoCapture(str(lake / target)).read()[1].astype(int)
        assert abs(first - cv2.imread(str(lake / shown)).astype(int)).mean() < 4


def test_every_conversation_leads_to_a_native_label_and_to_its_media(demo_home: Path) -> None:
    lost = query(
        demo_home,
        """SELECT count(*) FROM (SELECT conversation_id, unnest(label_ids) AS label_id FROM conversations) c
            LEFT JOIN labels l USING (label_id) WHERE l.file IS NULL OR l.locator = ''""",
    )
    assert lost == [(0,)]
    assert query(demo_home, "SELECT count(*) FROM conversations WHERE len(label_ids) = 0 OR len(media) = 0") == [(0,)]
    corpus = default_resources(demo_home)["corpus"]
    talk = pl.scan_parquet(demo_home / "lake/conversations/*.parquet")
    media = pl.concat(
        talk.select("source", medium=column).explode("medium", empty_as_null=False) for column in ("media", "targets")
    )
    for row in media.unnest("medium").unique(["source", "path"]).collect().to_dicts():
        root = demo_home / "lake" if row["root"] == "lake" else corpus.config_.entry(row["source"]).root
        assert (root / row["path"]).is_file()


def test_columns_are_documented_in_the_database(demo_home: Path) -> None:
    undocumented = query(
        demo_home,
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE NOT internal AND table_name != 'labels' AND coalesce(comment, '') = ''",
    )
    assert undocumented == []


def test_in_house_data_is_not_in_a_public_release(demo_home: Path) -> None:
    manifest = json.loads((demo_home / "release/manifest.json").read_text())
    assert "in_house" in manifest["held_back"]
    assert "in_house" not in {source["source"] for source in manifest["sources"]}
    assert not list((demo_home / "release").rglob("*in_house*"))
    assert "in_house" in {row[0] for row in query(demo_home, "SELECT DISTINCT source FROM conversations")}


def test_a_second_build_with_nothing_changed_makes_nothing_and_says_so(samples: Path, demo_home: Path) -> None:
    before = contents(demo_home)
    times = {path: path.stat().st_mtime_ns for path in (demo_home / "lake/images").rglob("*.jpg")}
    said = surgsigma("build", "--sources", samples / "sources.yaml", "--home", demo_home).stderr
    for stage in ("videos", "native labels", "frames", "harmonization", "scene context", "reasoning", "conversations"):
        assert f"{stage}: 0 made, 15 up to date" in said
    assert contents(demo_home) == before
    assert {path: path.stat().st_mtime_ns for path in (demo_home / "lake/images").rglob("*.jpg")} == times


@pytest.mark.parametrize("stage", ["frames", "reasoning"])
def test_a_killed_build_goes_on_and_gives_the_same_bytes(
    stage: str, samples: Path, demo_home: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    command = [SURGSIGMA, "build", "--sources", str(samples / "sources.yaml"), "--home", str(home)]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    marks = home / "lake/done" / stage
    while not (marks.is_dir() and any(marks.iterdir())):
        assert running.poll() is None, "the build ended before it could be killed"
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    done = {path: path.stat().st_mtime_ns for path in (home / "lake/done").rglob("*@*")}
    assert not (home / "release").exists()
    assert built(samples / "sources.yaml", home)["success"]
    assert {path: path.stat().st_mtime_ns for path in done} == done, "a finished unit was made again"
    assert contents(home) == contents(demo_home)
    runs = json.loads(surgsigma("status", "--home", home, "--json").stdout)["runs"]
    assert [run["status"] for run in runs] == ["SUCCESS", "FAILURE"], "the killed run must not look alive"


def test_an_interrupted_build_ends_soon_and_says_how_to_go_on(samples: Path, tmp_path: Path) -> None:
    command = [SURGSIGMA, "build", "--sources", str(samples / "sources.yaml"), "--home", str(tmp_path / "home")]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    marks = tmp_path / "home/lake/done/videos"
    while not (marks.is_dir() and any(marks.iterdir())):
        assert running.poll() is None, "the build ended before it could be interrupted"
        time.sleep(0.005)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "the same command goes on" in said


def test_a_new_video_makes_its_own_shards_and_leaves_the_others_alone(samples: Path, tmp_path: Path) -> None:
    root, home = tmp_path / "cholec80", tmp_path / "home"
    shutil.copytree(samples / "cholec80", root)
    second = [path for path in root.rglob("video51*") if path.is_file()]
    for path in second:
        path.rename(tmp_path / path.name)
    config = tmp_path / "sources.yaml"
    config.write_text(f"sources:\n  - {{name: cholec80, dataset: cholec80, root: {root}, licence: CC0-1.0}}\n")
    assert built(config, home)["success"]
    shards = home / "lake" / "conversations"
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in shards.iterdir()}
    assert set(before) == {"cholec80__video01.parquet"}
    for path in second:
        (tmp_path / path.name).rename(path)
    assert built(config, home)["success"]
    after = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in shards.iterdir()}
    assert set(after) == {"cholec80__video01.parquet", "cholec80__video51.parquet"}
    assert {name: after[name] for name in before} == before


def test_tables_can_be_read_while_they_are_rebuilt(samples: Path, demo_home: Path) -> None:
    with duckdb.connect(str(demo_home / "surgsigma.duckdb"), read_only=True) as reader:
        before = reader.execute("SELECT count(*) FROM conversations").fetchall()
        surgsigma("build", "--sources", samples / "sources.yaml", "--home", demo_home, "--select", "unified_tables")
        assert reader.execute("SELECT count(*) FROM conversations").fetchall() == before
    assert query(demo_home, "SELECT count(*) FROM conversations") == before


def test_the_runs_of_the_command_line_are_on_the_instance_of_the_ui(demo_home: Path) -> None:
    status = json.loads(surgsigma("status", "--home", demo_home, "--json").stdout)
    assert status["runs"][0] | {"run": ""} == {"run": "", "job": "rebuild", "status": "SUCCESS"}
    assert {row["table"]: row["rows"] for row in status["tables"]}["conversations"] > 1000
