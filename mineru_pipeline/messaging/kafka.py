"""Kafka behind the port: consumers that are told where to read, and a producer that waits to be acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from mineru_pipeline.errors import BrokerUnavailableError, DeliveryError, MessagingError, UnknownTopicError
from mineru_pipeline.messaging.broker import Bounds, Message, Outgoing, Partition, Reading, Watermarks
from mineru_pipeline.messaging.kafka_errors import explained, settings_error

_MESSAGES_AT_ONCE = 500
_POLL_SECONDS = 0.25
#: Showing the lag is not worth waiting longer.
_MOST_COMMIT_SECONDS = 3.0
_CLOSER = "kafka-consumer-closing"
#: What is fetched of each log in turn. Were it large, the first few logs would fill the bounds again and again.
_SLICE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """Where the brokers are and how to speak with them."""

    bootstrap_servers: str
    group_id: str = "mineru-pipeline"
    #: Limit on one answer of the brokers, and on the acknowledgement of what is sent.
    timeout_seconds: float = 10
    #: Further properties of librdkafka, such as those of TLS and SASL; never shown.
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


class KafkaBroker:
    """The brokers of one configuration, within a ``with`` block; connects when it is first used."""

    def __init__(self, config: KafkaConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        #: The latest error that concerns no single request; it tells why nothing answers.
        self._trouble: KafkaError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._consumer is not None:
            self._consumer.close()
        # Whatever was not acknowledged has been reported as an error already.
        if self._producer is not None:
            self._producer.purge()
        self._consumer = self._producer = None

    def watermarks(self, topics: Sequence[str]) -> Mapping[Partition, Watermarks]:
        """See :class:`~mineru_pipeline.messaging.broker.MessageBroker`."""
        partitions = [Partition(topic, number) for topic in topics for number in self._partitions(topic)]
        return {partition: self._held(partition) for partition in partitions}

    def read(self, positions: Mapping[Partition, int], bounds: Bounds) -> Reading:
        """See :class:`~mineru_pipeline.messaging.broker.MessageBroker`."""
        consumer = self._new_consumer()
        try:
            consumer.assign(
                [TopicPartition(partition.topic, partition.number, at) for partition, at in positions.items()]
            )
            return self._collect(consumer, set(positions), bounds)
        except KafkaException as error:
            raise self._explained(error.args[0], "messages") from error
        finally:
            consumer.close()

    def send(self, messages: Sequence[Outgoing]) -> None:
        """See :class:`~mineru_pipeline.messaging.broker.MessageBroker`."""
        failures: list[tuple[str, KafkaError]] = []
        producer = self._open_producer()
        try:
            for message in messages:
                producer.produce(
                    message.topic,
                    value=message.value,
                    key=message.key.encode(),
                    headers=list(message.headers),
                    on_delivery=partial(_note_failure, failures, message.topic),
                )
                producer.poll(0)
            left = producer.flush(self._config.timeout_seconds)
        except (KafkaException, BufferError) as error:
            self._forget_producer()
            raise self._explained(_kafka_error(error), f"sending to {messages[0].topic}") from error
        if failures or left:
            self._forget_producer()
            raise self._undelivered(failures, left, messages)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """See :class:`~mineru_pipeline.messaging.broker.MessageBroker`."""
        offsets = [TopicPartition(partition.topic, partition.number, at) for partition, at in positions.items()]
        if not offsets:
            return
        if any(thread.name == _CLOSER for thread in threading.enumerate()):
            raise BrokerUnavailableError(
                f"Kafka at {self._config.bootstrap_servers} has not answered an earlier commit of the group "
                f"{self._config.group_id} yet; the next evaluation tries again."
            )
        said: list[KafkaError | None] = []
        properties = {"group.id": self._config.group_id, "on_commit": lambda error, _: said.append(error)}
        with self._readable_refusal():
            consumer = Consumer(self._with_shared(properties))
        what = f"offsets of the group {self._config.group_id}"
        with _left_behind_if_silent(consumer, said):
            try:
                consumer.commit(offsets=offsets, asynchronous=True)
                deadline = self._clock() + min(self._config.timeout_seconds, _MOST_COMMIT_SECONDS)
                while not said and self._clock() < deadline:
                    consumer.poll(_POLL_SECONDS)
            except KafkaException as error:
                raise self._explained(error.args[0], what) from error
        refusal = said[0] if said else KafkaError(KafkaError._TIMED_OUT)
        if refusal is not None:
            raise self._explained(refusal, what)

    def _partitions(self, topic: str) -> list[int]:
        metadata = self._ask(
            f"partitions of {topic}",
            lambda consumer: consumer.list_topics(topic, timeout=self._config.timeout_seconds),
        ).topics.get(topic)
        if metadata is not None and metadata.error is not None:
            raise self._explained(metadata.error, f"topic {topic}")
        if metadata is None or not metadata.partitions:
            raise UnknownTopicError(
                f"The topic {topic!r} does not exist at {self._config.bootstrap_servers}. Create it, or correct the "
                "name in the section kafka of the settings."
            )
        return sorted(metadata.partitions)

    def _collect(self, consumer: Consumer, wanted: set[Partition], bounds: Bounds) -> Reading:
        found: dict[Partition, list[Message]] = {}
        out_of_range: dict[Partition, Watermarks] = {}
        ended: set[Partition] = set()
        taken = size = 0
        deadline = self._clock() + bounds.seconds
        while taken < bounds.messages and size < bounds.bytes and ended != wanted and self._clock() < deadline:
            for raw in consumer.consume(min(_MESSAGES_AT_ONCE, bounds.messages - taken), timeout=_POLL_SECONDS):
                partition = Partition(raw.topic() or "", raw.partition() or 0)
                if (error := raw.error()) is not None:
                    ended.add(partition)
                    if error.code() == KafkaError._AUTO_OFFSET_RESET:
                        out_of_range[partition] = self._held(partition)
                    elif error.code() != KafkaError._PARTITION_EOF:
                        raise self._explained(error, f"messages of {partition}")
                elif size < bounds.bytes:
                    message = _message(partition, raw)
                    found.setdefault(partition, []).append(message)
                    taken, size = taken + 1, size + message.size
                    # Something new arrived behind what looked like the end.
                    ended.discard(partition)
        if not found and ended != wanted and self._trouble is not None:
            raise self._explained(self._trouble, "messages")
        return Reading(found, out_of_range)

    def _held(self, partition: Partition) -> Watermarks:
        low, high = self._ask(
            f"offsets of {partition}",
            lambda consumer: consumer.get_watermark_offsets(
                TopicPartition(partition.topic, partition.number), timeout=self._config.timeout_seconds
            ),
        )
        return Watermarks(low, high)

    def _ask(self, what: str, question: Callable[[Consumer], Any]) -> Any:
        if self._consumer is None:
            self._consumer = self._new_consumer()
        try:
            return question(self._consumer)
        except KafkaException as error:
            # Why nobody answers is told by a callback, and callbacks are called while polling.
            self._consumer.poll(0)
            raise self._explained(error.args[0], what) from error

    def _new_consumer(self) -> Consumer:
        properties = {
            "group.id": self._config.group_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Never silently to the start or the end: an offset that is gone must be seen.
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "max.partition.fetch.bytes": _SLICE_BYTES,
            "queued.max.messages.kbytes": _SLICE_BYTES // 1024,
            # How long an empty log keeps us waiting for its end.
            "fetch.wait.max.ms": 100,
        }
        with self._readable_refusal():
            return Consumer(self._with_shared(properties))

    def _open_producer(self) -> Producer:
        if self._producer is None:
            properties = {
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": int(self._config.timeout_seconds * 1000),
            }
            with self._readable_refusal():
                self._producer = Producer(self._with_shared(properties))
        return self._producer

    def _forget_producer(self) -> None:
        """What is still in its queue must not be sent after we said that it was not."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _with_shared(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        shared = {
            "bootstrap.servers": self._config.bootstrap_servers,
            "client.id": "mineru-pipeline",
            # What is under way when we close is waited for, by default for a minute.
            "socket.timeout.ms": int(self._config.timeout_seconds * 1000),
            # A broker that is away is told by our own errors, once; librdkafka would tell it several times a second.
            "log_level": 2,
            "error_cb": self._on_trouble,
        }
        return {**shared, **self._config.options, **properties}

    @contextmanager
    def _readable_refusal(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            # "from None": librdkafka's own text may quote a password.
            raise settings_error(error.args[0], self._config.options) from None

    def _on_trouble(self, error: KafkaError) -> None:
        # What says why, a login that failed, is worth more than that nobody answers.
        if self._trouble is None or self._trouble.code() in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}:
            self._trouble = error

    def _explained(self, error: KafkaError, what: str) -> MessagingError:
        return explained(error, self._trouble, what, self._config.bootstrap_servers)

    def _undelivered(
        self, failures: Sequence[tuple[str, KafkaError]], left: int, sent: Sequence[Outgoing]
    ) -> Exception:
        if failures:
            topic, error = failures[0]
            found = self._explained(error, f"sending to {topic}")
            if not isinstance(found, BrokerUnavailableError):
                return found
        return DeliveryError(
            f"{left or len(failures)} of {len(sent)} messages to {sent[0].topic} were not acknowledged within "
            f"{self._config.timeout_seconds:g} s by {self._config.bootstrap_servers}. Check that its brokers are up, "
            "with enough replicas in sync; the next try sends them again."
        )


@contextmanager
def _left_behind_if_silent(consumer: Consumer, said: Sequence[KafkaError | None]) -> Iterator[None]:
    """Close the consumer at the end; where its commit was not answered, without waiting for it.

    Closing waits without end for a commit that nobody answers. The admin client would keep a limit, and aborts the
    process now and then when it is reached (librdkafka's issue 4605).
    """
    try:
        yield
    finally:
        if said:
            consumer.close()
        else:
            threading.Thread(target=consumer.close, name=_CLOSER, daemon=True).start()


def _note_failure(failures: list[tuple[str, KafkaError]], topic: str, error: KafkaError | None, _: Any) -> None:
    if error is not None:
        failures.append((topic, error))


def _kafka_error(error: KafkaException | BufferError) -> KafkaError:
    return error.args[0] if isinstance(error, KafkaException) else KafkaError(KafkaError._QUEUE_FULL)


def _message(partition: Partition, raw: Any) -> Message:
    kind, stamp = raw.timestamp()
    headers = tuple((name, value if isinstance(value, bytes) else b"") for name, value in raw.headers() or ())
    return Message(partition, raw.offset(), raw.value(), headers, stamp if kind else None)
