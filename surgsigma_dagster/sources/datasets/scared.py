"""SCARED: depth of porcine abdominal anatomy, measured with structured light, as stereo video."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import polars as pl

from surgsigma_dagster.sources.accounting import WHOLE_FILE
from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import footage, matching, reject

FRAME_RATE = 25.0
POINTS = "data/scene_points"
ARCHIVE = f"{POINTS}.tar.gz"
KEYFRAME = r"(dataset_\d+/keyframe_\d+)"
TIFF = (b"II*\x00", b"MM\x00*")
Z = 2  # of the channels x, y, z


class Scared(Adapter):
    """`dataset_X/keyframe_Y/`: `left_depth_map.tiff` of the keyframe, `data/rgb.mp4` and a point map for each frame.

    Each `data/scene_points/scene_points%06d.tiff` is a file as a whole, counted in `depths`: x, y, z in millimetres
    from the left camera, of which z is depth; its number is the frame of rgb.mp4. Without point maps,
    left_depth_map.tiff is the depth of frame 0. The video is stacked stereo; depth and frames are those of the left
    eye, its upper half. The first point map of a keyframe is opened and must have three channels of 32 bit floats; the
    others must be TIFF files. The clock is nominal, since frames have numbers, not times; point clouds and calibration
    are not read.
    """

    name = "scared"
    title = "SCARED"
    specialty = "General"
    procedure_type = "procedure/porcine_robotic_surgery"
    licence = Licence("challenge registration", redistribution=False)
    citation = "Allan et al., Stereo Correspondence and Reconstruction of Endoscopic Data, 2021, arXiv:2101.01133"
    url = "https://endovissub2019-scared.grand-challenge.org"
    format_source = "users' reports"
    yields = ("depths",)
    signature = ("dataset_*/keyframe_*/left_depth_map.tiff", f"dataset_*/keyframe_*/{POINTS}*")

    def videos(self, root: Path) -> list[NativeVideo]:
        """Keyframes, e.g. dataset_1_keyframe_2; those of one dataset are of one animal, so one procedure."""
        globs = [f"dataset_*/keyframe_*/{POINTS}/scene_points*.tiff", "dataset_*/keyframe_*/left_depth_map.tiff"]
        labels = matching(root, [*globs, f"dataset_*/keyframe_*/{ARCHIVE}"], rf"{KEYFRAME}/.+")
        media = footage(root, ["dataset_*/keyframe_*/data/rgb"], rf"{KEYFRAME}/data/rgb")
        found = self.listed(root, [labels], media, "video", FRAME_RATE)
        named = [
            replace(one, video=one.video.replace("/", "_"), patient=one.video.split("/")[0], left_eye_above=True)
            for one in found
        ]
        return sorted(named, key=lambda one: one.video)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Depth of each frame."""
        return NativeLabels.concat(part for video in videos for part in _records(root, video))


def _records(root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
    points = [file for file in video.label_files if f"/{POINTS}/" in file]
    keyframe = [file for file in video.label_files if file.endswith("/left_depth_map.tiff")]
    packed = [file for file in video.label_files if file.endswith(ARCHIVE)]
    if packed and not points:
        raise SourceError(packed[0], "", f"the folder {POINTS}", "it is still packed: unpack it beside the archive")
    files = points or keyframe
    if not files:
        return
    channels = _channels(root, files[0])
    if channels not in (1, 3) or (points and channels != 3):
        raise SourceError(files[0], "", "x, y, z as 32 bit floats", f"{channels} channels")
    number = pl.col("file").str.extract(r"scene_points(\d{6})\.tiff$").cast(pl.Int64)
    rows = pl.DataFrame({"file": files, "is_tiff": [_is_tiff(root / file) for file in files]}).with_columns(
        video=pl.lit(video.video),
        frame_index=number if points else pl.lit(0, pl.Int64),
        depth_file="file",
        channel=pl.lit(Z if channels == 3 else None, pl.Int64),
        unit=pl.lit("mm"),
        origin=pl.lit("measured"),
        locator=pl.lit(WHOLE_FILE),
        n_rows=pl.lit(1, pl.Int64),
    )
    rows, misnamed = reject(rows, pl.col("frame_index").is_null(), "no_frame_number", "scene_points%06d.tiff names it.")
    rows, broken = reject(rows, ~pl.col("is_tiff"), "not_a_tiff", "The file does not begin as a TIFF does.")
    yield {"depths": rows, "rejects": pl.concat([misnamed, broken])}


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF


def _channels(root: Path, file: str) -> int:
    image = cv2.imread(str(root / file), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype.name != "float32":
        raise SourceError(file, "", "a TIFF of 32 bit floats", "no such image" if image is None else image.dtype.name)
    return 1 if image.ndim == 2 else int(image.shape[2])


ADAPTER = Scared()
