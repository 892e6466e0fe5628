"""In-house data: consent, time formats, and bad rows that do not stop the good ones."""

import unicodedata
from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.config import SourceEntry
from surgsigma_dagster.sources.errors import SourceError

from .native import put, read, unified
from .native_specialties import in_house

ADAPTER = adapters()["in_house"]


def edit(root: Path, old: str, new: str) -> None:
    sidecar = (root / "source.yaml").read_text()
    assert old in sidecar
    put(root, "source.yaml", sidecar.replace(old, new))


def test_intervals_read_seconds_and_clock_times_and_tracks_may_overlap(tmp_path: Path) -> None:
    in_house(tmp_path)
    labels = read("in_house", tmp_path)
    assert labels["intervals"].sort("locator").select("field", "raw_value", "start_s", "end_s", "locator").rows() == [
        ("phase", "Access", 0.0, 60.5, "line 2"),
        ("phase", "Stapling", 60.5, 120.0, "line 3"),
        ("event", "bleeding", 70.0, 80.0, "line 4"),
    ]
    assert labels["rejects"].is_empty()


@pytest.mark.parametrize(
    ("row", "rule", "raw_value"),
    [
        ("9,5,phase,Access", "empty_interval", "Access"),
        ("5,5,phase,Access", "empty_interval", "Access"),
        ("12:30,13:00,phase,Access", "unreadable_time", None),
        (",5,phase,Access", "unreadable_time", None),
        ("-1,5,phase,Access", "unreadable_time", None),
        ("0:99:00,2:00:00,phase,Access", "unreadable_time", None),
        ("1,5,phases,Access", "unknown_track", "phases"),
        ("1,5,,Access", "unknown_track", None),
        ("1,5,phase,", "no_label", None),
        ("60,70,phase,Stapling", "overlap", "Stapling"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_and_the_rest_goes_on(
    row: str, rule: str, raw_value: str | None, tmp_path: Path
) -> None:
    in_house(tmp_path)
    rows = ["start,end,track,label", "50,61,phase,Access", row, "70,80,phase,Closure", ""]
    put(tmp_path, "2024/a1.csv", "\n".join(rows))
    labels = read("in_house", tmp_path)
    assert labels["intervals"]["raw_value"].to_list() == ["Access", "Closure"]
    rejects = labels["rejects"].select("file", "locator", "rule", "raw_value")
    assert rejects.rows() == [("2024/a1.csv", "line 3", rule, raw_value)]


def test_an_overlap_names_the_line_that_it_overlaps(tmp_path: Path) -> None:
    in_house(tmp_path)
    rows = ["start,end,track,label", "20,30,phase,c", "0,50,phase,a", "60,70,phase,d", "0,90,step,a"]
    put(tmp_path, "2024/a1.csv", "\n".join(rows))
    labels = read("in_house", tmp_path)
    assert labels["rejects"].select("locator", "reason").rows() == [
        ("line 2", "It starts at 20.0 s, before line 3 of its track ends.")
    ]
    assert labels["intervals"].height == 3


def test_labels_may_hold_commas_in_quotes_and_blanks_around_cells_do_not_count(tmp_path: Path) -> None:
    in_house(tmp_path)
    put(
        tmp_path,
        "2024/a1.csv",
        'start,end,track,label\n1, 2, phase ,"cut, then clip"\n\n3,4,phase, Åbning \n',
    )
    assert read("in_house", tmp_path)["intervals"]["raw_value"].to_list() == ["cut, then clip", "Åbning"]


def test_nothing_may_be_released_unless_the_sidecar_says_so(tmp_path: Path) -> None:
    in_house(tmp_path)
    terms = ADAPTER.terms(tmp_path)
    assert (terms.may_be_released, terms.licence.redistribution) == (False, False)
    assert (terms.licence.name, terms.consent_scope, terms.consent_reference) == (
        "internal",
        "research",
        "form 12",
    )
    edit(tmp_path, "videos:", "may_be_released: true\nvideos:")
    assert ADAPTER.terms(tmp_path).may_be_released


def test_the_sidecar_states_subject_patient_and_procedure_of_a_video(tmp_path: Path) -> None:
    in_house(tmp_path)
    edit(tmp_path, "  a1: {patient: 007}", "  a1: {patient: 007, procedure_type: procedure/gastric_bypass}")
    put(tmp_path, "b2.mov", b"")
    assert ADAPTER.subject(tmp_path).specialty == "Bariatric and upper GI"
    first, second = ADAPTER.videos(tmp_path)
    assert (first.video, first.path, first.patient) == ("a1", "2024/a1.MP4", "007")
    assert first.procedure_type == "procedure/gastric_bypass"
    assert (second.patient, second.procedure_type, second.label_files) == (
        None,
        "procedure/sleeve_gastrectomy",
        (),
    )


def test_labels_whose_video_is_missing_are_listed_and_other_tables_are_left_alone(tmp_path: Path) -> None:
    in_house(tmp_path)
    put(tmp_path, "lost.csv", "start,end,track,label\r\n1,2,phase,a\r\n")
    put(tmp_path, "patients.csv", "name;birthday\n")
    put(tmp_path, "2024/._a1.mp4", b"")
    videos = ADAPTER.videos(tmp_path)
    assert [(video.video, video.media) for video in videos] == [("a1", "video"), ("lost", "none")]


def test_two_videos_of_one_name_are_an_error_since_their_labels_would_mix(tmp_path: Path) -> None:
    in_house(tmp_path)
    put(tmp_path, "2025/a1.mp4", b"")
    with pytest.raises(SourceError, match=r"2025/a1\.mp4"):
        ADAPTER.videos(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("  scope: research\n", "", "/consent/scope"),
        ("consent:\n  scope: research\n  reference: form 12\n", "", "/consent"),
        ("Bariatric and upper GI", "Bariatrics", "/specialty"),
        ("licence: internal", "licence:", "/licence"),
        ("licence: internal", "licence: internal\nmay_be_released: yes", "/may_be_released"),
        ("licence: internal", "licence: internal\nmay_be_relesed: true", "/may_be_relesed"),
        ("{patient: 007}", "{patients: 007}", "/videos/a1/patients"),
        ("  a1:", "  a2:", "/videos"),
        ("title: Our sleeves", "title: [Our sleeves", "line 2"),
    ],
)
def test_a_sidecar_that_leaves_something_unclear_is_an_error_at_its_key(
    old: str, new: str, place: str, tmp_path: Path
) -> None:
    in_house(tmp_path)
    edit(tmp_path, old, new)
    with pytest.raises(SourceError) as error:
        ADAPTER.videos(tmp_path)
    assert (error.value.file, error.value.place) == ("source.yaml", place)


def test_a_table_without_one_of_the_columns_stops_with_what_they_should_be(tmp_path: Path) -> None:
    in_house(tmp_path)
    put(tmp_path, "2024/a1.csv", "start;end;label\n1;2;a\n")
    with pytest.raises(SourceError) as error:
        read("in_house", tmp_path)
    assert (error.value.place, error.value.expected) == ("line 1", "a header with the columns start, end, track, label")
    put(tmp_path, "2024/a1.csv", "start,from,end,track,label\n1,2,3,phase,a\n")
    with pytest.raises(SourceError, match=r"2024/a1\.csv, line 1: expected one column start"):
        read("in_house", tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "rows",
    [
        ["start;end;track;label", "0,0;5,5;phase;Präparation", "0:00:05,500;12,25;PHASE;Clip", ";;;"],
        ["Start time\tEnd_Time\tTrack\tLabel", "0\t5.5\tphase\tPräparation", "0:00:05.500\t12.25\tPhase\tClip"],
        ["label,comment,to,from,track", "Präparation,ok,5.5,0,phase", 'Clip,"a, b",12.25,5.5,phase', ",,,,"],
    ],
    ids=["semicolons", "tabs", "order"],
)
def test_a_table_is_read_as_a_spreadsheet_wrote_it(rows: list[str], end: str, encoding: str, tmp_path: Path) -> None:
    in_house(tmp_path)
    put(tmp_path, "2024/a1.csv", (end.join(rows) + end).encode(encoding))
    labels = read("in_house", tmp_path)
    assert labels["intervals"].select("field", "raw_value", "start_s", "end_s", "locator").rows() == [
        ("phase", "Präparation", 0.0, 5.5, "line 2"),
        ("phase", "Clip", 5.5, 12.25, "line 3"),
    ]
    assert labels["rejects"].is_empty()
    said = dict(ADAPTER.remarks(tmp_path, ADAPTER.videos(tmp_path)))
    assert said.get("encoding") == ("2024/a1.csv: no UTF-8, read as Windows-1252" if encoding == "cp1252" else None)
    assert said.get("ignored_columns") == ("2024/a1.csv, line 1: comment" if "comment" in rows[0] else None)


def test_excel_s_own_line_above_the_header_is_no_row(tmp_path: Path) -> None:
    in_house(tmp_path)
    put(tmp_path, "2024/a1.csv", "sep=;\nstart;end;track;label\n0;5,5;phase;Clip\n")
    assert read("in_house", tmp_path)["intervals"].select("raw_value", "end_s", "locator").rows() == [
        ("Clip", 5.5, "line 3")
    ]


@pytest.mark.parametrize(
    ("delimiter", "times", "read_as"),
    [
        (";", ["1,234", "2"], None),  # a second and a bit, or twenty minutes
        ("\t", ["1,234", "2"], None),
        (";", ["1.234", "2"], None),
        (";", ["1,234", "2,5"], (1.234, 2.5)),
        (";", ["1.234", "2.5"], (1.234, 2.5)),
        (";", ["1.234", "2000,5"], None),
        (";", ["1.234,5", "2000"], None),
        (",", ["1.234", "2"], (1.234, 2.0)),
        (",", ['"1,234"', "2"], None),
    ],
)
def test_what_may_be_a_thousand_is_no_time(
    delimiter: str, times: list[str], read_as: tuple[float, float] | None, tmp_path: Path
) -> None:
    in_house(tmp_path)
    rows = [("start", "end", "track", "label"), (*times, "phase", "a")]
    put(tmp_path, "2024/a1.csv", "\n".join(map(delimiter.join, rows)))
    labels = read("in_house", tmp_path)
    assert labels["intervals"].select("start_s", "end_s").rows() == ([read_as] if read_as else [])
    for reject in labels["rejects"].to_dicts():
        assert reject["rule"] == "unreadable_time"
        assert times[0].strip('"') in reject["reason"]


@pytest.mark.parametrize("line", ['1;2;phase;"a', "1;2;phase;a;b", '1;2;phase;"a" b'])
def test_a_line_that_is_no_row_stops_with_its_number(line: str, tmp_path: Path) -> None:
    in_house(tmp_path)
    put(tmp_path, "2024/a1.csv", f'start;end;track;label\n0;1;phase;a\n{line}\n5;6;phase;b"\n')
    with pytest.raises(SourceError, match=r"2024/a1\.csv, line 3: expected 4 cells between semicolons"):
        read("in_house", tmp_path)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("stated", ["NFC", "NFD"])
def test_names_that_look_alike_are_alike_however_they_are_composed(on_disk: str, stated: str, tmp_path: Path) -> None:
    file, name = unicodedata.normalize(on_disk, "Müller"), unicodedata.normalize(stated, "Müller")
    in_house(tmp_path)
    edit(tmp_path, "  a1:", f"  {name}:")
    put(tmp_path, f"{file}.mp4", b"")
    label = unicodedata.normalize(on_disk, "Präparation")
    put(tmp_path, f"{name}.csv", f"start,end,track,label\n0,5,phase,{label}\n")
    prepared = unicodedata.normalize(stated, "Präparation")
    aliases = put(
        tmp_path, "names.yaml",
        f"dataset: in_house\nversion: 1\nphase: {{{prepared}: phase/cholecystectomy/preparation}}\n",
    )  # fmt: skip
    (one,) = [video for video in ADAPTER.videos(tmp_path) if video.path == f"{file}.mp4"]
    assert (one.video, one.patient, one.label_files) == ("Müller", "007", (f"{name}.csv",))
    made = unified(SourceEntry(name="ours", dataset="in_house", root=tmp_path, aliases=aliases))["intervals"]
    found = made.filter(raw_value=label).select("video_id", "concept_id")
    assert found.rows() == [("ours/Müller", "phase/cholecystectomy/preparation")]
