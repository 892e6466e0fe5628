"""From labels to conversations: scenes, their reasoning, and every task asked of them; a unit is a video."""

import dagster as dg
import polars as pl
from dagster import ResourceDependency

from surgsigma_dagster.context.motion import frame_pairs
from surgsigma_dagster.context.scene import scene_context, visible
from surgsigma_dagster.context.words import in_words
from surgsigma_dagster.dialogue.engine import instantiate
from surgsigma_dagster.dialogue.media import with_media
from surgsigma_dagster.dialogue.pools import with_pools
from surgsigma_dagster.dialogue.sampling import counted, default_sampling, effect, read_sampling, sampled
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.dialogue.turns import several_turns
from surgsigma_dagster.keys import frame_id, unit_key
from surgsigma_dagster.quality.rejects import reject_rows
from surgsigma_dagster.reasoning.grounded import chains
from surgsigma_dagster.reasoning.verifier import verify
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.resources.footage import Footage
from surgsigma_dagster.resources.lake import Rebuilt, code_signature, signature
from surgsigma_dagster.schema.tables import LABELS
from surgsigma_dagster.vocabulary.concepts import concepts


class Dialogues(dg.ConfigurableResource):
    """Scene context, reasoning and conversations, on one corpus."""

    footage: ResourceDependency[Footage]

    @property
    def corpus(self) -> Corpus:
        """The corpus that all of it is made from."""
        return self.footage.corpus

    def write_scene_context(self) -> Rebuilt:
        """Join what is known of each available frame, of pairs of frames and of stretches of footage."""
        lake, seed = self.corpus.lake, self.corpus.config_.seed
        frames, code = lake.marks("frames"), code_signature("context")
        procedures = lake.read("procedures")
        placed = {
            unit_key(video): (row["procedure_id"], row["split"])
            for row in procedures.to_dicts()
            for video in row["videos"]
        }
        overruled = self._overruled()
        silenced = {
            unit_key(str(video)): signature(part.rows())
            for (video,), part in overruled.partition_by("video_id", as_dict=True).items()
        }
        dense = lake.marks("dense_images")
        units = {
            key: signature(code, mark, frames.get(key), dense.get(key), placed.get(key), silenced.get(key), seed)
            for key, mark in lake.marks("harmonized").items()
        }

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            labels = {kind: lake.read(kind, keys) for kind in LABELS}
            frames, videos = lake.read("frames", keys), lake.read("videos", keys)
            rejects = lake.read("harmonization_rejects", keys)
            # An instrument whose label was turned down has not left the view.
            sound = frames.join(rejects.drop_nulls("frame_id"), on="frame_id", how="anti")
            scenes = scene_context(
                frames,
                labels,
                procedures,
                videos,
                overruled,
                rejects,
                pairs=frame_pairs(
                    sound, labels["boxes"], lake.read("positions", keys), seen=visible(labels), seed=seed
                ),
                footage=self.footage.scenes(keys),
            )
            return {"scene_context": scenes}

        return lake.rebuild("scene_context", units, ("scene_context",), make)

    def _overruled(self) -> pl.DataFrame:
        """What is not believed on which frame: frame_id, video_id, field, concept_id, says."""
        lake = self.corpus.lake
        clock = lake.read("videos").select("video_id", "label_rate", "first_index")
        videos = lake.read("procedures").select("procedure_id", video_id="videos")
        at = (pl.col("at_s") * pl.col("label_rate")).round().cast(pl.Int64) + pl.col("first_index")
        return (
            lake.read("label_conflicts")
            .select(
                "procedure_id", "at_s", "field", source="overruled_source", concept_id="overruled_concept_id",
                says="overruled_says",
            )
            .join(videos.explode("video_id", empty_as_null=True).join(clock, on="video_id"), on="procedure_id")
            .filter(pl.col("video_id").str.starts_with(pl.concat_str("source", pl.lit("/"))))
            .select("video_id", "field", "concept_id", "says", frame_id=frame_id(pl.col("video_id"), at))
            .unique()
            .sort("frame_id", "field", "concept_id")
        )  # fmt: skip

    def _units(self, *packages: str, after: str) -> dict[str, str]:
        """Signatures of a stage over words and media: its code, the stage before, clips and dense images."""
        lake, code = self.corpus.lake, code_signature("context", "dialogue", "vocabulary", *packages)
        clips, dense = lake.marks("clips"), lake.marks("dense_images")
        return {key: signature(code, mark, clips.get(key), dense.get(key)) for key, mark in lake.marks(after).items()}

    def _worded(self, keys: list[str]) -> pl.DataFrame:
        """What tasks see: scenes in words, with pools and media."""
        lake, vocabulary = self.corpus.lake, concepts()
        words = in_words(lake.read("scene_context", keys), vocabulary)
        media = [lake.read(table, keys) for table in ("frames", "dense_images", "clips")]
        return with_media(with_pools(words, self.corpus.known_values(), vocabulary), *media)

    def write_reasoning(self) -> Rebuilt:
        """Write and verify a three-level chain for each scene and task."""

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            words = self._worded(keys)
            written = pl.concat([chains(words, task) for task in tasks().values()])
            scenes = self.corpus.lake.read("scene_context", keys)
            judged = verify(written, scenes, concepts(), {name: task.concludes for name, task in tasks().items()})
            failed = judged.filter(pl.col("verified").cast(pl.String) != "pass")
            rejects = reject_rows(
                failed, stage="reasoning", rule="reasoning_not_verified",
                reason=pl.col("verifier_reason").fill_null("the verifier did not run"),
                locator=pl.col("reasoning_id"), n_rows=0,
            )  # fmt: skip
            return {"reasoning": judged, "reasoning_rejects": rejects}

        units = self._units("reasoning", after="scene_context")
        return self.corpus.lake.rebuild("reasoning", units, ("reasoning", "reasoning_rejects"), make, batch=16)

    def write_conversations(self) -> Rebuilt:
        """Instantiate every task on every scene that it can be asked of."""
        lake, seed = self.corpus.lake, self.corpus.config_.seed
        licences = {row["source"]: row["licence"] for row in lake.read("sources").to_dicts()}
        own = dict(
            lake.read("videos").filter(pl.col("licence").is_not_null()).select("video_id", "licence").iter_rows()
        )
        videos = self.corpus.video_ids()
        units = {
            key: signature(mark, seed, licences.get(videos[key].split("/")[0]), own.get(videos[key]))
            for key, mark in self._units(after="reasoning").items()
            if key in videos
        }

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            licence = pl.coalesce(
                pl.col("video_id").replace_strict(own, default=None, return_dtype=pl.String),
                pl.col("source").replace_strict(licences, return_dtype=pl.String),
            )
            words = self._worded(keys).with_columns(licence=licence)
            made = pl.concat([instantiate(words, task, seed=seed) for task in tasks().values()])
            verdicts = lake.read("reasoning", keys).select("reasoning_id", verified=pl.col("verified").cast(pl.String))
            accepted = pl.col("verified").fill_null("not run") == "pass"
            made = made.join(verdicts, on="reasoning_id", how="left").with_columns(
                status=pl.when(accepted)
                .then(pl.lit("accepted"))
                .otherwise(pl.lit("rejected"))
                .cast(made["status"].dtype)
            )
            made = made.drop("verified")
            return {"conversations": pl.concat([made, several_turns(words, made, seed=seed)])}

        return lake.rebuild("conversations", units, ("conversations",), make, batch=16)

    def write_selection(self) -> pl.DataFrame:
        """What is kept for training: tables `sampling_policy`, `selection`, `sampling_effect`, `conversation_counts`.

        Returns the effect. Raises `SourceError` for a policy file that cannot be used.
        """
        corpus = self.corpus
        config, lake = corpus.config_, corpus.lake
        policy = read_sampling(config.sampling) if config.sampling else default_sampling()
        corpus.write_whole("sampling_policy", policy.table())
        talk = lake.scan("conversations")
        corpus.write_whole(
            "selection", sampled(talk, lake.scan("scene_context"), lake.scan("frames"), policy, seed=config.seed)
        )
        selection = lake.scan("selection")
        corpus.write_whole("conversation_counts", counted(talk, selection, lake.scan("sources")))
        return corpus.write_whole("sampling_effect", effect(talk, selection))
