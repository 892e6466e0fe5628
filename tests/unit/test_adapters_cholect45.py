"""CholecT45: a column a triplet, named by the list in dict/, never by another list."""

import json
from pathlib import Path

import pytest

from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import aliases

from .native import LABELS, put, read, real, rules
from .native_cholec import cholect45, t45_names, t45_row

NAME = "cholect45"
FILE, NAMES = "triplet/VID01.txt", "dict/triplet.txt"


def test_triplets_are_named_and_every_instrument_is_seen_or_not(tmp_path: Path) -> None:
    cholect45(tmp_path)
    labels = read(NAME, tmp_path)
    columns = ["frame_index", "raw_instrument", "raw_verb", "raw_target", "locator"]
    assert sorted(labels["triplets"].select(columns).rows()) == [
        (1, "grasper", "grasp", "gallbladder", "line 2"),
        (1, "hook", "dissect", "gallbladder", "line 2"),
        (2, "grasper", "retract", "liver", "line 3"),
    ]
    assert labels["presences"].group_by("frame_index").len().sort("frame_index").rows() == [(0, 6), (1, 6), (2, 6)]
    seen = labels["presences"].filter("present").select("frame_index", "raw_value")
    assert sorted(seen.rows()) == [(1, "grasper"), (1, "hook"), (2, "grasper")]


def test_frames_are_the_seconds_that_their_names_say_and_copies_are_told(tmp_path: Path) -> None:
    cholect45(tmp_path)
    for name in ("000000.png", "000002.png", "000002 (1).png"):
        put(tmp_path, f"data/VID01/{name}", b"same")
    labels = read(NAME, tmp_path)
    assert labels["images"]["frame_index"].to_list() == [0, 2]
    assert rules(labels) == ["duplicate_download"]
    (video,) = adapters()[NAME].videos(tmp_path)
    assert (video.media, video.frame_rate, video.first_index) == ("images", 1.0, 0)
    assert video.label_files == (FILE, NAMES)


@real("cholect50")
def test_every_part_of_the_real_triplets_is_a_concept(tmp_path: Path) -> None:
    file = min((LABELS / "cholect50" / "labels").glob("*.json"))
    triplets = [name.split(",") for name in json.loads(file.read_text("utf-8"))["categories"]["triplet"].values()]
    parts = zip(("instrument", "verb", "target"), zip(*triplets, strict=True), strict=True)
    met = {(field, name) for field, names in parts for name in names}
    assert len(triplets) == 100
    put(tmp_path, FILE, t45_row(0, 94))
    put(tmp_path, NAMES, "".join(f"{i}:{','.join(name)}\n" for i, name in enumerate(triplets)))
    assert read(NAME, tmp_path)["triplets"].select("raw_instrument", "raw_verb").rows() == [("grasper", "null_verb")]
    assert met == set(aliases(NAME).select("field", "raw_value").iter_rows())


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        (FILE, t45_row(0) + t45_row(0), "line 2"),
        (FILE, t45_row(0).replace("\n", ",0\n"), "line 1"),
        (FILE, t45_row(0).replace(",0\n", ",2\n"), "line 1"),
        (NAMES, t45_names().replace("7:grasper,grasp,", "7:grasper,"), "line 8"),
        (NAMES, t45_names().replace(":", ","), "line 1"),
        (NAMES, t45_names() + "100:hook,cut,liver\n", ""),
        (NAMES, t45_names().replace("\n8:", "\n9:"), ""),
        (NAMES, t45_names().replace("verb20,target20", "verb21,target21"), ""),
        (NAMES, t45_names().replace("94:grasper,null_verb,null_target", "94:hook,dissect,cystic_pedicle"), "line 95"),
    ],
    ids=[
        "frame twice",
        "column too many",
        "no binary",
        "part missing",
        "other list",
        "more ids",
        "id twice",
        "name twice",
        "names of CholMA",
    ],
)
def test_another_table_or_list_of_triplets_is_an_error(file: str, content: str, place: str, tmp_path: Path) -> None:
    cholect45(tmp_path)
    put(tmp_path, file, content)
    with pytest.raises(SourceError) as error:
        read(NAME, tmp_path)
    assert (error.value.file, error.value.place) == (file, place)


def test_a_missing_list_of_names_is_an_error_at_its_file(tmp_path: Path) -> None:
    cholect45(tmp_path)
    (tmp_path / NAMES).unlink()
    with pytest.raises(SourceError, match=r"dict/triplet\.txt: expected a readable file"):
        read(NAME, tmp_path)
