"""SurgΣ-DB v0.1: what can be mended is, what cannot is rejected with its place, and every defect is counted."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from surgsigma_dagster.identity.procedures import procedure_of
from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read
from .native_releases import anno, release, surgsigma_v01

NAME, FILE = "surgsigma_v01", "SurgSigma_v0.1_T50subset.json"


def found(root: Path) -> dict[str, tuple[int, int]]:
    return {row["defect"]: (row["n"], row["of"]) for row in adapters()[NAME].defects(root).to_dicts()}


def test_a_small_release_gives_questions_boxes_absences_and_rejects(tmp_path: Path) -> None:
    surgsigma_v01(tmp_path)
    labels, videos = read(NAME, tmp_path), adapters()[NAME].videos(tmp_path)
    assert [(one.video, one.path) for one in videos] == [
        ("VID02", "CholecT50/videos/VID02"), ("VID110", "CholecT50/videos/VID110"),
    ]  # fmt: skip
    assert procedure_of("x", NAME, videos[0])[0] == "cholec/002"
    boxes = labels["boxes"].select("frame_index", "raw_value", "x1", "y1", "x2", "y2", "unit", "locator").rows()
    assert boxes[0] == (0, "hook", 0.369, 0.0, 0.877, 0.567, "relative", "/annos/0")
    assert boxes[-1] == (509, "clipper", 0.01, 0.02, 0.03, 0.04, "relative", "/annos/3")
    assert len(boxes) == 4
    absent = labels["presences"]
    assert (absent.height, absent["present"].any(), set(absent["locator"])) == (6, False, {"/annos/2"})
    asked = labels["questions"]
    assert asked.select("raw_value", "reasoning").row(0) == (
        "hook (369,0),(877,567)", "The hook lies at [315,0,749,272].",
    )  # fmt: skip
    assert "clipper(10,20),(30,40)" in asked["raw_value"].to_list()
    assert set(labels["rejects"].select("rule", "locator").iter_rows()) == {
        ("spliced_coordinates", "/annos/4"), ("unresolvable_video", "/videos/1"),
    }  # fmt: skip
    assert labels["images"].height == 4


def test_reasoning_whose_pixels_are_not_the_answers_is_dropped(tmp_path: Path) -> None:
    wrong = anno(1, 1, "hook (369,0),(877,567)", thinking="The hook lies at [10,20,30,40].")
    put(tmp_path, FILE, release([], ["CholecT50/videos/VID02/000000.png"], [wrong]))
    assert read(NAME, tmp_path)["questions"]["reasoning"].to_list() == [None]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": "none"}, "/annos/0/images"),
        ({"task type": 2}, "/annos/0/task type"),
        ({"question": ""}, "/annos/0/question"),
    ],
)
def test_a_table_of_another_shape_names_its_place(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    put(tmp_path, FILE, release([], ["CholecT50/videos/VID02/000000.png"], [anno(1, 1, "hook") | change]))
    with pytest.raises(SourceError, match=f"{FILE}, {said}: expected"):
        adapters()[NAME].videos(tmp_path)


def test_a_release_cut_short_is_an_error(tmp_path: Path) -> None:
    surgsigma_v01(tmp_path)
    put(tmp_path, FILE, (tmp_path / FILE).read_bytes()[:-400])
    with pytest.raises(SourceError, match=FILE):
        adapters()[NAME].videos(tmp_path)


# A release of the size of the real one, with every defect planted

N_IMAGES, N_ANNOS, N_VIDEOS = 85_676, 309_123, 50
PLANTED = {
    "S1": 5, "S2": 7_640, "S3": 33_000, "S4": 180, "spliced": 119, "S5": 580, "S6": 4_226, "without boxes": 15,
    "S8": 14_415, "twice": 1_000,
}  # fmt: skip


def full_release(root: Path) -> None:
    """50 videos, 85,676 images and 309,123 annos, of which the first are the planted ones."""
    draw = random.Random(0)
    beyond = [92, 96, 103, 110, 111]
    numbers = [*range(1, N_VIDEOS - len(beyond) + 1), *beyond]
    videos = [f"Cholec80/videos/vid{n:02d}.mp4" for n in numbers]
    single = [n for n in numbers if n < 10]  # only these can lack their zero
    images: list[tuple[int, int]] = []
    for k in range(N_IMAGES):
        of = single if k < PLANTED["S2"] else numbers
        images.append((of[k % len(of)], 2_000 * (k >= PLANTED["S2"]) + k // len(of)))
    paths = [
        f"{'/data/' if N_IMAGES - PLANTED['S8'] <= k else ''}CholecT50/videos/"
        f"VID{n if k < PLANTED['S2'] else f'{n:02d}'}/{frame:06d}.png"
        for k, (n, frame) in enumerate(images)
    ]
    boxed = [k for k, (n, _) in enumerate(images, 1) if n in numbers[PLANTED["without boxes"] :]]

    def corners() -> tuple[int, int, int, int]:
        x, y = draw.randrange(1, 400), draw.randrange(1, 400)
        return x, y, x + draw.randrange(50, 500), y + draw.randrange(50, 500)

    annos: list[dict[str, Any]] = []

    def add(
        answer: str, image: int, thinking: str = "Level 1. Level 2. Level 3.", types: tuple[int, ...] = (2,)
    ) -> None:
        annos.append(anno(len(annos), image, answer, types, thinking=thinking))

    for k in range(PLANTED["S3"]):
        x1, y1, x2, y2 = corners()
        pixels = f"[{round(x1 * 0.854)},{round(y1 * 0.48)},{round(x2 * 0.854)},{round(y2 * 0.48)}]"
        add(f"hook ({x1},{y1}),({x2},{y2})", boxed[k % len(boxed)], f"The hook lies at {pixels}.")
    for k in range(PLANTED["S4"]):
        spliced = k < PLANTED["spliced"]
        answer = "(1 is5, 0, 479, 163)" if spliced else "(15,0),(479,163)"
        add(f"<|object_ref_start|>hook<|object_ref_end|>{answer}", boxed[k], "Level 3.")
    for k in range(PLANTED["S5"]):
        add("No tools detected", boxed[k])
    for k in range(N_ANNOS - len(annos)):
        add("The phase is Preparation.", k % N_IMAGES + 1, types=(5, 6) if k < PLANTED["twice"] else (5,))
    (root / FILE).write_text(json.dumps(release(videos, paths, annos)))
    dense = root / "dense_prediction/seg/VID01"
    dense.mkdir(parents=True)
    for k in range(PLANTED["S6"]):
        (dense / f"{900_000 + k:06d}.png").touch()


@pytest.mark.slow
def test_every_defect_planted_in_a_release_of_full_size_is_counted_exactly(tmp_path: Path) -> None:
    full_release(tmp_path)
    counted = found(tmp_path)
    assert counted["S1"] == (PLANTED["S1"], N_VIDEOS)
    assert counted["S2"] == (PLANTED["S2"], N_IMAGES)
    n_boxes = PLANTED["S3"] + PLANTED["S4"] - PLANTED["spliced"]
    assert counted["S3"] == (PLANTED["S3"], n_boxes)
    assert counted["S4"] == (PLANTED["S4"], N_ANNOS)
    assert counted["S5"] == (PLANTED["S5"], N_ANNOS - PLANTED["spliced"])
    assert counted["S6"] == (PLANTED["S6"], PLANTED["S6"])
    assert counted["S7"] == (PLANTED["without boxes"], N_VIDEOS)
    (coverage,) = adapters()[NAME].defects(tmp_path).filter(pl.col("defect") == "S7")["what"]
    assert coverage == "videos without localization; 35 have localization, 1 have masks, 50 have annos"
    assert counted["S8"] == (PLANTED["S8"], N_IMAGES)
    assert counted["S9"] == (PLANTED["twice"], N_ANNOS + PLANTED["twice"])
    labels = read(NAME, tmp_path)
    rejects = dict(labels["rejects"].group_by("rule").len().iter_rows())
    assert rejects == {"spliced_coordinates": PLANTED["spliced"], "unresolvable_video": PLANTED["S1"]}
    assert labels["questions"].height + rejects["spliced_coordinates"] == N_ANNOS
    assert labels["boxes"].height == n_boxes
    assert labels["presences"].select(pl.col("locator").n_unique()).item() == PLANTED["S5"]
