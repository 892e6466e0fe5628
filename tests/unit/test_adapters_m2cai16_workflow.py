"""m2cai16-workflow: eight phases by name, whatever the header, and only the annotations."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, rules
from .native_cholec import WORKFLOW, m2cai16_workflow

NAME = "m2cai16_workflow"


def test_phases_are_runs_of_25_fps_frames_from_the_first_to_the_last(tmp_path: Path) -> None:
    m2cai16_workflow(tmp_path)
    columns = ["video", "raw_value", "start_frame", "end_frame", "start_s", "end_s", "locator"]
    assert sorted(read(NAME, tmp_path)["intervals"].select(columns).rows()) == [
        ("test_workflow_video_02", "Preparation", 0, 1, 0.0, 0.08, "lines 2-3"),
        ("workflow_video_01", "CalotTriangleDissection", 5, 54, 0.2, 2.2, "lines 7-56"),
        ("workflow_video_01", "Preparation", 3, 4, 0.12, 0.2, "lines 5-6"),
        ("workflow_video_01", "TrocarPlacement", 0, 2, 0.0, 0.12, "lines 2-4"),
    ]


def test_predictions_and_subtitles_are_no_labels_and_videos_are_found_beside_them(tmp_path: Path) -> None:
    m2cai16_workflow(tmp_path)
    videos = {video.video: video for video in adapters()[NAME].videos(tmp_path)}
    assert videos["workflow_video_01"].label_files == (WORKFLOW,)
    assert videos["workflow_video_01"].path == "train_dataset/workflow_video_01.mp4"
    assert videos["test_workflow_video_02"].media == "none"


def test_files_may_lie_in_the_root_and_a_second_copy_repeats_the_first(tmp_path: Path) -> None:
    m2cai16_workflow(tmp_path)
    put(tmp_path, "workflow_video_01.txt", (tmp_path / WORKFLOW).read_bytes())
    labels = read(NAME, tmp_path)
    assert labels["intervals"].filter(video="workflow_video_01")["file"].unique().to_list() == ["workflow_video_01.txt"]
    assert rules(labels) == ["repeats"] * 3


@pytest.mark.parametrize(
    ("content", "place", "expected"),
    [
        ("0\tPreparation\n1\tPreparation\n", "line 1", "a header of 2 words"),
        ("Frame\tPhase\tTool\n0\tPreparation\t1\n", "line 1", "a header of 2 words"),
        ("Frame\tPhase\n1\tPreparation\n", "line 2", "frame 0 (each 1 after the last)"),
        ("Frame\tPhase\n0\tPreparation\n0\tPreparation\n", "line 3", "frame 1 (each 1 after the last)"),
        ("Frame\tPhase\n0\tPreparation\n1\t\n", "line 3", "text as phase"),
    ],
)
def test_a_file_that_is_not_the_format_is_named_with_its_line(
    content: str, place: str, expected: str, tmp_path: Path
) -> None:
    m2cai16_workflow(tmp_path)
    put(tmp_path, WORKFLOW, content)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place, error.value.expected) == (WORKFLOW, place, expected)
