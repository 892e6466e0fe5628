"""SurgVU: 155 robot-assisted training sessions on porcine tissue, tasks and an instrument log."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import Adapter, Licence, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import footage, in_order, lines, on_lines, reject, seconds

FRAME_RATE = 60.0
LEVELS = ("", "*/", "*/*/")
TASKS = ("index", "start_part", "start_time", "stop_part", "stop_time", "groundtruth_taskname")
TOOLS = (
    "index",
    "install_case_part",
    "install_case_time",
    "uninstall_case_part",
    "uninstall_case_time",
    "arm",
    "commercial_toolname",
    "groundtruth_toolname",
)
FILES = {"tasks.csv": (TASKS, "step"), "tools.csv": (TOOLS, "event")}


class SurgVu(Adapter):
    """Two csv files a case, times by part of the case's video; a video is a part, a procedure a case.

    A line is a row. Tasks are steps. Tools are what the robot's log says is mounted on an arm, seen or not:
    events, and no presences. A row that lasts from one part into another is counted in the stretch of its
    last part, since the length of the others is not stated. The endoscope, repeated lines, lines with cells
    too many (put to part 1), and rows without an end are `rejects`.
    """

    name = "surgvu"
    title = "SurgVU"
    specialty = "General"
    procedure_type = "procedure/porcine_robotic_training"
    licence = Licence("not stated", redistribution=False)
    citation = "Zia et al., Surgical Visual Understanding (SurgVU) Dataset, 2025, arXiv:2501.09209"
    url = "https://github.com/isi-challenges/surgVU-dataset"
    format_source = "users' reports"
    yields = ("intervals:event", "intervals:step")
    signature = tuple(f"{level}case_*/{file}" for file in FILES for level in LEVELS)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Parts of cases that have a video or labels."""
        media = footage(root, ["**/case_*_video_part_*"], r"(?:.*/)?(case_[^/]*_video_part_[^/]*)")
        labels = []
        for name in FILES:
            found = sorted(path for level in LEVELS for path in root.glob(f"{level}case_[0-9]*/{name}"))
            for path in [path for path in found if "__MACOSX" not in path.parts]:
                file = path.relative_to(root).as_posix()
                parts = pl.concat(_rows(root, file)[:2], how="diagonal")["video"]
                labels.append({video: [file] for video in parts.unique()})
        return [
            replace(video, patient=video.video.partition("_video_")[0])
            for video in self.listed(root, labels, media, "video", FRAME_RATE)
        ]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Tasks as steps, and instruments mounted as events."""
        wanted = pl.col("video").is_in([video.video for video in videos])
        return NativeLabels.concat(
            {kind: rows.filter(wanted) for kind, rows in part.items()} for part in self._records(root, videos)
        )

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        for file in dict.fromkeys(file for video in videos for file in video.label_files):
            rows, malformed = _rows(root, file)
            blank = pl.col("raw_value").str.strip_chars() == ""
            rows, nameless = reject(rows, blank, "unnamed", "It has no name.")
            camera = pl.col("raw_value").str.starts_with("nan(")
            rows, scope = reject(rows, camera, "endoscope", "The camera is no instrument.", "raw_value")
            again = ~pl.struct("again").is_first_distinct()
            rows, repeated = reject(rows, again, "repeated_row", "A line above says the same.", "raw_value")
            endless = (pl.col("end_s") == 0) & ((pl.col("parts") > 0) | (pl.col("start_s") > 0))
            rows, open_ = reject(rows, endless, "no_end", "Its end is 0: it was still mounted.", "raw_value")
            reason = pl.format("How much of it lies in the {} parts before is not stated.", "parts")
            spanning = reject(rows, pl.col("parts") > 0, "spans_parts", reason, "raw_value")[1]
            rows = rows.with_columns(start_s=pl.when(pl.col("parts") > 0).then(0.0).otherwise("start_s"))
            intervals, empty = in_order(rows)
            yield {"intervals": intervals}
            for rejects in (malformed, nameless, scope, repeated, open_, spanning, empty):
                yield {"rejects": rejects}


def _rows(root: Path, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of a file, and those that cannot be read as rejects. The name may hold commas and quotes."""
    columns, field = FILES[Path(file).name]
    case = Path(file).parent.name
    content = lines(root, file)
    header = str(content["content"].first() or "")
    if header.split(",") != [*columns]:
        raise SourceError(file, "line 1", f"the header {','.join(columns)!r}", repr(header))
    cells = pl.col("content").str.split(",")
    written = content.slice(1).filter(pl.col("content").str.strip_chars() != "")
    rows = on_lines(written, pl.format("{}_video_part_001", pl.lit(case))).with_columns(cells=cells)
    cell = [pl.col("cells").list.get(i, null_on_oob=True) for i in range(len(columns))]
    numbers = (part.cast(pl.Float64, strict=False) for part in (cell[1], cell[3]))
    first, last = (part.cast(pl.Int64, strict=False) for part in numbers)
    rows = rows.with_columns(
        start_s=seconds(cell[2]),
        end_s=seconds(cell[4]),
        part=last,
        parts=last - first,
        field=pl.lit(field),
        raw_value=cell[-1],
        again=pl.concat_str([*cell[1:-1], cell[-1].str.to_lowercase()], separator=","),
    )
    whole = (
        (pl.col("cells").list.len() == len(columns))
        & ~pl.col("raw_value").str.contains('"')
        & (pl.col("part") >= 1)
        & (pl.col("parts") >= 0)
        & pl.col("start_s").is_not_null()
        & pl.col("end_s").is_not_null()
    )
    expected = f"It is not {len(columns)} cells with parts and times where they belong."
    rows, malformed = reject(rows, ~whole.fill_null(False), "malformed_row", expected, "content")
    part = pl.format("{}_video_part_{}", pl.lit(case), pl.col("part").cast(pl.String).str.zfill(3))
    return rows.with_columns(video=part), malformed


ADAPTER = SurgVu()
