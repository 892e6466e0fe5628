"""The report: do its numbers add up, does it open anywhere, does it say what is missing."""

import base64
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from surgsigma_dagster.quality.rules import RULES
from surgsigma_dagster.release.report import render_report
from surgsigma_dagster.schema.tables import TABLES, empty

Rows = list[dict[str, Any]]


def table(name: str, rows: Rows) -> pl.LazyFrame:
    return pl.DataFrame(rows, schema=empty(name).schema).lazy()


def source(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "source": name, "dataset": name, "title": name.title(), "specialty": "Hepatobiliary",
        "procedure_type": "procedure/cholecystectomy", "licence": "CC-BY-4.0", "licence_url": "https://licence.example",
        "non_commercial": False, "share_alike": False, "no_derivatives": False, "may_be_released": True,
        "citation": "Somebody et al.", "url": "https://data.example",
    } | changed  # fmt: skip


def conversation(number: int, *, task: str = "phase_recognition", form: str = "open", of: str = "alpha",
                 split: str = "train", **changed: Any) -> dict[str, Any]:  # fmt: skip
    frame_id = f"{of}/v1/{number:06d}"
    return {
        "conversation_id": f"{task}/{form}/{frame_id}", "task": task, "form": form, "source": of,
        "video_id": f"{of}/v1", "scene_id": frame_id, "procedure_id": f"{of}/v1", "split": split,
        "media": [{"kind": "image", "id": frame_id, "root": "lake", "path": f"images/{number}.png"}], "targets": [],
        "system": "You see.", "earlier": [], "question": "Which phase?\nA. Preparation\nB. Dissection",
        "answer": '{"phase":"phase/cholecystectomy/dissection","option":"B"}', "answer_text": "Dissection.",
        "reasoning_id": f"{task}/{frame_id}", "label_ids": ["L1"], "template_id": "phase@1:q1",
        "licence": "CC-BY-4.0", "status": "accepted",
    } | changed  # fmt: skip


INTERVAL = {
    "label_id": "L1", "source": "alpha", "video_id": "alpha/v1",
    "concept_id": "phase/cholecystectomy/dissection", "raw_value": "Dissection_raw", "n_rows": 25,
    "file": "phase_annotations/v1.txt", "locator": "lines 2-26",
    "track": "phase", "start_s": 0.0, "end_s": 1.0,
}  # fmt: skip
BOX = {
    "label_id": "B1", "source": "alpha", "video_id": "alpha/v1", "frame_id": "alpha/v1/000001",
    "concept_id": "instrument/hook", "raw_value": "Hook", "n_rows": 1, "file": "boxes.json", "locator": "/3",
    "x1": 8.0, "y1": 8.0, "x2": 50.0, "y2": 40.0, "width": 64, "height": 48, "clipped": False,
}  # fmt: skip


def rule(name: str, status: str, severity: str = "error", **changed: Any) -> dict[str, Any]:
    return {
        "rule": name, "table": "boxes", "description": f"What {name} demands.",
        "severity": severity, "status": status, "n_checked": 9, "n_failed": 0, "examples": [],
    } | changed  # fmt: skip


def reject(number: int, reason: str = "Too late.") -> dict[str, Any]:
    return {
        "reject_id": f"{number}", "stage": "frames", "rule": "beyond_end", "reason": reason,
        "source": "alpha", "file": "tools.txt", "locator": f"line {number}", "n_rows": 1,
    }  # fmt: skip


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., str]:
    """Renders the report on the rows given by table; every other table is empty. Pictures lie in tmp_path."""

    def render(**rows: Rows) -> str:
        tables = {name: table(name, rows.get(name, [])) for name in TABLES}
        return render_report(tables, lambda source, root, path: tmp_path / path)

    return render


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """The picture of conversation(1)."""
    path = tmp_path / "images" / "1.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
    return path


def section(html: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', html, re.DOTALL)
    assert found
    return found[1]


def pictures(html: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)]


def test_the_counts_add_up_to_the_rows_of_the_conversations_table(report: Callable[..., str]) -> None:
    rows = [
        conversation(number, task=task, form=form, of=of, split=split)
        for task, form, of, split, n in [
            ("phase_recognition", "open", "alpha", "train", 4),
            ("phase_recognition", "open", "alpha", "test", 3),
            ("phase_recognition", "multiple choice", "beta", "val", 2),
            ("image_captioning", "open", "beta", "val", 5),
        ]
        for number in range(n)
    ]
    html = section(report(conversations=[*rows, conversation(99, status="rejected")]), "conversations")

    body, foot = html.split("<tfoot>")
    cells = [int(number) for number in re.findall(r'<td class="number(?: zero)?">(\d+)</td>', body)]
    assert sorted(cells) == [0] * 5 + [2, 3, 5, 5]  # 3 task and form pairs x 3 source and split pairs
    footer = [int(number) for number in re.findall(r">(\d+)</td>", foot)]
    assert sum(footer[:-1]) == footer[-1] == sum(cells) == len(rows) + 1
    assert "1 of them rejected" in html


def test_only_frames_count_as_frames_that_stand_in_a_conversation(report: Callable[..., str]) -> None:
    smoke = [{"kind": "image", "id": "alpha/v1/000001/smoke", "root": "lake", "path": "smoke/1.png"}]
    frame = {"frame_id": "alpha/v1/000001", "video_id": "alpha/v1", "source": "alpha", "status": "available"}
    html = report(frames=[frame], conversations=[conversation(1), conversation(2, task="desmoking", media=smoke)])
    assert "1 stand in a conversation" in html


def test_markup_in_the_data_is_shown_not_run(report: Callable[..., str]) -> None:
    nasty = "<script>alert('x')</script><img src=x onerror=alert(1)>"
    html = report(
        sources=[source("alpha", title=nasty, licence_url="javascript:alert(1)", url='https://x.example/"><script>')],
        conversations=[conversation(1, question=f"{nasty}\nA. {nasty}")],
        intervals=[INTERVAL | {"raw_value": nasty, "file": nasty}],
        alias_coverage=[{"source": "alpha", "video_id": "v", "field": "phase", "raw_value": nasty, "n_rows": 1}],
        rejects=[reject(1, reason=nasty)],
        qa_results=[rule("r", "fail", examples=[nasty])],
    )

    assert "<script" not in html
    assert "<img" not in html  # its picture is missing, so that none may appear
    assert 'href="javascript' not in html
    for where in ("sources", "aliases", "quality", "rejects", "shown"):
        assert "&lt;script&gt;" in section(html, where), where


def test_a_picture_missing_on_disk_is_named_and_the_rest_is_there(report: Callable[..., str], picture: Path) -> None:
    html = report(conversations=[conversation(1), conversation(2)])

    assert "Picture missing: images/2.png" in html
    assert str(picture.parent) not in html
    assert len(pictures(html)) == 1
    assert html.count("<article") == 2


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_broken_picture_is_named(report: Callable[..., str], picture: Path, content: bytes) -> None:
    picture.write_bytes(content)

    assert "Picture unreadable: images/1.png" in report(conversations=[conversation(1)])


def test_boxes_are_drawn_on_the_picture_of_their_frame_alone(
    report: Callable[..., str], picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "images" / "2.png").write_bytes(picture.read_bytes())
    scenes = [{"scene_id": f"alpha/v1/{n:06d}", "frame_id": f"alpha/v1/{n:06d}"} for n in (1, 2)]
    html = report(conversations=[conversation(1), conversation(2)], boxes=[BOX], scene_context=scenes)

    images = [cv2.imdecode(np.frombuffer(found, np.uint8), cv2.IMREAD_COLOR) for found in pictures(html)]
    assert [image.shape[1] for image in images] == [420, 420]
    coloured = sorted(int(np.ptp(image, axis=2).max()) > 60 for image in images)
    assert coloured == [False, True]


def test_an_answer_leads_to_the_line_it_came_from(report: Callable[..., str]) -> None:
    html = section(
        report(
            sources=[source("alpha")],
            conversations=[conversation(1, label_ids=["L1", "B1", "gone"])],
            scene_context=[{"scene_id": "alpha/v1/000001", "frame_id": "alpha/v1/000001", "start_s": 1.04}],
            intervals=[INTERVAL],
            boxes=[BOX],
        ),
        "shown",
    )

    for expected in (
        "phase_annotations/v1.txt", "lines 2-26", "Dissection_raw", "phase/cholecystectomy/dissection",
        "boxes.json", "/3", "(8.0, 8.0) to (50.0, 40.0) px",
        "alpha/v1/000001", "1.040 s", "phase@1:q1", "train", "CC-BY-4.0",
    ):  # fmt: skip
        assert f"{expected}<" in html or f"{expected} " in html or f"{expected}, " in html, expected
    assert re.search(r"no table holds label\s*<code>gone</code>", html)
    assert '<li class="right">B. Dissection</li>' in html


EVERY = [rule(name, "pass") for name in RULES]


class _Loads(HTMLParser):
    """What a page would fetch, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "srcset", "href", "data", "poster", "action"}:
                (self.linked if (tag, name) == ("a", "href") else self.fetched).append(value or "")


def test_the_page_fetches_nothing(report: Callable[..., str], picture: Path) -> None:
    html = report(sources=[source("alpha")], conversations=[conversation(1)], qa_results=[rule("r", "fail")])
    page = _Loads()
    page.feed(html)

    assert len(page.fetched) == 1
    assert page.fetched[0].startswith("data:image/jpeg;base64,")
    assert {"https://licence.example", "https://data.example"} <= set(page.linked)
    assert not page.tags & {"script", "link", "iframe", "object", "embed"}
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize(
    ("rules", "says", "word"),
    [
        (EVERY, f"All {len(RULES)} quality rules passed", "Releasable."),
        ([*EVERY, rule("r", "fail", "warning", n_failed=3)], "3 in 9 rows", "Releasable."),
        ([*EVERY, rule("boxes_whole", "fail", n_failed=3)], "boxes whole", "Not releasable."),
        (EVERY[1:], EVERY[0]["rule"].replace("_", " "), "Not releasable."),
        ([rule("boxes_whole", "not run", examples=["KeyError: x"])], "not run", "Not releasable."),
        ([], "No quality rule was run", "Not releasable."),
    ],
)  # fmt: skip
def test_the_verdict_says_whether_it_may_be_released_and_what_stands_against_it(
    report: Callable[..., str], rules: Rows, says: str, word: str
) -> None:
    head = report(conversations=[conversation(1)], qa_results=rules).split("</header>")[0]

    assert f">{word}<" in head
    assert says in head


def test_a_split_without_any_procedure_is_said(report: Callable[..., str]) -> None:
    rows = [
        {"procedure_id": split, "procedure_type": "procedure/cholecystectomy", "split": split, "split_rule": "hash",
         "identity_rule": "name", "specialty": "Hepatobiliary", "videos": [f"alpha/{split}"]}
        for split in ("train", "test")
    ]  # fmt: skip
    splits = section(report(conversations=[conversation(1)], procedures=rows), "splits")
    assert "No procedure at all is in val" in splits
    assert "is in test" not in splits


def test_five_examples_a_task_reach_every_source_and_both_forms(report: Callable[..., str]) -> None:
    rows = [
        conversation(number, form=form, of=of)
        for form in ("open", "multiple choice")
        for of, n in (("alpha", 40), ("beta", 9), ("gamma", 2), ("delta", 1))
        for number in range(n)
    ]
    html = section(report(conversations=[*rows, conversation(1, task="image_captioning")]), "shown")
    phase = html[html.index("Phase recognition") :]

    assert re.findall(r"<article", html) == ["<article"] * 6
    assert {found.split("/")[0] for found in re.findall(r"<dt>scene</dt><dd>(.*?)</dd>", phase)} == {
        "alpha", "beta", "gamma", "delta",
    }  # fmt: skip
    assert set(re.findall(r"<dt>form</dt><dd>(.*?)</dd>", phase)) == {"open", "multiple choice"}


def test_the_same_rows_in_another_order_give_the_same_bytes(report: Callable[..., str]) -> None:
    rows: Mapping[str, Rows] = {
        "sources": [source("alpha"), source("beta")],
        "conversations": [conversation(number, of=of) for of in ("alpha", "beta") for number in range(20)],
        "intervals": [INTERVAL, INTERVAL | {"label_id": "L2", "concept_id": "phase/packaging"}],
        "boxes": [BOX, BOX | {"label_id": "B2", "concept_id": "instrument/clipper"}],
        "qa_results": [rule("a", "pass"), rule("b", "pass")],
        "rejects": [reject(number) for number in range(9)],
    }

    assert report(**rows) == report(**{name: found[::-1] for name, found in rows.items()})


def test_unmapped_values_stand_before_mapped_ones(report: Callable[..., str]) -> None:
    met = {"source": "alpha", "video_id": "alpha/v1", "field": "phase"}
    html = section(
        report(
            alias_coverage=[
                met | {"raw_value": "Known", "concept_id": "phase/x", "n_rows": 900},
                met | {"raw_value": "Strange", "concept_id": None, "n_rows": 7},
                met | {"raw_value": "Strange", "concept_id": None, "n_rows": 5, "video_id": "alpha/v2"},
            ]
        ),
        "aliases",
    )

    assert html.index("Strange") < html.index("Known")
    row = html[html.index("Strange") :].split("</tr>")[0]
    assert re.findall(r'<td class="number">(\d+)</td>', row) == ["12", "2"]  # native rows, videos


def test_actions_without_a_basic_action_are_counted_and_shown_with_the_reason(report: Callable[..., str]) -> None:
    html = section(
        report(
            basic_actions=[
                {"concept_id": "verb/cut", "basic_action_id": None, "why": "No cutting.", "n_labels": 30},
                {"concept_id": "verb/clip", "basic_action_id": "basic_action/clipping", "why": "Same.", "n_labels": 12},
                {"concept_id": "verb/loop", "basic_action_id": None, "why": "Never met.", "n_labels": 0},
            ]
        ),
        "aliases",
    )

    assert "42 labels speak of a verb or an action; 30 of them have no agreed counterpart" in html
    assert "No cutting." in html
    assert "Never met." not in html


def test_rejects_are_counted_and_three_are_shown_with_file_and_place(report: Callable[..., str]) -> None:
    html = section(report(rejects=[reject(number) for number in range(9)]), "rejects")

    assert re.findall(r'<td class="number">(\d+)</td>', html) == ["9", "9"]
    assert len(re.findall(r"<code>tools.txt</code>, <code>line \d</code>", html)) == 3


def test_an_empty_corpus_has_a_report(report: Callable[..., str]) -> None:
    html = report()

    assert "There are no conversations." in html
    assert "Nothing was turned down." in html
