"""The sensor that tells on Kafka what became of documents."""

import dagster as dg

from mineru_pipeline.launch import explained_failures
from resources.results import ResultOutbox


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def document_results(context: dg.SensorEvaluationContext, outbox: ResultOutbox) -> dg.SkipReason:
    """Sends the results that runs left in the outbox, and removes them once they are acknowledged."""
    with explained_failures():
        if not outbox.is_configured():
            return dg.SkipReason("kafka.bootstrap_servers or kafka.results_topic is not set: nobody is told of results")
        if not outbox.waits():
            return dg.SkipReason("no result waits to be told")
        sent = outbox.drain()
    context.log.info("%d results of %d batches sent", sent.events, sent.batches)
    return dg.SkipReason(f"{sent.events} results of {sent.batches} batches sent")
