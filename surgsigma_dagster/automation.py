"""What runs: the rebuild job, and what may start it by itself. Everything here is stopped until switched on."""

from collections.abc import Iterator

import dagster as dg

from surgsigma_dagster.partitions import range_tags, register
from surgsigma_dagster.resources.corpus import Corpus

REBUILD = dg.define_asset_job(
    "rebuild",
    selection=dg.AssetSelection.all(),
    description="The whole chain, from the sources to release and report. What is up to date is skipped.",
)


@dg.schedule(job=REBUILD, cron_schedule="0 2 * * *", execution_timezone="UTC")
def nightly_rebuild(context: dg.ScheduleEvaluationContext, corpus: Corpus) -> dg.RunRequest | dg.SkipReason:
    """Rebuild every night at two, whatever changed."""
    listing = corpus.listing()
    register(context.instance, set(listing.videos), listing.failed)
    tags = range_tags(context.instance)
    return dg.RunRequest(tags=tags) if tags else dg.SkipReason("the sources hold no video")


@dg.sensor(job=REBUILD, minimum_interval_seconds=300)
def changed_videos(context: dg.SensorEvaluationContext, corpus: Corpus) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Rebuild when a source's videos or labels are new, changed or gone; the run key is a hash of their content."""
    listing = corpus.listing()
    if listing.failed:
        # A folder that is not mounted is not an empty one.
        yield dg.SkipReason("; ".join(str(error) for error in listing.failed.values()))
        return
    content = corpus.content_signature(listing)
    if content == context.cursor:
        yield dg.SkipReason("nothing changed")
        return
    register(context.instance, set(listing.videos))
    tags = range_tags(context.instance)
    if tags:
        yield dg.RunRequest(run_key=content, tags=tags)
    context.update_cursor(content)
