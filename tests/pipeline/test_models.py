"""A model of the user's, from `sources.yaml` to conversations that are marked as its pseudo-labels."""

import hashlib
import json
from pathlib import Path

import duckdb
import onnx
import pytest
from onnx import TensorProto, helper

from .conftest import built, surgsigma

pytestmark = pytest.mark.slow


def luminance(path: Path) -> str:
    """A real ONNX graph whose answer is the mean of the picture's channels; returns its hash."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["image"], ["depth"], axes=[1], keepdims=0)],
        "luminance",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 48])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 32, 48])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def configured(samples: Path, tmp_path: Path, sha256: str) -> Path:
    entry = {
        "task": "depth", "path": "depth.onnx", "sha256": sha256, "licence": "Apache-2.0", "input_width": 48,
        "input_height": 32,
    }  # fmt: skip
    source = {"name": "cholect50", "dataset": "cholect50", "root": str(samples / "CholecT50"), "licence": "CC0-1.0"}
    file = tmp_path / "sources.yaml"
    file.write_text(json.dumps({"sources": [source], "models": [entry], "model_every": 2}))
    return file


def test_what_a_model_makes_is_a_pseudo_label_to_the_last_row(samples: Path, tmp_path: Path) -> None:
    pinned = luminance(tmp_path / "depth.onnx")
    home = tmp_path / "home"
    assert built(configured(samples, tmp_path, pinned), home)["success"]
    with duckdb.connect(str(home / "surgsigma.duckdb"), read_only=True) as tables:
        images = tables.execute("SELECT DISTINCT origin, licence, parameters FROM dense_images WHERE kind = 'depth'")
        ((origin, licence, parameters),) = images.fetchall()
        talk = "SELECT count(*), count(DISTINCT licence), any_value(licence), any_value(answer) FROM conversations"
        n, one, named, answer = tables.execute(f"{talk} WHERE task = 'depth_estimation'").fetchall()[0]
    assert (origin, licence, json.loads(parameters)["sha256"]) == ("model", "Apache-2.0", pinned)
    assert n > 10
    assert (one, named) == (1, "CC0-1.0 AND Apache-2.0")
    assert json.loads(answer)["origin"] == "model"


def test_another_file_than_the_pinned_one_is_not_asked(samples: Path, tmp_path: Path) -> None:
    luminance(tmp_path / "depth.onnx")
    sources = configured(samples, tmp_path, "0" * 64)
    said = surgsigma("build", "--sources", sources, "--home", tmp_path / "home", expect=1)
    assert f"{tmp_path / 'depth.onnx'}: expected sha256 {'0' * 64}, found " in said.stdout + said.stderr
