"""MultiBypass140: 140 laparoscopic Roux-en-Y gastric bypasses of two centres, with phases and steps."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    TEXT,
    divided,
    document,
    images,
    in_order,
    is_footage,
    listing,
    matching,
    records,
    require,
    section,
)

SHORTEST_S = 60  # no bypass is shorter: such numbers are seconds
FRAMES = tuple(f"{'*/' * depth}frames/*" for depth in range(4))
OVERLAYS = ("out_of_body", "severe_index")
FIELDS = {"start": INTEGER, "end": INTEGER, "label_name": TEXT, "label_id": INTEGER}


class MultiBypass140(Adapter):
    """JSON, a file a video, in milliseconds; an entry is a row, counted in `intervals` or `rejects`.

    out_of_body and severe_index stand among the phases and overlap them: they are events here. The labels'
    clock is time, and the videos' frame rate is not documented, so frame numbers stay null.

    Footage is `BBP01.mp4` or `BBP01-….mp4` (the owner's script cuts names at "-"), else the frames that the
    script makes of it, one a second: `frames/BBP01/BBP01_%08d.jpg`, or `img%d.jpg` in the README. They count from
    1: image n is second n - 1.
    """

    name = "multibypass140"
    title = "MultiBypass140"
    specialty = "Bariatric and upper GI"
    procedure_type = "procedure/gastric_bypass"
    licence = CC_BY_NC_SA
    citation = "Lavanchy et al., IJCARS 2024, arXiv:2312.11250"
    url = "https://github.com/CAMMA-public/MultiBypass140"
    format_source = "real files"
    yields = ("intervals:event", "intervals:phase", "intervals:step")
    tested_on_real_files = True
    signature = ("labels/*/labels_by70/*.mp4.json",)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have labels; the mp4 may lie under `videos/`, else anywhere; frames up to three folders deep."""
        centres = [listing(root, f"labels/{name}/labels_by70", r"(\w+)\.mp4\.json") for name in ("bern", "strasbourg")]
        wanted = {video for centre in centres for video in centre}
        media = _files(root, wanted)
        folders = matching(root, FRAMES, r"(?:.*/)?frames/(\w+)") if not wanted <= media.keys() else {}
        shown = {video: folders[video] for video in (wanted & folders.keys()) - media.keys()}
        videos = self.listed(root, centres, {**media, **shown}, "video", frame_rate=1.0)
        return [replace(video, media="images", first_index=1) if video.video in shown else video for video in videos]

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, steps and events."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
        for listed in videos:
            if listed.media == "images" and listed.path:
                stem = rf"(?:img|{listed.video}(?:-[^/]*)?_)(?P<frame>0*[1-9]\d{{0,7}})"
                shown, copies = images(root, [listed.path], stem, video=listed.video)
                yield {"images": shown, "rejects": copies}
        name = pl.col("label_name")
        for video, file in ((listed.video, file) for listed in videos for file in listed.label_files):
            value = document(root, file)
            for key, field in (("phases", "phase"), ("steps", "step")):
                rows = records(file, section(file, value, key), FIELDS).with_columns(
                    video=pl.lit(video),
                    n_rows=pl.lit(1, pl.Int64),
                    field=pl.when(name.is_in(OVERLAYS)).then(pl.lit("event")).otherwise(pl.lit(field)),
                    raw_value=name,
                    start_s=divided(pl.col("start"), 1000),
                    end_s=divided(pl.col("end"), 1000),
                )
                intervals, rejects = in_order(rows)
                longest = intervals.sort("end").tail(1)
                require(longest, pl.col("end_s") >= SHORTEST_S, "an end in milliseconds, past a minute", "end")
                yield {"intervals": intervals, "rejects": rejects}


def _files(root: Path, wanted: set[str]) -> dict[str, list[str]]:
    """Video files by their name up to "-", those in `videos/` first, and of one folder the plain name first."""
    found: dict[str, list[str]] = {}
    for pattern in ("videos/**/*", "**/*"):
        if not wanted <= found.keys():
            shown = (path for path in root.glob(pattern) if is_footage(path.name))
            for path in sorted(shown, key=lambda path: ("-" in path.stem, path)):
                if (video := path.stem.partition("-")[0]) in wanted:
                    found.setdefault(video, []).append(path.relative_to(root).as_posix())
    for video, files in found.items():
        cut = next((file for file in files if Path(file).stem != Path(files[0]).stem), None)
        if cut and Path(files[0]).stem != video:
            raise SourceError(files[0], "", f"one video file of {video}", f"{Path(cut).name} too")
    return found


ADAPTER = MultiBypass140()
