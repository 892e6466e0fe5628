"""What is made from footage beside frames: clips cut out of it, and images made for its frames."""

from functools import cache
from pathlib import Path

import dagster as dg
import polars as pl
from dagster import ResourceDependency

from surgsigma_dagster.context.time import temporal_scenes
from surgsigma_dagster.keys import clip_id
from surgsigma_dagster.quality.rejects import reject_rows
from surgsigma_dagster.release.pictures import contact_sheet
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.lake import Rebuilt, code_signature, signature
from surgsigma_dagster.schema.tables import empty
from surgsigma_dagster.sources.config import ModelTask
from surgsigma_dagster.synthesis.dense import dense_images
from surgsigma_dagster.synthesis.models import Model, load
from surgsigma_dagster.video.binary import MediaError, stop_running
from surgsigma_dagster.video.clips import Cut, cut
from surgsigma_dagster.video.extraction import extract
from surgsigma_dagster.vocabulary.concepts import concepts
from surgsigma_dagster.vocabulary.maps import basic_actions


class Footage(dg.ConfigurableResource):
    """Clips and dense images, on one corpus."""

    corpus: ResourceDependency[Corpus]

    def scenes(self, keys: list[str]) -> pl.DataFrame:
        """What stretches of footage of these videos are asked about."""
        lake = self.corpus.lake
        return temporal_scenes(
            lake.read("intervals", keys), lake.read("videos", keys), basic_actions(), seed=self.corpus.config_.seed
        )

    def write_clips(self) -> Rebuilt:
        """Cut every stretch of footage that a task shows or asks for."""
        listing, labels = self.corpus.listing(), self.corpus.lake.marks("harmonized")
        code = code_signature("video", "context")
        units = {
            key: signature(code, labels[key], self.corpus.media_signature(listed), self.corpus.config_.seed)
            for key, listed in listing.videos.items()
            if key in labels and listed.native.media == "video"
        }

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            (key,) = keys
            video = self.corpus.lake.read("videos", [key]).row(0, named=True)
            wanted = _stretches(self.scenes([key]))
            self.corpus.lake.remove(f"clips/{key}")
            made, failed = pl.DataFrame(schema=_CUT), dict.fromkeys(wanted["clip_id"], video["reason"])
            if video["status"] == "available" and wanted.height:
                listed = listing.videos[key]
                with self.corpus.lake.scratch() as folder:
                    made, failed = _cut_all(listed.entry.root / str(listed.native.path), wanted, Path(folder))
                    for column in ("clip_path", "first_frame_path"):
                        for name in made[column].drop_nulls():
                            self.corpus.lake.put(Path(folder, name), f"clips/{key}/{name}")
            status = "absent" if video["status"] == "absent" else "quarantined"
            clips = wanted.join(made, on="clip_id", how="left").with_columns(
                pl.concat_str(pl.lit(f"clips/{key}/"), "clip_path").alias("clip_path"),
                pl.concat_str(pl.lit(f"clips/{key}/"), "first_frame_path").alias("first_frame_path"),
                source=pl.lit(video["source"]),
                status=pl.when(pl.col("sha256").is_null()).then(pl.lit(status)).otherwise(pl.lit("available")),
                reason=pl.col("clip_id").replace_strict(failed, default=None, return_dtype=pl.String),
            )
            bad = clips.filter(pl.col("status") == "quarantined")
            rejects = reject_rows(
                bad, stage="clips", rule="uncut_clip", reason=pl.col("reason"), locator=pl.col("clip_id"),
                file=pl.lit(video["media_path"]), n_rows=0,
            )  # fmt: skip
            return {"clips": clips, "clips_rejects": rejects}

        return self.corpus.lake.rebuild(
            "clips", units, ("clips", "clips_rejects"), make, batch=1, workers=2, stop=stop_running
        )

    def write_dense_images(self) -> Rebuilt:
        """Masks, relative depth and rendered smoke for the frames of every video."""
        lake, config = self.corpus.lake, self.corpus.config_
        frames, code = lake.marks("frames"), code_signature("synthesis")
        pinned = [model.model_dump(mode="json", exclude={"path"}) for model in config.models]
        units = {
            key: signature(code, mark, frames.get(key), config.seed, config.smoke_every, config.model_every, pinned)
            for key, mark in lake.marks("harmonized").items()
        }

        @cache
        def models() -> dict[ModelTask, Model]:
            return {entry.task: load(entry) for entry in config.models}

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            (key,) = keys
            source = key.split("__")[0]
            lake.remove(f"dense/{key}")
            with lake.scratch() as folder:
                made = dense_images(
                    lake.read("frames", [key]),
                    lake.read("masks", [key]),
                    lake.read("depths", [key]),
                    seed=config.seed,
                    smoke_every=config.smoke_every,
                    model_every=config.model_every,
                    models=models(),
                    not_clear=_during_smoke(lake.read("frames", [key]), lake.read("intervals", [key])),
                    resolve=lambda root, path: self.corpus.media_file(source, root, path),
                    folder=Path(folder),
                )
                for name, path in made.files.items():
                    lake.put(path, f"dense/{key}/{name}")
            images = made.rows.with_columns(image_path=pl.concat_str(pl.lit(f"dense/{key}/"), "image_name"))
            return {"dense_images": images, "positions": made.positions, "synthesis_rejects": made.rejects}

        return lake.rebuild(
            "dense_images", units, ("dense_images", "positions", "synthesis_rejects"), make,
            batch=1, workers=2, stop=stop_running,
        )  # fmt: skip

    def contact_sheet(self) -> bytes | None:
        """A JPEG of up to a dozen dense images; None where there are none."""
        images = self.corpus.lake.scan("dense_images").select(
            "source", "image_path", frame_id="rendition_id", image_root=pl.lit("lake")
        )
        return contact_sheet(images.collect(), empty("boxes"), concepts(), self.corpus.media_file)


_CUT = {
    "clip_id": pl.String, "clip_path": pl.String, "first_pts_s": pl.Float64, "last_pts_s": pl.Float64,
    "n_frames": pl.Int64, "sha256": pl.String, "first_frame_path": pl.String,
}  # fmt: skip


def _cut_all(video: Path, wanted: pl.DataFrame, folder: Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Cut every stretch; where that fails, one by one, so that one that cannot be cut does not take the others along.

    Returns what was cut, file names in `folder`, and why the others were not, by clip id.
    """
    names, spans = wanted["clip_id"].to_list(), wanted.select("start_s", "end_s").rows()
    failed: dict[str, str] = {}
    found: list[tuple[str, Cut, Path]] = []
    try:
        found = [(name, one, folder) for name, one in zip(names, cut(video, spans, folder), strict=True)]
    except MediaError:
        for number, (name, span) in enumerate(zip(names, spans, strict=True)):
            own = folder / str(number)
            try:
                found += [(name, one, own) for one in cut(video, [span], own)]
            except MediaError as error:
                failed[name] = str(error)
    made = []
    opened = set(wanted.filter("opened")["clip_id"])
    for name, one, own in found:
        file, first = own / one.name, None
        if name in opened:
            extract(file, [0], own / "first")
            first = str((own / "first" / "000000.jpg").rename(file.with_suffix(".jpg")).relative_to(folder))
        file_name = str(file.relative_to(folder))
        made.append((name, file_name, one.first_pts_s, one.last_pts_s, one.n_frames, one.sha256, first))
    return pl.DataFrame(made, schema=_CUT, orient="row"), failed


def _during_smoke(frames: pl.DataFrame, intervals: pl.DataFrame) -> pl.Series:
    """Ids of the frames that a label calls smoky."""
    smoke = intervals.filter(pl.col("concept_id") == "event/smoke").select("start_s", "end_s")
    return frames.join_where(smoke, pl.col("pts_s") >= pl.col("start_s"), pl.col("pts_s") < pl.col("end_s"))["frame_id"]


def _stretches(scenes: pl.DataFrame) -> pl.DataFrame:
    """Every stretch that is shown or asked for, once: clip_id, video_id, start_s, end_s.

    `opened`: some task shows its first frame alone.
    """
    opened = pl.col("kind") == "conditional"
    ends = scenes.select(
        "video_id", "start_s", end_s=pl.when(opened).then("end_s").otherwise("cutoff_s"), opened=opened
    )
    named = ends.with_columns(clip_id=clip_id(pl.col("video_id"), pl.col("start_s"), pl.col("end_s")))
    stretch = pl.col("video_id", "start_s", "end_s").first()
    return named.group_by("clip_id").agg(stretch, pl.col("opened").any()).sort("clip_id")
