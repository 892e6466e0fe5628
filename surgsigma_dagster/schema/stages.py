"""Contracts of what stages hand to one another inside the lake, beside the unified tables."""

import dataframely as dy

from surgsigma_dagster.schema.native import NATIVE
from surgsigma_dagster.schema.tables import Rejects


class Timestamps(dy.Schema):
    """Presentation time of every frame of a video file."""

    video_id = dy.String(description="Video")
    file_frame = dy.Int64(min=0, description="Frame of the file, from 0, in order of presentation")
    pts_s = dy.Float64(min=0, description="Seconds from the first frame")


class Positions(dy.Schema):
    """Where masks put each instrument of a frame, in pixels of the frame."""

    frame_id = dy.String(description="Frame")
    video_id = dy.String(description="Video")
    source = dy.String(description="Source id")
    concept_id = dy.String(description="Instrument")
    instance = dy.String(nullable=True, description="Instance id inside the frame")
    area = dy.Int64(min=1, description="Pixels")
    x = dy.Float64(description="Of its centre, pixels")
    y = dy.Float64(description="Of its centre, pixels")
    n_parts = dy.Int64(min=1, description="Regions that do not touch")
    label_ids = dy.List(dy.String(), description="Labels that it stands on")


class _Sourced(dy.Schema):
    source = dy.String(description="Source id")
    video_id = dy.String(description="Video")


REJECTING = ("ingestion", "frames", "harmonization", "clips", "synthesis", "reasoning")
STAGE_TABLES: dict[str, type[dy.Schema]] = {
    "timestamps": Timestamps,
    "positions": Positions,
    **{
        f"native_{kind}": type(f"Sourced{schema.__name__}", (_Sourced, schema), {"__doc__": schema.__doc__})
        for kind, schema in NATIVE.items()
    },
    **{f"{stage}_rejects": Rejects for stage in REJECTING},
}
