"""Readers that adapters compose: tables, JSON, COCO, VOC XML and image folders in, checked columns out.

A reader takes the source root and a file relative to it, and returns rows that carry `file` and their place
(`line`, or a `locator`). Content that is not what the format says raises `SourceError` with the file, the
place, what was expected and what stands there. What a column of one dataset means belongs in its adapter, not
here.
"""

from surgsigma_dagster.sources.readers.documents import (
    Coco,
    below,
    categories,
    coco,
    document,
    entries,
    member,
    records,
    section,
    voc,
)
from surgsigma_dagster.sources.readers.folders import images, listing
from surgsigma_dagster.sources.readers.kinds import (
    BINARY,
    FLAG,
    INDEX,
    INTEGER,
    LARGEST,
    NUMBER,
    TEXT,
    Kind,
    choice,
    is_utf8,
    many,
    optional,
)
from surgsigma_dagster.sources.readers.rows import (
    LINES,
    agreeing,
    at,
    corners,
    divided,
    in_order,
    moments,
    named,
    on_lines,
    presences,
    reject,
    repeats,
    require,
    runs,
    seconds,
    steady,
)
from surgsigma_dagster.sources.readers.tables import table, text

__all__ = [
    "BINARY",
    "FLAG",
    "INDEX",
    "INTEGER",
    "LARGEST",
    "LINES",
    "NUMBER",
    "TEXT",
    "Coco",
    "Kind",
    "agreeing",
    "at",
    "below",
    "categories",
    "choice",
    "coco",
    "corners",
    "divided",
    "document",
    "entries",
    "images",
    "in_order",
    "is_utf8",
    "listing",
    "many",
    "member",
    "moments",
    "named",
    "on_lines",
    "optional",
    "presences",
    "records",
    "reject",
    "repeats",
    "require",
    "runs",
    "seconds",
    "section",
    "steady",
    "table",
    "text",
    "voc",
]
