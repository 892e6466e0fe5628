"""Who is who: which videos are one procedure, in which split it is, which sources may overlap, and do they agree."""

import dagster as dg
import polars as pl
from dagster import ResourceDependency

from surgsigma_dagster.identity.agreement import comparable, compared, precedence, statements
from surgsigma_dagster.identity.content import shared_pictures
from surgsigma_dagster.identity.overlaps import Origin, overlaps, unknown_pairs
from surgsigma_dagster.identity.procedures import claims_of, merged, read_splits, split_conflicts, split_of
from surgsigma_dagster.resources.corpus import Corpus
from surgsigma_dagster.schema.tables import FRAME_LABELS, LABELS


class Identities(dg.ConfigurableResource):
    """The tables about identity, on one corpus."""

    corpus: ResourceDependency[Corpus]

    def write_procedures(self) -> list[str]:
        """Tables `procedures`, `source_overlaps`, `split_conflicts`. Returns what the split file names in vain."""
        lake, config = self.corpus.lake, self.corpus.config_
        sources = lake.read("sources")
        videos = lake.read("videos").with_columns(procedure="listed_procedure")
        usable = pl.col("status").cast(pl.String) == "available"
        frames = (
            lake.scan("frames").filter(usable).select("video_id", "frame_index", "sha256", "perceptual_hash").collect()
        )
        origins = [Origin(*row) for row in sources.select("source", "dataset", "procedure_type").iter_rows()]
        alike = shared_pictures(videos, frames, unknown_pairs(origins))
        listed = dict(videos.select("video_id", "procedure").iter_rows())
        names = merged((listed[row["video_a"]], listed[row["video_b"]]) for row in alike.to_dicts())
        why = {listed[video]: row["why"] for row in alike.to_dicts() for video in (row["video_a"], row["video_b"])}
        videos = videos.with_columns(
            procedure_id=pl.col("procedure").replace(names),
            identity_rule=pl.when(pl.col("procedure").is_in(list(names)))
            .then(pl.format("content: {}", pl.col("procedure").replace_strict(why, default="", return_dtype=pl.String)))
            .otherwise("identity_rule"),
        )
        datasets = dict(sources.select("source", "dataset").iter_rows())
        stated: dict[str, dict[str, str]] = {}
        for row in videos.filter(pl.col("stated_split").is_not_null()).to_dicts():
            stated.setdefault(row["procedure_id"], {})[datasets.get(row["source"], row["source"])] = row["stated_split"]
        for away, procedure in names.items():
            stated[procedure] = claims_of(away) | stated.get(procedure, {})
        file = read_splits(config.splits) if config.splits else {}
        # Who names a procedure by a name that pictures took from it means the one that it is part of.
        chosen = {names[name]: split for name, split in file.items() if name in names} | file
        splits = split_of(videos["procedure_id"].to_list(), config.seed, chosen, stated)
        grouped = (
            videos.join(sources.select("source", "specialty"), on="source", how="left")
            .with_columns(pl.col("specialty").fill_null("General"))
            .sort("video_id")
            .group_by("procedure_id", maintain_order=True)
            .agg(
                pl.col("procedure_type", "specialty").first(),
                identity_rule=pl.col("identity_rule").unique().sort().str.join("; "),
                videos=pl.col("video_id"),
            )
        )
        self.corpus.write_whole("procedures", grouped.join(splits, on="procedure_id"))
        self.corpus.write_whole("split_conflicts", split_conflicts(splits))
        self.corpus.write_whole("source_overlaps", overlaps(origins, videos, frames, alike))
        return sorted(set(file) - set(videos["procedure"]) - set(videos["procedure_id"]))

    def write_agreements(self) -> pl.DataFrame:
        """Tables `agreements` and `label_conflicts`: what sources say of the same instants."""
        lake = self.corpus.lake
        datasets = dict(lake.read("sources").select("source", "dataset").iter_rows())
        groups = comparable(datasets)
        procedures = lake.read("procedures").select("procedure_id", video_id="videos").explode("video_id")
        shown = lake.read("videos").select("video_id", "source", "label_rate", "first_index")
        videos = shown.join(procedures, on="video_id")
        shared = videos.filter(
            pl.col("source").is_in([source for group in groups for source in group])
            & (pl.col("source").n_unique().over("procedure_id") > 1)
        )
        labels = {
            kind: lake.scan(kind).filter(pl.col("video_id").is_in(shared["video_id"].implode())).collect()
            for kind in LABELS
        }
        at_s = (pl.col("frame_id").str.extract(r"(\d+)$").cast(pl.Int64) - pl.col("first_index")) / pl.col("label_rate")
        frames = (
            pl.concat([labels[kind].select("frame_id", "video_id") for kind in FRAME_LABELS])
            .unique()
            .join(shared.select("video_id", "label_rate", "first_index"), on="video_id")
            .select("frame_id", at_s=at_s)
        )
        found = compared(
            statements(labels, shared, frames), groups, precedence(datasets, {**self.corpus.config_.precedence})
        )
        self.corpus.write_whole("label_conflicts", found["label_conflicts"])
        return self.corpus.write_whole("agreements", found["agreements"])
