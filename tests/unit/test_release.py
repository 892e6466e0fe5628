import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from surgsigma_dagster.release import sharegpt
from surgsigma_dagster.release.folder import Released, released_sources, write_release
from surgsigma_dagster.release.pictures import contact_sheet, drawn, jpeg
from surgsigma_dagster.release.sharegpt import write_conversations
from surgsigma_dagster.vocabulary.concepts import concepts
from tests.unit.made import corpus, frame_row, source_row, table


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """The pictures of the corpus, each of its own colour."""
    for number, path in enumerate(corpus()["frames"]["image_path"].to_list()):
        (tmp_path / "lake" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 50), (number * 30, 90, 120)).save(tmp_path / "lake" / path)
    return tmp_path / "lake"


def released(
    folder: Path, lake: Path, audience: str = "public", tables: dict[str, pl.DataFrame] | None = None
) -> Released:
    tables = tables or corpus()
    return write_release(
        folder, tables["conversations"].lazy(), tables["reasoning"].lazy(), tables["scene_context"].lazy(),
        tables["sources"], tables["videos"],
        lambda source, root, path: lake / path, audience=audience, build={"seed": 7},
    )  # fmt: skip


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted((folder / "conversations").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]


def lines_of(folder: Path, lake: Path, audience: str, tables: dict[str, pl.DataFrame]) -> list[dict[str, Any]]:
    released(folder, lake, audience, tables)
    return lines(folder)


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())  # type: ignore[no-any-return]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


# Lines


def made_lines(folder: Path, talk: pl.DataFrame, reasoning: pl.DataFrame) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    write_conversations(folder, talk.lazy(), reasoning.lazy(), corpus()["scene_context"].lazy())
    return [
        json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().split(b"\n") if line
    ]


anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything, anything, anything, anything)
def test_a_line_is_json_whatever_is_said(tmp_path: Path, system: str, asked: str, told: str, thought: str) -> None:
    turn = pl.lit([{"task": "phase_recognition", "question": asked, "answer": told}], earlier_type())
    talk = corpus()["conversations"].with_columns(
        system=pl.lit(system), question=pl.lit(asked), answer_text=pl.lit(told), earlier=turn
    )
    for line in made_lines(tmp_path, talk, corpus()["reasoning"].with_columns(perception=pl.lit(thought))):
        said = [turn["value"] for turn in line["conversations"]]
        assert said[:4] == [system, f"<image>\n{asked}", told, asked]
        assert said[4].startswith(f"<think>\n{thought}\n")
        assert said[4].endswith(f"</think>\n<answer>{told}</answer>")


def earlier_type() -> pl.DataType:
    return corpus()["conversations"].schema["earlier"]


def test_turns_are_told_in_order_and_the_thought_comes_with_the_last(tmp_path: Path) -> None:
    talk = corpus()["conversations"].with_row_index("n")
    turns = [
        [{"task": "t", "question": f"q{k}", "answer": f"a{k}"} for k in range(n % 3)] for n in range(talk.height)
    ]  # fmt: skip
    media = [[row[0], row[0] | {"kind": "clip"}] for row in talk["media"].to_list()]
    talk = talk.drop("n").with_columns(
        pl.Series("earlier", turns, earlier_type()), pl.Series("media", media, talk.schema["media"])
    )
    rows = {row["conversation_id"]: row for row in talk.to_dicts()}
    found = made_lines(tmp_path, talk, corpus()["reasoning"])
    for line in found:
        row = rows[line["id"]]
        said = [(turn["from"], turn["value"]) for turn in line["conversations"]]
        asked = [*(turn["question"] for turn in row["earlier"]), row["question"]]
        told = [turn["answer"] for turn in row["earlier"]]
        assert said[0] == ("system", row["system"])
        assert [text for role, text in said if role == "human"] == [f"<image>\n<video>\n{asked[0]}", *asked[1:]]
        assert [text for role, text in said if role == "gpt"][:-1] == told
        assert "<think>" in said[-1][1]
        assert len(line["media"]) == 2


def test_neither_shards_nor_stretches_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    talk, reasoning = corpus()["conversations"], corpus()["reasoning"]
    made_lines(tmp_path / "whole", talk, reasoning)
    for number, part in enumerate(talk.sample(fraction=1.0, shuffle=True, seed=1).iter_slices(4)):
        part.write_parquet(tmp_path / f"{number}.parquet")
    monkeypatch.setattr(sharegpt, "_ROWS_AT_ONCE", 5)
    (tmp_path / "parts").mkdir()
    write_conversations(
        tmp_path / "parts", pl.scan_parquet(tmp_path / "*.parquet"), reasoning.lazy(),
        corpus()["scene_context"].lazy(),
    )  # fmt: skip
    for file in (tmp_path / "whole").glob("*.jsonl"):
        assert file.read_bytes() == (tmp_path / "parts" / file.name).read_bytes()


def test_only_what_was_drawn_is_released(lake: Path, tmp_path: Path) -> None:
    kept = corpus()["conversations"].filter(pl.col("task") == "phase_recognition").select("conversation_id")
    write_release(
        tmp_path / "out", corpus()["conversations"].lazy(), corpus()["reasoning"].lazy(),
        corpus()["scene_context"].lazy(), corpus()["sources"], corpus()["videos"],
        lambda source, root, path: lake / path,
        audience="internal", build={}, kept_ids=kept.lazy(),
    )  # fmt: skip
    assert {line["id"] for line in lines(tmp_path / "out")} == set(kept["conversation_id"])


def test_a_video_whose_own_licence_forbids_it_is_in_no_public_release(lake: Path, tmp_path: Path) -> None:
    closed = pl.col("video_id") == "cholect50/VID01"
    videos = corpus()["videos"].with_columns(own_licence_allows=~closed, licence=pl.lit("youtube"))
    tables = corpus() | {"videos": videos}
    assert any("/cholect50/VID01/" in line["id"] for line in lines_of(tmp_path / "home", lake, "internal", tables))
    told = lines_of(tmp_path / "out", lake, "public", tables)
    assert told
    assert not any("VID01" in json.dumps(line) for line in told)
    assert not list((tmp_path / "out").rglob("*VID01*"))
    held = manifest(tmp_path / "out")["held_back"]
    assert held["cholect50/VID01"] == "no right to release it by its licence, youtube"


def test_whom_a_licence_asks_to_name_is_named_in_the_manifest(tmp_path: Path, lake: Path) -> None:
    name = "A gallbladder, OR channel, https://example.org/watch?v=1"
    videos = corpus()["videos"].with_columns(attribution=pl.lit(name), licence=pl.lit("CC-BY-4.0"))
    released(tmp_path / "out", lake, tables=corpus() | {"videos": videos})
    told = manifest(tmp_path / "out")["attributions"]
    assert {row["attribution"] for row in told} == {name}
    assert len(told) == len({row["video_id"] for row in told})


def test_a_release_says_its_units(lake: Path, tmp_path: Path) -> None:
    write_release(
        tmp_path / "out", corpus()["conversations"].lazy(), corpus()["reasoning"].lazy(),
        corpus()["scene_context"].lazy(), corpus()["sources"], corpus()["videos"],
        lambda source, root, path: lake / path,
        audience="internal", build={}, boxes="thousand",
    )  # fmt: skip
    assert manifest(tmp_path / "out")["boxes"] == "thousand"
    (line,) = [line for line in lines(tmp_path / "out") if line["id"].startswith("instrument_localization/open/")]
    assert line["conversations"][-1]["value"].count("grasper (100,100),(300,300)") == 2


# Who may have what


def test_a_public_release_leaves_out_what_has_no_grant_and_says_so(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = released(out, lake)
    assert (
        found.held_back == manifest(out)["held_back"] == {"ours": "no grant to release it (consent: internal research)"}
    )
    assert {line["source"] for line in lines(out)} == {"cholect50", "endoscapes"}
    assert manifest(out)["notice"] == ""
    assert not [path for path in contents(out) if "ours" in path]
    rest = {path: data for path, data in contents(out).items() if path != "manifest.json"}
    assert not [path for path, data in rest.items() if b"ours/" in data]
    assert [row["source"] for row in manifest(out)["sources"]] == ["cholect50", "endoscapes"]


def test_an_internal_release_holds_everything_and_says_that_it_must_not_leave(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = released(out, lake, "internal")
    assert found.held_back == {}
    assert {line["source"] for line in lines(out)} == {"cholect50", "endoscapes", "ours"}
    assert "must not leave" in manifest(out)["notice"]


def test_a_licence_without_derivatives_is_held_back_from_the_public_alone() -> None:
    sources = table("sources", source_row("a"), source_row("b", no_derivatives=True, licence="CC-BY-ND-4.0"))
    assert released_sources(sources, "public") == (["a"], {"b": "CC-BY-ND-4.0 allows no derivatives"})
    assert released_sources(sources, "internal") == (["a", "b"], {})


def test_a_slip_in_the_audience_opens_nothing(lake: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Public"):
        released(tmp_path / "out", lake, "Public")
    assert not (tmp_path / "out").exists()


def test_a_conversation_whose_reasoning_failed_does_not_leave(lake: Path, tmp_path: Path) -> None:
    first = corpus()["conversations"]["conversation_id"][0]
    failed = (
        pl.when(pl.col("conversation_id") == first).then(pl.lit("rejected")).otherwise(pl.col("status").cast(pl.String))
    )
    talk = corpus()["conversations"].with_columns(status=failed)
    found = released(tmp_path / "out", lake, "internal", corpus() | {"conversations": talk})
    assert found.conversations == talk.height - 1
    assert first not in {line["id"] for line in lines(tmp_path / "out")}


# What a trainer reads


def test_every_line_is_a_question_a_thought_and_an_answer(lake: Path, tmp_path: Path) -> None:
    released(tmp_path / "out", lake, "internal")
    thoughts = {row["reasoning_id"]: row for row in corpus()["reasoning"].to_dicts()}
    talk = {row["conversation_id"]: row for row in corpus()["conversations"].to_dicts()}
    found = lines(tmp_path / "out")
    assert {line["id"] for line in found} == set(talk)
    for line in found:
        row = talk[line["id"]]
        assert [turn["from"] for turn in line["conversations"]] == ["system", "human", "gpt"]
        assert line["conversations"][1]["value"] == "<image>\n" + row["question"]
        match = re.fullmatch(
            r"<think>\n(.+)\n</think>\n<answer>(.+)</answer>", line["conversations"][2]["value"], re.DOTALL
        )
        assert match
        thought = thoughts[row["reasoning_id"]]
        assert match[1].split("\n") == [thought["perception"], thought["relation"], thought["context"]]
        assert match[2] == row["answer_text"]
        assert json.loads(line["answer"])


def test_every_picture_of_a_line_is_in_the_folder_under_a_relative_path(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = released(out, lake, "internal")
    shown = corpus()["frames"].select("frame_id", "image_path")
    by_frame = dict(shown.iter_rows())
    images = set()
    for line in lines(out):
        (image,) = line["media"]
        assert not Path(image).is_absolute()
        assert ".." not in Path(image).parts
        frame = "/".join(line["id"].split("/")[2:])
        assert (out / image).read_bytes() == (lake / by_frame[frame]).read_bytes()
        images.add(image)
    assert found.media == len(images) == len(list((out / "media").rglob("*.jpg")))


def test_a_line_is_in_the_file_of_its_split_and_parquet_says_the_same(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = released(out, lake, "internal")
    assert sum(manifest(out)["conversations"].values()) == found.conversations == corpus()["conversations"].height
    for split, n in manifest(out)["conversations"].items():
        if n == 0:  # trainers stumble over empty files
            assert not list((out / "conversations").glob(f"{split}.*"))
            continue
        of_split = [json.loads(line) for line in (out / "conversations" / f"{split}.jsonl").read_text().splitlines()]
        assert {line["split"] for line in of_split} <= {split}
        assert len(of_split) == n
        assert pl.read_parquet(out / "conversations" / f"{split}.parquet").to_dicts() == of_split
    assert sum(row["conversations"] for row in manifest(out)["counts"]) == found.conversations


def test_images_that_a_source_ships_keep_their_own_path(lake: Path, tmp_path: Path) -> None:
    talk = corpus()["conversations"].filter(pl.col("source") == "endoscapes")
    media = [[one | {"root": "source", "path": "train/170_4250.jpg"} for one in row] for row in talk["media"].to_list()]
    shipped = lake / "train" / "170_4250.jpg"
    shipped.parent.mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "elsewhere.jpg")
    shipped.symlink_to(tmp_path / "elsewhere.jpg")
    tables = corpus() | {"conversations": talk.with_columns(pl.Series("media", media, talk.schema["media"]))}
    released(tmp_path / "out", lake, tables=tables)
    picture = tmp_path / "out" / "media" / "endoscapes" / "train" / "170_4250.jpg"
    assert {line["media"][0] for line in lines(tmp_path / "out")} == {"media/endoscapes/train/170_4250.jpg"}
    assert picture.is_file()
    assert not picture.is_symlink()


# The folder as a whole


def test_the_manifest_lists_every_file_with_its_hash(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    released(out, lake)
    there = {path: hashlib.sha256(data).hexdigest() for path, data in contents(out).items() if path != "manifest.json"}
    assert manifest(out)["files"] == there
    assert manifest(out)["build"] == {"seed": 7}


def test_two_releases_of_the_same_tables_are_the_same_bytes(lake: Path, tmp_path: Path) -> None:
    released(tmp_path / "once", lake)
    backwards = {name: frame.reverse() for name, frame in corpus().items()}
    released(tmp_path / "again", lake, tables=backwards)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")


def test_a_new_release_takes_the_place_of_the_old_one_whole(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    released(out, lake, "internal")
    released(out, lake, "public")
    assert not (out / "media" / "ours").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "out"]


def test_a_release_that_fails_leaves_the_old_one_in_place(lake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    released(out, lake)
    before = contents(out)
    for path in (lake / "images").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(FileNotFoundError):
        released(out, lake)
    assert contents(out) == before


def test_a_release_of_nothing_is_a_release(lake: Path, tmp_path: Path) -> None:
    nothing = corpus() | {"conversations": corpus()["conversations"].clear()}
    assert released(tmp_path / "out", lake, tables=nothing).conversations == 0
    assert manifest(tmp_path / "out")["conversations"] == {"train": 0, "val": 0, "test": 0}


# Pictures


def test_a_box_is_drawn_where_the_label_says(tmp_path: Path) -> None:
    Image.new("RGB", (600, 300)).save(tmp_path / "black.png")
    image = drawn(tmp_path / "black.png", [{"x1": 200, "y1": 100, "x2": 400, "y2": 260, "name": ""}], 300)
    assert image.shape == (150, 300, 3)
    bright = np.argwhere(image.max(axis=2) > 100)
    assert bright.min(axis=0).tolist() == [50, 100]
    assert bright.max(axis=0).tolist() == [130, 200]


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"x\.jpg"):
        drawn(tmp_path / "x.jpg", [], 100)


def test_a_contact_sheet_is_small_and_shows_every_source(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 320, 3), np.uint8)
    (tmp_path / "noise.jpg").write_bytes(jpeg(noise, 95))
    frames = table("frames", *(frame_row(source, "v", k) for source, n in (("many", 40), ("few", 1)) for k in range(n)))
    asked: list[str] = []

    def resolve(source: str, root: str, path: str) -> Path:
        asked.append(source)
        return tmp_path / "noise.jpg"

    sheet = contact_sheet(frames, table("boxes"), concepts(), resolve)
    assert sheet is not None
    assert len(sheet) < 150_000
    assert len(asked) == 12
    assert set(asked) == {"many", "few"}
    assert cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR).shape == (630, 1216, 3)


def test_without_frames_there_is_no_sheet() -> None:
    assert contact_sheet(table("frames"), table("boxes"), concepts(), lambda *_: Path("x")) is None
