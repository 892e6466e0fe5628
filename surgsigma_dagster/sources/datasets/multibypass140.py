"""MultiBypass140: 140 laparoscopic Roux-en-Y gastric bypasses of two centres, with phases and steps."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.readers import (
    INTEGER,
    TEXT,
    divided,
    document,
    footage,
    in_order,
    listing,
    records,
    require,
    section,
)

SHORTEST_S = 60  # no bypass is shorter: such numbers are seconds
OVERLAYS = ("out_of_body", "severe_index")
FIELDS = {"start": INTEGER, "end": INTEGER, "label_name": TEXT, "label_id": INTEGER}


class MultiBypass140(Adapter):
    """JSON, a file a video, in milliseconds; an entry is a row, counted in `intervals` or `rejects`.

    out_of_body and severe_index stand among the phases and overlap them: they are events here. The labels'
    clock is time, and the videos' frame rate is not documented, so frame numbers stay null.
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
        """Videos that have labels; the mp4 may lie under `videos/`, else anywhere under the root."""
        centres = [listing(root, f"labels/{name}/labels_by70", r"(\w+)\.mp4\.json") for name in ("bern", "strasbourg")]
        wanted = {video for centre in centres for video in centre}
        media: dict[str, list[str]] = {}
        for pattern in ("videos/**/*", "**/*"):
            if not wanted <= media.keys():
                media = {**footage(root, [pattern], r"(?:.*/)?(\w+)"), **media}
        media = {video: media[video] for video in wanted & media.keys()}
        return self.listed(root, centres, media, "video", frame_rate=1.0)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, steps and events."""
        return NativeLabels.concat(self._records(root, videos))

    def _records(self, root: Path, videos: list[NativeVideo]) -> Iterator[dict[str, pl.DataFrame]]:
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


ADAPTER = MultiBypass140()
