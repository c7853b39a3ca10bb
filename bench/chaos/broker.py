"""What is done at the broker besides the pipeline: topics made, messages dealt out, letters and lag read back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.chaos.messages import Announcement
from bench.tansu import read_log

_SECONDS = 60
_LARGEST = 4 * 1024 * 1024

#: Topic, partition, offset, and record within the message.
Place = tuple[str, int, int, int | None]


@dataclass(frozen=True, slots=True)
class Topics:
    """Their names, as the settings give them."""

    requests: str = "chaos.requests"
    notifications: str = "chaos.bucket-events"
    letters: str = "chaos.dead-letters"
    results: str = "chaos.results"

    @property
    def read(self) -> tuple[str, str]:
        """Those that the sensor reads."""
        return self.requests, self.notifications


class Wire:
    """A client of our own at the broker, which the pipeline knows nothing of."""

    def __init__(self, servers: str, topics: Topics, partitions: int) -> None:
        self._servers = servers
        self._topics = topics
        self._partitions = partitions
        #: Behind the last message of each log, as acknowledged: Tansu's own answer counts batches of messages.
        self._ends: Counter[tuple[str, int]] = Counter()

    def create(self) -> None:
        """Make the topics: several partitions for those that are read, one for the others."""
        admin = AdminClient({"bootstrap.servers": self._servers, "log_level": 0})
        wanted = [NewTopic(name, self._partitions, 1) for name in self._topics.read]
        wanted += [NewTopic(name, 1, 1) for name in (self._topics.letters, self._topics.results)]
        for future in admin.create_topics(wanted).values():
            future.result(_SECONDS)

    def send(self, announcements: Sequence[Announcement]) -> dict[Place, str]:
        """Send all of them and wait until they are there; where each lies that must be refused, and why."""
        producer = Producer({"bootstrap.servers": self._servers, "log_level": 0, "message.max.bytes": _LARGEST})
        expected: dict[Place, str] = {}
        failures: list[KafkaError] = []

        def arrived(announcement: Announcement, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
                return
            topic, number, offset = place = message.topic() or "", message.partition() or 0, message.offset() or 0
            self._ends[topic, number] = max(self._ends[topic, number], offset + 1)
            expected.update({(*place, record): reason for record, reason in announcement.refused})

        for each in announcements:
            producer.produce(
                self._topics.notifications if each.is_notification else self._topics.requests,
                value=each.value,
                partition=each.deal % self._partitions,
                headers=list(each.headers),
                on_delivery=partial(arrived, each),
            )
            producer.poll(0)
        if producer.flush(_SECONDS) or failures:
            raise RuntimeError(f"the broker did not take everything: {failures[:3]}")
        return expected

    def events(self, topic: str) -> list[dict[str, Any]]:
        """Every event of a topic that has one partition, from its start to its end."""
        return [json.loads(value or b"null") for value in read_log(self._servers, topic)]

    def lag(self, group: str) -> int:
        """Messages that lie behind the offsets which the group has committed, over all partitions that are read."""
        consumer = Consumer({"bootstrap.servers": self._servers, "group.id": group, "log_level": 0})
        places = [TopicPartition(name, number) for name in self._topics.read for number in range(self._partitions)]
        try:
            committed = consumer.committed(places, timeout=_SECONDS)
        finally:
            consumer.close()
        return sum(self._ends[each.topic, each.partition] - max(0, each.offset) for each in committed)
