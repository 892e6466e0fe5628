"""What pictures say about identity: videos that show the same operation, whatever their names.

Exact copies are found by content hash in all sources. Where nobody knows whether two sources share patients, their
frames are compared by perceptual hash (`video.frames.looks`) too. A crop that leaves out the border of one copy alone
defeats that hash: no match is no proof.
"""

import polars as pl

N_PROBES = 200  # frames of a video that are looked for in all others
MIN_SHARED = 5  # frames of another video that must look alike
MIN_SHARE = 0.1  # of the probes
MAX_BITS = 6  # copies differ in 8 bits at most, mostly in 2; frames of other procedures in 16 at least
COMMON = 3  # a picture that more procedures show is a title card and proves nothing
_CROWD = 2_000  # frames that share a quarter of their hash: too many to tell anything
_BANDS = 4


def shared_pictures(videos: pl.DataFrame, frames: pl.DataFrame, doubtful: pl.DataFrame) -> pl.DataFrame:
    """Pairs of videos of different procedures that show the same pictures: video_a, video_b, why; a before b.

    `videos`: video_id, source, procedure, sha256 (of a video file, or null). `frames`: video_id, frame_index, sha256,
    perceptual_hash of the frames that can be used. `doubtful`: source, source_other to be compared by looks.
    """
    procedure = videos.select("video_id", "source", "procedure")
    shown = frames.join(procedure, on="video_id")
    exact = pl.concat(
        [
            _pairs(videos.drop_nulls("sha256"), "sha256").with_columns(why=pl.lit("the same video file")),
            _pairs(_rare(shown.drop_nulls("sha256"), "sha256"), "sha256").with_columns(
                why=pl.format("{} pictures are the same files", "n_shared")
            ),
        ]
    )
    looked_at = shown.drop_nulls("perceptual_hash").join(doubtful.select("source").unique(), on="source", how="semi")
    alike = _alike(_rare(looked_at, "perceptual_hash"), doubtful)
    found = pl.concat([exact.select("video_a", "video_b", "why"), alike])
    return found.unique(["video_a", "video_b"], keep="first", maintain_order=True).sort("video_a", "video_b")


def _rare(shown: pl.DataFrame, key: str) -> pl.DataFrame:
    common = shown.group_by(key).agg(pl.col("procedure").n_unique()).filter(pl.col("procedure") > COMMON)
    return shown.join(common, on=key, how="anti")


def _pairs(shown: pl.DataFrame, key: str) -> pl.DataFrame:
    """Videos of different procedures that share a value of `key`: video_a, video_b, n_shared."""
    both = shown.join(shown, on=key, suffix="_b").filter(
        (pl.col("procedure") != pl.col("procedure_b")) & (pl.col("video_id") < pl.col("video_id_b"))
    )
    return both.group_by(video_a="video_id", video_b="video_id_b").agg(n_shared=pl.col(key).n_unique())


def _alike(shown: pl.DataFrame, doubtful: pl.DataFrame) -> pl.DataFrame:
    """Videos of which one shows frames that look like frames of the other: video_a, video_b, why."""
    pictures = shown.unique(["video_id", "perceptual_hash"]).sort("video_id", "frame_index")
    n = pl.len().over("video_id")
    place = pl.int_range(pl.len()).over("video_id")
    probe = (place * pl.min_horizontal(n, N_PROBES) // n) != ((place - 1) * pl.min_horizontal(n, N_PROBES) // n)
    probes = pictures.filter(probe)
    matches = []
    for band in range(_BANDS):
        quarter = (pl.col("perceptual_hash") // 2 ** (16 * band)) % 2**16
        sorted_in = pictures.with_columns(band=quarter).filter(pl.len().over("band") <= _CROWD)
        matches.append(
            probes.lazy()
            .with_columns(band=quarter)
            .join(sorted_in.lazy(), on="band", suffix="_other")
            .filter(
                (pl.col("procedure") != pl.col("procedure_other"))
                & ((pl.col("perceptual_hash") ^ pl.col("perceptual_hash_other")).bitwise_count_ones() <= MAX_BITS)
            )
            .join(doubtful.lazy(), on=["source", "source_other"], how="semi")
            .select("video_id", "video_id_other", "frame_index")
            .unique()
            .collect(engine="streaming")
        )
    tried = probes.group_by("video_id").agg(n_tried=pl.len())
    return (
        pl.concat(matches)
        .unique()
        .group_by("video_id", "video_id_other")
        .agg(n=pl.len())
        .join(tried, on="video_id")
        .filter((pl.col("n") >= MIN_SHARED) & (pl.col("n") >= MIN_SHARE * pl.col("n_tried")))
        .select(
            video_a=pl.min_horizontal("video_id", "video_id_other"),
            video_b=pl.max_horizontal("video_id", "video_id_other"),
            why=pl.format("{} of {} pictures of {} look alike in {}", "n", "n_tried", "video_id", "video_id_other"),
        )
        .sort("video_a", "video_b", "why")
    )
