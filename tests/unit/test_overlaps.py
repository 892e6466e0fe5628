"""Pictures give away what names hide, and an unknown relation never passes as independent."""

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from surgsigma_dagster.identity.content import COMMON, MIN_SHARED, shared_pictures
from surgsigma_dagster.identity.overlaps import Origin, overlaps, relation, unknown_pairs
from surgsigma_dagster.identity.procedures import claims_of, merged, split_conflicts, split_of
from surgsigma_dagster.video.frames import looks

CHOLE = "procedure/cholecystectomy"
BOTH_WAYS = pl.DataFrame([("ours", "public"), ("public", "ours")], schema=["source", "source_other"], orient="row")
Picture = np.ndarray


def hashes(pictures: list[Picture], folder: Path, *, width: int = 320, quality: int = 90) -> list[int]:
    """Perceptual hashes of pictures written as JPEGs of this width and quality."""
    found = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number}.jpg"
        sized = cv2.resize(picture, (width, width * picture.shape[0] // picture.shape[1]))
        cv2.imwrite(str(path), sized, [cv2.IMWRITE_JPEG_QUALITY, quality])
        _, perceptual = looks(path)
        assert perceptual is not None
        found.append(perceptual)
    return found


def smooth_noise(seed: int, n: int) -> list[Picture]:
    """Pictures with large soft shapes, none like another."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (n, 9, 16, 3), dtype=np.uint8)
    return [cv2.resize(one, (480, 270), interpolation=cv2.INTER_CUBIC) for one in coarse]


def tables(shown: dict[str, list[int]], **sha256: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Videos and frames of `shown`: perceptual hashes by `source/video`; `sha256` of video files by video."""
    videos = [(video, video.split("/")[0], video, sha256.get(video.split("/")[1])) for video in shown]
    frames = [(video, k, f"{video} {k}", value) for video, values in shown.items() for k, value in enumerate(values)]
    text = pl.String
    return (
        pl.DataFrame(videos, {"video_id": text, "source": text, "procedure": text, "sha256": text}, orient="row"),
        pl.DataFrame(
            frames, {"video_id": text, "frame_index": pl.Int64, "sha256": text, "perceptual_hash": pl.UInt64},
            orient="row",
        ),
    )  # fmt: skip


def pairs(videos: pl.DataFrame, frames: pl.DataFrame, doubtful: pl.DataFrame = BOTH_WAYS) -> set[tuple[str, str]]:
    return set(shared_pictures(videos, frames, doubtful).select("video_a", "video_b").iter_rows())


# Pictures


def test_a_video_cut_short_resized_and_compressed_again_is_found(tmp_path: Path) -> None:
    here, other = smooth_noise(1, 60), smooth_noise(2, 60)
    shown = {
        "public/67": hashes(here, tmp_path),
        "public/68": hashes(other, tmp_path),
        "ours/case": hashes(here[20:50], tmp_path, width=200, quality=40),
    }
    assert pairs(*tables(shown)) == {("ours/case", "public/67")}


def test_real_frames_are_found_again_and_never_taken_for_another_operation(real_labels: Path, tmp_path: Path) -> None:
    folders = {
        name: sorted((real_labels / "cholect50/videos" / name).glob("*.png")) for name in ("VID68", "VID70", "VID73")
    }
    pictures = {name: [cv2.imread(str(path)) for path in files] for name, files in folders.items()}
    shown = {f"public/{name}": hashes(found, tmp_path, width=480) for name, found in pictures.items()}
    shown["ours/case"] = hashes(pictures["VID70"][5:], tmp_path, width=854, quality=60)
    assert pairs(*tables(shown)) == {("ours/case", "public/VID70")}


def test_sources_that_are_known_apart_are_not_compared_by_looks(tmp_path: Path) -> None:
    same = hashes(smooth_noise(1, 20), tmp_path)
    assert pairs(*tables({"public/1": same, "public/2": same, "other/1": same})) == set()


def test_a_copied_video_file_is_found_whatever_the_sources(tmp_path: Path) -> None:
    found = tables({"public/1": [1], "other/x": [2]}, **{"1": "same", "x": "same"})
    assert pairs(*found) == {("other/x", "public/1")}


def test_a_few_alike_pictures_and_title_cards_prove_nothing(tmp_path: Path) -> None:
    alike = hashes(smooth_noise(1, MIN_SHARED - 1), tmp_path)
    assert pairs(*tables({"ours/a": alike, "public/1": alike})) == set()
    card = hashes(smooth_noise(3, 1), tmp_path) * 20
    assert pairs(*tables({"ours/a": card, **{f"public/{n}": card for n in range(COMMON)}})) == set()


# Names


def test_pictures_make_procedures_one_and_the_registered_name_stays() -> None:
    found = merged([("ours/case", "cholec/067"), ("ours/case", "ours/case_again"), ("b/1", "a/1")])
    assert found == {"ours/case": "cholec/067", "ours/case_again": "cholec/067", "b/1": "a/1"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("cholec80", CHOLE), ("cholect50", CHOLE), "shared"),
        (("cholec80", CHOLE), ("pitvis", "procedure/pituitary_surgery"), "independent"),
        (("cholec80", CHOLE), ("heichole", CHOLE), "independent"),
        (("cholec80", CHOLE), ("m2cai16_workflow", CHOLE), "unknown"),
        (("cholec80", CHOLE), ("in_house", CHOLE), "unknown"),
        (("coco", None), ("cholec80", CHOLE), "unknown"),
    ],
)  # fmt: skip
def test_only_what_a_source_is_cited_for_is_known(
    one: tuple[str, str | None], other: tuple[str, str | None], expected: str
) -> None:
    said, why = relation(Origin("a", *one), Origin("b", *other))
    assert said == expected == relation(Origin("b", *other), Origin("a", *one))[0]
    assert why


def test_a_hospital_folder_is_unknown_to_itself_and_a_public_dataset_is_not() -> None:
    found = unknown_pairs([Origin("ours", "in_house", CHOLE), Origin("public", "cholec80", CHOLE)])
    assert set(found.iter_rows()) == {("ours", "ours"), ("ours", "public"), ("public", "ours")}


def test_without_pictures_of_both_an_overlap_stays_unchecked() -> None:
    origins = [Origin("ours", "in_house", CHOLE), Origin("public", "cholec80", CHOLE)]
    videos, frames = tables({"ours/a": [], "public/1": [7]})
    nothing = shared_pictures(videos, frames, unknown_pairs(origins))
    named = videos.rename({"procedure": "procedure_id"})
    (row,) = overlaps(origins, named, frames, nothing).to_dicts()
    assert (row["relation"], row["content_check"], row["n_shared_procedures"]) == ("unknown", "not run", 0)


# Official splits that contradict each other


def test_every_split_that_speaks_of_a_procedure_is_heard() -> None:
    assert claims_of("cholec/067") == {
        "cholec80": "test", "endoscapes": "train", "m2cai16_tool": "train",
    }  # fmt: skip
    assert claims_of("autolaparo/12") == {"autolaparo": "val"}
    assert claims_of("in_house/P-1") == {}


def test_contradictions_of_the_cholec_family_are_a_table() -> None:
    conflicts = split_conflicts(split_of([f"cholec/{n:03d}" for n in range(1, 121)], 7, {}))
    disputed = {row["procedure_id"][-3:] for row in conflicts.to_dicts()}
    against_cholec80 = {6, 10, 14, 32, 47, 48, 49, 52, 56, 57, 60, 62, 65, 66, 68, 70, 75, 79}
    assert {f"{n:03d}" for n in against_cholec80} <= disputed
    assert "001" not in disputed
    row = conflicts.filter(pl.col("procedure_id") == "cholec/006").row(0, named=True)
    said = {claim["dataset"]: claim["split"] for claim in row["claims"]}
    assert (said["cholec80"], said["cholect50"]) == ("train", "test")
    assert row["split"] == "test"


def test_of_two_official_splits_the_test_set_is_respected() -> None:
    stated = {"ours/1": {"one": "train", "another": "test"}}
    (row,) = split_of(["ours/1"], 7, {}, stated).to_dicts()
    assert (row["split"], row["split_rule"]) == ("test", "official: another")
