"""The outbox: a result is told at least once, under one id, whatever breaks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from memory_broker import MemoryBroker

from mineru_pipeline.errors import BrokerUnavailableError, StoreError
from mineru_pipeline.messaging import outbox
from mineru_pipeline.messaging.broker import Outgoing
from mineru_pipeline.messaging.outbox import Drained
from mineru_pipeline.messaging.results import DocumentResult, result_event
from mineru_pipeline.storage import FilesystemStore, ObjectStore, layout

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FilesystemStore(tmp_path / "store")


def put(store: ObjectStore, batch: str, count: int = 2, state: str = "parsed") -> None:
    results = [
        DocumentResult(batch, n, "t", f"s3://b/{batch}-{n}\u2028ä", None, None, state, "", "", 1, 0, 0.5, "", "", "rev")
        for n in range(count)
    ]
    outbox.put(store, batch, "rev", [result_event(result, NOW) for result in results])


def uris(broker: MemoryBroker) -> list[str]:
    return [json.loads(message.value)["data"]["uri"].split("/")[-1][:3] for message in broker.sent]


def test_what_waits_is_sent_and_removed(store: ObjectStore) -> None:
    """Batch by batch, oldest first, each result under its document's address as key."""
    put(store, "b1")
    put(store, "b0")
    broker = MemoryBroker()
    assert outbox.waits(store)
    assert outbox.drain(store, broker, "results", most=10) == Drained(4, 2)
    assert uris(broker) == ["b0-", "b0-", "b1-", "b1-"]
    assert {message.topic for message in broker.sent} == {"results"}
    assert broker.sent[0].key == "s3://b/b0-0\u2028ä"
    assert dict(broker.sent[0].headers)["content-type"] == b"application/cloudevents+json"
    assert not outbox.waits(store)
    assert outbox.drain(store, broker, "results", most=10) == Drained()


def test_what_is_not_acknowledged_stays(store: ObjectStore) -> None:
    """And is sent with the same ids once the broker is back."""
    put(store, "b0")
    broker = MemoryBroker(fail_on="send")
    with pytest.raises(BrokerUnavailableError):
        outbox.drain(store, broker, "results", most=10)
    broker.fail_on = ""
    assert outbox.drain(store, broker, "results", most=10) == Drained(2, 1)


def test_a_crash_after_the_acknowledgement_tells_it_again_under_the_same_id(store: ObjectStore) -> None:
    """Whoever listens can tell a repetition from news."""

    class Dying(MemoryBroker):
        def send(self, messages: Sequence[Outgoing]) -> None:
            super().send(messages)
            raise KeyboardInterrupt

    put(store, "b0")
    first, second = Dying(), MemoryBroker()
    with pytest.raises(KeyboardInterrupt):
        outbox.drain(store, first, "results", most=10)
    outbox.drain(store, second, "results", most=10)
    assert first.sent == second.sent


def test_news_written_while_the_old_is_being_sent_is_not_removed_with_it(store: ObjectStore) -> None:
    """Another run of the batch ended otherwise meanwhile: both are told."""

    class Busy(MemoryBroker):
        def send(self, messages: Sequence[Outgoing]) -> None:
            super().send(messages)
            if len(self.sent) == 2:
                put(store, "b0", state="degraded")

    put(store, "b0", state="failed")
    broker = Busy()
    outbox.drain(store, broker, "results", most=10)
    outbox.drain(store, broker, "results", most=10)
    assert [json.loads(message.value)["data"]["state"] for message in broker.sent] == ["failed"] * 2 + ["degraded"] * 2


def test_a_draining_is_bounded(store: ObjectStore) -> None:
    """What is over waits for the next one."""
    for number in range(5):
        put(store, f"b{number}", 1)
    broker = MemoryBroker()
    assert outbox.drain(store, broker, "results", most=3) == Drained(3, 3)
    assert outbox.drain(store, broker, "results", most=3) == Drained(2, 2)


@pytest.mark.parametrize("damage", [b"{", b"[]", b"{}", b'{"data":{}}', b"\xff", b"[" * 100_000])
def test_damaged_objects_do_not_hold_up_the_others(store: ObjectStore, damage: bytes) -> None:
    """They are named, with what to do; what comes after them is told, however many they are."""
    for name in ("x", "y", "z"):
        store.put(layout.outbox_key("a", "rev", name), damage)
    put(store, "b0")
    broker = MemoryBroker()
    with pytest.raises(StoreError, match=r"a\.rev\.x\.jsonl is damaged.*2 results of 1 other batches"):
        outbox.drain(store, broker, "results", most=2)
    assert len(broker.sent) == 2


def test_many_damaged_objects_are_counted_and_some_named(store: ObjectStore) -> None:
    """One sentence for a person, however many there are."""
    for number in range(20):
        store.put(layout.outbox_key("a", "rev", f"{number:02}"), b"{")
    with pytest.raises(StoreError, match=r"20 objects of the outbox.*and 15 more") as raised:
        outbox.drain(store, MemoryBroker(), "results", most=2)
    assert str(raised.value).count("is damaged") == 5
