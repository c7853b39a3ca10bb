"""The sensor that turns announcements on Kafka into runs, each document of them exactly once."""

import dagster as dg

from assets.documents import document_batches, source_documents
from mineru_pipeline.documents.manifest import BatchManifest
from mineru_pipeline.launch import JOB, explained_failures
from mineru_pipeline.messaging.feed import Tick
from resources.messages import MessageFeed

#: Where a batch was announced, for whoever looks at its run.
TAG_SOURCE = "mineru_pipeline/announced"
_SHOWN = 10


# An interrupted evaluation is repeated only after the interval, so it is short.
@dg.sensor(job_name=JOB, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def announced_documents(context: dg.SensorEvaluationContext, feed: MessageFeed) -> dg.SensorResult | dg.SkipReason:
    """Reads requests and bucket notifications from Kafka and requests one run for each batch of documents."""
    with explained_failures():
        if not feed.is_configured():
            return dg.SkipReason("kafka.bootstrap_servers is not set, or no topic: nothing is read from Kafka")
        tick = feed.evaluate(context.cursor)
    for warning in tick.warnings:
        context.log.error(warning)
    if tick.removed:
        shown = ", ".join(tick.removed[:_SHOWN])
        context.log.info("%d objects left their buckets; what was parsed of them stays: %s", len(tick.removed), shown)
    context.log.info(tick.summary())
    return sensor_result(tick)


def sensor_result(tick: Tick) -> dg.SensorResult:
    """What Dagster stores in one step: the partitions, the runs and the cursor that they led to."""
    keys = list(dict.fromkeys(batch.batch for batch in tick.batches))
    return dg.SensorResult(
        asset_events=[observation(tick)] if tick.refused or tick.removed or tick.warnings else [],
        run_requests=[_request(batch) for batch in tick.batches] or None,
        skip_reason=None if tick.batches else _nothing(tick),
        cursor=tick.cursor.to_json(),
        dynamic_partitions_requests=[document_batches.build_add_request(keys)] if keys else None,
    )


def observation(tick: Tick) -> dg.AssetObservation:
    """What did not become documents, to be seen on the page of the asset: logs of sensors are soon forgotten."""
    return dg.AssetObservation(
        source_documents.key,
        description=" ".join((*tick.warnings, tick.summary())),
        metadata={
            "messages": tick.messages,
            "refused": tick.refused,
            "removed": len(tick.removed),
            "removed_objects": dg.MetadataValue.json(tick.removed[:_SHOWN]),
            "warnings": dg.MetadataValue.json(tick.warnings),
            "waiting": tick.waiting,
        },
    )


def _request(batch: BatchManifest) -> dg.RunRequest:
    source = batch.source
    where = f"{source.topic}[{source.partition}] {source.first_offset}-{source.next_offset}" if source else ""
    return dg.RunRequest(run_key=batch.batch, partition_key=batch.batch, tags={TAG_SOURCE: where})


def _nothing(tick: Tick) -> dg.SkipReason:
    if tick.warnings:
        return dg.SkipReason(" ".join(tick.warnings))
    return dg.SkipReason("nothing new was announced" if not tick.messages else tick.summary())
