"""CholecT50: 50 cholecystectomies at 1 fps, instrument–verb–target triplets, boxes where released, phases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    INTEGER,
    NUMBER,
    Kind,
    agreeing,
    categories,
    corners,
    document,
    entries,
    images,
    listing,
    member,
    named,
    records,
    reject,
    require,
    require_relative,
    runs,
    section,
    table,
)

MAPPING = "label_mapping.txt"
MAPPING_COLUMNS: dict[str, Kind] = dict.fromkeys(("# IVT", "I", "V", "T", "IV", "IT"), INTEGER)
PARTS = ("instrument", "verb", "target")
BOX = ("x", "y", "w", "h")
COLUMNS = {
    **{"triplet_id": INTEGER, "instrument_id": INTEGER, "score": NUMBER, **dict.fromkeys(BOX, NUMBER)},
    **{"verb_id": INTEGER, "target_id": INTEGER, "target_score": NUMBER},
    **{f"target_{side}": NUMBER for side in BOX},
    "phase_id": INTEGER,
}
PLACES = ("/annotations/{}", "/annotations/{}..{}")


class CholecT50(Adapter):
    """One JSON file a video; `annotations` holds rows of 15 numbers by frame, -1 where there is nothing.

    Each row is counted in the phase `intervals` of its frame (`/annotations/16..20`), or in `rejects` where
    the rows of a frame disagree; triplets and boxes are further records of the row. A row with -1 ids gives
    its phase only. Target boxes are -1 throughout and are not read; presence follows from the triplets.
    """

    name = "cholect50"
    title = "CholecT50"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Nwoye et al., Rendezvous, Medical Image Analysis 2022, arXiv:2109.03223"
    url = "https://github.com/CAMMA-public/cholect50"
    format_source = "real files"
    yields = ("boxes:instrument", "intervals:phase", "triplets")
    tested_on_real_files = True
    signature = ("labels/VID*.json",)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have labels or a folder of frames."""
        labels, media = listing(root, "labels", r"(VID\d+)\.json"), listing(root, "videos", r"(VID\d+)")
        shared = [MAPPING] if (root / MAPPING).is_file() else []
        return self.listed(root, [labels], media, "images", frame_rate=1.0, shared=shared)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Phases, triplets, boxes and frames."""
        return NativeLabels.concat(part for video in videos for part in self._records(root, video))

    def _records(self, root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
        if video.path:
            shown, copies = images(root, [video.path], r"(?P<frame>\d{6})")
            yield {"images": shown, "rejects": copies}
        for file in video.label_files:
            if file != MAPPING:
                value = document(root, file)
                for key, due in (("video", int(video.video.removeprefix("VID"))), ("fps", 1)):
                    if (found := member(file, value, key, INTEGER)) != due:
                        raise SourceError(file, f"/{key}", str(due), found)
                names = self._names(root, file, value)
                yield from self._labels(self._rows(file, value, names).with_columns(video=pl.lit(video.video)))

    def _names(self, root: Path, file: str, value: Any) -> dict[str, dict[int, str]]:
        declared = dict(section(file, value, "categories", dict))
        places = {kind: f"/categories/{kind}" for kind in (*PARTS, "triplet", "phase")}
        names = {kind: categories(file, declared.get(place), place) for kind, place in places.items()}
        for id_, triplet in names["triplet"].items():
            parts = triplet.split(",")
            if len(parts) != 3 or any(
                part not in names[kind].values() for kind, part in zip(PARTS, parts, strict=True)
            ):
                raise SourceError(file, f"/categories/triplet/{id_}", "instrument,verb,target", repr(triplet))
        if (root / MAPPING).is_file():
            rows = table(root, MAPPING, MAPPING_COLUMNS)
            spoken = [named(rows, id_, names[kind], places[kind]) for id_, kind in zip("IVT", PARTS, strict=True)]
            rows = rows.with_columns(
                name=pl.concat_str(spoken, separator=","),
                declared=named(rows, "# IVT", names["triplet"], places["triplet"]),
            )
            require(rows, pl.col("name") == pl.col("declared"), f"the triplet that {file} declares", "name")
        return names

    def _rows(self, file: str, value: Any, names: dict[str, dict[int, str]]) -> pl.DataFrame:
        frames = section(file, value, "annotations", dict)
        places = [entry for place, rows in frames for entry in entries(file, rows, place, list)]
        rows = records(file, places, COLUMNS, positional=True)
        frame = pl.col("locator").str.extract(r"^/annotations/(0|[1-9]\d{0,8})/\d+$")
        require(rows, frame.is_not_null(), "a frame number as key", "locator")
        triplet = pl.col("triplet").str.split_exact(",", 2).struct
        boxed = ~pl.all_horizontal(pl.col(side) == -1 for side in BOX)
        return (
            rows.with_columns(
                named(rows, f"{kind}_id", of_kind, f"/categories/{kind}", null=-1).alias(kind)
                for kind, of_kind in names.items()
            )
            .with_columns(triplet.field(f"field_{i}").alias(f"triplet_{part}") for i, part in enumerate(PARTS))
            .with_columns(pl.coalesce(f"triplet_{part}", part).alias(f"raw_{part}") for part in PARTS)
            .with_columns(
                frame_index=frame.cast(pl.Int64),
                n_rows=pl.lit(1, pl.Int64),
                instance=pl.when(boxed).then(pl.col("locator").str.extract(r"(\d+)$")),
            )
        )

    def _labels(self, rows: pl.DataFrame) -> Iterator[dict[str, pl.DataFrame]]:
        phased, conflicts = agreeing(rows, "phase")
        frames = (
            phased.drop_nulls("phase")
            .group_by("video", "file", "frame_index")
            .agg(pl.col("phase").first(), pl.col("n_rows").sum())
            .sort("frame_index")
            .with_columns(line="frame_index")
        )
        yield {"intervals": runs(frames, "phase", "phase", 1.0, places=PLACES), "rejects": conflicts}
        differs = pl.any_horizontal(pl.col(part) != pl.col(f"triplet_{part}") for part in PARTS)
        reason = pl.format("The triplet is {}, the other ids say otherwise.", "triplet")
        rows, inconsistent = reject(rows, differs, "inconsistent_triplet", reason, "triplet", hides=True)
        nameless = pl.col("raw_instrument").is_null()
        _, unnamed = reject(
            rows, nameless & pl.col("instance").is_not_null(), "unnamed_box", "A box of no instrument.", hides=True
        )
        _, silent = reject(rows, nameless & pl.col("phase").is_null(), "no_label", "Every id is -1.")
        yield from ({"rejects": rejects} for rejects in (inconsistent, unnamed, silent))
        rows = rows.filter(~nameless)
        yield {"triplets": rows}
        x, y, w, h = map(pl.col, BOX)
        boxes = require_relative(rows.drop_nulls("instance"), BOX).with_columns(
            **corners(x, y, w, h),
            field=pl.lit("instrument"),
            raw_value="raw_instrument",
            unit=pl.lit("relative"),
        )
        yield {"boxes": boxes}


ADAPTER = CholecT50()
