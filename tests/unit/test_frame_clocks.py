"""Frame clocks: which instant the first and the last native label of a dataset stands for, to the last bit.

Two tables: what small native files say, and what documented frame numbers of whole videos mean.
"""

from pathlib import Path

import polars as pl
import pytest

from surgsigma_dagster.dialogue.task import tasks_fed
from surgsigma_dagster.sources.adapter import NativeVideo, adapters

from .native import put, read
from .test_adapters_rules import WRITERS

NAMED_BY_TIME = None  # labels that count no frames

# Labels over time: first native frame and its second; last native frame and the end of it.
SPANS = [
    ("cholec80", "video01", "phase", (0, 0.0), (75, 3.04)),
    ("m2cai16_workflow", "workflow_video_01", "phase", (0, 0.0), (54, 2.2)),
    ("cholect50", "VID68", "phase", (16, 16.0), (20, 21.0)),
    ("cholectrack20", "VID02", "phase", (1, 0.0), (100, 4.0)),
    ("cholectrack20", "VID02", "event", (1, 0.0), (51, 2.04)),
    ("sar_rarp50", "video_02", "action", (0, 0.0), (41, 0.7)),
    ("jigsaws", "Suturing_B001", "action", (80, 79 / 30), (590, 590 / 30)),
    ("jigsaws", "Knot_Tying_C002", "action", (1, 0.0), (41, 41 / 30)),
    ("pitvis", "01", "step", (24, 1.0), (119, 5.0)),
    ("pitvis", "01", "event", (0, 0.0), (143, 6.0)),
    ("cataract1k", "case_5013", "phase", (240, 4.004), (796, 13.28)),
    ("cataract101", "case_269", "phase", (70, 2.8), (499, 20.0)),
    ("multibypass140", "BBP01", "phase", (NAMED_BY_TIME, 13.301), (NAMED_BY_TIME, 60.0)),
    ("autolaparo", "01", "phase", (NAMED_BY_TIME, 0.0), (NAMED_BY_TIME, 6.0)),
    ("phakir", "Video_07", "phase", (0, 0.0), (50, 2.04)),
    ("heichole", "Hei-Chole1", "phase", (0, 0.0), (59, 2.4)),
    ("heichole", "Hei-Chole16", "phase", (0, 0.0), (1, 0.04)),  # one of the videos of 50 frames a second
]

# Labels on frames: first and last native frame, each with its instant.
INSTANTS = [
    ("cholec80", "video01", "presences", (0, 0.0), (25, 1.0)),
    ("m2cai16_tool", "tool_video_01", "presences", (0, 0.0), (50, 2.0)),
    ("m2cai16_tool_locations", "v01", "boxes", (2075, 83.0), (2075, 83.0)),
    ("cholect45", "VID01", "presences", (0, 0.0), (2, 2.0)),
    ("cholect50", "VID68", "triplets", (16, 16.0), (20, 20.0)),
    ("cholectrack20", "VID02", "presences", (1, 0.0), (76, 3.0)),
    ("cholecseg8k", "video01", "masks", (80, 3.2), (81, 3.24)),
    ("cholecinstanceseg", "t80_VID03", "presences", (0, 0.0), (30, 30.0)),
    ("cholec80_vqa", "video01", "questions", (0, 0.0), (100, 4.0)),
    ("endoscapes", "8", "criteria", (14775, 591.0), (14775, 591.0)),
    ("sar_rarp50", "video_02", "presences", (0, 0.0), (60, 1.0)),
    ("pitvis", "01", "presences", (48, 2.0), (96, 4.0)),
    ("autolaparo", "007", "images", (1, 0.0), (125, 4.96)),
    ("phakir", "Video_07", "masks", (0, 0.0), (25, 1.0)),
    ("endovis2017", "instrument_dataset_6", "masks", (224, 112.0), (224, 112.0)),
]

# Datasets whose pictures are numbered, and nothing says how many make a second.
UNTIMED = {
    *("coco", "dsad", "endovis18_vqa", "endovis2018", "endovis_vqla", "glenda", "kvasir_seg", "ldpolypvideo"),
    "cataract1k",  # its stills
}

# Documented frame numbers of whole videos, and the second each stands for.
DOCUMENTED = [
    ("cholec80", "video01", 43325, 1733.0),
    ("cholect50", "VID68", 1529, 1529.0),
    ("cholectrack20", "VID02", 54451, 2178.0),
    ("m2cai16_tool_locations", "v01", 42225, 1689.0),
    ("endoscapes", "8", 14775, 591.0),
    ("sar_rarp50", "video_02", 6, 0.1),
    ("jigsaws", "Suturing_B001", 1, 0.0),
    ("pitvis", "01", 24 * 3600, 3600.0),
    ("phakir", "Video_07", 25, 1.0),
]


def listed(dataset: str, video: str, root: Path) -> NativeVideo:
    WRITERS[dataset](root)
    return next(one for one in adapters()[dataset].videos(root) if one.video == video)


def instant(video: NativeVideo, frame: int) -> float:
    """What `NativeVideo` promises of its clock."""
    return (frame - video.first_index) / video.frame_rate


@pytest.mark.parametrize(("dataset", "video", "field", "first", "last"), SPANS)
def test_labels_over_time_begin_and_end_on_the_datasets_clock(
    dataset: str, video: str, field: str, first: tuple[int, float], last: tuple[int, float], tmp_path: Path
) -> None:
    WRITERS[dataset](tmp_path)
    rows = read(dataset, tmp_path)["intervals"].filter(pl.col("video") == video, pl.col("field") == field)
    begin, end = rows.sort("start_s").row(0, named=True), rows.sort("end_s").row(-1, named=True)
    assert (begin["start_frame"], begin["start_s"]) == first
    assert (end["end_frame"], end["end_s"]) == last


@pytest.mark.parametrize(("dataset", "video", "kind", "first", "last"), INSTANTS)
def test_labels_on_frames_are_at_the_instants_of_the_datasets_clock(
    dataset: str, video: str, kind: str, first: tuple[int, float], last: tuple[int, float], tmp_path: Path
) -> None:
    one = listed(dataset, video, tmp_path)
    rows = read(dataset, tmp_path)[kind].filter(pl.col("video") == video)
    frames = rows["frame_index"].sort().to_list()
    assert (frames[0], instant(one, frames[0])) == first
    assert (frames[-1], instant(one, frames[-1])) == last


@pytest.mark.parametrize("dataset", sorted(WRITERS))
def test_pictures_have_a_time_only_where_the_dataset_says_so(dataset: str, tmp_path: Path) -> None:
    """An invented second is stated in questions: "what does this look like 3 seconds later"."""
    WRITERS[dataset](tmp_path)
    videos = adapters()[dataset].videos(tmp_path)
    untimed = {one.video for one in videos if not one.timed}
    stills = {one.video for one in videos if dataset != "cataract1k" or not one.video.startswith("case_")}
    assert untimed == (stills if dataset in UNTIMED else set())
    assert ("next_frame_generation" in tasks_fed(("boxes:instrument",), timed=adapters()[dataset].timed)) == (
        dataset not in UNTIMED
    )


@pytest.mark.parametrize(("dataset", "video", "frame", "second"), DOCUMENTED)
def test_documented_frame_numbers_stand_for_their_second(
    dataset: str, video: str, frame: int, second: float, tmp_path: Path
) -> None:
    assert instant(listed(dataset, video, tmp_path), frame) == second


def test_cholecystectomies_of_one_family_run_on_one_clock(tmp_path: Path) -> None:
    by_frame, by_second, from_one = (
        listed(dataset, video, tmp_path / dataset)
        for dataset, video in (("cholec80", "video01"), ("cholect50", "VID68"), ("cholectrack20", "VID02"))
    )
    for second in range(7200):
        assert instant(by_second, second) == instant(by_frame, 25 * second) == instant(from_one, 25 * second + 1)


def test_no_time_is_off_by_a_bit_in_an_hour_of_video(tmp_path: Path) -> None:
    """A multiplication with 1 / 25 instead of a division makes 70 / 25 more than 2.8."""
    names = ("Preparation", "CalotTriangleDissection")
    rows = "".join(f"{frame}\t{names[frame % 2]}\n" for frame in range(90_000))
    put(tmp_path, "phase_annotations/video01-phase.txt", f"Frame\tPhase\n{rows}")
    found = read("cholec80", tmp_path)["intervals"]
    assert found["start_s"].to_list() == [frame / 25 for frame in range(90_000)]
    assert found["end_s"].to_list() == [(frame + 1) / 25 for frame in range(90_000)]
