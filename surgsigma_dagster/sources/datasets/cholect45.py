"""CholecT45: 45 laparoscopic cholecystectomies at 1 fps, a column for each of 100 action triplets."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from surgsigma_dagster.sources.adapter import CC_BY_NC_SA, Adapter, NativeLabels, NativeVideo
from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.sources.readers import (
    BINARY,
    INDEX,
    INTEGER,
    TEXT,
    images,
    listing,
    on_lines,
    presences,
    require,
    table,
)

NAMES = "dict/triplet.txt"
PARTS = ("raw_instrument", "raw_verb", "raw_target")
TRIPLETS = 100
IDLE = {94: "grasper", 95: "bipolar", 96: "hook", 97: "scissors", 98: "clipper", 99: "irrigator"}


class CholecT45(Adapter):
    """Comma-separated text without a header: frame number, then 0 or 1 for each triplet of dict/triplet.txt.

    A row is counted in `presences`, one an instrument: it is visible where one of its triplets is. `triplets`
    are further records of the row. The files of instruments, verbs and targets alone restate the triplets and
    are not read. The file's names are believed where they are 100 different ones of ids 0 to 99, of which 94 to
    99 are an instrument that does nothing: a longer list that is about (CholMA's, 156 ids) agrees up to 93 only.
    -1 stands for none.
    """

    name = "cholect45"
    title = "CholecT45"
    specialty = "Hepatobiliary"
    procedure_type = "procedure/cholecystectomy"
    licence = CC_BY_NC_SA
    citation = "Nwoye and Padoy, Data Splits and Metrics, 2022, arXiv:2204.05235"
    url = "https://github.com/CAMMA-public/cholect45"
    format_source = "owner's documentation"
    yields = ("presences:instrument", "triplets")
    signature = ("triplet/VID*.txt",)

    def videos(self, root: Path) -> list[NativeVideo]:
        """Videos that have triplets or a folder of frames."""
        labels, media = listing(root, "triplet", r"(VID\d+)\.txt"), listing(root, "data", r"(VID\d+)")
        shared = [NAMES] if labels else []
        return self.listed(root, [labels], media, "images", frame_rate=1.0, shared=shared)

    def labels(self, root: Path, videos: list[NativeVideo]) -> NativeLabels:
        """Triplets, instruments and frames."""
        return NativeLabels.concat(part for video in videos for part in self._records(root, video))

    def _records(self, root: Path, video: NativeVideo) -> Iterator[dict[str, pl.DataFrame]]:
        if video.path:
            shown, copies = images(root, [video.path], r"(?P<frame>\d{6})")
            yield {"images": shown, "rejects": copies}
        for file in video.label_files:
            if file != NAMES:
                yield from _rows(root, file, video.video, _names(root))


def _names(root: Path) -> dict[str, list[str]]:
    """Instrument, verb and target by the triplet's name; another list of triplets is a `SourceError`."""
    rows = table(root, NAMES, {"number": INTEGER, "name": TEXT}, separator=":", header=False)
    require(rows, pl.col("name").str.contains(r"^\w+,\w+,\w+$"), "id:instrument,verb,target", "name")
    found = rows.filter(pl.col("number") >= 0)
    if found["number"].to_list() != list(range(TRIPLETS)):
        raise SourceError(NAMES, "", f"the ids 0 to {TRIPLETS - 1} in order", f"{found.height} of them")
    if found["name"].n_unique() < TRIPLETS:
        raise SourceError(NAMES, "", f"{TRIPLETS} different triplets", found["name"].n_unique())
    due = {number: f"{instrument},null_verb,null_target" for number, instrument in IDLE.items()}
    last = found.filter(pl.col("number") >= min(IDLE)).with_columns(due=pl.col("number").replace_strict(due))
    require(last, pl.col("name") == pl.col("due"), f"the names {', '.join(due.values())} for 94 to 99", "name")
    return {name: name.split(",") for name in found["name"]}


def _rows(root: Path, file: str, video: str, names: dict[str, list[str]]) -> Iterator[dict[str, pl.DataFrame]]:
    columns = {"frame_index": INDEX, **dict.fromkeys(names, BINARY)}
    rows = table(root, file, columns, header=False)
    later = (pl.col("frame_index") > pl.col("frame_index").shift(1)).fill_null(True)
    rows = on_lines(require(rows, later, "a frame after the last", "frame_index"), video)
    instruments = dict.fromkeys(instrument for instrument, _, _ in names.values())
    visible = rows.with_columns(
        pl.any_horizontal(name for name, parts in names.items() if parts[0] == instrument).alias(instrument)
        for instrument in instruments
    )
    yield {"presences": presences(visible, list(instruments), "instrument")}
    part = pl.col("triplet").str.split_exact(",", 2).struct
    acting = (
        rows.unpivot(
            list(names),
            index=["video", "file", "locator", "n_rows", "frame_index"],
            variable_name="triplet",
            value_name="is",
        )
        .filter("is")
        .with_columns(part.field(f"field_{i}").alias(name) for i, name in enumerate(PARTS))
    )
    yield {"triplets": acting}


ADAPTER = CholecT45()
