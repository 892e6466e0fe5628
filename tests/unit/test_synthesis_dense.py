"""All dense pictures of a video: which frames get which, whence they are, and what happens to bad files."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from surgsigma_dagster.samples import cholecystectomy
from surgsigma_dagster.samples.render import Image, render
from surgsigma_dagster.sources.config import ModelEntry
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.synthesis.dense import KINDS, DenseImages, dense_images
from surgsigma_dagster.synthesis.models import load, predict
from surgsigma_dagster.synthesis.smoke import Smoke, smoked

from .made import Row, table
from .native import put

SIZE = (160, 90)
VIDEO = {"video_id": "lab/v", "source": "lab"}


def frame(number: int, path: str | None = None, **more: Any) -> Row:
    usual = {"frame_id": f"lab/v/{number:06d}", "frame_index": number, "width": SIZE[0], "height": SIZE[1]}
    where = {"image_root": "lake", "image_path": path or "clear.png", "status": "available"}
    return {**VIDEO, **usual, **where, **more}


def label(number: int, name: str, concept: str | None = "instrument/hook", **more: Any) -> Row:
    usual = {"label_id": name, "frame_id": f"lab/v/{number:06d}", "concept_id": concept, "raw_value": "x", "n_rows": 1}
    return {**VIDEO, **usual, "file": "labels.json", "locator": "/0", **more}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn frame, whole and torn, a mask and depth: `lake` and `source` in one folder."""
    root = tmp_path_factory.mktemp("dense")
    clear = render(cholecystectomy.VIDEO51.at(5), *SIZE).image
    cv2.imwrite(str(root / "clear.png"), clear)
    cv2.imwrite(str(root / "clear.jpg"), clear)
    put(root, "torn.png", (root / "clear.png").read_bytes()[:500])
    classes = np.zeros((45, 80), np.uint8)
    classes[10:20, 30:40], classes[30:, :] = 31, 21
    cv2.imwrite(str(root / "classes.png"), classes)
    cv2.imwrite(str(root / "depth.png"), np.tile(np.arange(1, 161, dtype=np.uint16), (90, 1)))
    return root


def made(
    root: Path, folder: Path, frames: list[Row], masks: Sequence[Row] = (), depths: Sequence[Row] = (), **options: Any
) -> DenseImages:
    return dense_images(
        table("frames", *frames), table("masks", *masks), table("depths", *depths),
        **{"seed": 7, "resolve": lambda _, path: root / path, "folder": folder, **options},
    )  # fmt: skip


def picture(of: DenseImages, kind: str, number: int = 0) -> Any:
    (name,) = of.rows.filter(kind=kind, frame_id=f"lab/v/{number:06d}")["image_name"]
    return cv2.imread(str(of.files[name]), cv2.IMREAD_UNCHANGED)


def test_every_row_has_its_file_and_says_whence_it_is(root: Path, tmp_path: Path) -> None:
    masks = [label(0, "m", mask_path="classes.png", mask_value=31)]
    depths = [label(0, "d", None, depth_path="depth.png", unit="mm", origin="measured")]
    found = made(root, tmp_path, [frame(0)], masks, depths, smoke_every=1)
    rows = found.rows.to_dicts()
    assert [(row["kind"], row["origin"], row["label_ids"]) for row in rows] == [
        ("depth", "measured", ["d"]), ("instrument_mask", "annotated", ["m"]), ("smoke", "rendered", []),
    ]  # fmt: skip
    for row in rows:
        content = found.files[row["image_name"]].read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert row["rendition_id"] == f"lab/v/000000/{row['kind']}"
        assert (row["width"], row["height"], row["licence"]) == (*SIZE, None)
    assert {path.name for path in tmp_path.iterdir()} == set(found.files)


def test_a_smoked_picture_can_be_made_again_from_what_is_kept(root: Path, tmp_path: Path) -> None:
    found = made(root, tmp_path, [frame(0)], smoke_every=1)
    kept = json.loads(found.rows["parameters"][0])
    smoke = Smoke(**{**{name: kept[name] for name in Smoke.__dataclass_fields__}, "light": tuple(kept["light"])})
    assert (picture(found, "smoke") == smoked(cv2.imread(str(root / "clear.png")), smoke)).all()
    assert kept["haziness"] > kept["haziness_before"]


def test_which_frames_get_smoke_does_not_change_when_frames_are_added(root: Path, tmp_path: Path) -> None:
    few, more = (made(root, tmp_path / str(n), [frame(i) for i in range(n)]).rows for n in (20, 40))
    assert few.equals(more.filter(pl.col("frame_id") < "lab/v/000020"))
    assert 0 < few.height < 20 < 20 + more.height
    assert more.height > few.height
    other = made(root, tmp_path / "other", [frame(i) for i in range(20)], seed=8).rows
    assert other["frame_id"].to_list() != few["frame_id"].to_list()


def test_hazy_frames_and_those_that_labels_call_smoky_get_no_smoke(root: Path, tmp_path: Path) -> None:
    frames = [frame(0), frame(1), frame(2, status="quarantined")]
    found = made(root, tmp_path / "a", frames, smoke_every=1, not_clear={"lab/v/000000"})
    assert found.rows["frame_id"].to_list() == ["lab/v/000001"]
    assert made(root, tmp_path / "b", frames, smoke_every=1, clear_below=0.05).rows.is_empty()


def test_a_lossless_frame_gets_a_lossless_partner(root: Path, tmp_path: Path) -> None:
    found = made(root, tmp_path, [frame(0), frame(1, "clear.jpg")], smoke_every=1)
    assert found.rows["image_name"].to_list() == ["000000_smoke.png", "000001_smoke.jpg"]


def test_instruments_are_white_and_tissue_and_thread_are_not(root: Path, tmp_path: Path) -> None:
    masks = [
        label(0, "a", mask_path="classes.png", mask_value=31),
        label(0, "b", "tissue/liver", mask_path="classes.png", mask_value=21),
        label(0, "c", "instrument/grasper", polygon=[100, 50, 120, 50, 120, 70, 100, 70], instance="grasper 1"),
        label(0, "d", "instrument/suture_thread", polygon=[0, 0, 9, 0, 9, 9]),
        label(1, "e", "tissue/liver", mask_path="classes.png", mask_value=21),
    ]
    found = made(root, tmp_path, [frame(0), frame(1)], masks, smoke_every=1000)
    expected = np.zeros((90, 160), np.uint8)
    expected[20:40, 60:80] = expected[50:71, 100:121] = 255
    assert (picture(found, "instrument_mask") == expected).all()
    (row,) = found.rows.to_dicts()
    assert row["label_ids"] == ["a", "c"]
    assert json.loads(row["parameters"]) == {
        "fitted": "resized from 80x45 by nearest neighbour", "white": ["instrument/grasper", "instrument/hook"],
    }  # fmt: skip
    assert found.positions.select("concept_id", "instance", "area", "x", "y", "n_parts", "label_ids").rows() == [
        ("instrument/grasper", "grasper 1", 441, 110.0, 60.0, 1, ["c"]),
        ("instrument/hook", None, 400, 69.5, 29.5, 1, ["a"]),
    ]


def test_point_maps_of_both_eyes_give_the_left_eye_s_depth(root: Path, tmp_path: Path) -> None:
    points = np.zeros((180, 160, 3), np.float32)
    points[:90, :, 0], points[90:, :, 0] = np.arange(1, 161), 7  # OpenCV's channel 0 is the file's 2
    cv2.imwrite(str(root / "points.tiff"), points)
    depths = [label(0, "d", None, depth_path="points.tiff", channel=2, unit="mm", origin="measured")]
    found = made(root, tmp_path, [frame(0)], depths=depths, smoke_every=1000)
    assert found.rejects.is_empty()
    plain = made(
        root, tmp_path / "plain", [frame(0)], depths=[{**depths[0], "depth_path": "depth.png", "channel": None}]
    )
    assert np.array_equal(picture(found, "depth"), picture(plain, "depth"))


def test_measured_depth_comes_before_a_models(root: Path, tmp_path: Path) -> None:
    usual = {"depth_path": "depth.png", "unit": "relative"}
    depths = [label(0, "a", None, origin="model", **usual), label(0, "b", None, origin="measured", **usual)]
    found = made(root, tmp_path, [frame(0)], depths=depths, smoke_every=1000)
    assert found.rows.select("origin", "label_ids").row(0) == ("measured", ["b"])


def test_bad_files_are_rejected_one_by_one_and_the_rest_goes_on(root: Path, tmp_path: Path) -> None:
    masks = [
        label(0, "a", mask_path="classes.png", mask_value=99),
        label(1, "b", polygon=[0, 0, 400, 0, 400, 5]),
        label(2, "c", polygon=[0, 0, 40, 0, 40, 5]),
        label(3, "d", mask_path="classes.png", mask_value=31),
    ]
    depths = [label(0, "d", None, depth_path="gone.tiff", unit="mm", origin="measured")]
    frames = [frame(0, "torn.png"), frame(1, "gone.png"), frame(2), frame(3, height=160)]
    found = made(root, tmp_path, frames, masks, depths, smoke_every=1)
    assert set(found.rows["rendition_id"]) == {
        "lab/v/000002/instrument_mask", "lab/v/000002/smoke", "lab/v/000003/smoke",
    }  # fmt: skip
    said = found.rejects.sort("rule", "locator").select("rule", "file", "reason").rows()
    assert said == [
        ("unusable_for_depth", "gone.tiff", "Expected a depth image that can be read, found no such file."),
        ("unusable_for_instrument_mask", "classes.png", "Expected pixels of the values 99, found 0, 21, 31."),
        ("unusable_for_instrument_mask", "labels.json",
         "An outline inside 160x90 pixels is expected, it spans 0, 0, 400, 5."),
        ("unusable_for_instrument_mask", "classes.png", "A picture of 160x160 is expected, found 80x45."),
        ("unusable_for_smoke", "torn.png", "Expected a picture that can be read, found none."),
        ("unusable_for_smoke", "gone.png", "Expected a picture that can be read, found no such file."),
    ]  # fmt: skip
    assert set(found.rejects["stage"]) == {"synthesis"}
    assert set(found.rejects["n_rows"]) == {0}


def test_a_video_without_frames_has_no_pictures(root: Path, tmp_path: Path) -> None:
    found = made(root, tmp_path, [frame(0, status="absent")])
    assert found.rows.is_empty()
    assert found.rejects.is_empty()
    assert found.rows.schema["kind"] == pl.Enum(KINDS)


# A user's own models


def model(path: Path, *nodes: Any, channels: int = 1, width: int = 40, height: int = 30) -> Path:
    """An ONNX file of `nodes` that turn `image` into `answer`."""
    shown = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, channels, height, width])
    graph = helper.make_graph(list(nodes), "test", [shown], [answer])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString())
    return path


def luminance(path: Path) -> Path:
    """Brighter is nearer, as in an endoscope whose lamp is at the camera: the mean of the channels."""
    return model(path, helper.make_node("ReduceMean", ["image"], ["answer"], axes=[1], keepdims=1))


def entry(path: Path, **more: Any) -> ModelEntry:
    usual = {"task": "depth", "licence": "CC0-1.0", "input_width": 40, "input_height": 30}
    plain = {"mean": (0, 0, 0), "std": (1, 1, 1), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return ModelEntry(**{**usual, **plain, "path": path, **more})


@pytest.fixture
def halves() -> Image:
    """Left half white, right half pure red, in blue, green, red."""
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, :40], image[:, 40:] = 255, (0, 0, 255)
    return image


def test_a_depth_model_runs_and_larger_is_nearer(tmp_path: Path, halves: Image) -> None:
    path = luminance(tmp_path / "m.onnx")
    depth = predict(load(entry(path)), halves)
    assert (depth.dtype, depth.shape) == (np.uint16, (60, 80))
    assert (depth[30, 10], depth[30, 70]) == (1, 65535)
    turned = predict(load(entry(path, larger_is="farther")), halves)
    assert (turned[30, 10], turned[30, 70]) == (65535, 1)


def test_a_mask_model_with_one_score_or_one_a_class(tmp_path: Path, halves: Image) -> None:
    path = luminance(tmp_path / "score.onnx")
    mask = predict(load(entry(path, task="instrument_mask", threshold=0.9)), halves)
    assert (mask[30, 10], mask[30, 70], mask.dtype) == (255, 0, np.uint8)
    # Colours as classes: red is class 0, green 1, blue 2. In pure red, class 0 is the highest.
    path = model(tmp_path / "classes.onnx", helper.make_node("Identity", ["image"], ["answer"]), channels=3)
    mask = predict(load(entry(path, task="instrument_mask", instrument_classes=(0,))), halves[:, 40:])
    assert (mask == 255).all()
    mask = predict(load(entry(path, task="instrument_mask", instrument_classes=(1, 2))), halves[:, 40:])
    assert (mask == 0).all()


def test_pictures_go_in_normalised_and_red_first(tmp_path: Path, halves: Image) -> None:
    path = model(tmp_path / "c.onnx", helper.make_node("Identity", ["image"], ["answer"]), channels=3)
    tight = entry(path, task="instrument_mask", instrument_classes=(2,), mean=(1, 0, -0.5), std=(0.5, 1, 1))
    assert (predict(load(tight), halves[:, 40:]) == 255).all()  # (1 - 1) / 0.5, 0 and 0 + 0.5


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    pinned = entry(luminance(tmp_path / "m.onnx"))
    with (tmp_path / "m.onnx").open("ab") as file:
        file.write(b" ")
    with pytest.raises(SourceError, match=rf"m\.onnx: expected sha256 {pinned.sha256}, found [0-9a-f]{{64}}"):
        load(pinned)
    (tmp_path / "m.onnx").unlink()
    with pytest.raises(SourceError, match="expected a model file, found FileNotFoundError"):
        load(pinned)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"task": "depth"}, "expected one depth a pixel, found 3 values a pixel"),
        ({"task": "instrument_mask"}, "expected one score a pixel, or instrument_classes, found 3"),
        ({"task": "instrument_mask", "instrument_classes": (3,)}, "expected class 3, found 3 classes"),
        ({"task": "depth", "input_width": 41}, "expected a model of 41x30 input"),
    ],
)
def test_a_model_that_does_not_answer_as_its_entry_says_is_refused_at_once(
    more: Row, said: str, tmp_path: Path
) -> None:
    path = model(tmp_path / "c.onnx", helper.make_node("Identity", ["image"], ["answer"]), channels=3)
    with pytest.raises(SourceError, match=said):
        load(entry(path, **more))


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="an ONNX model in one file"):
        load(entry(put(tmp_path, "m.onnx", b"not a model")))


def test_weights_that_the_hash_does_not_cover_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = numpy_helper.from_array(np.ones((1, 3, 30, 40), np.float32), "weights")
    shown, answer = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 30, 40]) for name in ("i", "o"))
    graph = helper.make_graph([helper.make_node("Mul", ["i", "weights"], ["o"])], "g", [shown], [answer], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "m.onnx"
    onnx.save_model(made, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    monkeypatch.chdir(tmp_path)  # where onnxruntime would find them
    with pytest.raises(SourceError, match="expected an ONNX model in one file"):
        load(entry(path, task="instrument_mask", instrument_classes=(0,)))


@pytest.mark.parametrize("more", [{"sha256": "abc"}, {"licence": ""}, {"std": (1, 0, 1)}, {"weights": "m.bin"}])
def test_an_entry_says_what_is_needed(more: Row, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        entry(luminance(tmp_path / "m.onnx"), **more)


def test_models_answer_where_sources_do_not_and_are_marked(root: Path, tmp_path: Path) -> None:
    loaded = load(entry(luminance(tmp_path / "m.onnx")))
    depths = [label(0, "d", None, depth_path="depth.png", unit="mm", origin="measured")]
    frames = [frame(0), frame(1), frame(2, "torn.png")]
    options = {"depths": depths, "models": {"depth": loaded}, "smoke_every": 1000, "model_every": 1}
    found, again = (made(root, tmp_path / name, frames, **options) for name in "ab")
    assert found.rows.select("frame_id", "origin", "licence").rows() == [
        ("lab/v/000000", "measured", None), ("lab/v/000001", "model", "CC0-1.0"),
    ]  # fmt: skip
    kept = json.loads(found.rows["parameters"][1])
    assert kept["sha256"] == loaded.entry.sha256
    assert "path" not in kept
    assert found.rejects.select("rule", "locator").rows() == [("unusable_for_depth", "lab/v/000002")]
    assert found.rows.equals(again.rows)
