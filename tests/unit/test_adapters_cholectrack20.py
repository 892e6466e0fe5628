"""CholecTrack20: boxes in either unit, a 25 fps clock from 1, labels of the wrong video."""

from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import counted, put, read, rules
from .native_cholec import RELATIVE, TRACKED, cholectrack20, picture, tracked, tracks_file

NAME = "cholectrack20"


def test_each_box_is_relative_or_pixels_by_its_own_values(tmp_path: Path) -> None:
    cholectrack20(tmp_path)
    columns = ["frame_index", "raw_value", "x1", "y1", "x2", "y2", "unit", "width", "height", "instance"]
    assert read(NAME, tmp_path)["boxes"].select(columns).rows() == [
        (1, "grasper", 0.25, 0.5, 0.375, 0.75, "relative", None, None, "3"),
        (1, "hook", 100.0, 120.0, 150.0, 180.0, "pixel", 854, 480, "3"),
        (51, "grasper", 0.25, 0.5, 0.375, 0.75, "relative", None, None, "3"),
        (76, "grasper", 0.25, 0.5, 0.375, 0.75, "relative", None, None, "3"),
    ]


@pytest.mark.parametrize(
    ("box", "rule"),
    [
        ([900, 10, 5, 5], "box_outside_image"),
        ([10, 10, 900, 5], "box_outside_image"),
        ([-1, -1, -1, -1], "no_box"),
    ],
)
def test_a_box_that_the_image_cannot_hold_is_rejected_and_its_phase_stands(
    box: list[float], rule: str, tmp_path: Path
) -> None:
    put(tmp_path, TRACKED, tracks_file({"1": [tracked(0, box)]}))
    labels = read(NAME, tmp_path)
    assert rules(labels) == [rule]
    assert (labels["boxes"].height, labels["intervals"].height) == (0, 1)
    assert counted(labels) == {TRACKED: (1, 0)}


def test_phases_count_25_fps_frames_from_1_and_each_frame_lasts_its_second(tmp_path: Path) -> None:
    frames = {str(1 + 25 * i): [tracked(0, RELATIVE)] * 2 for i in range(3)}
    put(tmp_path, TRACKED, tracks_file(frames | {"76": [tracked(0, RELATIVE, 6)], "126": [tracked(0, RELATIVE, -1)]}))
    columns = ["raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator", "n_rows"]
    labels = read(NAME, tmp_path)
    assert labels["intervals"].select(columns).rows() == [
        ("preparation", 1, 75, 0.0, 3.0, "/annotations/1..51", 6),
        ("gallbladder-extraction", 76, 100, 3.0, 4.0, "/annotations/76", 1),
    ]
    assert counted(labels) == {TRACKED: (8, 0)}
    (video,) = adapters()[NAME].videos(tmp_path)
    assert (video.frame_rate, video.first_index) == (25.0, 1)


NAMED = {1: "preparation", 2: "carlot-triangle-dissection", 3: "clipping-and-cutting"}


@pytest.mark.parametrize("key", ["phases", "phase"])
@pytest.mark.parametrize(
    "declared",
    [[{"id": id_, "name": name} for id_, name in NAMED.items()], {str(id_): name for id_, name in NAMED.items()}],
    ids=["list", "object"],
)
def test_phases_are_those_that_the_file_names_and_not_those_of_their_position(
    declared: Any, key: str, tmp_path: Path
) -> None:
    value = tracks_file({"1": [tracked(0, RELATIVE, 1)], "26": [tracked(0, RELATIVE, 3)]})
    value["categories"][key] = declared
    put(tmp_path, TRACKED, value)
    phases = read(NAME, tmp_path)["intervals"].filter(field="phase")
    assert phases.select("start_frame", "raw_value").rows() == [(1, "preparation"), (26, "clipping-and-cutting")]
    value["annotations"]["26"] = [tracked(0, RELATIVE, 0)]
    put(tmp_path, TRACKED, value)
    with pytest.raises(SourceError, match=rf"/annotations/26/0: expected an id of /categories/{key} as phase, found 0"):
        read(NAME, tmp_path)


def test_a_phase_beyond_the_documented_ones_says_that_the_file_names_none(tmp_path: Path) -> None:
    put(tmp_path, TRACKED, tracks_file({"1": [tracked(0, RELATIVE, 7)]}))
    with pytest.raises(
        SourceError, match=r"CholecT50's phases 0 to 6, since /categories names none, as phase, found 7"
    ):
        read(NAME, tmp_path)


def test_bleeding_and_smoke_are_events_of_their_frame(tmp_path: Path) -> None:
    cholectrack20(tmp_path)
    events = read(NAME, tmp_path)["intervals"].filter(field="event")
    assert events.select("raw_value", "start_frame", "locator").rows() == [
        ("bleeding", 1, "/annotations/1/1"),
        ("smoke", 51, "/annotations/51/0"),
    ]


def test_every_tool_of_a_listed_frame_is_seen_or_not_even_where_the_list_is_empty(tmp_path: Path) -> None:
    cholectrack20(tmp_path)
    presences = read(NAME, tmp_path)["presences"]
    assert presences.height == 4 * 7
    seen = presences.filter("present").select("frame_index", "raw_value")
    assert sorted(seen.rows()) == [(1, "grasper"), (1, "hook"), (51, "grasper"), (76, "grasper")]
    assert presences.filter(frame_index=26)["locator"].unique().to_list() == ["file"]


@pytest.mark.parametrize(
    ("file", "stated"),
    [("Training/VID31/vid31.json", "VID30"), ("Training/VID31/VID30.json", "VID31")],
    ids=["the file says another video", "the file is named after another video"],
)
def test_labels_that_name_another_video_are_turned_down_as_a_whole(file: str, stated: str, tmp_path: Path) -> None:
    put(tmp_path, file, tracks_file({"1": [tracked(0, RELATIVE)] * 2, "26": []}, stated))
    labels = read(NAME, tmp_path)
    assert rules(labels) == ["labels_of_another_video"] * 2
    assert "VID30" in labels["rejects"]["reason"][0]
    assert counted(labels) == {file: (2, 2)}
    assert all(rows.is_empty() for kind, rows in labels.tables.items() if kind != "rejects")


def images_of(root: Path, folder: str, frames: list[int]) -> None:
    for frame in frames:
        put(root, f"{folder}/Frames/{frame:06d}.png", picture([[1]]))


def test_labels_whose_frames_are_another_videos_images_are_turned_down_and_say_whose(tmp_path: Path) -> None:
    frames = {str(frame): [tracked(0, RELATIVE)] for frame in (1, 26, 51)}
    put(tmp_path, "Training/VID31/vid31.json", tracks_file(frames, "VID31"))
    images_of(tmp_path, "Training/VID31", [51, 76, 101])
    images_of(tmp_path, "Validation/VID30", [1, 26, 51])
    labels = read(NAME, tmp_path)
    assert rules(labels) == ["labels_of_another_video"] * 3
    assert labels["rejects"]["reason"][0] == (
        "Of its 3 frames, 1 are among the 3 images of VID31, and 3 among those of VID30."
    )
    assert labels["images"].filter(video="VID31")["frame_index"].to_list() == [51, 76, 101]


@pytest.mark.parametrize("shown", [[1], [1, 26, 51], [1, 2, 26, 51, 76], []])
def test_labels_of_a_video_of_which_only_some_or_more_images_are_on_disk_stand(
    shown: list[int], tmp_path: Path
) -> None:
    frames = {str(frame): [tracked(0, RELATIVE)] for frame in (1, 26, 51)}
    put(tmp_path, "Training/VID31/vid31.json", tracks_file(frames, "VID31"))
    images_of(tmp_path, "Training/VID31", shown)
    images_of(tmp_path, "Validation/VID30", [1, 26, 51])
    assert read(NAME, tmp_path)["boxes"].height == 3


def test_frames_are_preferred_to_the_video_file(tmp_path: Path) -> None:
    cholectrack20(tmp_path)
    put(tmp_path, "Training/VID02/VID02.mp4", b"")
    put(tmp_path, "Testing/VID111/VID111.mp4", b"")
    images_of(tmp_path, "Training/VID02", [1, 26])
    videos = {video.video: video for video in adapters()[NAME].videos(tmp_path)}
    assert (videos["VID02"].media, videos["VID02"].path) == ("images", "Training/VID02/Frames")
    assert (videos["VID111"].media, videos["VID111"].first_index) == ("video", 1)


@pytest.mark.parametrize(
    ("frames", "more", "place"),
    [
        ({"25": [tracked(0, RELATIVE)]}, {}, "/annotations/25"),
        ({"01": [tracked(0, RELATIVE)]}, {}, "/annotations/01"),
        ({"1": [tracked(7, RELATIVE)]}, {}, "/annotations/1/0"),
        ({"1": [tracked(0, RELATIVE, 7)]}, {}, "/annotations/1/0"),
        ({"1": [tracked(0, [0.1, 0.2, 0.3])]}, {}, "/annotations/1/0/tool_bbox"),
        ({"1": {}}, {}, "/annotations/1"),
        ({"1": []}, {"categories": {}}, "/categories/tools"),
        ({"1": []}, {"categories": {"tools": {"0": "grasper"}, "phases": ["preparation"]}}, "/categories/phases/0"),
        ({"1": []}, {"categories": {"tools": {"0": "grasper"}, "phase": {}, "phases": {}}}, "/categories"),
        ({"1": []}, {"video": {"width": "854"}}, "/video/width"),
    ],
)
def test_json_that_is_not_the_format_is_an_error_at_its_pointer(
    frames: Any, more: dict[str, Any], place: str, tmp_path: Path
) -> None:
    put(tmp_path, TRACKED, tracks_file(frames) | more)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (TRACKED, place)
