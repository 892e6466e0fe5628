"""Full-scale Cholec80 labels, from native files to harmonized tables: this project beside a pandas script.

    pip install -e '.[bench]'
    python benchmarks/ingestion.py

The script writes the label files of 80 videos, in Cholec80's own format, into a temporary folder: 4.6 million phase
rows of 25 fps, a tool row a second, durations as skewed as the real ones. No footage is needed; no label is real.

Each side is a process of its own, started five times in turn with the other. Both read every row, check it (header, no
empty cell, frames that count on without a gap, known classes, 0 or 1), map phases and tools by the alias file, make
runs of equal phases into `intervals` and tool rows into `presences`, give each label its line numbers and an XXH3 id,
look for labels that are alike, count native rows by value into `alias_coverage`, and write the three tables as zstd
Parquet, in the order of the videos, their frames and the values' names. What they write is compared cell by cell.

- ours: the adapter, `harmonize`, and the contracts of every table they pass through, on every core; it also keeps a
  ledger of rejects.
- pandas: what a lab would write that knows pandas well: C parser, vectorised columns, plain Python only over the 160
  files and for XXH3, which pandas has not.

Prints rows a second from the first file read to the last table written, the wall and CPU time of the whole process
(with its imports) and its peak memory, medians all. Exits with 1 where ours takes 20 s or 2 GB as a process, or has not
5 times the throughput of pandas. On a busy machine the ratio of CPU times, printed beside it, is the steadier figure;
it leaves out that ours uses every core and pandas one.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
VIDEOS, FPS, ROWS = 80, 25, 4_612_530  # videos, frames a second, phase rows
BATCH = 20  # videos
PHASES = (
    ("Preparation", 0.05), ("CalotTriangleDissection", 0.4), ("ClippingCutting", 0.08),
    ("GallbladderDissection", 0.3), ("GallbladderPackaging", 0.05), ("CleaningCoagulation", 0.08),
    ("GallbladderRetraction", 0.04),
)  # fmt: skip
TOOLS = {  # share of seconds in view
    "Grasper": 0.55, "Bipolar": 0.05, "Hook": 0.56, "Scissors": 0.02, "Clipper": 0.03, "Irrigator": 0.05,
    "SpecimenBag": 0.06,
}  # fmt: skip
LIMIT_S, LIMIT_GB, LIMIT_RATIO = 20.0, 2.0, 5.0
TABLES = ("intervals", "presences", "alias_coverage")


# The dataset


def write_labels(root: Path) -> int:
    """Cholec80's label files of 80 videos; returns how many rows they hold, without headers."""
    chance = random.Random(7)
    spread = statistics.NormalDist(sigma=0.43)  # of the logarithm: from 13 to 98 minutes, 38 on average
    weights = [2.718281828 ** spread.inv_cdf((n + 0.5) / VIDEOS) for n in range(VIDEOS)]
    chance.shuffle(weights)
    rows = 0
    for folder in ("phase_annotations", "tool_annotations"):
        (root / folder).mkdir(parents=True)
    for number, weight in enumerate(weights, 1):
        frames = round(ROWS * weight / sum(weights))
        video = f"video{number:02d}"
        phases = [f"{frame}\t{phase}" for frame, phase in enumerate(_phases(frames, chance))]
        tools = [*_tools(range(0, frames - FPS, FPS), chance)]
        for file, header, lines in (
            (f"phase_annotations/{video}-phase.txt", "Frame\tPhase", phases),
            (f"tool_annotations/{video}-tool.txt", "\t".join(["Frame", *TOOLS]), tools),
        ):
            (root / file).write_text("\n".join([header, *lines]) + "\n", "utf-8")
            rows += len(lines)
    return rows


def _phases(frames: int, chance: random.Random) -> Iterator[str]:
    """A phase for each frame; in one video of five, cleaning comes before packaging, as in the real ones."""
    order = list(PHASES)
    if chance.random() < 0.2:
        order[4], order[5] = order[5], order[4]
    shares = [share * chance.uniform(0.5, 1.5) for _, share in order]
    left = frames
    for (phase, _), share in zip(order[:-1], shares, strict=False):
        length = int(frames * share / sum(shares))
        yield from (phase for _ in range(length))
        left -= length
    yield from (order[-1][0] for _ in range(left))


def _tools(frames: range, chance: random.Random) -> Iterator[str]:
    """Seven columns a second; a tool comes and goes every half a minute or so."""
    seen = dict.fromkeys(TOOLS, False)
    for frame in frames:
        for tool, share in TOOLS.items():
            if chance.random() < 1 / 30:
                seen[tool] = chance.random() < share
        yield "\t".join([str(frame), *(str(int(shown)) for shown in seen.values())])


# Ours


def ours(root: Path, out: Path) -> float:
    """Read and harmonize with the project's own functions: some videos at a time, on every core. Seconds of work."""
    import polars as pl

    from surgsigma_dagster.schema.tables import empty
    from surgsigma_dagster.sources.config import SourceEntry
    from surgsigma_dagster.sources.datasets import cholec80  # noqa: F401  what `entry.adapter` would import
    from surgsigma_dagster.vocabulary.harmonization import harmonize, known_values

    began = time.perf_counter()
    entry = SourceEntry(name="cholec80", dataset="cholec80", root=root)
    known, videos = known_values(entry), entry.adapter.videos(root)
    source, video_id = pl.lit("cholec80").alias("source"), pl.format("cholec80/{}", "video").alias("video_id")

    def make(first: int) -> None:
        labels = entry.adapter.labels(root, videos[first : first + BATCH])
        native = {kind: frame.select(source, video_id, pl.all()) for kind, frame in labels.tables.items()}
        made = harmonize(native, empty("videos"), known)
        if made["rejects"].height:
            raise ValueError(f"{made['rejects'].height} rejects, where every row is good")
        for table in TABLES:
            made[table].write_parquet(out / f"{table}-{first:02d}.parquet", compression="zstd", compression_level=1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make, range(0, len(videos), BATCH)))
    return time.perf_counter() - began


# The pandas baseline


def baseline(root: Path, out: Path) -> float:
    """The same three tables with pandas. Seconds of work."""
    import pandas as pd
    import pyarrow.parquet  # noqa: F401  what pandas would import while it works
    import yaml

    began = time.perf_counter()
    aliases = yaml.safe_load((REPOSITORY / "surgsigma_dagster/vocabulary/aliases/cholec80.yaml").read_text("utf-8"))
    intervals, presences = [], []
    for path in sorted((root / "phase_annotations").glob("video*-phase.txt")):
        video, file = path.name.removesuffix("-phase.txt"), path.relative_to(root).as_posix()
        intervals.append(_phase_runs(_rows(pd, path, {"Frame": "int64", "Phase": str}, 1), video, file))
    for path in sorted((root / "tool_annotations").glob("video*-tool.txt")):
        video, file = path.name.removesuffix("-tool.txt"), path.relative_to(root).as_posix()
        rows = _rows(pd, path, {"Frame": "int64", **dict.fromkeys(TOOLS, "int64")}, FPS)
        if not rows[[*TOOLS]].isin([0, 1]).all(axis=None):
            raise ValueError(f"{path}: not 0 or 1")
        presences.append(_presences(rows, video, file))
    tables = {"intervals": pd.concat(intervals), "presences": pd.concat(presences)}
    for (name, frame), field in zip([*tables.items()], ("phase", "instrument"), strict=True):
        frame["concept_id"] = frame["raw_value"].map(aliases[field])
        if frame["concept_id"].isna().any():
            raise ValueError(f"{name}: no alias for {frame.loc[frame['concept_id'].isna(), 'raw_value'].iloc[0]}")
        frame["label_id"] = _ids(name, frame)
        tables[name] = _merged(frame)
    counts = [
        frame.groupby(["source", "video_id", "field", "raw_value", "concept_id"], as_index=False)["n_rows"].sum()
        for frame in (
            tables["intervals"].assign(field="phase"), tables["presences"].assign(field="instrument"),
        )
    ]  # fmt: skip
    tables["alias_coverage"] = pd.concat(counts)
    for name, frame in tables.items():
        frame.to_parquet(out / f"{name}.parquet", compression="zstd", index=False)
    return time.perf_counter() - began


def _merged(frame: Any) -> Any:
    """Labels that are alike in everything are one, with all their native rows."""
    if not frame["label_id"].duplicated().any():
        return frame
    first = {name: (name, "first") for name in frame.columns if name not in ("label_id", "n_rows")}
    return frame.groupby("label_id", as_index=False).agg(**first, n_rows=("n_rows", "sum"))


def _rows(pd: Any, path: Path, types: dict[str, Any], step: int) -> Any:
    """A label file, checked, with the line of each row."""
    rows = pd.read_csv(path, sep="\t", dtype=types)
    if list(rows.columns) != list(types):
        raise ValueError(f"{path}: columns {list(rows.columns)}")
    if rows.isna().any(axis=None):
        raise ValueError(f"{path}: empty cells")
    rows["line"] = range(2, len(rows) + 2)
    if not (rows["Frame"] == (rows["line"] - 2) * step).all():
        raise ValueError(f"{path}: frames are not {step} apart")
    return rows


def _phase_runs(rows: Any, video: str, file: str) -> Any:
    """Intervals of equal phases."""
    run = (rows["Phase"] != rows["Phase"].shift()).cumsum()
    found = rows.groupby(run).agg(
        raw_value=("Phase", "first"), start_frame=("Frame", "first"), end_frame=("Frame", "last"),
        first=("line", "first"), last=("line", "last"), n_rows=("line", "size"),
    )  # fmt: skip
    found["locator"] = [
        f"line {first}" if first == last else f"lines {first}-{last}"
        for first, last in zip(found.pop("first"), found.pop("last"), strict=True)
    ]
    found["start_s"], found["end_s"] = found["start_frame"] / FPS, (found["end_frame"] + 1) / FPS
    return found.assign(source="cholec80", video_id=f"cholec80/{video}", file=file, track="phase")


def _presences(rows: Any, video: str, file: str) -> Any:
    """Seven presences a row, by name, frame after frame."""
    shown = rows.set_index(["Frame", "line"])[sorted(TOOLS)].astype(bool)
    long = shown.stack().rename_axis(["Frame", "line", "raw_value"]).rename("present").reset_index()
    long["frame_id"] = f"cholec80/{video}/" + long["Frame"].astype(str).str.zfill(6)
    long["locator"] = "line " + long["line"].astype(str)
    return long.drop(columns="line").assign(source="cholec80", video_id=f"cholec80/{video}", file=file, n_rows=1)


def _ids(kind: str, frame: Any) -> list[str]:
    """Ids as `keys.hashed_id` makes them: the start of a hash over what tells labels apart."""
    import xxhash

    whose, *own = ("frame_id", "present") if kind == "presences" else ("video_id", "start_s", "end_s")
    columns = [frame[name] for name in (whose, "file", "locator", "concept_id", "raw_value", *own)]
    if kind == "presences":
        columns[-1] = columns[-1].map({True: "true", False: "false"})
    return [
        xxhash.xxh3_128_hexdigest("\x1f".join([kind, *map(str, values)]).encode())[:16]
        for values in zip(*(column.tolist() for column in columns), strict=True)
    ]


# Both


@dataclass(frozen=True)
class Run:
    """What one process took."""

    work_s: float  # without its imports
    seconds: float
    cpu_s: float
    gigabytes: float


def measured(side: str, root: Path, out: Path) -> Run:
    """Run one side as a process of its own. Raises where it fails."""
    out.mkdir(exist_ok=True)
    began = time.perf_counter()
    command = [sys.executable, __file__, "--side", side, str(root), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{side}: exit code {process.returncode}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # bytes there, kilobytes here
    assert process.stdout
    return Run(float(process.stdout.read()), seconds, usage.ru_utime + usage.ru_stime, peak / 1e9)


def must_agree(one: Path, other: Path) -> None:
    """Exit where the two sides' tables differ in a cell."""
    import polars as pl

    for table in TABLES:
        ours = pl.read_parquet(one / f"{table}*.parquet")
        theirs = pl.read_parquet(other / f"{table}*.parquet").select(
            pl.col(name).cast(dtype) for name, dtype in ours.schema.items()
        )
        if table == "alias_coverage":  # groups, in no order of their own
            ours, theirs = (side.sort("video_id", "field", "raw_value") for side in (ours, theirs))
        if not ours.equals(theirs):
            raise SystemExit(f"{table}: the two sides differ")
        print(f"{table}: {ours.height:,} rows, the same from both")


def main(runs: int) -> int:
    """Measure both sides in turn; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="cholec80_") as folder:
        root, out = Path(folder, "cholec80"), {side: Path(folder, side) for side in SIDES}
        rows = write_labels(root)
        print(f"{VIDEOS} videos, {rows:,} rows, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        took = [{side: measured(side, root, out[side]) for side in SIDES} for _ in range(runs)]
        must_agree(*out.values())
    print(f"{'':8}{'rows/s':>12}{'work s':>10}{'process s':>11}{'CPU s':>8}{'peak GB':>9}   work of each run, s")
    median = {
        side: Run(*(statistics.median(values) for values in zip(*(astuple(run[side]) for run in took), strict=True)))
        for side in SIDES
    }
    for side, run in median.items():
        each = ", ".join(f"{one[side].work_s:.1f}" for one in took)
        figures = f"{run.work_s:10.2f}{run.seconds:11.2f}{run.cpu_s:8.2f}{run.gigabytes:9.2f}"
        print(f"{side:8}{rows / run.work_s:12,.0f}{figures}   {each}")
    ours, pandas = median["ours"], median["pandas"]
    ratio, whole = pandas.work_s / ours.work_s, pandas.seconds / ours.seconds
    missed = [
        what
        for what, held in (
            (f"under {LIMIT_S:.0f} s", ours.seconds < LIMIT_S),
            (f"under {LIMIT_GB:.0f} GB", ours.gigabytes < LIMIT_GB),
            (f"ratio {LIMIT_RATIO:.0f}", ratio >= LIMIT_RATIO),
        )
        if not held
    ]
    if missed:
        print("missed:", ", ".join(missed))
    print(
        f"ours {ours.seconds:.1f} s, {ours.gigabytes:.2f} GB, {rows / ours.work_s / 1e6:.2f} M rows/s; "
        f"pandas {rows / pandas.work_s / 1e6:.2f} M rows/s; throughput ratio {ratio:.1f} "
        f"(whole processes {whole:.1f}, CPU {pandas.cpu_s / ours.cpu_s:.1f})"
    )
    return 1 if missed else 0


SIDES = {"ours": ours, "pandas": baseline}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each side")
    parser.add_argument("--side", nargs=3, metavar=("SIDE", "ROOT", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(SIDES[given.side[0]](Path(given.side[1]), Path(given.side[2])))
    else:
        sys.exit(main(given.runs))
