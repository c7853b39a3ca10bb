"""The adapter on real brokers: what is read, what is sent, and what is said when nothing answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka_server import KafkaServer, forgetful_kafka, own_kafka

from bench.ports import free_port
from mineru_pipeline.errors import (
    BrokerAccessError,
    BrokerUnavailableError,
    DeliveryError,
    SettingsError,
    UnknownTopicError,
)
from mineru_pipeline.messaging.broker import Bounds, Outgoing, Partition, Watermarks
from mineru_pipeline.messaging.kafka import KafkaBroker, KafkaConfig

BOUNDS = Bounds(1000, 10**7, 20)


@pytest.fixture
def mortal() -> Iterator[KafkaServer]:
    """A broker of the test's own, to be killed."""
    with own_kafka() as server:
        yield server


@pytest.fixture(scope="module")
def forgetful() -> Iterator[KafkaServer]:
    with forgetful_kafka() as server:
        yield server


def offsets(server: KafkaServer, partition: Partition, start: int, bounds: Bounds = BOUNDS) -> list[int]:
    with server.broker() as broker:
        return [message.offset for message in broker.read({partition: start}, bounds).messages.get(partition, ())]


def test_messages_are_read_from_the_offset_that_was_asked_for(kafka: KafkaServer) -> None:
    """In order, to the end, with value, headers and time; a value may be missing."""
    topic = kafka.topic()
    kafka.send(topic, [b"a", None, b"c"], headers=[("ce_id", b"\xff"), ("empty", b"")], timestamp=1_790_000_000_123)
    log = Partition(topic, 0)
    with kafka.broker() as broker:
        found = broker.read({log: 1}, BOUNDS).messages[log]
    assert [(message.offset, message.value) for message in found] == [(1, None), (2, b"c")]
    assert found[1].headers == (("ce_id", b"\xff"), ("empty", b""))
    assert found[1].timestamp_ms == 1_790_000_000_123
    assert found[1].partition == log


def test_every_partition_is_found_and_read(kafka: KafkaServer) -> None:
    """Each with its own offsets, from its own position."""
    topic = kafka.topic(3)
    for number in range(3):
        kafka.send(topic, [b"x"] * (number + 1), partition=number)
    with kafka.broker() as broker:
        marks = broker.watermarks([topic])
        reading = broker.read({Partition(topic, 1): 1, Partition(topic, 2): 0}, BOUNDS)
    assert sorted(marks) == [Partition(topic, number) for number in range(3)]
    assert {mark.low for mark in marks.values()} == {0}
    read = {log.number: [message.offset for message in found] for log, found in reading.messages.items()}
    assert read == {1: [1], 2: [0, 1, 2]}


def test_reading_at_the_end_finds_nothing_and_ends(kafka: KafkaServer) -> None:
    """Before the time is up, and without an error."""
    topic = kafka.topic()
    kafka.send(topic, [b"x"])
    with kafka.broker() as broker:
        reading = broker.read({Partition(topic, 0): 1}, Bounds(10, 10, 10_000))
    assert (reading.messages, reading.out_of_range) == ({}, {})


@pytest.mark.parametrize(
    ("bounds", "count"), [(Bounds(3, 10**7, 20), 3), (Bounds(1000, 250, 20), 3), (Bounds(9, 1, 20), 1)]
)
def test_a_reading_is_bounded(kafka: KafkaServer, bounds: Bounds, count: int) -> None:
    """By messages, and by bytes, which at most one message exceeds."""
    topic = kafka.topic()
    kafka.send(topic, [b"x" * 100] * 20)
    assert offsets(kafka, Partition(topic, 0), 5, bounds) == list(range(5, 5 + count))


def test_a_reading_is_bounded_in_time(kafka: KafkaServer) -> None:
    """By the clock that was passed in: once it says that the time is up, what was read is returned."""
    topic = kafka.topic()
    kafka.send(topic, [b"x"])
    times = iter([0.0, 100.0])
    with KafkaBroker(KafkaConfig(kafka.servers), clock=lambda: next(times)) as broker:
        assert broker.read({Partition(topic, 0): 0}, BOUNDS).messages == {}


def test_a_message_larger_than_a_slice_is_read(kafka: KafkaServer) -> None:
    """What is fetched at once is small; one message always fits."""
    topic = kafka.topic()
    kafka.send(topic, [b"x" * 700_000, b"y"])
    assert offsets(kafka, Partition(topic, 0), 0) == [0, 1]


def test_what_is_sent_is_there(kafka: KafkaServer) -> None:
    """Acknowledged, with its headers and its key, when the call returns."""
    topic = kafka.topic()
    with kafka.broker() as broker:
        broker.send([Outgoing(topic, "k", str(n).encode(), (("h", b"v"),)) for n in range(500)])
        log = Partition(topic, 0)
        found = broker.read({log: 0}, BOUNDS).messages[log]
    assert [message.value for message in found] == [str(n).encode() for n in range(500)]
    assert found[0].headers == (("h", b"v"),)


def test_the_position_is_committed_for_others_to_see(kafka: KafkaServer) -> None:
    """Whoever watches the group finds the offset; reading does not move it."""
    topic = kafka.topic()
    kafka.send(topic, [b"x"] * 5)
    log = Partition(topic, 0)
    with kafka.broker(group_id=f"group-{topic}") as broker:
        broker.commit({log: 3})
        broker.read({log: 3}, BOUNDS)
    watcher = Consumer({"bootstrap.servers": kafka.servers, "group.id": f"group-{topic}", "log_level": 0})
    try:
        (committed,) = watcher.committed([TopicPartition(topic, 0)], timeout=30)
        assert committed.offset == 3
    finally:
        watcher.close()


def test_committing_and_leaving_never_hang(mortal: KafkaServer) -> None:
    """A commit that nobody answers costs a bounded time and is tried again later, once the broker is back."""
    topic = mortal.topic()
    log = Partition(topic, 0)
    with mortal.broker(timeout_seconds=1) as broker:
        with mortal.halted():
            with pytest.raises(BrokerUnavailableError, match="group"):
                broker.commit({log: 1})
            with pytest.raises(BrokerUnavailableError, match="earlier commit"):
                broker.commit({log: 1})
        mortal.wait_for(lambda: not any(thread.name == "kafka-consumer-closing" for thread in threading.enumerate()))
    with mortal.broker() as broker:
        broker.commit({log: 2})
        broker.commit({})


def test_a_topic_that_does_not_exist_is_named(kafka: KafkaServer) -> None:
    """And is not created by asking for it."""
    with kafka.broker() as broker:
        for _ in range(2):
            with pytest.raises(UnknownTopicError, match="no-such-topic"):
                broker.watermarks(["no-such-topic"])


def test_offsets_that_were_removed_are_told(forgetful: KafkaServer) -> None:
    """Never silently skipped: the log is named with what it holds, and other logs are read all the same."""
    topic = forgetful.topic()
    forgetful.send(topic, [b"x" * 100_000] * 80)
    forgetful.send(topic, [b"y"], partition=1)
    old, other = Partition(topic, 0), Partition(topic, 1)
    with forgetful.broker() as broker:
        held = broker.watermarks([topic])[old]
        reading = broker.read({old: 3, other: 0}, BOUNDS)
    assert held.low > 3
    assert reading.out_of_range == {old: held}
    assert [message.value for message in reading.messages[other]] == [b"y"]


def test_offsets_beyond_the_end_are_told(forgetful: KafkaServer) -> None:
    """As when the topic was made anew."""
    topic = forgetful.topic()
    forgetful.send(topic, [b"x"] * 4)
    with forgetful.broker() as broker:
        reading = broker.read({Partition(topic, 0): 40}, BOUNDS)
    assert reading.out_of_range == {Partition(topic, 0): Watermarks(0, 4)}


def test_a_broker_that_does_not_answer_is_named(mortal: KafkaServer) -> None:
    """In time, with what to check; and afterwards everything works again."""
    topic = mortal.topic()
    with mortal.broker(timeout_seconds=1) as broker:
        with mortal.halted(), pytest.raises(BrokerUnavailableError, match="nothing is lost"):
            broker.watermarks([topic])
        assert list(broker.watermarks([topic])) == [Partition(topic, 0)]


def test_a_broker_that_dies_is_an_error_of_every_call(mortal: KafkaServer) -> None:
    """Asking, reading and sending all say so, and none hangs."""
    topic = mortal.topic()
    log = Partition(topic, 0)
    with mortal.broker(timeout_seconds=1) as broker:
        broker.watermarks([topic])
        mortal.kill()
        with pytest.raises(BrokerUnavailableError, match=mortal.servers):
            broker.watermarks([topic])
        with pytest.raises(BrokerUnavailableError):
            broker.read({log: 0}, Bounds(10, 10, 1))
        with pytest.raises(DeliveryError, match="not acknowledged"):
            broker.send([Outgoing(topic, "k", b"x")])


def test_what_was_not_acknowledged_is_not_sent_later(mortal: KafkaServer) -> None:
    """After the error nothing of it is still under way, or a letter could follow the manifest it must precede."""
    topic = mortal.topic()
    with mortal.broker(timeout_seconds=5) as broker:
        broker.send([Outgoing(topic, "k", b"first")])
        with mortal.halted(), pytest.raises(DeliveryError):
            broker.send([Outgoing(topic, "k", b"second")])
        broker.send([Outgoing(topic, "k", b"third")])
    received = mortal.received(topic)
    assert (received[0], received[-1]) == (b"first", b"third")


def test_a_login_that_fails_is_told_from_an_outage() -> None:
    """The error says that the broker does not let us, and the password is not in it."""
    login = {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "nobody", "sasl.password": "hunter2"}
    options = {"security.protocol": "SASL_PLAINTEXT", **login}
    with (
        own_kafka("--authentication") as server,
        server.broker(timeout_seconds=5, options=options) as broker,
        pytest.raises(BrokerAccessError, match="sasl") as raised,
    ):
        broker.watermarks(["t"])
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(("name", "value"), [("no.such.property", "hunter2"), ("security.protocol", "hunter2")])
def test_properties_that_do_not_exist_are_errors_of_the_settings(name: str, value: str) -> None:
    """The property is named and its value is not."""
    server = KafkaServer(f"127.0.0.1:{free_port()}")
    with server.broker(options={name: value}) as broker, pytest.raises(SettingsError, match=name) as raised:
        broker.watermarks(["t"])
    assert "hunter2" not in str(raised.value)
