import os
import random
import re
import time
from pathlib import Path

import cv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.video import extraction
from surgsigma_dagster.video.binary import MediaError, binary, run
from surgsigma_dagster.video.extraction import extract
from surgsigma_dagster.video.probe import probe
from tests.unit.made import footage, packed, presented, remuxed, shown_in

FEW = settings(max_examples=30, deadline=None)
index_lists = st.sets(st.integers(0, 400), min_size=1, max_size=60).map(sorted)
PYRAMID = ["-preset", "veryfast", "-bf", "3", "-g", "30", "-x264-params", "b-adapt=0:scenecut=0"]
XVID = ["-c:v", "mpeg4", "-vtag", "xvid", "-bf", "1", "-g", "12", "-q:v", "3"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return footage(tmp_path_factory.mktemp("plain") / "plain.mp4", 76)


def test_of_stacked_stereo_footage_the_left_eye_alone_is_kept(tmp_path: Path) -> None:
    eyes = ["-filter_complex", "color=red:s=64x32:d=1[left];color=blue:s=64x32:d=1[right];[left][right]vstack"]
    video = tmp_path / "stereo.mp4"
    run([binary("ffmpeg"), "-v", "error", *eyes, f"file:{video}"], timeout_s=60)
    extract(video, [0, 20], tmp_path / "frames", upper_half=True)
    for name in ("000000.jpg", "000001.jpg"):
        image = cv2.imread(str(tmp_path / "frames" / name))
        assert image.shape == (32, 64, 3)
        blue, _, red = image.reshape(-1, 3).mean(axis=0)
        assert red > 200 > 50 > blue


@pytest.fixture(scope="module")
def bent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same footage in the ways that break a count of frames."""
    folder = tmp_path_factory.mktemp("bent")
    b_frames = footage(folder / "b.mp4", 100, "-bf", "3", "-g", "30", "-preset", "veryfast", fps=25)
    return {
        "B-frames": b_frames,
        "an edit list that starts amid pictures": remuxed(b_frames, folder / "cut.mp4", before=["-ss", "1.5"]),
        "a start five seconds in": remuxed(b_frames, folder / "late.mkv", "-output_ts_offset", "5"),
        "an empty edit before the first frame": remuxed(b_frames, folder / "late.mp4", "-output_ts_offset", "5"),
        "a variable rate": footage(folder / "vfr.mp4", 100, keep="lt(n,10)+not(mod(n,7))"),
        "H.264 in AVI": footage(folder / "h264.avi", 100, *PYRAMID),
        "Xvid in AVI": footage(folder / "xvid.avi", 100, *XVID),
        "packed B-frames in AVI": packed(footage(folder / "xvid.avi", 100, *XVID), folder / "divx.avi"),
        "MPEG-2 in a program stream": footage(folder / "dvd.mpg", 100, "-c:v", "mpeg2video", "-bf", "2", "-q:v", "3"),
        "sound and metadata": remuxed(
            b_frames, folder / "sound.mp4", "-map", "1:v", "-map", "0:a", "-c:a", "aac", "-metadata", "title=Jane Doe",
            before=["-f", "lavfi", "-t", "6", "-i", "sine"],
        ),
    }  # fmt: skip


def test_the_frames_asked_for_are_the_frames_written(plain: Path, tmp_path: Path) -> None:
    assert extract(plain, [0, 25, 50], tmp_path) == [0.0, 1.0, 2.0]
    assert shown_in(tmp_path) == [0, 25, 50]


def test_irregular_frames_are_found_one_by_one(plain: Path, tmp_path: Path) -> None:
    asked = [0, 1, 2, 9, 11, 13, 40, 41, 75]
    assert extract(plain, asked, tmp_path) == pytest.approx([number / 25 for number in asked])
    assert shown_in(tmp_path) == asked


BENT = [
    "B-frames", "an edit list that starts amid pictures", "a start five seconds in",
    "an empty edit before the first frame", "a variable rate", "sound and metadata",
    "H.264 in AVI", "Xvid in AVI", "packed B-frames in AVI", "MPEG-2 in a program stream",
]  # fmt: skip


@pytest.mark.parametrize("how", BENT)
def test_frame_i_is_the_one_that_a_player_shows_as_the_i_th(how: str, bent: dict[str, Path], tmp_path: Path) -> None:
    truth = presented(bent[how])
    timestamps = probe(bent[how]).timestamps["pts_s"].to_list()
    assert timestamps == pytest.approx([at for _, at in truth], abs=1.5e-3)
    asked = [0, 1, 5, *range(10, len(truth), 4)]
    shown = extract(bent[how], asked, tmp_path)
    assert shown_in(tmp_path) == [truth[index][0] for index in asked]
    assert shown == pytest.approx([truth[index][1] for index in asked], abs=1.5e-3)


def test_a_variable_rate_keeps_its_true_times(bent: dict[str, Path]) -> None:
    kept = [n for n in range(100) if n < 10 or n % 7 == 0]
    found = probe(bent["a variable rate"])
    assert found.timestamps["pts_s"].to_list() == pytest.approx([n / 25 for n in kept])
    assert found.complaint is None


def test_no_metadata_of_the_video_reaches_an_image(bent: dict[str, Path], tmp_path: Path) -> None:
    extract(bent["sound and metadata"], [3], tmp_path)
    assert b"Jane" not in (tmp_path / "000000.jpg").read_bytes()


def test_percent_signs_and_blanks_in_names_are_only_names(plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "100 % of %d cases: [a], it's"
    folder.mkdir()
    video = folder / "50%03d, no. 1.mp4"
    video.write_bytes(plain.read_bytes())
    assert probe(video).timestamps.height == 76
    extract(video, [7, 8], folder / "%d frames")
    assert shown_in(folder / "%d frames") == [7, 8]


def test_the_same_frames_are_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    extract(plain, [3, 30], tmp_path / "once")
    extract(plain, [3, 30], tmp_path / "again")
    for name in ("000000.jpg", "000001.jpg"):
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_video_that_ends_early_answers_with_what_it_has(plain: Path, tmp_path: Path) -> None:
    assert extract(plain, [70, 75, 80, 90], tmp_path) == pytest.approx([2.8, 3.0])
    assert shown_in(tmp_path) == [70, 75]


def test_a_copy_that_was_cut_off_is_not_trusted(tmp_path: Path) -> None:
    whole = footage(tmp_path / "whole.mp4", 250, "-movflags", "+faststart", "-preset", "veryfast")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert probe(whole).complaint is None
    complaint = probe(cut).complaint
    assert complaint is not None
    assert re.search(r"index promises 250 frames, its bytes hold \d+", complaint)


@pytest.mark.parametrize("content", [b"", b"not a video at all", None], ids=["empty", "text", "without its index"])
def test_a_file_that_is_no_video_is_refused_with_a_reason(content: bytes | None, plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(plain.read_bytes()[:-4000] if content is None else content)
    for read in (lambda: probe(broken), lambda: extract(broken, [0], tmp_path / "out")):
        with pytest.raises(MediaError, match=r"ffprobe|ffmpeg"):
            read()


@pytest.mark.parametrize("how", ["H.264 in AVI", "Xvid in AVI", "packed B-frames in AVI", "MPEG-2 in a program stream"])
def test_a_container_that_states_no_times_of_b_frames_is_counted_through(how: str, bent: dict[str, Path]) -> None:
    found = probe(bent[how])
    assert found.complaint is None
    assert found.timestamps["pts_s"].to_list() == pytest.approx([number / 25 for number in range(100)])


def test_a_video_without_presentation_times_says_so(bent: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="presentation time"):
        probe(remuxed(bent["B-frames"], tmp_path / "raw.mp4", "-f", "h264"))


def test_a_video_of_which_some_frames_have_no_time_is_not_trusted(bent: dict[str, Path], tmp_path: Path) -> None:
    early = ["-output_ts_offset", "-2", "-avoid_negative_ts", "disabled"]
    found = probe(remuxed(bent["B-frames"], tmp_path / "early.mkv", *early))
    assert found.complaint == "50 of 100 frames have no presentation time"


@pytest.mark.parametrize("indices", [[3, 2], [2, 2], [-1, 0]])
def test_frames_out_of_order_are_a_mistake_of_the_caller(indices: list[int], plain: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sorted"):
        extract(plain, indices, tmp_path)


def test_a_process_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(MediaError, match="took more than"):
        run(["sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"], timeout_s=0.5)
    assert time.monotonic() - begun < 20
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _runs(child):
            break
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()


def test_what_ffmpeg_says_is_in_the_error() -> None:
    with pytest.raises(MediaError, match="cannot do that"):
        run(["sh", "-c", "echo cannot do that >&2; exit 3"], timeout_s=10)


def _selected(expression: str, n: int) -> bool:
    """`expression`, of ffmpeg's language, for frame number `n`."""
    spelled = re.sub(r"\b(if|not)\(", r"\1_(", expression)
    names = {
        "n": n, "if_": lambda test, yes, no: yes if test else no, "not_": lambda x: int(not x),
        "lt": lambda a, b: a < b, "mod": lambda a, b: a % b, "between": lambda x, low, high: low <= x <= high,
    }  # fmt: skip
    return bool(eval(spelled, {"__builtins__": {}}, names))


@FEW
@given(index_lists)
def test_a_selection_is_true_of_the_indices_and_nothing_else(indices: list[int]) -> None:
    expression = extraction._selection(indices)
    assert [n for n in range(450) if _selected(expression, n)] == indices


@settings(max_examples=5, deadline=None)
@given(st.sets(st.integers(0, 75), min_size=1, max_size=40).map(sorted))
def test_ffmpeg_reads_a_selection_as_it_is_meant(
    plain: Path, tmp_path_factory: pytest.TempPathFactory, indices: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("selected")
    extract(plain, indices, folder)
    assert shown_in(folder) == indices


def test_thousands_of_irregular_frames_fit_into_command_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def answer(arguments: list[str], **_: object) -> tuple[bytes, str]:
        asked.append(arguments)
        n = int(arguments[arguments.index("-vframes") + 1])
        return b"", "config in time_base: 1/25,\n" + "\n".join(f" n: {k} pts: {k} pts_time:0" for k in range(n))

    monkeypatch.setattr(extraction, "run", answer)
    irregular = sorted(random.Random(1).sample(range(200_000), 12_000))
    assert len(extract(Path("long.mp4"), irregular, tmp_path)) == 12_000
    assert max(len(argument) for arguments in asked for argument in arguments) < 128 * 1024
    assert len(asked) < 20


def test_frames_taken_in_several_passes_are_numbered_through(
    monkeypatch: pytest.MonkeyPatch, plain: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(extraction, "_EXPRESSION_BYTES", 120)
    asked = [0, 1, 3, 8, 20, 21, 37, 60, 61, 75]
    assert len(extraction._passes(asked)) > 2
    assert extract(plain, asked, tmp_path) == pytest.approx([number / 25 for number in asked])
    assert shown_in(tmp_path) == asked


def test_the_footage_of_these_tests_shows_its_numbers(plain: Path) -> None:
    assert [number for number, _ in presented(plain)] == list(range(76))
