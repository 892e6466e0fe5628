"""Masks are exactly what sources annotate, depth is what they measure, in one form."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from surgsigma_dagster.schema.tables import LABELS
from surgsigma_dagster.sources.adapter import adapters
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.synthesis.depth import relative_depth
from surgsigma_dagster.synthesis.masks import class_image, instrument_mask, png, position
from surgsigma_dagster.vocabulary.harmonization import harmonize

from . import native_cholec, native_releases, native_robotic, native_specialties
from .made import known, table, video_row
from .native import put, read

WRITERS = {
    "cholecseg8k": native_cholec.cholecseg8k,
    "endovis2018": native_robotic.endovis2018,
    "endovis2017": native_robotic.endovis2017,
    "sar_rarp50": native_robotic.sar_rarp50,
    "phakir": native_cholec.phakir,
    "cholecinstanceseg": native_cholec.cholecinstanceseg,
    "kvasir_seg": native_specialties.kvasir_seg,
    "dsad": native_specialties.dsad,
    "autolaparo": native_specialties.autolaparo,
}


def unified(dataset: str, root: Path) -> dict[str, pl.DataFrame]:
    """Label tables of a source that its native writer put under `root`."""
    WRITERS[dataset](root)
    labels = read(dataset, root)
    videos = [one.video for one in adapters()[dataset].videos(root)]
    sourced = (pl.lit(dataset).alias("source"), pl.format(f"{dataset}/{{}}", "video").alias("video_id"))
    native = {kind: labels[kind].with_columns(*sourced) for kind in (*LABELS, "images", "rejects")}
    rows = (video_row(dataset, video, dataset, (854, 480)) for video in videos)
    return harmonize(native, table("videos", *rows), known(dataset, dataset))


def masks(dataset: str, root: Path) -> pl.DataFrame:
    return unified(dataset, root)["masks"]


def shown(file: Path, rows: pl.DataFrame, white: str) -> list[list[int]]:
    """The mask of one mask image, ones and zeros; `white` is what counts as an instrument."""
    pixels = class_image(file, rows["mask_value"].to_list())
    values = rows.filter(pl.col("concept_id").str.contains(white))["mask_value"].to_list()
    height, width = pixels.shape
    return (instrument_mask((width, height), [(pixels, values)]) // 255).tolist()


def test_grey_class_images_of_cholecseg8k(tmp_path: Path) -> None:
    rows = masks("cholecseg8k", tmp_path).filter(pl.col("frame_id").str.ends_with("000080"))
    assert shown(tmp_path / native_cholec.seg8k(80), rows, "^instrument/") == [[0, 0], [1, 1]]


def test_colour_class_images_of_endovis2018(tmp_path: Path) -> None:
    rows = masks("endovis2018", tmp_path)
    file = tmp_path / "release/seq_1/labels/frame000.png"
    assert shown(file, rows, "^instrument/") == [[0, 1], [0, 0]]
    assert shown(file, rows, "kidney") == [[0, 0], [1, 1]]


@pytest.mark.parametrize("dataset", [name for name in WRITERS if name != "cholecinstanceseg"])
def test_mask_images_of_every_dataset_hold_what_their_labels_name(dataset: str, tmp_path: Path) -> None:
    """Grey, palette, colour, JPEG: the labels do not say which, the values do."""
    rows = masks(dataset, tmp_path).drop_nulls("mask_path")
    assert rows.height
    for (path,), group in rows.group_by("mask_path"):
        pixels = class_image(tmp_path / str(path), group["mask_value"].to_list())
        for value in group["mask_value"]:
            assert instrument_mask(pixels.shape[::-1], [(pixels, [value])]).any()


def test_a_palette_image_is_read_by_colour_where_its_labels_name_colours(tmp_path: Path) -> None:
    image = Image.frombytes("P", (2, 2), bytes([0, 1, 1, 0]))
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.save(tmp_path / "mask.png")
    assert class_image(tmp_path / "mask.png", [1]).tolist() == [[0, 1], [1, 0]]
    assert class_image(tmp_path / "mask.png", [255]).tolist() == [[0, 255], [255, 0]]


def test_outlines_of_cholecinstanceseg_lie_where_they_are_drawn(tmp_path: Path) -> None:
    rows = masks("cholecinstanceseg", tmp_path)
    outlines = rows["polygon"].to_list()
    assert len(outlines) == 3
    mask = instrument_mask((854, 480), outlines)
    assert mask.shape == (480, 854)
    assert set(np.unique(mask)) == {0, 255}
    assert mask[2, 1] == mask[3, 29] == mask[6, 9] == 255
    assert mask[40, 1] == mask[1, 1] == mask[41, 30] == 0


@given(st.tuples(*[st.integers(0, 30)] * 2), st.tuples(*[st.integers(1, 30)] * 2))
def test_a_box_outline_is_its_pixels_with_its_rim(corner: tuple[int, int], extent: tuple[int, int]) -> None:
    (x, y), (w, h) = corner, extent
    mask = instrument_mask((64, 64), [[x, y, x + w, y, x + w, y + h, x, y + h]])
    expected = np.zeros((64, 64), np.uint8)
    expected[y : y + h + 1, x : x + w + 1] = 255
    assert (mask == expected).all()
    assert position(mask) == ((w + 1) * (h + 1), round(x + w / 2, 2), round(y + h / 2, 2), 1)


def test_outlines_that_overlap_add_up() -> None:
    square = [0, 0, 10, 0, 10, 10, 0, 10]
    assert (instrument_mask((20, 20), [square, square]) == instrument_mask((20, 20), [square])).all()
    assert position(instrument_mask((20, 20), [])) is None
    two = instrument_mask((40, 20), [square, [float(v) + 20 * (i % 2 == 0) for i, v in enumerate(square)]])
    assert position(two) == (242, 15.0, 5.0, 2)


@pytest.mark.parametrize("outline", [[0, 0, 30, 0, 30, 5], [-5, 0, 3, 0, 3, 5]])
def test_an_outline_of_a_larger_picture_is_an_error(outline: Sequence[float]) -> None:
    with pytest.raises(ValueError, match="inside 20x10 pixels is expected"):
        instrument_mask((20, 10), [outline])


def test_a_mask_image_that_is_not_what_its_labels_say_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "mask.png", native_cholec.picture([[50, 21], [31, 31]]))
    with pytest.raises(SourceError, match=r"mask\.png: expected pixels of the values 32, found 21, 31, 50"):
        class_image(tmp_path / "mask.png", [32])
    put(tmp_path, "torn.png", native_cholec.picture([[50, 21], [31, 31]])[:40])
    with pytest.raises(SourceError, match=r"torn\.png: expected an image that can be read"):
        class_image(tmp_path / "torn.png", [32])
    with pytest.raises(ValueError, match="a class image of 3x2 is expected, not 2x2"):
        instrument_mask((3, 2), [(class_image(tmp_path / "mask.png", [31]), [31])])


@given(arrays.arrays(np.uint16, (5, 7)))
def test_png_keeps_every_value(image: np.ndarray) -> None:
    again = cv2.imdecode(np.frombuffer(png(image), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (again == image).all()


# Depth


def scene_points(path: Path, z: np.ndarray) -> Path:
    """A point map as SCARED has it: x, y, z. OpenCV writes channels the other way round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0 : z.shape[0], 0 : z.shape[1]].astype(np.float32)
    assert cv2.imwrite(str(path), np.dstack([z, 1000 - y, 1000 - x]).astype(np.float32))
    return path


def test_depth_is_the_third_channel_of_the_file(tmp_path: Path) -> None:
    z = np.linspace(50, 150, 200, dtype=np.float32).reshape(10, 20)
    z[0, 0], z[0, 1], z[0, 2], z[0, 3] = np.nan, np.inf, 0, -1
    depth = relative_depth(scene_points(tmp_path / "left_depth_map.tiff", z), 2)
    assert depth.dtype == np.uint16
    assert depth[0, :4].tolist() == [0, 0, 0, 0]
    assert (depth.ravel()[4:] > 0).all()
    assert (np.diff(depth.ravel()[4:].astype(int)) >= 0).all()
    assert (depth.max(), depth.ravel()[4]) == (65535, 1)


def test_a_natively_written_scared_source_has_depth(tmp_path: Path) -> None:
    native_releases.scared(tmp_path)
    depths = read("scared", tmp_path)["depths"]
    for file, channel in depths.select("depth_file", "channel").iter_rows():
        depth = relative_depth(tmp_path / file, channel)
        assert depth.shape == (4, 6)
        assert (np.diff(depth.ravel()[1:].astype(int)) >= 0).all()


def test_channels_of_a_tiff_that_opencv_did_not_write_are_the_file_s(tmp_path: Path) -> None:
    """One row of two points (1, 2, 3) and (4, 5, 9), written byte by byte."""
    points = np.array([[1, 2, 3], [4, 5, 9]], "<f4").tobytes()
    tags = {256: 2, 257: 1, 258: 32, 259: 1, 262: 2, 273: 0, 277: 3, 278: 1, 279: len(points), 284: 1, 339: 3}
    after = 8 + 2 + 12 * len(tags) + 4
    triples = {258: after, 339: after + 6}  # three shorts each, behind the directory
    tags[273] = after + 12
    entries = b"".join(
        tag.to_bytes(2, "little") + (3).to_bytes(2, "little") + (3).to_bytes(4, "little")
        + triples[tag].to_bytes(4, "little")
        if tag in triples
        else tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, value in tags.items()
    )  # fmt: skip
    behind = b"".join(n.to_bytes(2, "little") for n in (32, 32, 32, 3, 3, 3))
    head = b"II*\x00" + (8).to_bytes(4, "little") + len(tags).to_bytes(2, "little")
    path = put(tmp_path, "points.tiff", head + entries + bytes(4) + behind + points)
    assert relative_depth(path, 2).tolist() == [[1, 65535]]
    assert relative_depth(path, 0).tolist() == [[1, 65535]]
    with pytest.raises(SourceError, match="expected one channel, or equal ones, found 3 that differ"):
        relative_depth(path, None)
    with pytest.raises(SourceError, match="channel 3: expected a channel from 0 to 2, found 3"):
        relative_depth(path, 3)


def test_integers_of_sixteen_bits_and_outliers(tmp_path: Path) -> None:
    depth = np.tile(np.arange(100, 200, dtype=np.uint16), (10, 1))
    depth[0, 0], depth[0, 1] = 60000, 0
    cv2.imwrite(str(tmp_path / "depth.png"), depth)
    relative = relative_depth(tmp_path / "depth.png", None)
    assert relative[0, 0] == 65535
    assert relative[0, 1] == 0
    assert abs(int(relative[5, 50]) - 32768) < 700  # one outlier does not flatten the rest


def test_files_without_depth_are_errors_that_name_them(tmp_path: Path) -> None:
    put(tmp_path, "torn.tiff", b"II*\x00")
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((4, 4), np.uint16))
    for name, said in (
        ("torn.tiff", "can be read, found none"),
        ("no.png", "no such file"),
        ("empty.png", "16 pixels without"),
    ):
        with pytest.raises(SourceError, match=said) as raised:
            relative_depth(tmp_path / name, None)
        assert raised.value.file.endswith(name)
