"""Contracts of what stages hand to one another inside the lake, beside the unified tables."""

import dataframely as dy

from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.tables import Rejects


class Timestamps(dy.Schema):
    """Presentation time of every frame of a video file."""

    video_id = dy.String(description="Video")
    file_frame = dy.Int64(min=0, description="Frame of the file, from 0, in order of presentation")
    pts_s = dy.Float64(min=0, description="Seconds from the first frame")


class _Sourced(dy.Schema):
    source = dy.String(description="Source id")
    video_id = dy.String(description="Video")


REJECTING = ("ingestion", "frames", "harmonization", "clips", "synthesis", "reasoning")
STAGE_TABLES: dict[str, type[dy.Schema]] = {
    "timestamps": Timestamps,
    **{
        f"native_{kind}": type(f"Sourced{schema.__name__}", (_Sourced, schema), {"__doc__": schema.__doc__})
        for kind, schema in NATIVE.items()
    },
    **{f"{stage}_rejects": Rejects for stage in REJECTING},
}
