"""Sources before a build: what lies in a folder or bucket, and everything that is wrong with it, at once."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest
import s3fs
import yaml

from surgsigma_dagster.build import default_resources
from surgsigma_dagster.detection import detected, write_entries
from surgsigma_dagster.inspection import checked
from surgsigma_dagster.resources.listing import list_sources
from surgsigma_dagster.sources.bucket import mirror
from surgsigma_dagster.sources.config import load_sources
from surgsigma_dagster.sources.errors import SourceError
from tests.unit.made import footage
from tests.unit.native import put
from tests.unit.native_releases import WRITERS as RELEASES
from tests.unit.test_adapters_rules import WRITERS as NATIVE

from .conftest import built, surgsigma
from .loopback import AWS, free_port, s3

pytestmark = pytest.mark.slow

FOLDERS = {
    "cholec80": "cholec80", "cholecseg8k": "cholecseg8k", "cholect50": "CholecT50", "endoscapes": "endoscapes",
    "in_house": "in_house", "psi_ava": "psi-ava", "sar_rarp50": "SAR-RARP50", "scared": "SCARED",
}  # fmt: skip


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with two of the sample sources."""
    for name, value in {**AWS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"sources{abs(hash(tmp_path))}"
    fs = s3fs.S3FileSystem()
    fs.mkdir(name)
    for source in ("endoscapes", "psi-ava"):
        fs.put(f"{samples / source}/", f"{name}/theatre/{source}/", recursive=True)
    return f"s3://{name}/theatre"


# Detection


def test_every_sample_is_found_below_one_folder_and_written_once(samples: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources.yaml"
    found = surgsigma("sources", "detect", samples, "--write", sources, "--json")
    assert sorted(json.loads(found.stdout)["added"]) == sorted(FOLDERS)
    entries = yaml.safe_load(sources.read_text())["sources"]
    assert {entry["dataset"]: Path(entry["root"]).name for entry in entries} == FOLDERS
    again = surgsigma("sources", "detect", samples, "--write", sources, "--json")
    assert json.loads(again.stdout)["added"] == []
    assert surgsigma("sources", "check", sources, "--json").returncode == 0


def test_datasets_at_different_depths_are_all_found(samples: Path, tmp_path: Path) -> None:
    shutil.copytree(samples / "endoscapes", tmp_path / "endoscapes")
    shutil.copytree(samples / "cholec80", tmp_path / "archive/cholec80")
    found = [(row["dataset"], Path(row["root"]).relative_to(tmp_path).as_posix()) for row in detected(str(tmp_path))]
    assert found == [("cholec80", "archive/cholec80"), ("endoscapes", "endoscapes")]


def test_an_existing_file_keeps_its_words_and_names_stay_unique(samples: Path, tmp_path: Path) -> None:
    copy = tmp_path / "second"
    shutil.copytree(samples / "endoscapes", copy)
    sources = tmp_path / "sources.yaml"
    entry = f"- name: endoscapes  # the first\n  dataset: endoscapes\n  root: {samples}/endoscapes\n"
    sources.write_text(f"# ours\nsources:\n{entry}seed: 3\n")
    assert write_entries(detected(str(copy)), sources) == ["endoscapes_2"]
    text = sources.read_text()
    assert text.startswith(f"# ours\nsources:\n{entry}- ")
    assert text.endswith("seed: 3\n")
    value = yaml.safe_load(text)
    assert [entry["name"] for entry in value["sources"]] == ["endoscapes", "endoscapes_2"]
    assert (value["sources"][1]["root"], value["seed"]) == ("second", 3)


def test_a_folder_without_a_dataset_is_said_to_hold_none(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    said = surgsigma("sources", "detect", tmp_path, expect=1)
    assert said.stdout == ""
    assert "nothing recognised in" in said.stderr
    assert "source.yaml" not in said.stderr
    (tmp_path / "room").mkdir()
    (tmp_path / "room/case_1.MP4").touch()
    said = surgsigma("sources", "detect", tmp_path, expect=1)
    snippet = said.stderr[said.stderr.index("title:") :]
    assert snippet.strip() in Path("docs/sources.md").read_text()
    (tmp_path / "room/source.yaml").write_text(snippet)
    for room in ("second", "third"):
        shutil.copytree(tmp_path / "room", tmp_path / room)
    listed = yaml.safe_load(surgsigma("sources", "detect", tmp_path).stdout)
    assert [entry["name"] for entry in listed["sources"]] == ["in_house", "in_house_2", "in_house_3"]


def test_a_root_too_high_is_told_where_its_dataset_lies_and_a_source_yaml_what_it_lacks(tmp_path: Path) -> None:
    NATIVE["cholec80"](tmp_path / "downloads/cholec80/full")
    NATIVE["in_house"](tmp_path / "ward")
    NATIVE["in_house"](tmp_path / "bay")
    (tmp_path / "ward/source.yaml").unlink()
    stated = yaml.safe_load((tmp_path / "bay/source.yaml").read_text())
    (tmp_path / "bay/source.yaml").write_text(yaml.safe_dump({**stated, "consent": {"scope": "training"}}))
    lines = [f"  - {{name: {name}, dataset: {dataset}, root: {root}}}" for name, dataset, root in (
        ("ours", "cholec80", "downloads"), ("ward", "in_house", "ward"), ("bay", "in_house", "bay"),
    )]  # fmt: skip
    (tmp_path / "sources.yaml").write_text("\n".join(["sources:", *lines]) + "\n")
    found = {row["source"]: row["example"] for row in checked(load_sources(tmp_path / "sources.yaml"))["problems"]}
    assert found["ours"].endswith("cholec80 lies in cholec80/full")
    assert "source.yaml: expected a file that states title, specialty" in found["ward"]
    assert found["bay"].startswith("source.yaml, /consent/reference: expected consent: {scope: ")


def test_a_folder_that_may_not_be_listed_hides_nothing_beside_it() -> None:
    disk = Path(tempfile.mkdtemp())  # tmp_path is closed to other users
    try:
        NATIVE["multibypass140"](disk / "bypass")
        (disk / "lost+found").mkdir()
        (disk / "lost+found").chmod(0)
        disk.chmod(0o755)
        assert [row["dataset"] for row in detected(str(disk))] == ["multibypass140"]  # imports every adapter
        if own := os.geteuid() == 0:  # root may list everything
            os.seteuid(65534)
        try:
            assert [row["dataset"] for row in detected(str(disk))] == ["multibypass140"]
            with pytest.raises(SourceError, match="expected a folder that may be listed"):
                detected(str(disk / "lost+found"))
        finally:
            if own:
                os.seteuid(0)
    finally:
        (disk / "lost+found").chmod(0o700)
        shutil.rmtree(disk)


def test_known_defects_of_a_release_are_listed(tmp_path: Path) -> None:
    RELEASES["surgsigma_v01"](tmp_path)
    rows = json.loads(surgsigma("sources", "defects", tmp_path, "--json").stdout)["defects"]
    assert [row["defect"] for row in rows] == [f"S{n}" for n in range(1, 10)]
    assert {row["defect"]: row["n"] for row in rows}["S4"] == 1


# Checking


def test_nothing_in_the_samples_goes_unread_but_what_they_have_of_real_datasets_quirks(samples: Path) -> None:
    found = json.loads(surgsigma("sources", "check", samples / "sources.yaml", "--json").stdout)
    assert {(row["source"], row["problem"], row["times"]) for row in found["problems"]} == {
        ("cholect50", "duplicate_download", 1), ("psi_ava", "repeats", 14),
    }  # fmt: skip
    assert [(row["source"], row["raw_value"]) for row in found["unmapped"]] == [("in_house", "WHO time-out")]
    records = {row["source"]: row["records"] for row in found["sources"]}
    for source, kind in (("cholecseg8k", "masks"), ("sar_rarp50", "masks"), ("scared", "depths")):
        assert kind in str(records[source]), source


def test_clocks_that_disagree_are_found_before_a_build(samples: Path, tmp_path: Path) -> None:
    root = tmp_path / "cholec80"
    shutil.copytree(samples / "cholec80", root)
    phases = next((root / "phase_annotations").glob("*-phase.txt"))
    lines = phases.read_text().splitlines()
    more = [f"{len(lines) - 1 + k}\tPreparation" for k in range(200)]
    phases.write_text("\n".join([*lines, *more]) + "\n")
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ours, dataset: cholec80, root: cholec80}\n")
    found = json.loads(surgsigma("sources", "check", tmp_path / "sources.yaml", "--json").stdout)
    (problem,) = [row for row in found["problems"] if row["problem"] == "labels_end_late"]
    assert (problem["times"], problem["example"].split(":")[0]) == (1, phases.name.removesuffix("-phase.txt"))
    assert "labels until" in problem["example"]
    assert found["sources"][0]["terms"] == "non-commercial, share-alike"


def test_a_label_file_cut_off_between_two_lines_is_told_by_its_video(samples: Path, tmp_path: Path) -> None:
    shutil.copytree(samples / "cholec80", tmp_path / "cholec80")
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ours, dataset: cholec80, root: cholec80}\n")
    config = load_sources(tmp_path / "sources.yaml")
    assert checked(config)["problems"] == []
    for path in (*(tmp_path / "cholec80").glob("*_annotations/video01-*.txt"),):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[: len(lines) // 3]) + "\n")
    (problem,) = checked(config)["problems"]
    assert problem["problem"] == "labels_end_early"
    assert problem["example"].startswith("video01: labels end at ")


def test_another_frame_rate_and_an_early_end_are_two_problems(tmp_path: Path) -> None:
    root = tmp_path / "cholec80"
    for video, fps, seconds in (("video01", 50, 4), ("video02", 25, 9)):
        lines = "".join(f"{frame}\tPreparation\n" for frame in range(101))
        put(root, f"phase_annotations/{video}-phase.txt", f"Frame\tPhase\n{lines}")
        (root / "videos").mkdir(exist_ok=True)
        footage(root / f"videos/{video}.mp4", fps * seconds, fps=fps)
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ours, dataset: cholec80, root: cholec80}\n")
    found = checked(load_sources(tmp_path / "sources.yaml"))["problems"]
    told = [(row["problem"], row["times"], row["example"].split(",")[0]) for row in found]
    assert told == [
        ("clock_disagreement", 1, "video01: labels count 25 frames a second"),
        ("labels_end_early", 1, "video02: labels end at 4.0 s"),
    ]


def test_a_misspelt_concept_hides_no_word_that_is_unmapped_and_one_that_means_nothing_is_not_listed(
    tmp_path: Path,
) -> None:
    rows = "".join(f"{k},{k + 1},phase,{word}\n" for k, word in enumerate(["Prep", "Idle", "Lunch", "Lunch", "Tea"]))
    NATIVE["in_house"](tmp_path / "ward")
    put(tmp_path, "ward/new.csv", f"start,end,track,label\n{rows}")
    concepts = "  Prep: phase/cholecystectomy/prep\n  Idle: ~\n  Tea: phase/cholecystectomy/tea\n"
    (tmp_path / "ours.yaml").write_text(f"dataset: in_house\nversion: 1\nphase:\n{concepts}")
    (tmp_path / "sources.yaml").write_text(
        "sources:\n  - {name: ward, dataset: in_house, root: ward, aliases: ours.yaml}\n"
    )
    found = checked(load_sources(tmp_path / "sources.yaml"))
    (problem,) = [row for row in found["problems"] if row["severity"] == "error"]
    assert problem["problem"] == "unknown_concept"
    for said in ("ours.yaml", "phase: Prep", "phase/cholecystectomy/prep", "phase: Tea: phase/cholecystectomy/tea"):
        assert said in problem["example"]
    unmapped = {row["raw_value"]: row["n_rows"] for row in found["unmapped"] if row["field"] == "phase"}
    assert {word: n for word, n in unmapped.items() if word in {"Prep", "Idle", "Lunch", "Tea"}} == {
        "Lunch": 2, "Prep": 1, "Tea": 1,
    }  # fmt: skip


def test_a_label_file_cut_off_is_told_by_the_other_label_files_of_its_video(samples: Path, tmp_path: Path) -> None:
    shutil.copytree(samples / "cholec80", tmp_path / "cholec80")
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ours, dataset: cholec80, root: cholec80}\n")
    cut, headed, *_ = sorted((tmp_path / "cholec80/phase_annotations").glob("*.txt"))
    lines = cut.read_text().splitlines(keepends=True)
    cut.write_text("".join(lines[: len(lines) // 4]))
    headed.write_text("Frame\tPhase\n")
    found = {row["problem"]: row["example"] for row in checked(load_sources(tmp_path / "sources.yaml"))["problems"]}
    assert found.keys() == {"labels_cut_off", "label_file_without_rows"}
    assert found["labels_cut_off"].startswith(f"{cut.name[:7]}: phase in phase_annotations/{cut.name} ends at ")
    assert found["label_file_without_rows"] == f"phase_annotations/{headed.name}"
    corpus = default_resources(tmp_path / "home", tmp_path / "sources.yaml")["corpus"]
    corpus.write_native_labels(corpus.listing())
    (reject,) = corpus.lake.scan("ingestion_rejects").collect().to_dicts()
    assert (reject["rule"], reject["file"]) == ("label_file_without_rows", f"phase_annotations/{headed.name}")


def test_footage_is_found_whatever_its_suffix_and_a_link_to_nothing_is_no_footage(tmp_path: Path) -> None:
    root = tmp_path / "cholec80"
    NATIVE["cholec80"](root)
    for number in range(2, 9):
        (root / f"phase_annotations/video{number:02d}-phase.txt").write_text("Frame\tPhase\n0\tPreparation\n")
    for name in ("video01.mp4", "video02.MP4", "video03.Avi"):
        footage(tmp_path / "one.mp4", 3).replace(root / "videos" / name)
    (root / "videos/video04.mp4").symlink_to("/nowhere/video04.mp4")
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ours, dataset: cholec80, root: cholec80}\n")
    found = {row["problem"]: row for row in checked(load_sources(tmp_path / "sources.yaml"))["problems"]}
    missing = found["missing_media"]
    shown = "video04 (videos/video04.mp4 links to no file), video05, video06"
    assert (missing["times"], missing["example"]) == (5, shown)
    corpus = default_resources(tmp_path / "home", tmp_path / "sources.yaml")["corpus"]
    corpus.write_videos(corpus.listing())
    corpus.write_native_labels(corpus.listing())
    corpus.write_frames(["ours__video03", "ours__video04", "ours__video05"])
    rejects = corpus.lake.scan("frames_rejects").filter(pl.col("rule") == "absent_video").collect()
    assert rejects.select("video_id", "reason").rows() == [("ours/video04", "videos/video04.mp4 links to no file")]
    assert corpus.lake.scan("frames").filter(pl.col("video_id") == "ours/video03").collect().height


def test_a_video_that_cannot_be_read_is_no_disagreement_of_clocks(tmp_path: Path) -> None:
    NATIVE["cholec80"](tmp_path / "cholec80")
    video = tmp_path / "cholec80/videos/video01.mp4"
    whole = footage(video, 50).read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ours, dataset: cholec80, root: cholec80}\n")
    found = {row["problem"]: row["example"] for row in checked(load_sources(tmp_path / "sources.yaml"))["problems"]}
    assert found["unreadable_media"].startswith("video01: ffprobe")
    assert "clock_disagreement" not in found


def test_a_suffix_that_is_not_read_is_said_beside_its_labels(tmp_path: Path) -> None:
    NATIVE["in_house"](tmp_path / "ward")
    for name in ("old.mpg", "dvd.vob"):
        (tmp_path / "ward" / name).touch()
        (tmp_path / "ward" / name).with_suffix(".csv").write_text("start,end,track,label\n0,1,phase,access\n")
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: ward, dataset: in_house, root: ward}\n")
    found = {row["problem"]: row["example"] for row in checked(load_sources(tmp_path / "sources.yaml"))["problems"]}
    assert found["missing_media"] == "dvd (dvd.vob: suffix .vob is not read: remux to mp4)"


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """One folder with five faults, one whose sidecar is none, and one that is in order."""
    root = tmp_path / "cholec80"
    NATIVE["cholec80"](root)
    phases = root / "phase_annotations/video01-phase.txt"
    phases.write_text(phases.read_text().replace("CalotTriangleDissection", "Haircut"))
    footage(root / "videos/video01.mp4", 80, fps=50)
    (root / "phase_annotations/video02-phase.txt").write_text("Frame\tPhase\n0\tPreparation\n2\tPreparation\n")
    (root / "phase_annotations/video03-phase.txt").write_text("Frame\tPhase\n0\tPreparation\n")
    footage(root / "videos/video04.mp4", 8)
    NATIVE["in_house"](tmp_path / "ward")
    (tmp_path / "ward/source.yaml").write_text("title: Ward 3\n")
    NATIVE["multibypass140"](tmp_path / "bypass")
    entries = {"ours": ("cholec80", "cholec80"), "ward": ("in_house", "ward"), "bypass": ("multibypass140", "bypass")}
    lines = [f"  - {{name: {name}, dataset: {one}, root: {root}}}" for name, (one, root) in entries.items()]
    (tmp_path / "sources.yaml").write_text("\n".join(["sources:", *lines]) + "\n")
    found = checked(load_sources(tmp_path / "sources.yaml"))
    said = {(row["source"], row["problem"]): row["example"] for row in found["problems"]}
    assert said[("ours", "unreadable")].startswith("video02: phase_annotations/video02-phase.txt, line 3: expected")
    assert (said[("ours", "missing_media")], said[("ours", "video_without_labels")]) == ("video02, video03", "video04")
    assert said[("ours", "clock_disagreement")].startswith("video01: labels count 25 frames a second")
    assert said[("ward", "unreadable")].startswith("source.yaml, /procedure_type: expected")
    assert said[("bypass", "missing_media")] == "BBP01"
    assert len(said) == 6
    assert [(row["source"], row["field"], row["raw_value"]) for row in found["unmapped"]] == [
        ("ours", "phase", "Haircut")
    ]
    rows = {row["source"]: row for row in found["sources"]}
    assert (rows["ours"]["videos"], rows["ours"]["records"]) == (4, "4 intervals, 14 presences")
    assert (rows["ours"]["licence"], rows["bypass"]["may be released"]) == ("CC-BY-NC-SA-4.0", True)


def test_one_folder_twice_is_an_error_and_a_copy_of_it_a_warning(tmp_path: Path) -> None:
    NATIVE["cholec80"](tmp_path / "cholec80")
    (tmp_path / "link").symlink_to(tmp_path / "cholec80")
    sources = tmp_path / "sources.yaml"
    two = "sources:\n  - {{name: ours, dataset: cholec80, root: cholec80}}\n  - {{name: mine, dataset: {}, root: {}}}\n"
    sources.write_text(two.format("cholec80", "./link/"))
    with pytest.raises(SourceError, match=r"sources\.1\.root: expected a folder that no other entry reads"):
        load_sources(sources)
    sources.write_text(two.format("m2cai16_tool", "./link/"))
    assert len(load_sources(sources).sources) == 2
    shutil.copytree(tmp_path / "cholec80", tmp_path / "copy")
    sources.write_text(two.format("cholec80", "copy"))
    (row,) = [row for row in checked(load_sources(sources))["problems"] if row["problem"] == "shown_twice"]
    assert (row["source"], row["example"].split(": ")[1]) == ("mine", "as in ours")
    for file in (tmp_path / "copy/phase_annotations").iterdir():
        file.write_text(file.read_text() + "\n")
    assert "shown_twice" not in {row["problem"] for row in checked(load_sources(sources))["problems"]}


# Buckets


def test_datasets_in_a_bucket_are_named_without_fetching_their_media(bucket: str) -> None:
    assert {(row["dataset"], row["root"]) for row in detected(bucket)} == {
        ("endoscapes", f"{bucket}/endoscapes"), ("psi_ava", f"{bucket}/psi-ava"),
    }  # fmt: skip


def test_entries_of_a_bucket_are_written_with_their_evidence_and_can_be_checked(bucket: str, tmp_path: Path) -> None:
    sources = tmp_path / "sources.yaml"
    found = json.loads(surgsigma("sources", "detect", bucket, "--write", sources, "--json").stdout)
    assert sorted(found["added"]) == ["endoscapes", "psi_ava"]
    assert {row["evidence"].split(": found ")[0] for row in found["found"]} == {"Endoscapes2023", "PSI-AVA"}
    said = checked(load_sources(sources))
    assert {row["source"] for row in said["sources"]} == {"endoscapes", "psi_ava"}
    assert [row for row in said["problems"] if row["severity"] == "error"] == []
    with pytest.raises(SourceError, match="expected objects below it, found none"):
        detected(f"{bucket}/nothing_here")


def test_a_bucket_that_does_not_answer_is_one_line_and_the_other_sources_go_on(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in {**AWS, **nobody}.items():
        monkeypatch.setenv(name, value)
    sources = tmp_path / "sources.yaml"
    entries = [("far", "psi_ava", "s3://theatre/psi-ava"), ("near", "endoscapes", str(samples / "endoscapes"))]
    lines = [f"  - {{name: {name}, dataset: {dataset}, root: {json.dumps(root)}}}" for name, dataset, root in entries]
    sources.write_text("\n".join(["sources:", *lines]) + "\n")
    said = json.loads(surgsigma("sources", "check", sources, "--json", expect=1).stdout)
    assert [row["source"] for row in said["sources"]] == ["near"]
    (problem,) = [row for row in said["problems"] if row["severity"] == "error"]
    assert problem["source"] == "far"
    assert problem["example"].startswith("s3://theatre/psi-ava: expected a bucket that can be listed, found ")
    s3fs.S3FileSystem.clear_instance_cache()
    listing = list_sources(load_sources(sources))
    assert {one.entry.name for one in listing.videos.values()} == {"near"}
    assert [*listing.failed] == ["far"]


@pytest.mark.slow
def test_a_build_from_a_bucket_makes_what_a_build_from_the_folder_makes(
    bucket: str, samples: Path, tmp_path: Path
) -> None:
    homes = {}
    for name, root in (("near", str(samples / "endoscapes")), ("far", f"{bucket}/endoscapes")):
        sources = tmp_path / f"{name}.yaml"
        sources.write_text(f"sources:\n  - {{name: endoscapes, dataset: endoscapes, root: {json.dumps(root)}}}\n")
        assert built(sources, tmp_path / name)["success"]
        with duckdb.connect(str(tmp_path / name / "surgsigma.duckdb"), read_only=True) as connection:
            homes[name] = {
                table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
                for table in ("videos", "criteria", "boxes", "frames", "conversations")
            }
    assert homes["near"] == homes["far"]
    assert len(homes["far"]["conversations"]) > 0


def test_a_mirror_fetches_what_is_new_and_drops_what_is_gone(bucket: str, tmp_path: Path) -> None:
    fs, folder = s3fs.S3FileSystem(), tmp_path / "mirror"
    uri = f"{bucket}/endoscapes"
    mirror(uri, folder)
    file = min(path for path in folder.rglob("*.json") if path.name != ".mirror.json")
    kept = file.stat().st_mtime_ns
    fs.pipe(f"{uri.removeprefix('s3://')}/new.txt", b"new")
    mirror(uri, folder, fresh_s=0)
    assert (folder / "new.txt").read_bytes() == b"new"
    assert file.stat().st_mtime_ns == kept
    fs.rm(f"{uri.removeprefix('s3://')}/new.txt")
    mirror(uri, folder, fresh_s=0)
    assert not (folder / "new.txt").exists()


def test_a_bucket_that_cannot_be_listed_is_an_error_and_not_an_empty_source(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected objects below it, found none"):
        mirror(f"{bucket}/nothing_here", tmp_path / "mirror")
    with pytest.raises(SourceError, match=r"found none|can be listed"):
        mirror("s3://no-such-bucket-anywhere/x", tmp_path / "mirror")


# Web video


def test_web_videos_of_several_procedures_are_released(tmp_path: Path) -> None:
    lines = ["video,url,licence,channel,title,procedure_type"]
    for name, kind, turn in (("chole", "cholecystectomy", ()), ("bypass", "gastric_bypass", ("-vf", "hflip"))):
        (tmp_path / "web").mkdir(exist_ok=True)
        footage(tmp_path / f"web/{name}.mp4", 250, *turn)
        (tmp_path / f"web/{name}.csv").write_text("start,end,track,label\n0,9.5,phase,preparation\n")
        lines.append(f"{name},https://example.org/{name},CC-BY-4.0,OR channel,A {name},procedure/{kind}")
    footage(tmp_path / "web/closed.mp4", 250, "-vf", "vflip,negate")
    (tmp_path / "web/closed.csv").write_text("start;end;track;label\n0,0;9,5;phase;Calot triangle dissection\n")
    lines.append("closed,https://example.org/closed,youtube,OR channel,Closed,procedure/cholecystectomy")
    (tmp_path / "web/manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "sources.yaml").write_text("sources:\n  - {name: web, dataset: web_video, root: web}\n")
    assert built(tmp_path / "sources.yaml", tmp_path / "home")["success"]
    with duckdb.connect(str(tmp_path / "home/surgsigma.duckdb"), read_only=True) as connection:
        said = connection.execute(
            "SELECT video_id, i.concept_id, a.procedure_types, s.procedure_type FROM intervals i "
            "JOIN aliases a USING (source, concept_id) JOIN sources s USING (source) "
            "WHERE a.raw_value = 'preparation' AND field = 'phase' ORDER BY ALL"
        ).fetchall()
    assert said == [
        (f"web/{name}", f"phase/{kind}/preparation", [f"procedure/{kind}"], None)
        for name, kind in (("bypass", "gastric_bypass"), ("chole", "cholecystectomy"))
    ]
    released = json.loads((tmp_path / "home/release/manifest.json").read_text())
    assert {source["source"] for source in released["sources"]} == {"web"}
    assert sum(released["conversations"].values()) > 0
    assert released["held_back"] == {"web/closed": "no right to release it by its licence, youtube"}
    said = "".join(path.read_text() for path in (tmp_path / "home/release/conversations").glob("*.jsonl"))
    assert ("web/chole" in said, "web/bypass" in said, "closed" in said) == (True, True, False)
    assert not list((tmp_path / "home/release").rglob("*closed*"))
