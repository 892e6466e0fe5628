"""The chain on label files as their owners published them: nothing is lost on the way."""

from pathlib import Path

import duckdb
import pytest

from .conftest import built, surgsigma

pytestmark = pytest.mark.slow

SOURCES = {
    "cholect50": "cholect50",
    "multibypass140": "multibypass140",
    "psi_ava": "psi-ava",
    "m2cai16_tool_locations": "m2cai16-tool-locations",
}
# Annotated rows in the files: T50 items, intervals, boxes and csv lines, VOC objects.
ROWS = {
    "cholect50": 296 + 196 + 178,
    "multibypass140": 3825,
    "psi_ava": 3181 + 3181 + 35213,
    "m2cai16_tool_locations": 2570,
}


@pytest.fixture(scope="module")
def home(real_labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    sources = folder / "sources.yaml"
    entries = [f"  - {{name: {name}, dataset: {name}, root: '{real_labels / path}'}}" for name, path in SOURCES.items()]
    sources.write_text("\n".join(["sources:", *entries]) + "\n")
    assert built(sources, folder / "home")["success"]
    return folder / "home"


def query(home: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(home / "surgsigma.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


# One native row makes several labels (a box, a triplet and a phase), all with its place: a row counts once. The kinds
# named here are those that every accepted row of the dataset makes, so their rows and the rejected ones are all rows.
CARRIERS = {
    "cholect50": ["triplets"],
    "multibypass140": ["intervals"],
    "m2cai16_tool_locations": ["boxes"],
}


@pytest.mark.parametrize("source", CARRIERS)
def test_every_annotated_row_is_in_a_table_or_in_the_rejects(source: str, home: Path) -> None:
    parts = " UNION ALL ".join(
        f"SELECT file, locator, max(n_rows) AS n FROM {kind} WHERE source = '{source}' GROUP BY file, locator"
        for kind in CARRIERS[source]
    )
    in_tables = query(home, f"SELECT coalesce(sum(n), 0) FROM ({parts})")[0][0]
    rejected = query(
        home, f"SELECT coalesce(sum(n_rows), 0) FROM rejects WHERE source = '{source}' AND locator != 'file'"
    )[0][0]
    assert in_tables + rejected == ROWS[source]


def test_every_annotated_row_of_psi_ava_is_in_a_table_or_in_the_rejects(home: Path) -> None:
    """Its phases merge lines of the csv, and its boxes stand in the JSON beside a csv that repeats them."""
    boxes = query(home, "SELECT count(DISTINCT (file, locator)) FROM boxes WHERE source = 'psi_ava'")[0][0]
    runs = query(
        home,
        "SELECT coalesce(sum(n_rows), 0) FROM intervals "
        "WHERE source = 'psi_ava' AND track = 'phase' AND file LIKE '%.csv'",
    )[0][0]
    rejected = query(home, "SELECT sum(n_rows) FROM rejects WHERE source = 'psi_ava'")[0][0]
    assert (boxes, runs, rejected) == (3181, 35213, 3181)
    assert boxes + runs + rejected == ROWS["psi_ava"]


def test_every_reject_says_where_and_why(home: Path) -> None:
    silent = query(
        home, "SELECT count(*) FROM rejects WHERE reason = '' OR rule = '' OR file IS NULL OR locator IS NULL"
    )
    assert silent == [(0,)]


def test_the_boxes_that_reach_out_of_their_image_are_clipped(home: Path) -> None:
    clipped = query(
        home,
        "SELECT raw_value, y1, clipped FROM boxes WHERE frame_id = 'm2cai16_tool_locations/v02/042225'",
    )
    assert clipped == [("SpecimenBag", 0.0, True)]


def test_overlay_tracks_do_not_overlap_phases(home: Path) -> None:
    tracks = query(home, "SELECT DISTINCT track FROM intervals WHERE raw_value IN ('out_of_body', 'severe_index')")
    assert tracks == [("event",)]


def test_the_real_frames_are_hashed_where_they_lie_and_duplicates_are_reported(home: Path) -> None:
    assert query(home, "SELECT DISTINCT image_root FROM frames WHERE status = 'available'") == [("source",)]
    assert not (home / "lake/images").exists()
    assert query(home, "SELECT count(*) FROM rejects WHERE rule = 'duplicate_download'") == [(1,)]
    (path,) = query(home, "SELECT image_path FROM frames WHERE frame_id = 'cholect50/VID70/000030'")[0]
    assert path == "videos/VID70/000030 (1).png"


def test_sources_check_reports_everything_before_a_build(home: Path) -> None:
    said = surgsigma("sources", "check", home / "sources.yaml", "--json").stdout
    assert '"unmapped": []' in said
    assert "missing_media" in said


def test_real_labels_make_every_image_task_that_they_can(home: Path) -> None:
    """CholecT50's frames are here: seven tasks come of its labels and pictures, all verified."""
    made = query(home, "SELECT DISTINCT task FROM conversations WHERE source = 'cholect50' AND status = 'accepted'")
    assert {task for (task,) in made} == {
        "instrument_recognition", "instrument_localization", "triplet_recognition", "phase_recognition",
        "image_captioning", "next_frame_generation", "desmoking",
    }  # fmt: skip
    assert query(home, "SELECT count(*) FROM conversations WHERE status <> 'accepted'") == [(0,)]
