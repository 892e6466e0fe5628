"""HeiChole: ids named as documented, two frame rates, categories and not single tools."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import counted, put, read
from .native_cholec import HEI_FILES, hei_tools, heichole

NAME = "heichole"


def test_phases_are_named_by_their_documented_ids_on_the_videos_own_clock(tmp_path: Path) -> None:
    heichole(tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    phases = read(NAME, tmp_path)["intervals"].filter(field="phase")
    assert phases.select(columns).rows() == [
        ("Hei-Chole1", "Preparation", 0, 19, 0.0, 0.8, "lines 1-20"),
        ("Hei-Chole1", "Calot triangle dissection", 20, 59, 0.8, 2.4, "lines 21-60"),
        ("Hei-Chole16", "Preparation", 0, 1, 0.0, 0.04, "lines 1-2"),
    ]


def test_seven_videos_have_50_fps_and_the_others_25(tmp_path: Path) -> None:
    for number in range(1, 25):
        put(tmp_path, f"Phase/Hei-Chole{number}_Annotation_Phase.csv", "0,0\n")
    fast = {video.video for video in adapters()[NAME].videos(tmp_path) if video.frame_rate == 50}
    assert fast == {f"Hei-Chole{number}" for number in (16, 17, 18, 19, 20, 23, 24)}


def test_actions_overlap_and_frames_without_one_are_no_action(tmp_path: Path) -> None:
    heichole(tmp_path)
    actions = read(NAME, tmp_path)["intervals"].filter(field="action")
    assert sorted(actions.select("raw_value", "start_frame", "end_frame", "n_rows").rows()) == [
        ("Cut", 50, 59, 10),
        ("Hold", 10, 59, 50),
        ("no action", 0, 9, 10),
    ]


def test_rows_of_one_second_that_agree_are_one_statement_and_none_is_lost(tmp_path: Path) -> None:
    heichole(tmp_path)
    labels = read(NAME, tmp_path)
    coagulation = labels["presences"].filter(raw_value="Coagulation")
    assert coagulation.select("frame_index", "present", "locator", "n_rows").rows() == [
        (0, False, "lines 1-25", 25),
        (25, False, "lines 26-30", 5),
        (30, True, "lines 31-50", 20),
        (50, True, "lines 51-60", 10),
    ]
    assert labels["presences"]["raw_value"].n_unique() == 8
    assert counted(labels)[HEI_FILES["Instrument"]] == (60, 0)


def test_the_shaft_of_slot_20_is_a_class_of_its_own(tmp_path: Path) -> None:
    put(tmp_path, HEI_FILES["Instrument"], hei_tools(0, 20))
    presences = read(NAME, tmp_path)["presences"].filter("present")
    assert presences["raw_value"].to_list() == ["Undefined instrument shaft"]


def test_file_names_in_either_case_are_one_video_and_skill_clips_are_none(tmp_path: Path) -> None:
    heichole(tmp_path)
    videos = {video.video: video for video in adapters()[NAME].videos(tmp_path)}
    assert list(videos) == ["Hei-Chole1", "Hei-Chole16"]
    assert videos["Hei-Chole1"].path == "Videos/Full_SD/Hei-Chole1.mp4"
    assert set(videos["Hei-Chole1"].label_files) == set(HEI_FILES.values())


@pytest.mark.parametrize(
    ("kind", "content", "place"),
    [
        ("Phase", "0,0\n1,7\n", "line 2"),
        ("Phase", "0,0\n2,0\n", "line 2"),
        ("Phase", "1,0\n", "line 1"),
        ("Phase", "frame,phase\n0,0\n", "line 1"),
        ("Action", "0,0,0,0\n", "line 1"),
        ("Action", "0,0,0,0,2\n", "line 1"),
        ("Instrument", hei_tools(0, 0) + hei_tools(1, 12), "line 2"),
        ("Instrument", hei_tools(0).replace("\n", ",0\n"), "line 1"),
    ],
)
def test_another_clock_id_or_column_is_an_error_at_its_line(
    kind: str, content: str, place: str, tmp_path: Path
) -> None:
    heichole(tmp_path)
    put(tmp_path, HEI_FILES[kind], content)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (HEI_FILES[kind], place)
