"""Builds the feed of announced documents from the settings, and what announces them."""

from collections.abc import Sequence

import dagster as dg

from mineru_pipeline.errors import MessagingError, SettingsError
from mineru_pipeline.messaging import announcing
from mineru_pipeline.messaging.announcing import Announcement
from mineru_pipeline.messaging.broker import Bounds
from mineru_pipeline.messaging.cursor import Cursor
from mineru_pipeline.messaging.feed import Feed, FeedOptions, Tick
from mineru_pipeline.messaging.kafka import KafkaBroker, KafkaConfig
from mineru_pipeline.messaging.policy import Policy
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import ObjectStore
from mineru_pipeline.storage.addresses import SCHEME
from resources.documents import DocumentStore, PipelineSettings


class MessageFeed(dg.ConfigurableResource[None]):
    """The documents that are announced on Kafka."""

    settings: dg.ResourceDependency[PipelineSettings]
    store: dg.ResourceDependency[DocumentStore]

    def is_configured(self) -> bool:
        """Whether there are a broker and a topic to read."""
        kafka = self.settings.load().kafka
        return kafka.bootstrap_servers is not None and bool(kafka.topics)

    def evaluate(self, cursor: str | None) -> Tick:
        """Read on from the cursor; see :class:`mineru_pipeline.messaging.feed.Feed`."""
        return evaluate(self.settings.load(), self.store.open(), Cursor.from_json(cursor))


def evaluate(settings: Settings, store: ObjectStore, cursor: Cursor) -> Tick:
    """One evaluation of the feed that the settings describe.

    Raises:
        SettingsError: no document whatever could be accepted.
        MessagingError, StoreError: broker or store cannot be used; the same cursor tries again.
    """
    options = checked_options(settings)
    with KafkaBroker(kafka_config(settings)) as broker:
        return Feed(broker, store, options).evaluate(cursor)


def submit(settings: Settings, uris: Sequence[str], tenant: str | None) -> list[Announcement]:
    """Announce documents on kafka.requests_topic; returns what the broker has acknowledged.

    Raises:
        RefusedMessageError: some address, or the tenant, is not accepted; nothing was sent.
        SettingsError: no document whatever could be accepted.
        MessagingError: the broker is not set, cannot be used, or did not acknowledge everything.
    """
    topic = settings.kafka.requests_topic
    unset = [name for name in ("bootstrap_servers", "requests_topic") if getattr(settings.kafka, name) is None]
    if topic is None or unset:
        raise MessagingError(
            f"kafka.{unset[0]} is not set, so there is nowhere to announce documents. Set it, or parse files directly "
            "with `mineru-pipeline run PATH`."
        )
    announcements = announcing.prepare(uris, tenant, checked_options(settings).policy, topic)
    with KafkaBroker(kafka_config(settings)) as broker:
        announcing.announce(broker, topic, announcements)
    return announcements


def inspect(settings: Settings) -> str:
    """What is there of what the settings name, in a sentence; raises as :func:`evaluate` does."""
    kafka = settings.kafka
    if kafka.bootstrap_servers is None:
        return "kafka.bootstrap_servers is not set: no document is announced there"
    topics = checked_options(settings).topics
    written = [topic for topic in (kafka.dead_letter_topic, kafka.results_topic) if topic is not None]
    with KafkaBroker(kafka_config(settings)) as broker:
        marks = broker.watermarks(topics)
        broker.watermarks(written)
    return f"{kafka.bootstrap_servers} has {', '.join((*topics, *written))}; {len(marks)} partitions to read"


def checked_options(settings: Settings) -> FeedOptions:
    """What is read; raises SettingsError where no document whatever could be accepted."""
    options = feed_options(settings)
    if options.policy.schemes == {SCHEME} and not options.policy.buckets:
        raise SettingsError(
            "intake.buckets is empty, so every document that is announced would be refused. Name the buckets whose "
            "documents shall be parsed; until then, messages wait in Kafka."
        )
    return options


def feed_options(settings: Settings) -> FeedOptions:
    """What is read, and how much of it at once."""
    kafka = settings.kafka
    return FeedOptions(
        topics=kafka.topics,
        dead_letter_topic=kafka.dead_letter_topic,
        tenant=settings.tenant,
        policy=Policy(frozenset(settings.intake.schemes), frozenset(settings.intake.buckets)),
        batch_size=settings.workers.batch_size,
        max_batches=kafka.max_batches,
        bounds=Bounds(kafka.max_messages, kafka.max_bytes, kafka.max_seconds),
    )


def kafka_config(settings: Settings) -> KafkaConfig:
    """Where the brokers are and how to speak with them."""
    kafka = settings.kafka
    return KafkaConfig(kafka.bootstrap_servers or "", kafka.group_id, kafka.timeout_seconds, kafka.plain_options)
