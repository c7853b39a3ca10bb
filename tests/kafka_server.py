"""A Kafka broker for tests: one of our own on a free port, or the one that MINERU_PIPELINE_TEST_KAFKA names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

from bench.tansu import KafkaServer, own_kafka

__all__ = ["ENV_SERVERS", "KafkaServer", "forgetful_kafka", "own_kafka", "some_kafka"]

ENV_SERVERS = "MINERU_PIPELINE_TEST_KAFKA"


@contextmanager
def some_kafka() -> Iterator[KafkaServer]:
    """The broker that the environment names, or one of our own."""
    if servers := os.environ.get(ENV_SERVERS):
        yield KafkaServer(servers)
        return
    with own_kafka() as server:
        yield server


@contextmanager
def forgetful_kafka() -> Iterator[KafkaServer]:
    """The mock cluster in librdkafka: it removes what is old as soon as a log has 5 MiB, and refuses lost offsets."""
    holder = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "unused", "log_level": 0})
    (broker,) = holder.list_topics(timeout=30).brokers.values()
    yield KafkaServer(f"{broker.host}:{broker.port}", creates_topics_itself=True)
    del holder
