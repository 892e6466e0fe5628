"""What is made from footage beside frames: clips cut out of it, and images made for its frames."""

from pathlib import Path

import dagster as dg
import polars as pl
from dagster import ResourceDependency

from surgsigma_dagster.context.time import temporal_scenes
from surgsigma_dagster.keys import clip_id
from surgsigma_dagster.quality.rejects import unit_reject
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.lake import Rebuilt, code_signature, signature
from surgsigma_dagster.schema.tables import empty
from surgsigma_dagster.synthesis.dense import dense_images
from surgsigma_dagster.video.binary import MediaError, stop_running
from surgsigma_dagster.video.clips import cut
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
            rejects = empty("rejects")
            rows = _stretches(self.scenes([key])).with_columns(source=pl.lit(video["source"]))
            made = pl.DataFrame(schema=_CUT)
            if video["status"] == "available" and rows.height:
                listed = listing.videos[key]
                with self.corpus.lake.scratch() as folder:
                    self.corpus.lake.remove(f"clips/{key}")
                    try:
                        found = cut(
                            listed.entry.root / str(listed.native.path),
                            rows.select("start_s", "end_s").rows(),
                            Path(folder),
                        )
                    except MediaError as error:
                        found = []
                        rejects = unit_reject(
                            "clips", "undecodable_clip", str(error), video["source"], video_id=video["video_id"],
                            file=video["media_path"],
                        )  # fmt: skip
                    for one in found:
                        for name in (one.name, one.first_frame):
                            self.corpus.lake.put(Path(folder, name), f"clips/{key}/{name}")
                made = pl.DataFrame([_facts(one, key) for one in found], schema=_CUT)
            reason = pl.lit(video["reason"] or "it could not be cut")
            clips = rows.join(made, on=["start_s", "end_s"], how="left").with_columns(
                status=pl.when(pl.col("clip_path").is_not_null())
                .then(pl.lit("available"))
                .otherwise(pl.lit("quarantined" if video["status"] != "absent" else "absent")),
                reason=pl.when(pl.col("clip_path").is_null()).then(reason),
            )
            return {"clips": clips, "clips_rejects": rejects}

        return self.corpus.lake.rebuild(
            "clips", units, ("clips", "clips_rejects"), make, batch=1, workers=2, stop=stop_running
        )

    def write_dense_images(self) -> Rebuilt:
        """Masks, relative depth and rendered smoke for the frames of every video."""
        lake, config = self.corpus.lake, self.corpus.config_
        frames, code = lake.marks("frames"), code_signature("synthesis")
        models = [model.model_dump(mode="json") for model in config.models]
        units = {
            key: signature(code, mark, frames.get(key), config.seed, config.smoke_every, models)
            for key, mark in lake.marks("harmonized").items()
        }

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            (key,) = keys
            source = self.corpus.video_ids()[key].split("/")[0]
            lake.remove(f"dense/{key}")
            with lake.scratch() as folder:
                made = dense_images(
                    lake.read("frames", [key]),
                    lake.read("masks", [key]),
                    lake.read("depths", [key]),
                    seed=config.seed,
                    smoke_every=config.smoke_every,
                    models=config.models,
                    resolve=lambda root, path: self.corpus.media_file(source, root, path),
                    folder=Path(folder),
                )
                for name, path in made.files.items():
                    lake.put(path, f"dense/{key}/{name}")
            path = pl.concat_str(pl.lit(f"dense/{key}/"), "image_name")
            return {"dense_images": made.images.with_columns(image_path=path), "synthesis_rejects": made.rejects}

        return lake.rebuild(
            "dense_images", units, ("dense_images", "synthesis_rejects"), make, batch=1, workers=2, stop=stop_running
        )


def _stretches(scenes: pl.DataFrame) -> pl.DataFrame:
    """Every stretch that is shown or asked for, once: clip_id, video_id, start_s, end_s."""
    to_be_made = pl.col("kind") == "conditional"
    ends = scenes.select("video_id", "start_s", end_s=pl.when(to_be_made).then("end_s").otherwise("cutoff_s")).unique()
    named = ends.with_columns(clip_id=clip_id(pl.col("video_id"), pl.col("start_s"), pl.col("end_s")))
    return named.unique("clip_id", keep="first", maintain_order=True).sort("clip_id")
