"""Operations that several datasets of a family show are one procedure, whose split stays what it was."""

import pytest

from surgsigma_dagster.identity.procedures import procedure_of, split_of
from surgsigma_dagster.sources.adapter import NativeVideo

M2CAI16_TOOL = {**{n: 66 + n for n in range(1, 11)}, 11: 61, 12: 62, 13: 64, 14: 65, 15: 66}


def procedure(dataset: str, video: str) -> str:
    return procedure_of(dataset, dataset, NativeVideo(video, "none", 25.0))[0]


@pytest.mark.parametrize(
    ("dataset", "video"),
    [
        ("cholect45", "VID{:02d}"),
        ("cholectrack20", "VID{:02d}"),
        ("cholecseg8k", "video{:02d}"),
        ("cholecinstanceseg", "t50_VID{:02d}"),
        ("cholecinstanceseg", "t80_VID{:02d}"),
        ("cholecinstanceseg", "seg8k_VID{:02d}"),
        ("cholecinstanceseg", "seg8k_video{:02d}"),
    ],
)
@pytest.mark.parametrize("number", [1, 80])
def test_equal_numbers_are_the_cholec80_operation(dataset: str, video: str, number: int) -> None:
    own = procedure("cholec80", f"video{number:02d}")
    assert procedure(dataset, video.format(number)) == own == f"cholec/{number:03d}"


@pytest.mark.parametrize("number", [92, 96, 103, 110, 111])
def test_the_five_videos_beyond_cholec80_are_shared_among_the_sets_that_have_them(number: int) -> None:
    shown = [
        ("cholect50", f"VID{number}"),
        ("cholectrack20", f"VID{number}"),
        ("cholecinstanceseg", f"t50_VID{number}"),
    ]
    assert {procedure(*video) for video in shown} == {f"cholec/{number:03d}"}


@pytest.mark.parametrize(("number", "cholec80"), M2CAI16_TOOL.items())
def test_m2cai16_tool_videos_are_operations_of_cholec80(number: int, cholec80: int) -> None:
    shared = procedure("cholec80", f"video{cholec80}")
    assert procedure("m2cai16_tool", f"tool_video_{number:02d}") == shared
    test = procedure("m2cai16_tool", f"test_tool_video_{number:02d}")
    assert test == (shared if number > 10 else f"m2cai16_tool/test_tool_video_{number:02d}")


def test_m2cai16_tool_and_its_boxes_number_the_training_videos_alike() -> None:
    for number in range(1, 11):
        boxes = procedure("m2cai16_tool_locations", f"v{number:02d}")
        assert procedure("m2cai16_tool", f"tool_video_{number:02d}") == boxes


def test_workflow_videos_and_unregistered_numbers_are_their_own_operations() -> None:
    assert procedure("m2cai16_workflow", "workflow_video_01") == "m2cai16_workflow/workflow_video_01"
    assert procedure("m2cai16_tool", "tool_video_16") == "m2cai16_tool/tool_video_16"


def test_phakir_shows_one_operation_of_heichole_again() -> None:
    assert procedure("phakir", "Video_07") == procedure("heichole", "Hei-Chole2")
    assert procedure("phakir", "Video_02") == "phakir/Video_02"


def test_test_videos_of_m2cai16_tool_keep_the_split_of_their_cholec80_operation() -> None:
    shown = [procedure("m2cai16_tool", f"tool_video_{number:02d}") for number in range(11, 16)]
    rows = split_of(shown, 7, {})
    assert dict(rows.select("procedure_id", "split").iter_rows()) == {
        "cholec/061": "test",
        "cholec/062": "train",
        "cholec/064": "test",
        "cholec/065": "train",
        "cholec/066": "train",
    }
    assert rows["split_rule"].str.starts_with("hash").not_().all()
