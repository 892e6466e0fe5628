"""m2cai16-tool: seven tools once a second, true negatives included."""

from pathlib import Path

import pytest

from surgsigma_dagster.sources.errors import SourceError

from .native import TOOLS, put, read, rules
from .native_cholec import TOOL, m2cai16_tool

NAME = "m2cai16_tool"
HEADER = "\t".join(("Frame", *TOOLS))


def test_every_tool_of_every_25th_frame_is_seen_or_not(tmp_path: Path) -> None:
    m2cai16_tool(tmp_path)
    presences = read(NAME, tmp_path)["presences"]
    assert presences.height == 3 * len(TOOLS)
    seen = presences.filter("present").select("video", "frame_index", "raw_value", "locator")
    assert sorted(seen.rows()) == [
        ("tool_video_01", 0, "Grasper", "line 2"),
        ("tool_video_01", 25, "Grasper", "line 3"),
        ("tool_video_01", 25, "Hook", "line 3"),
    ]
    assert presences["frame_index"].max() == 50


def test_a_second_copy_of_a_video_repeats_the_first(tmp_path: Path) -> None:
    m2cai16_tool(tmp_path)
    put(tmp_path, f"copy/{Path(TOOL).name}", (tmp_path / TOOL).read_bytes())
    labels = read(NAME, tmp_path)
    assert labels["presences"].height == 3 * len(TOOLS)
    assert rules(labels) == ["repeats"] * 3


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (f"{HEADER}\n0\t1\t0\t0\t0\t0\t0\t0\n1\t1\t0\t0\t0\t0\t0\t0\n", "line 3"),
        (f"{HEADER}\n0\t1\t0\t0\t0\t0\t0\t2\n", "line 2"),
        (f"{HEADER}\n0\t1\t0\t0\t0\t0\t0\t0\t0\n", "line 2"),
        (f"{HEADER.replace('Hook', 'Hooks')}\n0\t1\t0\t0\t0\t0\t0\t0\n", "line 1"),
    ],
)
def test_another_clock_value_or_column_is_an_error_at_its_line(content: str, place: str, tmp_path: Path) -> None:
    m2cai16_tool(tmp_path)
    put(tmp_path, TOOL, content)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (TOOL, place)
