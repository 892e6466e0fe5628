"""What the domain tests are made of: numbered footage, native records, tables, and one small clean corpus."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from hypothesis import strategies as st

from surgsigma_dagster.context.scene import scene_context
from surgsigma_dagster.context.words import in_words
from surgsigma_dagster.dialogue.engine import instantiate
from surgsigma_dagster.dialogue.media import with_media
from surgsigma_dagster.dialogue.pools import with_pools
from surgsigma_dagster.dialogue.sampling import Sampling, counted, default_sampling, effect, sampled
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.identity.procedures import procedure_of, split_of
from surgsigma_dagster.reasoning.grounded import chains
from surgsigma_dagster.reasoning.verifier import verify
from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.stages import STAGE_TABLES
from surgsigma_dagster.schema.tables import LABELS, TABLES, conform, empty
from surgsigma_dagster.sources.adapter import NativeVideo
from surgsigma_dagster.video.binary import binary
from surgsigma_dagster.vocabulary.concepts import aliases, concepts
from surgsigma_dagster.vocabulary.harmonization import harmonize

Row = dict[str, Any]
WIDTH, HEIGHT, BLOCK, N_BITS = 144, 32, 16, 9
LIT = 1 << N_BITS - 1  # always lit: a frame that is dark all over would be blank
CHOLECYSTECTOMY = "procedure/cholecystectomy"

# Footage: every frame shows its own number, as eight bright or dark blocks.


def footage(path: Path, n: int, *options: str, fps: int = 25, keep: str = "1") -> Path:
    """H.264 of frames 0 … n - 1; `keep` selects frames by `n` and leaves them their time."""
    numbers = (np.arange(n) | LIT)[:, None] >> np.arange(N_BITS) & 1
    row = np.repeat(numbers * 220 + 16, BLOCK, axis=1).astype(np.uint8)
    raw = np.repeat(row[:, None, :], HEIGHT, axis=1)
    command = [
        binary("ffmpeg"), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}",
        "-r", str(fps), "-i", "pipe:", "-vf", f"select='{keep}'", "-fps_mode", "passthrough", "-c:v", "libx264",
        "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-threads", "1", *options, f"file:{path}",
    ]  # fmt: skip
    subprocess.run(command, input=raw.tobytes(), check=True)
    return path


def remuxed(video: Path, path: Path, *options: str, before: Sequence[str] = ()) -> Path:
    command = [binary("ffmpeg"), "-v", "error", "-y", *before, "-i", f"file:{video}", "-c", "copy", *options]
    subprocess.run([*command, f"file:{path}"], check=True)
    return path


def packed(video: Path, path: Path) -> Path:
    """An AVI of MPEG-4 with one B-frame between two others, as DivX packs it: a chunk of both, then an empty one."""
    data, end = video.read_bytes(), b"\0\0\1\xb6"
    start = data.index(b"movi") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "little") - 4
    chunks, at = [], start
    while at < start + size:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append(data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    bidirectional = [chunk[chunk.index(end) + 4] >> 6 == 2 for chunk in chunks]
    assert any(bidirectional)
    for number in [number for number, is_b in enumerate(bidirectional) if is_b]:
        chunks[number - 1] += chunks[number]
        chunks[number] = end + b"\x51\x7f"  # a frame that is not coded
    chunks[0] = chunks[0].replace(end, b"\0\0\1\xb2DivX503b1393p" + end, 1)
    body = b"movi" + b"".join(b"00dc" + len(c).to_bytes(4, "little") + c + b"\0" * (len(c) % 2) for c in chunks)
    whole = data[12 : start - 12] + b"LIST" + len(body).to_bytes(4, "little") + body
    path.write_bytes(b"RIFF" + (len(whole) + 4).to_bytes(4, "little") + b"AVI " + whole)
    return path


def number_in(image: np.ndarray) -> int:
    blocks = image.reshape(HEIGHT, N_BITS, BLOCK).mean(axis=(0, 2)) > 128
    return int((blocks << np.arange(N_BITS)).sum()) & ~LIT


def number_in_file(path: Path) -> int:
    return number_in(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))


def shown_in(folder: Path) -> list[int]:
    """The numbers that the JPEGs of a folder show, in the order of their names."""
    return [number_in_file(path) for path in sorted(folder.glob("*.jpg"))]


def presented(video: Path) -> list[tuple[int, float]]:
    """What a player shows, by decoding everything: number and seconds from the first frame, a frame each."""
    decode = [binary("ffmpeg"), "-v", "error", "-i", f"file:{video}", "-fps_mode", "passthrough"]
    raw = subprocess.run([*decode, "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True)
    ask = [
        binary("ffprobe"),
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=p=0",
    ]
    said = subprocess.run([*ask, f"file:{video}"], capture_output=True, check=True, text=True)
    stated = [line.split(",")[0] for line in said.stdout.split()]
    # AVI and MPEG-PS state not every time: footage in them is of 25 frames a second.
    pts = [number / 25 for number in range(len(stated))] if "N/A" in stated else [float(at) for at in stated]
    images = np.frombuffer(raw.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH)
    return [(number_in(image), at - pts[0]) for image, at in zip(images, pts, strict=True)]


# Native records and tables.

_USUAL: dict[str, Row] = {
    "intervals": {"field": "phase", "raw_value": "Preparation", "start_s": 0.0, "end_s": 1.0},
    "presences": {"field": "instrument", "raw_value": "Grasper", "present": True},
    "boxes": {"field": "instrument", "raw_value": "Grasper", "unit": "pixel", "width": 100, "height": 50},
    "triplets": {"raw_instrument": "grasper", "raw_verb": "retract", "raw_target": "gallbladder"},
    "criteria": {"raw_value": "C1", "score": 1.0},
    "questions": {"field": "text", "raw_value": "A hook.", "question": "What is in view?"},
    "depths": {"depth_file": "depth/000000.tiff", "unit": "mm", "origin": "measured"},
    "captions": {"raw_value": "Now the duct is clipped.", "start_s": 0.0, "end_s": 1.0},
    "rejects": {"rule": "duplicate_download", "reason": "a second copy"},
}


def native(*, source: str = "lab", video: str = "v", **records: list[Row]) -> dict[str, pl.DataFrame]:
    """Native records by kind with `source` and `video_id`; what a row leaves out is the usual."""
    tables = {}
    for kind, schema in NATIVE.items():
        usual = {
            "source": source, "video_id": f"{source}/{video}", "video": video, "file": f"{kind}.txt", "n_rows": 1,
            "frame_index": 0, **_USUAL.get(kind, {}),
        }  # fmt: skip
        given = [{"locator": f"line {number}", **usual, **row} for number, row in enumerate(records.get(kind, []), 1)]
        tables[kind] = _cast(given, STAGE_TABLES[f"native_{kind}"].columns())
        schema.validate(tables[kind].select(*schema.columns()))
    return tables


def _cast(rows: list[Row], columns: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: pl.Series(name, [row.get(name) for row in rows], column.dtype) for name, column in columns.items()}
    )


def table(name: str, *rows: Row) -> pl.DataFrame:
    """Rows of a unified table; what a row leaves out is null."""
    return conform(name, _cast(list(rows), TABLES[name].columns()))


def joined(*parts: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: pl.concat([part[name] for part in parts]) for name in parts[0]}


@cache
def known(source: str, dataset: str) -> pl.DataFrame:
    """Aliases of a source as the pipeline hands them on."""
    return aliases(dataset, None, (CHOLECYSTECTOMY,)).select(pl.lit(source).alias("source"), pl.exclude("dataset"))


def video_row(source: str, video: str, dataset: str, size: tuple[int, int] | None = (100, 50)) -> Row:
    listed = NativeVideo(video, "video", 25.0)
    return {
        "video_id": f"{source}/{video}", "source": source, "video": video, "media": "video", "status": "available",
        "listed_procedure": procedure_of(source, dataset, listed)[0], "identity_rule": "one video, one procedure",
        "procedure_type": CHOLECYSTECTOMY, "own_licence_allows": True,
        "label_rate": 25.0, "first_index": 0, "timed": True,
        "width": size and size[0], "height": size and size[1], "duration_s": 5.0, "complete": [], "partial": False,
    }  # fmt: skip


def instrument(name: str, *box: float) -> Row:
    corners = dict(zip(("x1", "y1", "x2", "y2"), box or (None,) * 4, strict=True))
    return {"concept_id": f"instrument/{name}", **corners}


def triplet(instrument: str, verb: str | None, target: str | None) -> Row:
    named = target if target is None or "/" in target else f"tissue/{target}"
    return {"instrument": f"instrument/{instrument}", "verb": verb and f"verb/{verb}", "target": named}


def scene(*frames: Row, source: str = "cholect50", video: str = "VID01") -> pl.DataFrame:
    """Rows of `scene_context`, 854 x 480."""
    usual = {
        "video_id": f"{source}/{video}", "source": source, "procedure_id": "cholec/001", "split": "train",
        "procedure_type": CHOLECYSTECTOMY, "width": 854, "height": 480, "instruments_complete": False, "kind": "frame",
        "tissues_complete": False, "partial": False, "actions": [], "motions": [],
        "start_s": 0.0, "cutoff_s": 0.0, "end_s": 0.0,
        "instruments": [], "tissues": [], "triplets": [], "criteria": [], "label_ids": ["label"],
    }  # fmt: skip
    return table(
        "scene_context",
        *(
            {
                "scene_id": f"{source}/{video}/{number:06d}",
                "frame_id": f"{source}/{video}/{number:06d}",
                **usual,
                **frame,
            }
            for number, frame in enumerate(frames)
        ),
    )


def worded(scenes: pl.DataFrame, *datasets: str) -> pl.DataFrame:
    """What tasks see of a scene: words, pools, a picture and a licence."""
    sources = datasets or ("cholec80", "cholect50", "endoscapes")
    known_values = pl.concat([known(name, name) for name in sources])
    words = with_pools(in_words(scenes, concepts()), known_values, concepts())
    picture = pl.concat_str(pl.lit("images/"), "frame_id", pl.lit(".jpg"))
    frames = scenes.drop_nulls("frame_id").select(
        "frame_id", status=pl.lit("available"), image_root=pl.lit("lake"), image_path=picture, pts_s="start_s"
    )
    return with_media(words, frames, empty("dense_images"), empty("clips")).with_columns(
        licence=pl.lit("CC-BY-NC-SA-4.0")
    )


def reasoned(scenes: pl.DataFrame, words: pl.DataFrame | None = None) -> pl.DataFrame:
    """Chains of every task, not yet verified."""
    words = worded(scenes) if words is None else words
    return pl.concat([chains(words, task) for task in tasks().values()])


def verified(written: pl.DataFrame, scenes: pl.DataFrame) -> pl.DataFrame:
    return verify(written, scenes, concepts(), {name: task.concludes for name, task in tasks().items()})


def conversed(scenes: pl.DataFrame, seed: int = 7) -> pl.DataFrame:
    words = worded(scenes)
    return pl.concat([instantiate(words, task, seed=seed) for task in tasks().values()])


# Scenes that hypothesis makes up: whatever the contract allows, and triplets' parts in view.


@cache
def concept_ids(kind: str, under: str = "") -> list[str]:
    found = concepts().filter(pl.col("concept_id").str.starts_with(f"{kind}/{under}"))["concept_id"].to_list()
    return [name for name in found if not name.endswith("/none")]


@st.composite
def any_frame(draw: st.DrawFn) -> Row:
    """What one row of `scene_context` says of a frame."""
    procedure = draw(st.sampled_from(["cholecystectomy", "gastric_bypass", "prostatectomy"]))

    def maybe(kind: str, under: str = "") -> str | None:
        return draw(st.sampled_from([None, *concept_ids(kind, under)]))

    def boxed(concept_id: str) -> Row:
        x1, y1 = draw(st.floats(0, 800)), draw(st.floats(0, 440))
        box = (x1, y1, x1 + draw(st.floats(1, 54)), y1 + draw(st.floats(1, 40)))
        corners = box if draw(st.booleans()) else (None,) * 4
        return {"concept_id": concept_id, **dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))}

    instruments = st.sampled_from(concept_ids("instrument"))
    tissues = st.sampled_from(concept_ids("tissue"))
    targets = st.one_of(tissues, st.sampled_from([None, "target/none", "target/fluid", "instrument/specimen_bag"]))
    verbs = st.sampled_from([None, "verb/none", *concept_ids("verb")])
    acting = draw(
        st.lists(st.fixed_dictionaries({"instrument": instruments, "verb": verbs, "target": targets}), max_size=3)
    )
    named = {one[part] for one in acting for part in ("instrument", "target") if one[part]}
    in_view = draw(st.lists(instruments, max_size=3)) + sorted(name for name in named if name.startswith("instrument/"))
    around = set(draw(st.lists(tissues, max_size=2))) | {name for name in named if name.startswith("tissue/")}
    judged = draw(st.sampled_from([0, 0, 2, 3]))
    criteria = zip(concept_ids("criterion")[:judged], draw(st.tuples(*[st.booleans()] * judged)), strict=True)
    return {
        "procedure_type": f"procedure/{procedure}",
        "phase": maybe("phase", f"{procedure}/"),
        "step": maybe("step", f"{procedure}/"),
        "action": maybe("action"),
        "instruments_complete": draw(st.booleans()),
        "instruments": [boxed(name) for name in in_view],
        "tissues": [boxed(name) for name in sorted(around)],
        "triplets": [one for number, one in enumerate(acting) if one not in acting[:number]],
        "criteria": [{"concept_id": concept_id, "met": met} for concept_id, met in criteria],
    }


any_scene = st.lists(any_frame(), min_size=1, max_size=5).map(lambda frames: scene(*frames))


# A corpus of three sources, clean: one that may be released, one in-house that may not, one with criteria.


@cache
def corpus() -> dict[str, pl.DataFrame]:
    """Every table but `qa_results` and `builds`, made by the stages themselves."""
    label = {"start_frame": 0, "end_frame": 2, "end_s": 3.0}
    criteria = [
        {"frame_index": 0, "raw_value": f"C{number}", "score": score}
        for number, score in ((1, 1.0), (2, 0.0), (3, 1.0))
    ]
    records = joined(
        native(
            source="cholect50", video="VID01",
            intervals=[{"raw_value": "carlot-triangle-dissection", **label}],
            presences=[
                {"frame_index": frame, "raw_value": name, "present": name == "grasper", "locator": f"{frame} {name}"}
                for frame in range(3) for name in ("grasper", "hook", "clipper", "irrigator")
            ],
            boxes=[{"frame_index": 0, "raw_value": "grasper", "x1": 10, "y1": 5, "x2": 30, "y2": 15}],
            triplets=[{"frame_index": frame} for frame in range(3)],
        ),
        native(source="endoscapes", video="170", criteria=criteria),
        native(source="ours", video="case01", intervals=[{"raw_value": "Gallbladder dissection", "end_s": 3.0}]),
    )  # fmt: skip
    datasets = {"cholect50": "cholect50", "endoscapes": "endoscapes", "ours": "in_house"}
    shown = [("cholect50", "VID01", 3), ("endoscapes", "170", 1), ("ours", "case01", 2)]
    videos = table("videos", *(video_row(source, video, datasets[source]) for source, video, _ in shown))
    frames = table("frames", *(frame_row(source, video, k) for source, video, n in shown for k in range(n)))
    splits = split_of(videos["listed_procedure"].to_list(), 7, {})
    procedures = conform(
        "procedures",
        videos.group_by(procedure_id="listed_procedure").agg(videos="video_id").join(splits, on="procedure_id")
        .with_columns(
            procedure_type=pl.lit(CHOLECYSTECTOMY), specialty=pl.lit("Hepatobiliary"), identity_rule=pl.lit("stated")
        ),
    )  # fmt: skip
    values = pl.concat([known(source, dataset) for source, dataset in datasets.items()])
    made = harmonize(records, videos, values)
    scenes = scene_context(frames, {kind: made[kind] for kind in LABELS}, procedures, videos)
    words = with_pools(in_words(scenes, concepts()), values, concepts())
    words = with_media(words, frames, empty("dense_images"), empty("clips")).with_columns(
        licence=pl.lit("CC-BY-NC-SA-4.0")
    )
    tables = {
        **{name: empty(name) for name in TABLES if name not in {"qa_results", "builds"}},
        **made,
        "sources": table("sources", source_row("cholect50"), source_row("endoscapes"), source_row(
            "ours", licence="LicenseRef-none", consent_scope="internal research", may_be_released=False)),
        "videos": videos,
        "procedures": procedures,
        "frames": frames,
        "concepts": conform("concepts", concepts()),
        "aliases": conform("aliases", values),
        "scene_context": scenes,
        "reasoning": verified(reasoned(scenes, words), scenes),
        "conversations": pl.concat([instantiate(words, task, seed=7) for task in tasks().values()]),
    }  # fmt: skip
    return tables | decided(tables)


def decided(tables: Mapping[str, pl.DataFrame], policy: Sampling | None = None) -> dict[str, pl.DataFrame]:
    """What sampling makes of a corpus: policy, selection, effect and counts."""
    policy = policy or default_sampling()
    talk, scenes, frames, sources = (
        tables[name].lazy() for name in ("conversations", "scene_context", "frames", "sources")
    )
    selection = sampled(talk, scenes, frames, policy, seed=7)
    return {
        "sampling_policy": policy.table(),
        "selection": selection,
        "sampling_effect": effect(talk, selection.lazy()),
        "conversation_counts": counted(talk, selection.lazy(), sources),
    }


def source_row(source: str, **facts: object) -> Row:
    return {
        "source": source,
        "dataset": source,
        "title": source,
        "specialty": "Hepatobiliary",
        "licence": "CC-BY-NC-SA-4.0",
        "procedure_type": CHOLECYSTECTOMY,
        "non_commercial": True,
        "share_alike": True,
        "no_derivatives": False,
        "may_be_released": True,
        "citation": "cited",
        "url": "https://example.org",
        **facts,
    }


def frame_row(source: str, video: str, number: int) -> Row:
    path = f"images/{source}__{video}/{number:06d}.jpg"
    return {
        "frame_id": f"{source}/{video}/{number:06d}", "video_id": f"{source}/{video}", "source": source,
        "frame_index": number, "pts_s": float(number), "width": 100, "height": 50, "image_root": "lake",
        "image_path": path, "sha256": hashlib.sha256(path.encode()).hexdigest(), "status": "available",
    }  # fmt: skip
