"""CholecSeg8k: watershed values are classes, anything else is told."""

from pathlib import Path

from surgsigma_dagster.sources.adapter import adapters

from .native import put, read
from .native_cholec import cholecseg8k, picture, seg8k

NAME = "cholecseg8k"


def test_a_watershed_value_is_a_class_and_the_background_is_none(tmp_path: Path) -> None:
    cholecseg8k(tmp_path)
    columns = ["video", "frame_index", "raw_value", "mask_value", "mask_file", "width", "height", "locator"]
    assert sorted(read(NAME, tmp_path)["masks"].select(columns).rows()) == [
        ("video01", 80, "Grasper", 31, seg8k(80), 2, 2, "file"),
        ("video01", 80, "Liver", 21, seg8k(80), 2, 2, "file"),
        ("video01", 81, "Abdominal Wall", 11, seg8k(81), 2, 2, "file"),
    ]


def test_a_class_that_a_mask_does_not_hold_is_a_true_negative(tmp_path: Path) -> None:
    cholecseg8k(tmp_path)
    presences = read(NAME, tmp_path)["presences"]
    assert presences.height == 2 * 12
    seen = presences.filter("present").select("frame_index", "raw_value")
    assert sorted(seen.rows()) == [(80, "Grasper"), (80, "Liver"), (81, "Abdominal Wall")]


def test_values_of_no_class_are_told_by_value_and_the_sparse_mask_is_not_read(tmp_path: Path) -> None:
    cholecseg8k(tmp_path)
    rejects = read(NAME, tmp_path)["rejects"]
    found = rejects.select("file", "rule", "raw_value", "frame_index").sort("raw_value").rows()
    # Seams between regions are no region: nothing goes unnamed for them.
    assert found == [(seg8k(81), "unexpected_mask_value", value, None) for value in ("0", "255")]


def test_frames_of_all_folders_of_a_video_are_its_images(tmp_path: Path) -> None:
    cholecseg8k(tmp_path)
    put(tmp_path, seg8k(160, "", "video01_00160"), picture([[1]]))
    put(tmp_path, "video09/video09_00040/frame_40_endo.png", picture([[1]]))
    labels = read(NAME, tmp_path)
    assert labels["images"].select("video", "frame_index").rows() == [
        *(("video01", frame) for frame in (80, 81, 160)),
        ("video09", 40),
    ]
    videos = {video.video: video for video in adapters()[NAME].videos(tmp_path)}
    assert (videos["video01"].path, videos["video01"].frame_rate) == ("video01", 25.0)
    assert videos["video01"].label_files == (seg8k(80), seg8k(81))
    assert (videos["video09"].media, videos["video09"].label_files) == ("images", ())


def test_a_frame_in_two_folders_counts_once(tmp_path: Path) -> None:
    cholecseg8k(tmp_path)
    for kind in ("", "_watershed_mask"):
        again = seg8k(81, kind, "video01_00081")
        put(tmp_path, again, (tmp_path / seg8k(81, kind)).read_bytes())
    labels = read(NAME, tmp_path)
    assert labels["masks"].filter(frame_index=81).height == 1
    assert {"repeats", "duplicate_download"} <= set(labels["rejects"]["rule"])


def test_a_mask_that_is_cut_off_or_has_colours_is_rejected_and_says_nothing(tmp_path: Path) -> None:
    cholecseg8k(tmp_path)
    put(tmp_path, seg8k(80), (tmp_path / seg8k(80)).read_bytes()[:40])
    put(tmp_path, seg8k(81), picture([[[1, 2, 3]]]))
    labels = read(NAME, tmp_path)
    assert labels["masks"].is_empty()
    assert labels["presences"].is_empty()
    assert labels["rejects"]["rule"].to_list() == ["unreadable_mask"] * 2
