"""Six million conversations: how long each stage takes, in how much memory, and how that compares.

    python benchmarks/conversations.py [--size 1.0] [--folder DIR] [--only stages|ratios]

Stages run one after the other, each a process of its own, on labels as `corpus` makes them: reasoning (three levels,
verified), conversations, selection (the sampling policy, counts), export (JSONL and Parquet a split), tables
(DuckDB), qa (every rule). Ratios compare the instantiation of one task, phase recognition, at a twentieth of the
size, with Hugging Face `datasets.map` (extra `bench`) and a plain Python loop: from labels in memory to finished rows
in memory, but for the batched map, which has to write files; the same in every column of every row. Writing is told
apart: the engine's rows as an Arrow file, and as Parquet beside the floor, which is writing the finished rows as
Parquet. Exits 1 where a target is missed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import corpus
import duckdb
import polars as pl
import pyarrow as pa

from surgsigma_dagster.context.words import in_words
from surgsigma_dagster.dialogue.engine import instantiate
from surgsigma_dagster.dialogue.media import with_media
from surgsigma_dagster.dialogue.pools import with_pools
from surgsigma_dagster.dialogue.sampling import counted, default_sampling, effect, sampled
from surgsigma_dagster.dialogue.task import Task, tasks
from surgsigma_dagster.quality.rules import evaluate
from surgsigma_dagster.reasoning.grounded import chains
from surgsigma_dagster.reasoning.verifier import verify
from surgsigma_dagster.release.sharegpt import write_conversations
from surgsigma_dagster.schema.tables import TABLES, conform, empty
from surgsigma_dagster.vocabulary.concepts import concepts

SEED, RUNS = 7, 3
LICENCE = "CC-BY-NC-SA-4.0"
TARGETS = {"batched": 8.0, "per row": 50.0, "plain loop": 10.0, "floor": 4.0}
FULL_SIZE_GB = 4.0


def shards(folder: Path, table: str) -> list[Path]:
    """Files of a table, in order."""
    return sorted((folder / table).glob("*.parquet"))


def worded(scenes: pl.DataFrame) -> pl.DataFrame:
    """What tasks see, as the pipeline puts it together."""
    words = with_pools(in_words(scenes, concepts()), corpus.known_values(), concepts())
    media = with_media(words, corpus.frames(scenes), empty("dense_images"), empty("clips"))
    return media.with_columns(licence=pl.lit(LICENCE))


def asked() -> list[Task]:
    """The tasks of the corpus."""
    return [tasks()[name] for name in corpus.TARGETS]


# Stages: from shards to shards, a batch of videos at a time.


def make_labels(folder: Path, size: float) -> int:
    """What the stages begin with: scenes, frames and labels, a shard a batch of videos. Returns frames."""
    n = 0
    for name, table in corpus.facts(size).items():
        _write(table, folder, name, "all")
    for number, batch in enumerate(corpus.batches(size)):
        scenes = pl.concat(corpus.scenes(video, size) for video in batch.to_dicts())
        made = {"scene_context": scenes, "frames": corpus.frames(scenes), **corpus.labels(scenes)}
        for name, table in made.items():
            _write(table, folder, name, f"{number:04d}")
        n += scenes.height
    return n


def _write(rows: pl.DataFrame, folder: Path, table: str, key: str) -> None:
    (folder / table).mkdir(exist_ok=True)
    rows.write_parquet(folder / table / f"{key}.parquet")


def _batches(folder: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    for path in shards(folder, "scene_context"):
        yield path.stem, pl.read_parquet(path)


def make_reasoning(folder: Path, size: float) -> int:
    """Three levels for each scene and task, verified."""
    n, concludes = 0, {task.name: task.concludes for task in asked()}
    for key, scenes in _batches(folder):
        words = worded(scenes)
        judged = verify(pl.concat(chains(words, task) for task in asked()), scenes, concepts(), concludes)
        _write(judged, folder, "reasoning", key)
        n += judged.height
    return n


def make_conversations(folder: Path, size: float) -> int:
    """Every task on every scene, both forms."""
    n = 0
    for key, scenes in _batches(folder):
        words = worded(scenes)
        made = conform("conversations", pl.concat(instantiate(words, task, seed=SEED) for task in asked()))
        _write(made, folder, "conversations", key)
        n += made.height
    return n


def _scan(folder: Path, table: str) -> pl.LazyFrame:
    return pl.scan_parquet(shards(folder, table))


def select(folder: Path, size: float) -> int:
    """What the default sampling policy keeps, its effect, and the counts."""
    talk, policy = _scan(folder, "conversations"), default_sampling()
    _whole(policy.table(), folder, "sampling_policy")
    chosen = sampled(talk, _scan(folder, "scene_context"), _scan(folder, "frames"), policy, seed=SEED)
    _whole(chosen, folder, "selection")
    selection = _scan(folder, "selection")
    _whole(counted(talk, selection, _scan(folder, "sources")), folder, "conversation_counts")
    _whole(effect(talk, selection), folder, "sampling_effect")
    return chosen.height


def _whole(rows: pl.DataFrame, folder: Path, table: str) -> None:
    """The one shard of `table`, in place of the empty one that labels come with."""
    for old in shards(folder, table):
        old.unlink()
    _write(rows, folder, table, "all")


def export(folder: Path, size: float) -> int:
    """JSONL and Parquet a split, as a release holds them."""
    (folder / "release").mkdir()
    read = (_scan(folder, table) for table in ("conversations", "reasoning", "scene_context"))
    return sum(write_conversations(folder / "release", *read).values())


def load_tables(folder: Path, size: float) -> int:
    """A DuckDB file of all tables. Returns their rows."""
    with duckdb.connect(str(folder / "surgsigma.duckdb")) as connection:
        for table in TABLES:
            if found := [str(path) for path in shards(folder, table)]:
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet($found)", {"found": found})
        rows = connection.execute("SELECT sum(estimated_size)::BIGINT FROM duckdb_tables()").fetchone()
    return int(rows[0]) if rows else 0


def run_rules(folder: Path, size: float) -> int:
    """Every quality rule on all tables. Returns rows looked at; exits where a rule does not pass."""
    results = evaluate({name: _scan(folder, name) for name in TABLES if name not in {"builds", "qa_results"}})
    bad = results.filter(pl.col("status").cast(pl.String) != "pass")
    if bad.height:
        raise SystemExit(f"rules did not pass: {bad.select('rule', 'status', 'examples').to_dicts()}")
    return int(results["n_checked"].sum())


STAGES: dict[str, Callable[[Path, float], int]] = {
    "labels": make_labels,
    "reasoning": make_reasoning,
    "conversations": make_conversations,
    "selection": select,
    "export": export,
    "tables": load_tables,
    "qa": run_rules,
}


def measured(*arguments: str) -> dict[str, Any]:
    """Run this script with `arguments` as a process: what it prints last (JSON), wall, user CPU and peak memory."""
    begun = time.perf_counter()
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with {process.returncode}")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found | {"wall": time.perf_counter() - begun, "cpu": usage.ru_utime, "gb": usage.ru_maxrss / 1e6}


def run_stages(folder: Path, size: float) -> dict[str, dict[str, Any]]:
    """Run each stage as a process and print what it took."""
    found = {}
    print(f"{'stage':14} {'rows':>12} {'wall s':>8} {'user s':>8} {'peak GB':>8} {'rows/s':>10}")
    for stage in STAGES:
        row = found[stage] = measured("--stage", stage, "--size", str(size), "--folder", str(folder))
        rate = row["rows"] / row["wall"]
        print(
            f"{stage:14} {row['rows']:12,} {row['wall']:8.1f} {row['cpu']:8.1f} {row['gb']:8.2f} {rate:10,.0f}",
            flush=True,
        )
    by_task = (
        _scan(folder, "conversations").group_by("task", "form").len("conversations").collect().sort("task", "form")
    )
    print(by_task, by_task["conversations"].sum())
    return found


# Ratios: one task, from labels in memory to conversations in memory.

PHASE = replace(tasks()["phase_recognition"], correct=None)  # the open form alone
READ = ["scene_id", "video_id", "source", "procedure_id", "procedure_type", "split", "cutoff_s", "phase", "label_ids"]


@dataclass(frozen=True)
class Labels:
    """The same labels of one task, as each way begins with them."""

    scenes: pl.DataFrame
    frames: pl.DataFrame
    rows: list[dict[str, Any]]
    dataset: Any  # of `datasets`
    finished: pl.DataFrame  # what the engine makes of them

    @staticmethod
    def of(size: float) -> "Labels":
        """Scenes enough for `size` of the corpus' conversations, all of phase recognition, with its labels alone."""
        import datasets

        datasets.disable_progress_bars()
        size *= corpus.CONVERSATIONS / corpus.frames_with("phase_recognition")
        every = pl.concat(corpus.scenes(video, size) for video in corpus.videos(size).to_dicts())
        nothing = (pl.col(name).list.head(0) for name in ("instruments", "tissues", "triplets", "criteria"))
        scenes = every.drop_nulls("phase").with_columns(*nothing, step=pl.lit(None, pl.String)).rechunk()
        frames, read = corpus.frames(scenes), scenes.select(READ)
        return Labels(
            scenes, frames, read.to_dicts(), datasets.Dataset.from_polars(read), _instantiated(scenes, frames)
        )


def _instantiated(scenes: pl.DataFrame, frames: pl.DataFrame) -> pl.DataFrame:
    words = with_pools(in_words(scenes, concepts()), _KNOWN, concepts())
    media = with_media(words, frames, empty("dense_images"), empty("clips"))
    return instantiate(media.with_columns(licence=pl.lit(LICENCE)), PHASE, seed=SEED)


def by_engine(labels: Labels, out: Path) -> pl.DataFrame:
    """This project's engine."""
    return _instantiated(labels.scenes, labels.frames)


def by_engine_to_arrow(labels: Labels, out: Path) -> None:
    """The same, and an Arrow file of it."""
    by_engine(labels, out).write_ipc_stream(out)


def by_engine_to_parquet(labels: Labels, out: Path) -> None:
    """The same, and Parquet of it, as the lake has it."""
    by_engine(labels, out).write_parquet(out)


def _one(names: dict[str, str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The conversation of one row in plain Python, with the phrasings that the engine chooses."""
    import xxhash

    templates, name = PHASE.templates, PHASE.name

    def capital(text: str, filled: str) -> str:
        return filled[:1].upper() + filled[1:] if text.startswith("{") else filled

    def one(row: dict[str, Any]) -> dict[str, Any]:
        scene = row["scene_id"]
        identity = f"{name}/open/{scene}"
        draw = xxhash.xxh64_intdigest(identity.encode(), SEED)
        draw, system = divmod(draw, len(templates.system))
        draw, question = divmod(draw, len(templates.questions))
        draw, rest = divmod(draw, 1 << 16)
        answers = templates.answers["one"]
        answer = rest % len(answers)
        procedure = names[row["procedure_type"]]
        at = row["cutoff_s"]
        return {
            "conversation_id": identity,
            "task": name,
            "form": "open",
            "source": row["source"],
            "video_id": row["video_id"],
            "scene_id": scene,
            "procedure_id": row["procedure_id"],
            "split": row["split"],
            "media": [
                {
                    "kind": "image",
                    "id": scene,
                    "root": "lake",
                    "path": f"images/{scene}.jpg",
                    "start_s": at,
                    "end_s": at,
                }
            ],
            "targets": [],
            "cutoff_s": at,
            "system": capital(templates.system[system], templates.system[system].format(procedure=procedure)),
            "earlier": [],
            "question": capital(
                templates.questions[question], templates.questions[question].format(procedure=procedure)
            ),
            "answer_text": capital(answers[answer], answers[answer].format(phase=names[row["phase"]])),
            "answer": json.dumps({"phase": row["phase"]}, separators=(",", ":")),
            "negative": False,
            "pseudo_label": False,
            "reasoning_id": f"{name}/{scene}",
            "label_ids": row["label_ids"],
            "template_id": f"{name}@{templates.version}:q{question}:one{answer}",
            "licence": LICENCE,
            "status": "accepted",
        }

    return one


def _names() -> dict[str, str]:
    return dict(concepts().select("concept_id", "name").iter_rows())


def by_loop(labels: Labels, out: Path) -> pa.Table:
    """A loop over rows."""
    one = _one(_names())
    return pa.Table.from_pylist([one(row) for row in labels.rows])


def by_batches(labels: Labels, out: Path) -> pa.Table:
    """`datasets.map` in batches, two processes; they hand over in files, which is faster than in memory."""
    one = _one(_names())

    def many(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        columns = list(batch)
        made = [one(dict(zip(columns, row, strict=True))) for row in zip(*batch.values(), strict=True)]
        return {name: [row[name] for row in made] for name in made[0]}

    made = labels.dataset.map(many, batched=True, num_proc=2, remove_columns=READ, cache_file_name=str(out))
    return made.data.table


def by_rows(labels: Labels, out: Path) -> pa.Table:
    """`datasets.map` a row at a time, in memory."""
    made = labels.dataset.map(
        _one(_names()), remove_columns=READ, keep_in_memory=True, load_from_cache_file=False
    )  # fmt: skip
    return made.data.table


def by_writing(labels: Labels, out: Path) -> None:
    """The floor: finished rows are written, nothing is computed."""
    labels.finished.write_parquet(out)


_KNOWN = corpus.known_values()
WAYS: dict[str, Callable[[Labels, Path], pl.DataFrame | pa.Table | None]] = {
    "engine": by_engine,
    "batched": by_batches,
    "per row": by_rows,
    "plain loop": by_loop,
    "engine, Arrow": by_engine_to_arrow,
    "engine, Parquet": by_engine_to_parquet,
    "floor, Parquet": by_writing,
}
SAME = ("batched", "per row", "plain loop")  # make what the engine makes


def run_ratios(folder: Path, size: float) -> dict[str, float]:
    """Seconds of each way, medians of alternated runs. Exits where a way makes other rows than the engine."""
    labels = Labels.of(size / 20)
    outs = {way: folder / f"{way.replace(' ', '_')}.arrow" for way in WAYS}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    own = _comparable(labels.finished)
    for number in range(RUNS):
        for way, run in WAYS.items():
            for old in folder.glob(f"{outs[way].stem}*.arrow"):
                old.unlink()
            begun = time.perf_counter()
            made = run(labels, outs[way])
            times[way].append(time.perf_counter() - begun)
            if number == 0 and way in SAME and not own.equals(_comparable(pl.DataFrame(made))):
                raise SystemExit(f"{way} made other conversations than the engine")
    return {"rows": own.height} | {way: statistics.median(found) for way, found in times.items()}


def _comparable(rows: pl.DataFrame) -> pl.DataFrame:
    columns = {name: column.dtype for name, column in TABLES["conversations"].columns().items()}
    return rows.select(pl.col(name).cast(dtype) for name, dtype in columns.items()).sort("conversation_id")


def report_ratios(found: dict[str, float]) -> dict[str, float]:
    """Print seconds and ratios of each way; the ratios by name of their target."""
    ratios = {way: found[way] / found["engine"] for way in SAME}
    ratios["floor"] = found["engine, Parquet"] / found["floor, Parquet"]
    beside = {**{way: (ratios[way], f">= {TARGETS[way]:.0f}") for way in SAME},
              "floor, Parquet": (ratios["floor"], f"<= {TARGETS['floor']:.0f}")}  # fmt: skip
    print(f"\n{found['rows']:,.0f} conversations of phase recognition, the same by each way")
    print(f"{'way':16} {'seconds':>9} {'rows/s':>11} {'ratio':>8} {'target':>8}")
    for way in WAYS:
        ratio, target = beside.get(way, (None, ""))
        shown = "" if ratio is None else f"{ratio:.1f}"
        print(f"{way:16} {found[way]:9.2f} {found['rows'] / found[way]:11,.0f} {shown:>8} {target:>8}")
    return ratios


def main() -> None:
    """Run stages, ratios or both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0, help="1 is 5.98 million conversations")
    parser.add_argument("--folder", type=Path, help="where shards go and stay; a temporary folder unless given")
    parser.add_argument("--only", choices=("stages", "ratios"))
    parser.add_argument("--stage", choices=(*STAGES, "ratios"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage == "ratios":
        print(json.dumps(run_ratios(args.folder, args.size)))
        return
    if args.stage:
        print(json.dumps({"rows": STAGES[args.stage](args.folder, args.size)}))
        return
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    figures: dict[str, Any] = {"size": args.size}
    missed = []
    try:
        if args.only != "ratios":
            stages = figures["stages"] = run_stages(folder, args.size)
            missed += [stage for stage, row in stages.items() if row["gb"] > FULL_SIZE_GB]
        if args.only != "stages":
            found = measured("--stage", "ratios", "--size", str(args.size), "--folder", str(folder))
            ratios = figures["ratios"] = report_ratios(found)
            good = {
                way: ratios[way] <= most if way == "floor" else ratios[way] >= most for way, most in TARGETS.items()
            }
            missed += [way for way, met in good.items() if not met]
    finally:
        shutil.rmtree(folder)
    if missed:
        print(f"missed: {', '.join(missed)}")
    print(json.dumps(figures))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
