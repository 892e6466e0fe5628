"""Bad input: one clear error with its place, and the rest goes on."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from .conftest import built, surgsigma

pytestmark = pytest.mark.slow


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "surgsigma.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def damaged(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cholec80 with one video cut off and one phase file with a bad line, and a source whose folder is gone."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(samples / "cholec80", folder / "cholec80")
    shutil.copytree(samples / "in_house", folder / "in_house")
    video = folder / "cholec80/videos/video51.mp4"
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    phases = folder / "cholec80/phase_annotations/video01-phase.txt"
    lines = phases.read_text().splitlines()
    lines[7] = "six\tPreparation"
    phases.write_text("\n".join(lines))
    (folder / "sources.yaml").write_text(
        "sources:\n"
        "  - {name: cholec80, dataset: cholec80, root: cholec80, licence: CC0-1.0}\n"
        "  - {name: in_house, dataset: in_house, root: in_house}\n"
        "  - {name: endoscapes, dataset: endoscapes, root: not_mounted}\n"
    )
    assert not built(folder / "sources.yaml", folder / "home", expect=1)["success"]
    return folder / "home"


def test_a_cut_off_video_is_quarantined_with_its_reason(damaged: Path) -> None:
    ((status, reason),) = query(damaged, "SELECT status, reason FROM videos WHERE video_id = 'cholec80/video51'")
    assert status == "quarantined"
    assert "moov" in reason or "frames" in reason
    assert query(damaged, "SELECT DISTINCT status FROM frames WHERE video_id = 'cholec80/video51'") == [
        ("quarantined",)
    ]


def test_a_bad_line_is_named_with_file_line_and_what_was_expected(damaged: Path) -> None:
    ((reason, file, locator),) = query(
        damaged, "SELECT reason, file, locator FROM rejects WHERE rule = 'unreadable_labels'"
    )
    assert file == "phase_annotations/video01-phase.txt"
    assert locator == "line 8"
    assert "expected" in reason
    assert "six" in reason


def test_a_missing_folder_is_named_and_the_other_sources_are_built(damaged: Path) -> None:
    assert query(damaged, "SELECT source FROM rejects WHERE rule = 'unreadable_source'") == [("endoscapes",)]
    assert query(damaged, "SELECT count(*) > 20 FROM conversations WHERE source = 'in_house'") == [(True,)]


def test_an_unreadable_source_holds_the_release_back(damaged: Path) -> None:
    assert query(damaged, "SELECT status FROM qa_results WHERE rule = 'sources_readable'") == [("fail",)]
    assert not (damaged / "release").exists()
    assert (damaged / "report.html").exists()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sources: [{name: a, dataset: cholec81, root: .}]", "sources.0.dataset"),
        ("sources: [{name: A b, dataset: cholec80, root: .}]", "sources.0.name"),
        ("sources: [{name: a, dataset: cholec80}]", "sources.0.root"),
        ("sources: [", "YAML"),
    ],
)
def test_a_wrong_sources_file_is_one_line_that_names_the_place(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(text)
    done = surgsigma("build", "--sources", tmp_path / "sources.yaml", "--home", tmp_path / "home", expect=1)
    assert named in done.stderr
    assert "sources.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_doctor_finds_nothing_missing_here_and_names_what_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads(surgsigma("doctor", "--home", tmp_path, "--json").stdout)["checks"]
    assert all(row["ok"] for row in rows)


def test_detect_names_every_sample_source_and_nothing_else(samples: Path) -> None:
    found = json.loads(surgsigma("sources", "detect", samples, "--json").stdout)["found"]
    assert {row["dataset"]: Path(row["root"]).name for row in found} == {
        "cholec80": "cholec80", "cholecseg8k": "cholecseg8k", "cholect50": "CholecT50", "endoscapes": "endoscapes",
        "in_house": "in_house", "psi_ava": "psi-ava", "sar_rarp50": "SAR-RARP50", "scared": "SCARED",
    }  # fmt: skip


def test_plan_says_what_would_be_built_before_anything_runs(samples: Path, tmp_path: Path) -> None:
    rows = json.loads(
        surgsigma("plan", "--sources", samples / "sources.yaml", "--home", tmp_path / "home", "--json").stdout
    )["sources"]
    cholec80 = next(row for row in rows if row["source"] == "cholec80")
    assert (cholec80["videos"], cholec80["labels_to_read"], cholec80["videos_to_extract"]) == (2, 2, 2)
    assert not (tmp_path / "home/lake").exists()
