"""Web video: every file has its terms in the manifest, and narration is kept word for word with its place."""

import http.server
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from surgsigma_dagster.schema.tables import TABLES, conform
from surgsigma_dagster.sources.adapter import NativeLabels, adapters, read_labels, stated_licence
from surgsigma_dagster.sources.config import SourceEntry
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.web import fetch
from surgsigma_dagster.vocabulary.harmonization import known_values
from tests.pipeline.loopback import free_port

from .made import footage
from .native import put, read, rules, unified
from .native_releases import WEB, web_video

NAME = "web_video"


def test_narration_is_what_is_said_once_with_its_time_and_line(tmp_path: Path) -> None:
    web_video(tmp_path)
    labels = read(NAME, tmp_path)
    said = labels["captions"].select("video", "raw_value", "start_s", "end_s", "language", "file", "locator").rows()
    assert said == [
        ("lap_chole_01", "We start with the dissection", 0.0, 2.5, "en", "lap_chole_01.en.vtt", "line 7"),
        ("lap_chole_01", "of the triangle", 2.5, 5.0, "en", "lap_chole_01.en.vtt", "line 10"),
        ("lap_chole_02", "Now the clip", 1.0, 3.0, None, "lap_chole_02.srt", "line 2"),
    ]
    assert sorted(rules(labels)) == ["cue_without_words", "repeats"]
    assert labels["intervals"].select("video", "raw_value", "end_s").rows() == [("lap_chole_02", "preparation", 9.5)]


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.550 align:start position:0%
 
so<00:00:00.400><c> here</c><00:00:00.560><c> we</c><00:00:00.880><c> see</c>

00:00:02.550 --> 00:00:02.560 align:start position:0%
so here we see
 

00:00:02.560 --> 00:00:05.030 align:start position:0%
so here we see
the cystic<00:00:02.800><c> duct</c>

00:00:05.030 --> 00:00:08.000 align:start position:0%
the cystic duct
[Music]

00:00:08.000 --> 00:00:12.000 align:start position:0%
&gt;&gt; I clip it &amp; cut&nbsp;it [Applause]
"""  # as yt-dlp writes YouTube's own captions, with lines of a single blank


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rolling_captions_of_the_platform_are_read_with_their_blanks_and_entities(tmp_path: Path, end: str) -> None:
    put(tmp_path, "manifest.csv", WEB)
    put(tmp_path, "lap_chole_01.en.vtt", ROLLING.replace("\n", end))
    labels = read(NAME, tmp_path)
    assert labels["captions"].select("raw_value", "start_s", "locator").rows() == [
        ("so here we see", 0.16, "line 5"),
        ("the cystic duct", 2.56, "line 13"),
        (">> I clip it & cut it [Applause]", 8.0, "line 21"),
    ]
    assert sorted(labels["rejects"].select("rule", "raw_value", "locator").rows()) == [
        ("repeats", "so here we see", "line 9"),
        ("sound", "[Music]", "line 17"),
    ]


def test_a_line_of_blanks_ends_a_cue_where_the_next_one_begins(tmp_path: Path) -> None:
    put(tmp_path, "manifest.csv", WEB)
    cues = "1\n00:00:01,000 --> 00:00:03,000\na\n \n2\n00:00:04,000 --> 00:00:05,000\nb\n"
    put(tmp_path, "lap_chole_02.srt", cues)
    assert read(NAME, tmp_path)["captions"].select("raw_value", "locator").rows() == [("a", "line 2"), ("b", "line 6")]


def test_narration_that_cannot_be_read_costs_no_phase_of_its_video(tmp_path: Path) -> None:
    web_video(tmp_path)
    put(tmp_path, "lap_chole_02.srt", "words without times\n")
    adapter = adapters()[NAME]
    parts = [part for _, part in read_labels(adapter, tmp_path, adapter.videos(tmp_path))]
    (error,) = [str(part) for part in parts if isinstance(part, SourceError)]
    assert error.startswith("lap_chole_02.srt, line 1: expected a cue with its times")
    labels = NativeLabels.concat(part for part in parts if isinstance(part, NativeLabels))
    assert labels["intervals"].select("video", "raw_value").rows() == [("lap_chole_02", "preparation")]
    assert labels["captions"]["video"].unique().to_list() == ["lap_chole_01"]


@pytest.mark.parametrize(
    ("cues", "place"),
    [
        ("1\n00:00:01,000 -> 00:00:03,000\nwords\n", "line 1"),
        ("1\n00:00:01 --> 00:00:03\nwords\n", "line 2"),
        ("1\n00:00:01,000 --> 00:00:03,000\na\n2\n00:00:04,000 --> 00:00:05,000\nb\n", "line 5"),
    ],
)
def test_a_cue_that_cannot_be_read_names_its_line(cues: str, place: str, tmp_path: Path) -> None:
    put(tmp_path, "manifest.csv", WEB)
    put(tmp_path, "lap_chole_02.srt", cues)
    with pytest.raises(SourceError, match=rf"lap_chole_02\.srt, {place}: expected"):
        read(NAME, tmp_path)


def test_each_video_has_its_own_licence_and_the_source_the_strictest_of_those_that_may_leave(tmp_path: Path) -> None:
    web_video(tmp_path)
    first, second = adapters()[NAME].videos(tmp_path)
    assert (first.licence, second.licence) == ("CC-BY-4.0", "CC BY-NC-SA 4.0")
    assert first.attribution == "A gallbladder, OR channel, https://example.org/watch?v=1"
    terms = adapters()[NAME].terms(tmp_path)
    assert terms.licence.name == "CC-BY-4.0 and CC-BY-NC-SA-4.0"
    assert (terms.licence.non_commercial, terms.licence.share_alike, terms.may_be_released) == (True, True, True)

    def released(change: tuple[str, str], **entry: Any) -> tuple[str, bool, list[bool]]:
        put(tmp_path, "manifest.csv", WEB.replace(*change))
        source = SourceEntry(name="web", dataset=NAME, root=tmp_path, **entry)
        videos = adapters()[NAME].videos(tmp_path)
        terms = source.terms()
        return terms.licence.name, terms.may_be_released, [source.own_licence_allows(video) for video in videos]

    closed, no_derivatives = ("CC-BY-4.0", "youtube"), ("CC-BY-4.0", "CC-BY-ND-4.0")
    assert released(closed) == ("CC-BY-NC-SA-4.0", True, [False, True])
    remarks = adapters()[NAME].remarks(tmp_path, adapters()[NAME].videos(tmp_path))
    assert remarks == [("not_released", "manifest.csv, line 2: lap_chole_01, youtube")]
    assert released(closed, may_be_released=True) == ("CC-BY-NC-SA-4.0 and youtube", True, [True, True])
    assert released(no_derivatives, may_be_released=True)[1:] == (True, [False, True])
    put(tmp_path, "manifest.csv", WEB.splitlines()[0] + "\n" + WEB.splitlines()[1].replace(*closed) + "\n")
    assert not adapters()[NAME].terms(tmp_path).may_be_released


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (("https://example.org/watch?v=2", "example.org"), "line 3"),
        (("lap_chole_02", "lap_chole_01"), "line 3"),
        (("lap_chole_02", "../elsewhere"), "line 3"),
        (("CC-BY-4.0", ""), "line 2"),
        (("channel,title", "title,channel"), "line 1"),
    ],
)
def test_a_manifest_that_leaves_terms_or_place_open_is_an_error(
    change: tuple[str, str], place: str, tmp_path: Path
) -> None:
    put(tmp_path, "manifest.csv", WEB.replace(*change))
    with pytest.raises(SourceError, match=rf"manifest\.csv, {place}: expected"):
        adapters()[NAME].videos(tmp_path)


def test_a_file_without_terms_is_an_error(tmp_path: Path) -> None:
    web_video(tmp_path)
    put(tmp_path, "found_somewhere.mp4", b"")
    with pytest.raises(SourceError, match=r"found_somewhere\.mp4: expected a line of manifest\.csv with its terms"):
        adapters()[NAME].videos(tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CC BY-NC-SA 4.0", ("CC-BY-NC-SA-4.0", True, True, False, True)),
        ("CC-BY-ND-3.0", ("CC-BY-ND-3.0", False, False, True, True)),
        ("CC0-1.0", ("CC0-1.0", False, False, False, True)),
        ("cc0 1.0", ("CC0-1.0", False, False, False, True)),
        ("https://creativecommons.org/licenses/by-nc/4.0/", ("CC-BY-NC-4.0", True, False, False, True)),
        ("Creative Commons Attribution license (reuse allowed)", ("CC-BY-3.0", False, False, False, True)),
        ("all rights reserved", ("all rights reserved", False, False, False, False)),
    ],
)
def test_a_licence_is_known_by_its_name_or_allows_nothing(name: str, expected: tuple[object, ...]) -> None:
    one = stated_licence(name)
    assert (one.name, one.non_commercial, one.share_alike, one.no_derivatives, one.redistribution) == expected


def test_without_yt_dlp_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    put(tmp_path, "manifest.csv", WEB)
    with pytest.raises(
        SourceError, match=r'expected yt-dlp, found not installed: pip install "surgsigma-dagster\[web\]"'
    ):
        fetch(tmp_path)
    assert [video.media for video in adapters()[NAME].videos(tmp_path)] == ["none", "none"]  # read all the same


@pytest.mark.parametrize("name", ["lap_chole_01.mp4", "lap_chole_01.MKV", "lap_chole_01.mov"])
def test_a_file_that_was_downloaded_already_is_taken_as_it_is(name: str, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    put(tmp_path, "manifest.csv", WEB.replace("https://example.org", nobody))
    footage(tmp_path / "clip.mp4", 8).rename(tmp_path / name)
    before = (tmp_path / name).stat()
    came, failed = fetch(tmp_path)
    assert came == []
    assert [error.place for error in failed] == ["line 3"]  # the other one alone was asked for
    assert f"expected a video at {nobody}/watch?v=2, found " in str(failed[0])
    assert (tmp_path / name).stat() == before
    assert [video.path for video in adapters()[NAME].videos(tmp_path)] == [name, None]


def test_a_manifest_that_cannot_be_read_is_an_error_before_anything_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "manifest.csv", WEB.replace("https://example.org/watch?v=2", "the usual place"))
    with pytest.raises(SourceError, match=r"manifest\.csv, line 3: expected an http\(s\) URL, found 'the usual place'"):
        fetch(tmp_path)


def test_what_the_folder_lacks_is_downloaded_as_it_is_offered(tmp_path: Path) -> None:
    served, home = tmp_path / "served", tmp_path / "home"
    served.mkdir()
    footage(served / "clip.mp4", 8)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        head, *_ = WEB.splitlines()
        terms = "CC-BY-4.0,OR channel,A title,procedure/cholecystectomy"
        lines = [head, f"there,{url}/clip.mp4,{terms}", f"gone,{url}/gone.mp4,{terms}"]
        put(home, "manifest.csv", "\n".join(lines) + "\n")
        came, failed = fetch(home)
        server.shutdown()
    assert came == ["there"]
    assert (home / "there.mp4").read_bytes() == (served / "clip.mp4").read_bytes()
    assert [str(error).split(":")[0] for error in failed] == ["manifest.csv, line 3"]


def test_names_are_those_of_the_procedure_that_each_video_shows(tmp_path: Path) -> None:
    other = "bypass_01,https://example.org/watch?v=3,CC-BY-4.0,OR channel,A bypass,procedure/gastric_bypass\n"
    web_video(tmp_path)
    put(tmp_path, "manifest.csv", WEB + other)
    put(tmp_path, "bypass_01.csv", "start,end,track,label\n0,9.5,phase,preparation\n")
    entry = SourceEntry(name="web", dataset=NAME, root=tmp_path)
    made = unified(entry)
    assert sorted(made["intervals"].select("video_id", "concept_id").rows()) == [
        ("web/bypass_01", "phase/gastric_bypass/preparation"),
        ("web/lap_chole_02", "phase/cholecystectomy/preparation"),
    ]
    assert adapters()[NAME].subject(tmp_path).procedure_type is None
    TABLES["aliases"].validate(conform("aliases", known_values(entry)))
    put(tmp_path, "manifest.csv", WEB)
    assert adapters()[NAME].subject(tmp_path).procedure_type == "procedure/cholecystectomy"
