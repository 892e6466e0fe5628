from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from surgsigma_dagster.quality.rules import RULES
from surgsigma_dagster.schema.tables import Frames, Rejects
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.video.frames import (
    FrameSet,
    frames_of_images,
    frames_of_video,
    frames_without_media,
    gridded_frames,
    labelled_frames,
)
from surgsigma_dagster.video.probe import probe
from tests.unit.made import HEIGHT, WIDTH, Row, footage, native, number_in_file

FEW = settings(max_examples=40, deadline=None)
IDS = {"source": "lab", "video_id": "lab/v"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return footage(tmp_path_factory.mktemp("lab") / "v.mp4", 101, "-bf", "2")


def counted(path: Path) -> pl.DataFrame:
    return probe(path).timestamps.select(file_frame="frame_index", pts_s="pts_s")


def made(
    path: Path, folder: Path, records: dict[str, pl.DataFrame], first_index: int = 0, **given: pl.DataFrame
) -> FrameSet:
    listed = NativeVideo("v", "video", 25.0, first_index, path.name)
    timestamps = given.get("timestamps")
    found = frames_of_video(
        path, listed, records, **IDS, size=(WIDTH, HEIGHT), every_s=1.0,
        timestamps=counted(path) if timestamps is None else timestamps, folder=folder,
    )  # fmt: skip
    Frames.validate(found.frames, cast=True)
    Rejects.validate(found.rejects, cast=True)
    return found


def at(*numbers: int) -> dict[str, pl.DataFrame]:
    return native(presences=[{"frame_index": number} for number in numbers])


def statuses(found: FrameSet) -> dict[int, str]:
    return dict(found.frames.select("frame_index", "status").iter_rows())


def test_a_labelled_frame_is_the_picture_of_that_number(video: Path, tmp_path: Path) -> None:
    found = made(video, tmp_path, at(50, 25, 0, 33))
    assert {name: number_in_file(path) for name, path in found.images.items()} == {
        "000000.jpg": 0, "000025.jpg": 25, "000033.jpg": 33, "000050.jpg": 50,
    }  # fmt: skip
    rows = found.frames.sort("frame_index")
    assert rows["frame_id"].to_list() == [f"lab/v/{n:06d}" for n in (0, 25, 33, 50)]
    assert rows["pts_s"].to_list() == [0.0, 1.0, 1.32, 2.0]
    assert rows["image_path"].to_list() == sorted(found.images)
    assert found.rejects.is_empty()


def test_labels_that_count_from_one_mean_the_frame_before(video: Path, tmp_path: Path) -> None:
    found = made(video, tmp_path, at(1, 26), first_index=1)
    assert {name: number_in_file(path) for name, path in found.images.items()} == {"000001.jpg": 0, "000026.jpg": 25}
    assert found.frames["pts_s"].to_list() == [0.0, 1.0]


def test_labels_in_frames_are_sampled_at_frame_numbers_not_half_a_second_off(video: Path, tmp_path: Path) -> None:
    phase = [{"start_frame": 0, "end_frame": 100, "start_s": 0.0, "end_s": 101 / 25}]
    found = made(video, tmp_path, native(intervals=phase))
    assert sorted(map(number_in_file, found.images.values())) == [0, 25, 50, 75, 100]


def test_labels_in_seconds_mean_the_frame_on_screen_then(tmp_path: Path) -> None:
    vfr = footage(tmp_path / "vfr.mp4", 101, keep="not(mod(n,15))")  # 0, 0.6, 1.2, 1.8, 2.4, 3.0, 3.6 s
    found = made(vfr, tmp_path / "out", native(intervals=[{"start_s": 0.0, "end_s": 3.5}]))
    shown = {row["pts_s"]: number_in_file(found.images[row["image_path"]]) for row in found.frames.to_dicts()}
    assert shown == {0.0: 0, 0.6: 15, 1.8: 45, 3.0: 75}


def test_a_label_beyond_the_end_is_absent_and_on_record(video: Path, tmp_path: Path) -> None:
    found = made(video, tmp_path, at(100, 101, 5000))
    assert statuses(found) == {100: "available", 101: "absent", 5000: "absent"}
    absent = found.frames.filter(pl.col("status") == "absent")
    assert absent["reason"].unique().to_list() == ["the video ends with frame 100"]
    assert absent.select("image_path", "sha256", "pts_s").null_count().row(0) == (2, 2, 2)
    assert found.rejects["locator"].sort().to_list() == ["frame 101", "frame 5000"]
    assert found.rejects["file"].unique().to_list() == ["v.mp4"]


def test_the_rule_on_clocks_sees_a_label_beyond_the_end(video: Path, tmp_path: Path) -> None:
    rejects = made(video, tmp_path, at(100, 101)).rejects
    assert RULES["clock_of_labels_fits_video"].check({"rejects": rejects.lazy()}).collect().height == 1


@pytest.mark.parametrize("damage", ["cut off", "no index", "not a video"])
def test_a_file_that_cannot_be_decoded_is_quarantined_with_a_reason(damage: str, video: Path, tmp_path: Path) -> None:
    whole = footage(tmp_path / "whole.mp4", 101, "-movflags", "+faststart").read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(
        {"cut off": whole[: len(whole) // 2], "no index": video.read_bytes()[:-4000], "not a video": b"x"}[damage]
    )
    found = made(broken, tmp_path / "out", at(0, 100), timestamps=counted(video))
    assert statuses(found) == {0: "quarantined", 100: "quarantined"}
    assert found.images == {}
    assert found.frames["image_path"].null_count() == 2
    (reject,) = found.rejects.to_dicts()
    assert (reject["rule"], reject["file"]) == ("undecodable_video", "broken.mp4")
    assert reject["reason"] == found.frames["reason"][0]
    assert len(reject["reason"]) > 20


def test_a_decoder_that_disagrees_with_the_packets_is_not_believed(video: Path, tmp_path: Path) -> None:
    late = counted(video).with_columns(
        pts_s=pl.when(pl.col("file_frame") >= 50).then(pl.col("pts_s") + 0.5).otherwise("pts_s")
    )
    found = made(video, tmp_path, at(25, 75), timestamps=late)
    assert statuses(found) == {25: "quarantined", 75: "quarantined"}
    assert found.rejects["reason"].to_list() == ["frame 75 is presented at 3.000 s, its packets say 3.500 s"]


def test_without_labels_there_is_nothing_to_extract(video: Path, tmp_path: Path) -> None:
    found = made(video, tmp_path, native())
    assert (found.frames.height, found.rejects.height, found.images) == (0, 0, {})


@FEW
@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0.05, 30)), min_size=1, max_size=6),
    st.sampled_from([0.5, 1.0, 2.0]), st.booleans(), st.integers(0, 1),
)  # fmt: skip
def test_the_grid_stands_on_multiples_inside_the_labels(
    spans: list[tuple[float, float]], every: float, by_number: bool, first: int
) -> None:
    stretches: list[Row] = [{"start_s": start, "end_s": start + length} for start, length in spans]
    if by_number:
        stretches = [row | {"start_frame": 0, "end_frame": 0} for row in stretches]
    timestamps = pl.DataFrame({"file_frame": range(25 * 70), "pts_s": [k / 25 for k in range(25 * 70)]})
    listed = NativeVideo("v", "video", 25.0, first)
    found = gridded_frames(native(intervals=stretches), listed, every, timestamps)
    times = [(frame - first) / 25 for frame in found.to_list()]
    ticks = [k * every for k in range(int(70 / every))]
    inside = [t for t in ticks if any(row["start_s"] - 1e-8 <= t < row["end_s"] - 1e-8 for row in stretches)]
    # A tick between two frames shows the earlier one (seconds) or the nearest number (frames).
    assert times == pytest.approx(inside, abs=0.04)


def sampled(rate: float, phases: list[tuple[int, int]], *labelled: int) -> list[int]:
    """Frames of the grid of seconds, of a video whose `phases` (first and last frame) count frames."""
    stretches = [
        {"start_frame": first, "end_frame": last, "start_s": first / rate, "end_s": (last + 1) / rate}
        for first, last in phases
    ]
    records = native(intervals=stretches, presences=[{"frame_index": number} for number in labelled])
    none = pl.DataFrame(schema={"file_frame": pl.Int64, "pts_s": pl.Float64})
    return gridded_frames(records, NativeVideo("v", "video", rate), 1.0, none).to_list()


def test_labels_of_every_sixtieth_ntsc_frame_have_no_twin_beside_them() -> None:
    labelled = range(0, 216_000, 60)  # an hour
    every = sorted({*labelled, *sampled(60_000 / 1001, [(0, 215_999)], *labelled)})
    assert min(later - one for one, later in pairwise(every)) >= 29
    assert len(every) < 1.02 * len(labelled)  # few seconds fall in the middle between two


def test_a_second_with_labels_of_its_own_or_far_from_any_keeps_its_frame() -> None:
    assert sampled(25.0, [(0, 149)], 0, 25, 50) == [0, 25, 50, 75, 100, 125]  # Cholec80: tools end before phases
    assert sampled(25.0, [(0, 49)], *range(0, 50, 5)) == [0, 25]
    assert sampled(24.0, [(0, 95)], 60) == [0, 24, 48, 72]  # half a second away from both


def test_a_labelled_frame_of_the_next_phase_stands_for_no_second_of_this_one() -> None:
    assert sampled(25.0, [(0, 30), (31, 60)], 0, 32) == [0, 25, 50]
    assert sampled(25.0, [(0, 60)], 0, 32) == [0, 32, 50]


def test_labelled_frames_are_those_of_every_kind_once() -> None:
    records = native(
        presences=[{"frame_index": 9}],
        triplets=[{"frame_index": 3}],
        criteria=[{"frame_index": 9}],
        boxes=[{"frame_index": 5, "x1": 0, "y1": 0, "x2": 1, "y2": 1}],
        masks=[{"field": "tissue", "raw_value": "x", "frame_index": 1}],
    )
    assert labelled_frames(records).to_list() == [1, 3, 5, 9]


# Image sequences


def sequence(root: Path, *names: str) -> dict[str, pl.DataFrame]:
    for name in names:
        Image.linear_gradient("L").resize((40, 20)).convert("RGB").save(root / name)
    return native(
        images=[{"frame_index": int(Path(name).stem), "file": name} for name in names],
        presences=[{"frame_index": number} for number in (0, 1, 2)],
    )


def images_of(root: Path, records: dict[str, pl.DataFrame]) -> FrameSet:
    found = frames_of_images(root, NativeVideo("v", "images", 1.0, path="."), records, **IDS)
    Frames.validate(found.frames, cast=True)
    return found


def test_images_are_measured_where_they_lie(tmp_path: Path) -> None:
    found = images_of(tmp_path, sequence(tmp_path, "000000.png", "000001.jpg"))
    rows = {row["frame_index"]: row for row in found.frames.to_dicts()}
    assert [rows[k]["status"] for k in (0, 1, 2)] == ["available", "available", "absent"]
    assert (rows[1]["width"], rows[1]["height"], rows[1]["image_root"], rows[1]["pts_s"]) == (40, 20, "source", 1.0)
    assert rows[0]["image_path"] == "000000.png"
    assert found.images == {}


def test_pictures_that_are_merely_numbered_have_no_time(tmp_path: Path) -> None:
    records = sequence(tmp_path, "000000.png", "000003.png")
    found = frames_of_images(tmp_path, NativeVideo("v", "images", 1.0, path=".", timed=False), records, **IDS).frames
    assert found.filter(pl.col("status") == "available")["pts_s"].to_list() == [None, None]


@pytest.mark.parametrize("name", ["000001.png", "000001.jpg"])
def test_an_interrupted_download_is_quarantined_though_its_header_is_good(name: str, tmp_path: Path) -> None:
    records = sequence(tmp_path, "000000.png", name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])
    found = images_of(tmp_path, records)
    assert statuses(found) == {0: "available", 1: "quarantined", 2: "absent"}
    assert found.rejects["rule"].to_list() == ["unreadable_image"]
    assert found.frames.filter(pl.col("frame_index") == 1)["image_path"].item() is None


@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>"], ids=["empty", "web page"])
def test_a_file_that_is_no_image_is_quarantined(content: bytes, tmp_path: Path) -> None:
    records = sequence(tmp_path, "000000.png")
    (tmp_path / "000000.png").write_bytes(content)
    found = images_of(tmp_path, records)
    assert statuses(found)[0] == "quarantined"
    assert "not a readable image" in found.rejects["reason"].item()


def test_frames_of_a_video_that_is_not_here_keep_their_rows() -> None:
    found = frames_without_media(at(4, 2), "the source holds labels only", "absent", **IDS)
    Frames.validate(found.frames, cast=True)
    assert found.frames["frame_index"].to_list() == [2, 4]
    assert found.frames["reason"].unique().to_list() == ["the source holds labels only"]
