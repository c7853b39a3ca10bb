"""The sensor that finds new documents in buckets by listing them, for servers that send no notifications."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from assets.documents import document_batches
from mineru_pipeline import launch
from mineru_pipeline.documents.watching import Limits, Look
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.settings import LoadedSettings, load
from resources.documents import open_watch

#: Run requests of one tick: the daemon looks each of them up, and launches one in some seconds.
MOST_BATCHES = 50
NOTHING_TO_WATCH = "nothing is watched: name bucket or bucket/prefix in intake.watch, and the bucket in intake.buckets"


def look(loaded: LoadedSettings, cursor: str | None, *, monotonic: Callable[[], float] = time.monotonic) -> Look:
    """Look at the watched places once, within the limits of the settings."""
    intake = loaded.settings.intake
    deadline = monotonic() + intake.tick_seconds
    size = loaded.settings.workers.batch_size
    limits = Limits(min(intake.tick_documents, size * MOST_BATCHES), size, lambda: monotonic() < deadline)
    return open_watch(loaded.settings).look(cursor, limits, datetime.now(UTC))


def evaluate(context: dg.SensorEvaluationContext, loaded: LoadedSettings) -> dg.SensorResult | dg.SkipReason:
    """Carry what a look brings to Dagster: partitions, run requests, and the cursor, which are kept together.

    Raises:
        dg.Failure: no place could be looked at; its text is for people, and the cursor stays.
    """
    if not loaded.settings.intake.watch:
        return dg.SkipReason(NOTHING_TO_WATCH)
    with launch.explained_failures():
        found = look(loaded, context.cursor)
        if found.failures and not found.progressed:
            raise found.failures[0]
    for note in found.notes:
        context.log.info(note)
    for text in found.refused:
        context.log.error("not taken in: %s", text)
    for failure in found.failures:
        # The others went on, and what they brought must not be lost with the tick.
        context.log.error(str(failure))
    batches = list(dict.fromkeys(manifest.batch for manifest in found.batches))
    config = launch.run_resources(loaded.config_file, loaded.settings.store_address)
    requests = [dg.RunRequest(run_key=batch, partition_key=batch, run_config=config) for batch in batches]
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason("; ".join((*found.notes, *found.refused)) or "nothing new"),
        dynamic_partitions_requests=[document_batches.build_add_request(batches)] if batches else [],
        cursor=found.cursor,
    )


@dg.sensor(job_name=launch.JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def watched_buckets(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Finds new and overwritten PDFs in the places of intake.watch, and requests a run for each batch of them."""
    try:
        loaded = load()
    except PipelineError as error:
        raise dg.Failure(str(error)) from error
    return evaluate(context, loaded)
