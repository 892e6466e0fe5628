import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.video import clips
from surgsigma_dagster.video.binary import MediaError, binary, run
from surgsigma_dagster.video.clips import Cut, cut
from tests.unit.made import footage, packed, presented, remuxed

B_FRAMES = ["-preset", "veryfast", "-bf", "3", "-g", "50", "-x264-params", "b-adapt=0:scenecut=0"]
OPEN_GOP = [*B_FRAMES[:-1], "b-adapt=0:scenecut=0:open-gop=1"]
XVID = ["-c:v", "mpeg4", "-vtag", "xvid", "-bf", "1", "-g", "12", "-q:v", "3"]
IRREGULAR = "lt(n,10)+not(mod(n,7))+gt(n,230)"


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ten seconds of numbered frames in the ways that mislead a cut."""
    folder = tmp_path_factory.mktemp("films")
    b_frames = footage(folder / "b.mp4", 250, *B_FRAMES)
    return {
        "a constant rate": footage(folder / "plain.mp4", 250),
        "B-frames": b_frames,
        "an open group of pictures": footage(folder / "open.mp4", 250, *OPEN_GOP),
        "no keyframe but the first": footage(folder / "one.mp4", 250, "-g", "1000"),
        "no keyframe at all": footage(folder / "refresh.mp4", 250, "-x264-params", "intra-refresh=1:keyint=50"),
        "a variable rate": footage(folder / "vfr.mp4", 250, *B_FRAMES, keep=IRREGULAR),
        "a variable rate in milliseconds": footage(folder / "vfr.mkv", 250, *OPEN_GOP, keep=IRREGULAR),
        "an edit list that starts amid pictures": remuxed(b_frames, folder / "edit.mp4", before=["-ss", "0.5"]),
        "an empty edit before the first frame": remuxed(b_frames, folder / "late.mp4", "-output_ts_offset", "5"),
        "a start five seconds in": remuxed(b_frames, folder / "late.mkv", "-output_ts_offset", "5"),
        "H.264 in AVI": footage(folder / "h264.avi", 250, *B_FRAMES),
        "Xvid in AVI": footage(folder / "xvid.avi", 250, *XVID, "-bf", "2"),
        "packed B-frames in AVI": packed(footage(folder / "1.avi", 250, *XVID), folder / "divx.avi"),
        "sixty frames a second": footage(folder / "60.mp4", 600, *OPEN_GOP, fps=60),
    }  # fmt: skip


def assert_exact(video: Path, made: Sequence[Cut], folder: Path) -> None:
    """Each clip shows the frames that a player shows of `video` in [start, end), at the same distances, from 0 on."""
    truth = presented(video)
    for clip in made:
        due = [(number, at) for number, at in truth if clip.start_s - 1e-5 <= at < clip.end_s - 1e-5]
        shown = presented(folder / clip.name)
        assert [number for number, _ in shown] == [number for number, _ in due]
        assert [at for _, at in shown] == pytest.approx([at - due[0][1] for _, at in due], abs=3e-5)
        assert clip.n_frames == len(due)
        assert (clip.first_pts_s, clip.last_pts_s) == pytest.approx((due[0][1], due[-1][1]), abs=1e-5)


HOW = [
    "a constant rate", "B-frames", "an open group of pictures", "no keyframe but the first", "no keyframe at all",
    "a variable rate", "a variable rate in milliseconds", "an edit list that starts amid pictures",
    "an empty edit before the first frame", "a start five seconds in", "sixty frames a second",
    "H.264 in AVI", "Xvid in AVI", "packed B-frames in AVI",
]  # fmt: skip
SPANS = [(7.3, 8.5), (0.0, 0.5), (7.0, 9.01), (6.04, 6.92), (9.0, 99.0)]


@pytest.mark.parametrize("how", HOW)
def test_a_clip_is_exactly_the_frames_of_its_span(how: str, films: dict[str, Path], tmp_path: Path) -> None:
    made = cut(films[how], SPANS, tmp_path)
    assert [(clip.name, clip.start_s, clip.end_s) for clip in made] == [
        (f"{number:06d}.mp4", *span) for number, span in enumerate(SPANS)
    ]
    assert_exact(films[how], made, tmp_path)


@pytest.mark.parametrize("how", HOW)
def test_a_decode_that_begins_at_the_very_span_is_exact_too(
    how: str, films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "_LEAD_S", 0.0)
    assert_exact(films[how], cut(films[how], SPANS[:-1], tmp_path), tmp_path)


def test_frames_are_decoded_once_for_neighbours_and_not_from_the_begin(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def noted(arguments: list[str], **how: Any) -> tuple[bytes, str]:
        begun.append(arguments[arguments.index("-ss") + 1] if "-ss" in arguments else "0")
        return run(arguments, **how)

    monkeypatch.setattr(clips, "run", noted)
    cut(films["B-frames"], [(7.0, 7.5), (0, 1), (6.8, 8), (8, 9)], tmp_path)
    assert begun == ["0", "1.800000"]


def test_where_a_seek_lands_amid_pictures_the_whole_is_decoded(
    films: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seek that lands behind the span is found out by what the decoder shows."""
    honest = clips._input
    monkeypatch.setattr(clips, "_input", lambda path, first, seek: honest(path, first, seek + 7 if seek > 0 else 0))
    made = cut(films["B-frames"], [(7.0, 8.0)], tmp_path)
    assert_exact(films["B-frames"], made, tmp_path)


def test_a_frame_at_the_end_belongs_to_the_next_clip_however_the_seconds_were_rounded(tmp_path: Path) -> None:
    thirty = footage(tmp_path / "30.mp4", 90, fps=30)
    made = cut(thirty, [(number / 30, (number + 2) / 30) for number in range(0, 88)], tmp_path / "cut")
    assert {clip.n_frames for clip in made} == {2}
    assert [round(clip.first_pts_s * 30) for clip in made] == list(range(88))


def test_nothing_but_pictures_is_in_a_clip(films: dict[str, Path], tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(";FFMETADATA1\ntitle=Jane Doe\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=5\ntitle=Doe, incision\n")
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:09,000\nMrs Doe is asleep.\n")
    full = remuxed(
        films["B-frames"], tmp_path / "full.mkv", "-map", "3:v", "-map", "0:a", "-map", "2:s", "-map_metadata", "1",
        "-map_chapters", "1", "-c:a", "aac", "-metadata:s:v", "title=Doe", "-metadata", "timecode=01:02:03:04",
        before=["-f", "lavfi", "-t", "10", "-i", "sine", "-i", str(chapters), "-i", str(words)],
    )  # fmt: skip
    assert b"Doe" in full.read_bytes()
    (made,) = cut(full, [(1.0, 3.0)], tmp_path / "cut")
    asked = ["-show_entries", "stream=codec_type,start_time:stream_tags:format_tags:chapter=id", "-of", "flat"]
    said, _ = run([binary("ffprobe"), "-v", "error", *asked, f"file:{tmp_path / 'cut' / made.name}"], timeout_s=60)
    facts = dict(line.split("=", 1) for line in said.decode().splitlines())
    assert {key.rpartition(".")[2] for key in facts if ".tags." in key} <= {
        "language", "handler_name", "vendor_id", "encoder", "major_brand", "minor_version", "compatible_brands",
    }  # fmt: skip
    assert [value for key, value in facts.items() if key.endswith("codec_type")] == ['"video"']
    assert facts["streams.stream.0.start_time"] == '"0.000000"'
    assert not [key for key in facts if key.startswith("chapters")]
    bytes_ = (tmp_path / "cut" / made.name).read_bytes()
    assert b"Doe" not in bytes_
    assert b"x264 - core" not in bytes_  # what an encoder writes into the stream would change with its version
    assert_exact(full, [made], tmp_path / "cut")


def test_the_same_spans_are_the_same_bytes_whatever_else_is_cut(films: dict[str, Path], tmp_path: Path) -> None:
    video = films["an open group of pictures"]
    once = cut(video, [(7.0, 9.0), (6.5, 8.5)], tmp_path / "once")
    again = cut(video, [(7.0, 9.0), (6.5, 8.5)], tmp_path / "again")
    alone = cut(video, [(7.0, 9.0)], tmp_path / "alone")
    assert once == again
    assert once[0].sha256 == alone[0].sha256 != once[1].sha256
    assert (tmp_path / "once" / "000001.mp4").read_bytes() == (tmp_path / "again" / "000001.mp4").read_bytes()


def size(video: Path) -> tuple[int, int]:
    asked = ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
    said, _ = run([binary("ffprobe"), *asked, f"file:{video}"], timeout_s=60)
    width, height = said.decode().strip().split(",")
    return int(width), int(height)


def test_odd_sizes_grow_by_one_column_and_row(tmp_path: Path) -> None:
    odd = tmp_path / "odd.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=33x17:rate=10:duration=1", "-pix_fmt", "yuv444p"]
    subprocess.run([binary("ffmpeg"), "-v", "error", *source, f"file:{odd}"], check=True)
    (made,) = cut(odd, [(0, 1)], tmp_path / "cut")
    assert size(tmp_path / "cut" / made.name) == (34, 18)
    assert made.n_frames == 10


@pytest.mark.parametrize("span", [(10.0, 12.0), (9.97, 9.99), (3.0, 3.0), (5.0, 4.0)])
def test_a_span_without_a_frame_is_refused_by_its_seconds(
    span: tuple[float, float], films: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(MediaError, match=rf"plain\.mp4: no frame is presented from {span[0]:.3f} to {span[1]:.3f} s"):
        cut(films["a constant rate"], [(0, 1), span], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_copy_that_was_cut_off_gives_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    whole = footage(tmp_path / "whole.mp4", 250, "-movflags", "+faststart", "-preset", "veryfast")
    short = tmp_path / "short.mp4"
    short.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    made = cut(short, [(0, 2)], tmp_path / "cut")
    assert_exact(whole, made, tmp_path / "cut")
    with pytest.raises(MediaError, match=r"reaches beyond 3\.240 s: its index promises 250 frames"):
        cut(short, [(0, 2), (3, 5)], tmp_path / "cut")
    with pytest.raises(MediaError, match="13 frames promised, 12 shown"):  # the last one is there in part
        cut(short, [(2.72, 3.24)], tmp_path / "cut")
