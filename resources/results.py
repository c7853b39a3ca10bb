"""Tells what became of documents: into the outbox during a run, and from there to Kafka."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.messaging import outbox
from mineru_pipeline.messaging.kafka import KafkaBroker
from mineru_pipeline.messaging.outbox import Drained
from mineru_pipeline.messaging.results import DocumentResult, result_event
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.storage import ObjectStore
from resources.documents import DocumentStore, PipelineSettings
from resources.messages import kafka_config

#: Batches sent by one evaluation of the sensor; together they stay far below a minute.
MOST = 20


class ResultOutbox(dg.ConfigurableResource[None]):
    """The results of documents on their way to whoever waits for them."""

    settings: dg.ResourceDependency[PipelineSettings]
    store: dg.ResourceDependency[DocumentStore]

    def is_configured(self) -> bool:
        """Whether anybody is told."""
        kafka = self.settings.load().kafka
        return kafka.bootstrap_servers is not None and kafka.results_topic is not None

    def put(self, batch: str, revision: str, rows: Sequence[ParsedRow]) -> None:
        """Keep the results of a batch for sending; nothing without a topic."""
        if not self.is_configured():
            return
        store = self.store.open()
        now = utc_text(datetime.now(UTC))
        results = document_results(read_manifest(store, batch), rows, revision, store)
        outbox.put(store, batch, revision, [result_event(result, now) for result in results])

    def drain(self) -> Drained:
        """Send what waits; see :func:`mineru_pipeline.messaging.outbox.drain`."""
        settings = self.settings.load()
        topic = settings.kafka.results_topic or ""
        with KafkaBroker(kafka_config(settings)) as broker:
            # Or a broker might create it under a mistyped name.
            broker.watermarks((topic,))
            return outbox.drain(self.store.open(), broker, topic, most=MOST)

    def waits(self) -> bool:
        """Whether there is anything to send."""
        return outbox.waits(self.store.open())


def document_results(
    manifest: BatchManifest, rows: Sequence[ParsedRow], revision: str, store: ObjectStore
) -> list[DocumentResult]:
    """The rows of a batch in the words of the events, with what only the manifest knows."""
    return [
        DocumentResult(
            batch=manifest.batch,
            entry=row.entry,
            tenant=row.tenant or manifest.tenant_of(ref),
            uri=row.uri,
            version=ref.version,
            sha256=row.sha256,
            state=row.state,
            reason=row.reason,
            message=row.message,
            pages=row.pages,
            degraded_pages=row.degraded_pages,
            seconds=row.seconds,
            outputs=f"{store.uri(row.outputs.removesuffix('/'))}/" if row.outputs else "",
            outputs_key=row.outputs,
            parser_revision=revision,
            duplicate_of=row.duplicate_of,
            metadata=dict(ref.metadata),
        )
        for row, ref in zip(rows, manifest.refs, strict=True)
    ]
