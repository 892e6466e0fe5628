"""The corpus: what `sources.yaml` asks for, and each stage of making it, as units of the lake.

A stage's unit is one video. Its signature chains: the stage's code, its parameters and the signature of the stage
before it, so that a changed label file, template or alias remakes just what follows from it.
"""

from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from dagster import ResourceDependency
from PIL import Image

from surgsigma_dagster.identity.procedures import procedure_of
from surgsigma_dagster.keys import unit_key
from surgsigma_dagster.quality.rejects import unit_reject
from surgsigma_dagster.quality.rules import evaluate
from surgsigma_dagster.release.pictures import contact_sheet
from surgsigma_dagster.resources.lake import Lake, Rebuilt, code_signature, signature
from surgsigma_dagster.resources.listing import ContentHashes, Listed, Listing, list_sources
from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.stages import REJECTING
from surgsigma_dagster.schema.tables import TABLES, conform, empty
from surgsigma_dagster.sources.accounting import rowless
from surgsigma_dagster.sources.adapter import NativeLabels, NativeVideo, read_labels
from surgsigma_dagster.sources.config import SourcesConfig, load_sources
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.video.binary import MediaError, stop_running
from surgsigma_dagster.video.frames import FrameSet, frames_of_images, frames_of_video, frames_without_media
from surgsigma_dagster.video.probe import probe
from surgsigma_dagster.vocabulary.concepts import concepts
from surgsigma_dagster.vocabulary.harmonization import HARMONIZED, harmonize, known_values
from surgsigma_dagster.vocabulary.maps import counted_basic_actions

_NATIVE = tuple(f"native_{kind}" for kind in NATIVE)
_STAGE_REJECTS = tuple(f"{stage}_rejects" for stage in REJECTING)


class Corpus(dg.ConfigurableResource):
    """The stages, on one `sources.yaml` and one lake."""

    sources_path: str
    lake: ResourceDependency[Lake]

    @property
    def config_(self) -> SourcesConfig:
        """The sources as the file says now. Raises `SourceError`."""
        return load_sources(Path(self.sources_path))

    # Listing and fingerprints

    def listing(self) -> Listing:
        """List every source. A source that fails is named with its error; the others go on."""
        return list_sources(self.config_)

    @cached_property
    def _hashes(self) -> ContentHashes:
        return ContentHashes(Path(self.lake.cache_folder, "fingerprints.json"))

    def media_signature(self, listed: Listed) -> str:
        """Changes when the video's footage changes: content of a video file, names and times of images."""
        path = listed.entry.root / listed.native.path if listed.native.path else None
        if path is None or not path.exists():
            return "absent"
        if path.is_file():
            return self._hashes.sha256(path)
        return signature(
            [
                [file.relative_to(path).as_posix(), file.stat().st_size, file.stat().st_mtime_ns]
                for file in sorted(path.rglob("*"))
                if file.is_file()
            ]
        )

    def ingestion_signatures(self, listing: Listing) -> dict[str, str]:
        """Signature of every listed video's labels."""
        code = code_signature("sources", "schema")
        found = {}
        for key, listed in listing.videos.items():
            files = {
                file: self._hashes.sha256(listed.entry.root / file)
                for file in listed.native.label_files
                if (listed.entry.root / file).is_file()
            }
            images = self.media_signature(listed) if listed.native.media == "images" else None
            found[key] = signature(code, listed.entry.dataset, asdict(listed.native), files, images)
        self._hashes.remember()
        return found

    def content_signature(self, listing: Listing) -> str:
        """Changes when anything that the sources hold changes: footage, images or labels."""
        labels = self.ingestion_signatures(listing)
        media = {key: self.media_signature(listed) for key, listed in listing.videos.items()}
        self._hashes.remember()
        return signature(labels, media)

    # Ingestion

    def write_sources(self) -> pl.DataFrame:
        """The `sources` table, and a reject for each source that cannot be listed."""
        listing, rows = self.listing(), []
        for gone in set(self.lake.shards("ingestion_rejects")) - {entry.name for entry in self.config_.sources}:
            if "__" not in gone:  # shards of single videos are pruned with their videos
                self.lake.remove(f"ingestion_rejects/{gone}.parquet")
        for entry in self.config_.sources:
            adapter, failed = entry.adapter, listing.failed.get(entry.name)
            try:
                terms, subject = entry.terms(), entry.subject()
            except SourceError as error:
                failed = failed or error
                terms = None
            rejects = empty("rejects")
            if failed:
                rejects = unit_reject(
                    "ingestion", "unreadable_source", str(failed), entry.name, file=Path(failed.file).name,
                    locator=failed.place or None,
                )  # fmt: skip
            self.lake.write("ingestion_rejects", entry.name, rejects)
            if terms:
                rows.append(
                    {
                        "source": entry.name,
                        "dataset": entry.dataset,
                        "title": subject.title,
                        "specialty": subject.specialty,
                        "procedure_type": subject.procedure_type,
                        "licence": terms.licence.name,
                        "licence_url": terms.licence.url,
                        "non_commercial": terms.licence.non_commercial,
                        "share_alike": terms.licence.share_alike,
                        "no_derivatives": terms.licence.no_derivatives,
                        "consent_scope": terms.consent_scope,
                        "may_be_released": terms.may_be_released,
                        "citation": adapter.citation,
                        "url": adapter.url,
                    }
                )
        return self.write_whole(
            "sources",
            pl.DataFrame(rows, schema_overrides={"licence_url": pl.String, "consent_scope": pl.String})
            if rows
            else empty("sources"),
        )

    def write_whole(self, table: str, frame: pl.DataFrame) -> pl.DataFrame:
        """Write a table that is one shard; returns it as its contract has it."""
        frame = conform(table, frame)
        self.lake.write(table, "all", frame)
        return frame

    def write_videos(self, listing: Listing) -> Rebuilt:
        """Probe every video: table `videos`, and the timestamps of video files."""
        code = code_signature("video", "identity")
        units = {
            key: signature(
                code,
                asdict(listed.native),
                listed.entry.dataset,
                listed.entry.adapter.procedure_type,
                listed.entry.adapter.complete,
                listed.entry.adapter.partial,
                listed.entry.own_licence_allows(listed.native),
                self.media_signature(listed),
            )
            for key, listed in listing.videos.items()
        }
        self._hashes.remember()

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            rows, timestamps = zip(*(self._probed(listing.videos[key]) for key in keys), strict=True)
            return {"videos": pl.concat(rows), "timestamps": pl.concat(timestamps)}

        return self.lake.rebuild("videos", units, ("videos", "timestamps"), make, batch=1, workers=2)

    def _probed(self, listed: Listed) -> tuple[pl.DataFrame, pl.DataFrame]:
        native, entry = listed.native, listed.entry
        path = entry.root / native.path if native.path else None
        procedure, rule = procedure_of(entry.name, entry.dataset, native)
        row: dict[str, Any] = {
            **dict.fromkeys(TABLES["videos"].columns()),
            "video_id": listed.video_id,
            "source": entry.name,
            "video": native.video,
            "listed_procedure": procedure,
            "identity_rule": rule,
            "stated_split": native.split,
            "licence": native.licence,
            "attribution": native.attribution,
            "own_licence_allows": entry.own_licence_allows(native),
            "label_rate": native.frame_rate,
            "first_index": native.first_index,
            "timed": native.timed,
            "procedure_type": native.procedure_type or entry.adapter.procedure_type,
            "media": native.media,
            "complete": list(entry.adapter.complete),
            "partial": entry.adapter.partial,
            "media_path": native.path,
            "status": "available",
        }
        timestamps = pl.DataFrame(schema={"video_id": pl.String, "file_frame": pl.Int64, "pts_s": pl.Float64})
        if path is None or listed.lacks:
            row |= {"status": "absent", "reason": listed.lacks}
        elif native.media == "images":
            pictures = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in {".png", ".jpg", ".jpeg"})
            row["width"], row["height"] = next(filter(None, map(_image_size, pictures)), (None, None))
        else:
            row["sha256"] = self._hashes.sha256(path)
            try:
                found = probe(path)
            except MediaError as error:
                row |= {"status": "quarantined", "reason": str(error)}
            else:
                row |= {
                    "frame_rate": found.frame_rate, "n_frames": found.timestamps.height, "width": found.width,
                    "height": found.height // (2 if native.left_eye_above else 1),
                    "duration_s": found.duration_s, "codec": found.codec,
                }  # fmt: skip
                if found.complaint:
                    row |= {"status": "quarantined", "reason": found.complaint}
                timestamps = found.timestamps.select(
                    video_id=pl.lit(listed.video_id), file_frame="frame_index", pts_s="pts_s"
                )
        types = {name: column.dtype for name, column in TABLES["videos"].columns().items()}
        return pl.DataFrame([row], schema=types), timestamps

    def write_native_labels(self, listing: Listing) -> Rebuilt:
        """Read every changed label file into native records."""

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            by_source: dict[str, list[Listed]] = {}
            for key in keys:
                by_source.setdefault(listing.videos[key].entry.name, []).append(listing.videos[key])
            parts = [part for listed in by_source.values() for part in self._read(listed)]
            native = {
                f"native_{kind}": pl.concat(_sourced(labels[kind], source) for source, labels, _ in parts)
                for kind in NATIVE
            }
            return native | {"ingestion_rejects": pl.concat([rejects for _, _, rejects in parts])}

        units = self.ingestion_signatures(listing)
        return self.lake.rebuild("native_labels", units, (*_NATIVE, "ingestion_rejects"), make, batch=200)

    def _read(self, listed: list[Listed]) -> list[tuple[str, NativeLabels, pl.DataFrame]]:
        """Labels and rejects of videos of one source."""
        entry = listed[0].entry
        rejects = [
            unit_reject(
                "ingestion", "video_without_labels", "no label file belongs to it", entry.name,
                video_id=one.video_id, file=one.native.path,
            )
            for one in listed
            if not one.native.label_files
        ]  # fmt: skip
        parts: list[NativeLabels] = []
        read_whole: list[NativeVideo] = []
        for videos, read in read_labels(entry.adapter, entry.root, [one.native for one in listed]):
            if isinstance(read, NativeLabels):
                parts.append(read)
                read_whole += videos
                continue
            file = Path(read.file)
            name = file.relative_to(entry.root) if file.is_relative_to(entry.root) else file
            rejects.append(
                unit_reject(
                    "ingestion", "unreadable_labels", str(read), entry.name,
                    video_id=f"{entry.name}/{videos[0].video}", file=name.as_posix(), locator=read.place or None,
                )
            )  # fmt: skip
        labels = NativeLabels.concat(parts)
        rejects += [
            unit_reject(
                "ingestion", "label_file_without_rows", "it holds a header at most", entry.name,
                video_id=f"{entry.name}/{video}", file=file,
            )
            for video, file in rowless(entry.adapter, entry.root, read_whole, labels)
        ]  # fmt: skip
        return [(entry.name, labels, pl.concat([empty("rejects"), *rejects]))]

    def write_vocabulary(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The `concepts` and `aliases` tables."""
        return self.write_whole("concepts", concepts()), self.write_whole("aliases", self.known_values())

    def write_basic_actions(self) -> pl.DataFrame:
        """The `basic_actions` table: what each verb and action is among the ten, and how many labels say it."""
        return self.write_whole(
            "basic_actions", counted_basic_actions(self.lake.scan("intervals"), self.lake.scan("triplets"))
        )

    def known_values(self) -> pl.DataFrame:
        """What the verbatim values of every source mean."""
        return pl.concat([known_values(entry) for entry in self.config_.sources])

    # Frames

    def write_frames(self, keys: list[str]) -> Rebuilt:
        """Extract or reference the frames of these videos."""
        listing = self.listing()
        labels = self.lake.marks("native_labels")
        code = code_signature("video")
        units = {}
        for key in keys:
            if key in listing.videos and key in labels:
                listed = listing.videos[key]
                units[key] = signature(code, labels[key], self.media_signature(listed), listed.entry.frames_every_s)
        self._hashes.remember()

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            (key,) = keys
            with self.lake.scratch() as folder:
                made = self._framed(listing.videos[key], key, Path(folder))
                self.lake.remove(f"images/{key}")
                for name, path in made.images.items():
                    self.lake.put(path, f"images/{key}/{name}")
            in_lake = pl.col("image_root").cast(pl.String) == "lake"
            frames = made.frames.with_columns(
                image_path=pl.when(in_lake)
                .then(pl.concat_str(pl.lit(f"images/{key}/"), "image_path"))
                .otherwise("image_path")
            )
            return {"frames": frames, "frames_rejects": made.rejects}

        return self.lake.rebuild(
            "frames", units, ("frames", "frames_rejects"), make, batch=1, workers=2, stop=stop_running
        )

    def _framed(self, listed: Listed, key: str, folder: Path) -> FrameSet:
        native, entry = listed.native, listed.entry
        records = {kind: self.lake.read(f"native_{kind}", [key]) for kind in NATIVE}
        row = self.lake.read("videos", [key]).row(0, named=True)
        ids = {"source": entry.name, "video_id": listed.video_id}
        if row["status"] != "available":
            made = frames_without_media(records, row["reason"], row["status"], **ids)
            if native.path:  # a source of labels only lacks nothing that it has promised
                rule = "quarantined_video" if row["status"] == "quarantined" else "absent_video"
                made.rejects = unit_reject("frames", rule, row["reason"], **ids, file=native.path)
            return made
        if native.media == "images":
            return frames_of_images(entry.root, native, records, **ids)
        return frames_of_video(
            entry.root / str(native.path),
            native,
            records,
            **ids,
            size=(row["width"], row["height"]),
            every_s=entry.frames_every_s,
            timestamps=self.lake.read("timestamps", [key]).select("file_frame", "pts_s"),
            folder=folder,
        )

    # Labels

    def write_harmonized(self) -> Rebuilt:
        """Unified label tables of every ingested video."""
        found = self.known_values()
        by_source = {
            str(source): signature(part.rows())
            for (source,), part in found.partition_by("source", as_dict=True).items()
        }
        sizes = {
            row["video_id"]: (row["width"], row["height"])
            for row in self.lake.read("videos").select("video_id", "width", "height").to_dicts()
        }
        code = code_signature("vocabulary")
        videos = self.video_ids()
        units = {
            key: signature(code, mark, by_source.get(videos[key].split("/")[0]), sizes.get(videos[key]))
            for key, mark in self.lake.marks("native_labels").items()
            if key in videos
        }

        def make(keys: list[str]) -> dict[str, pl.DataFrame]:
            records = {kind: self.lake.read(f"native_{kind}", keys) for kind in NATIVE}
            made = harmonize(records, self.lake.read("videos", keys), found)
            return {**made, "harmonization_rejects": made["rejects"]}

        tables = (*HARMONIZED, "harmonization_rejects")
        return self.lake.rebuild("harmonized", units, tables, make, batch=16, workers=2)

    def video_ids(self) -> dict[str, str]:
        """Video id by unit key."""
        return {unit_key(video): video for video in self.lake.read("videos")["video_id"].to_list()}

    # The whole

    def write_rejects(self) -> pl.DataFrame:
        """The reject ledger of all stages."""
        return self.write_whole("rejects", pl.concat([self.lake.scan(table) for table in _STAGE_REJECTS]).collect())

    def write_qa_results(self) -> pl.DataFrame:
        """Evaluate every rule on the tables as they are."""
        tables = {name: self.lake.scan(name) for name in TABLES if name not in {"qa_results", "builds"}}
        return self.write_whole("qa_results", evaluate(tables))

    def write_builds(self) -> pl.DataFrame:
        """What this build is made of: for each table its rows and a hash over its shards' bytes."""
        rows = []
        for table in TABLES:
            if table == "builds":
                continue
            shards = self.lake.shards(table)
            hashes = [self._hashes.sha256(path) for path in self.lake.shard_paths(table)]
            rows.append(
                {
                    "table": table,
                    "n_rows": self.lake.scan(table).select(pl.len()).collect().item(),
                    "n_shards": len(shards),
                    "signature": signature(shards, hashes),
                    "code_version": version("surgsigma-dagster"),
                    "seed": self.config_.seed,
                }
            )
        return self.write_whole("builds", pl.DataFrame(rows))

    # To look at

    def row_counts(self, tables: list[str]) -> pl.DataFrame:
        """Records and native rows by table: columns table, records, n_rows."""
        counts = [
            self.lake.scan(table).select(table=pl.lit(table), records=pl.len(), n_rows=pl.col("n_rows").sum()).collect()
            for table in tables
        ]
        return pl.concat(counts)

    def unmapped_values(self) -> pl.DataFrame:
        """Verbatim values that no alias maps, with the native rows that hold them."""
        return (
            self.lake.scan("alias_coverage")
            .filter(pl.col("concept_id").is_null())
            .group_by("source", "field", "raw_value")
            .agg(pl.col("n_rows").sum())
            .sort("n_rows", "raw_value", descending=[True, False])
            .collect()
        )

    def media_file(self, source: str, root: str, path: str) -> Path:
        """Local file of a picture: `root` is "lake" or "source"."""
        return self.lake.local(path) if root == "lake" else self.config_.entry(source).root / path

    def contact_sheet(self, keys: list[str] | None = None) -> bytes | None:
        """A JPEG of up to a dozen frames with their boxes drawn, spread over the videos; None without frames."""
        frames = self.lake.scan("frames", keys).filter(pl.col("status").cast(pl.String) == "available").collect()
        boxes = self.lake.scan("boxes", keys).filter(pl.col("frame_id").is_in(frames["frame_id"].implode())).collect()
        return contact_sheet(frames, boxes, concepts(), self.media_file)


def _sourced(records: pl.DataFrame, source: str) -> pl.DataFrame:
    """Native records with the source and video id that they have in every table."""
    video_id = pl.concat_str(pl.lit(f"{source}/"), "video").alias("video_id")
    return records.select(pl.lit(source).alias("source"), video_id, pl.all())


def _image_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture; None where it cannot be read: `frames` says so."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:
        return None
