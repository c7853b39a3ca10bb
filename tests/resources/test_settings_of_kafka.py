"""What the settings of Kafka change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from announcements import event
from confluent_kafka import Consumer, TopicPartition
from kafka_server import KafkaServer
from settings_bench import Bench

from mineru_pipeline.errors import (
    BrokerUnavailableError,
    DeliveryError,
    SettingsError,
)
from mineru_pipeline.messaging.broker import Outgoing
from mineru_pipeline.messaging.cursor import Cursor
from mineru_pipeline.messaging.feed import Tick
from mineru_pipeline.messaging.kafka import KafkaBroker
from mineru_pipeline.storage import FilesystemStore
from resources import messages
from resources.documents import DocumentStore, PipelineSettings
from resources.results import ResultOutbox


@dataclass
class Station:
    """The feed of the settings, from the start of its topics."""

    bench: Bench
    server: KafkaServer

    def __post_init__(self) -> None:
        self.topic, self.dead = self.server.topic(), self.server.topic()

    def tick(self, **changes: Any) -> Tick:
        base = {
            "kafka__bootstrap_servers": self.server.servers,
            "kafka__requests_topic": self.topic,
            "kafka__dead_letter_topic": self.dead,
            "intake__buckets": ["inbox"],
        }
        found = self.bench.load(**{**base, **changes}).settings
        store = FilesystemStore(found.store_root)
        return messages.evaluate(found, store, messages.evaluate(found, store, Cursor()).cursor)

    def keys(self, **changes: Any) -> list[str]:
        return [ref.uri for batch in self.tick(**changes).batches for ref in batch.refs]

    def announce(self, *uris: str, topic: str = "") -> None:
        self.server.send(topic or self.topic, [json.dumps(event({"uri": uri})).encode() for uri in uris])


@pytest.fixture
def station(bench: Bench, kafka: KafkaServer) -> Station:
    return Station(bench, kafka)


@pytest.mark.setting("kafka.bootstrap_servers", "kafka.requests_topic", "kafka.notifications_topic")
def test_kafka_topics(station: Station, bench: Bench) -> None:
    """Both topics are read at the broker that is named, and only what is named is read."""
    other = station.server.topic()
    station.announce("s3://inbox/a")
    station.announce("s3://inbox/b", topic=other)
    assert station.keys() == ["s3://inbox/a"]
    assert station.keys(kafka__requests_topic=None, kafka__notifications_topic=other) == ["s3://inbox/b"]
    assert len(station.keys(kafka__notifications_topic=other)) == 2
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:9 "):
        station.tick(kafka__bootstrap_servers="127.0.0.1:9", kafka__timeout_seconds=1)
    assert not bench.load().settings.kafka.bootstrap_servers


@pytest.mark.setting("kafka.dead_letter_topic")
def test_dead_letter_topic(station: Station) -> None:
    """Letters go where they are told, and may not go in circles."""
    other = station.server.topic()
    station.announce("https://elsewhere/a")
    station.tick(kafka__dead_letter_topic=other)
    assert (len(station.server.received(other)), len(station.server.received(station.dead))) == (1, 0)
    with pytest.raises(SettingsError, match="circles"):
        station.tick(kafka__dead_letter_topic=station.topic)


@pytest.mark.setting("kafka.results_topic")
def test_results_topic(bench: Bench, kafka: KafkaServer, tmp_path: Path) -> None:
    """Without a topic nothing is kept for sending; with one, results go there, and nowhere if it is read as well."""
    parsed = bench.parse()
    (batch,) = (item.key.split("/")[1].removesuffix(".jsonl") for item in parsed.store.list("manifests/"))
    topic = kafka.topic()
    for name in (None, topic):
        file = tmp_path / "settings.yaml"
        tree = {"bootstrap_servers": kafka.servers, "results_topic": name}
        file.write_text(json.dumps({"data_dir": str(tmp_path / "data"), "kafka": tree}))
        resource = PipelineSettings(config_file=str(file))
        outbox = ResultOutbox(settings=resource, store=DocumentStore(settings=resource))
        outbox.put(batch, "rev", [parsed.row])
        assert outbox.waits() == (name is not None)
    outbox.drain()
    assert [json.loads(value)["data"]["uri"] for value in kafka.received(topic)] == [parsed.row.uri]
    with pytest.raises(SettingsError, match="results_topic is read"):
        bench.load(kafka__results_topic="t", kafka__requests_topic="t")


@pytest.mark.setting("kafka.group_id")
def test_group(station: Station) -> None:
    """The lag is shown under this group."""
    station.tick(kafka__group_id=f"g-{station.topic}")
    watcher = Consumer({"bootstrap.servers": station.server.servers, "group.id": f"g-{station.topic}", "log_level": 0})
    try:
        assert watcher.committed([TopicPartition(station.topic, 0)], timeout=30)[0].offset == 0
    finally:
        watcher.close()


@pytest.mark.setting("kafka.max_messages", "kafka.max_bytes", "kafka.max_seconds", "kafka.max_batches")
@pytest.mark.parametrize(
    ("change", "documents"),
    [
        ({}, 30),
        ({"kafka__max_messages": 7}, 7),
        ({"kafka__max_bytes": 1024}, 8),
        ({"kafka__max_seconds": 1e-9}, 0),
        ({"kafka__max_batches": 2, "workers__batch_size": 5}, 10),
    ],
)
def test_bounds_of_an_evaluation(station: Station, change: dict[str, Any], documents: int) -> None:
    """Whichever is reached first ends it."""
    station.announce(*(f"s3://inbox/{n:02}" for n in range(30)))
    assert len(station.keys(**change)) == documents


@pytest.mark.setting("kafka.timeout_seconds", "kafka.options")
def test_kafka_client(bench: Bench) -> None:
    """The limit on an answer is in the error, and properties reach the client."""
    away = {"kafka__bootstrap_servers": "127.0.0.1:9"}
    for seconds in (1, 2):
        config = messages.kafka_config(bench.load(**away, kafka__timeout_seconds=seconds).settings)
        with KafkaBroker(config) as broker, pytest.raises(DeliveryError, match=f"within {seconds} s"):
            broker.send([Outgoing("t", "k", b"x")])
    config = messages.kafka_config(bench.load(**away, kafka__options={"no.such": "hunter2"}).settings)
    with KafkaBroker(config) as broker, pytest.raises(SettingsError, match=r"no\.such"):
        broker.watermarks(["t"])


@pytest.mark.setting("intake.schemes", "intake.buckets")
def test_what_may_be_announced(station: Station) -> None:
    """Schemes and buckets that are not named are refused."""
    station.announce("s3://inbox/a", "s3://other/b", "file:///c")
    assert station.keys() == ["s3://inbox/a"]
    assert station.keys(intake__buckets=["other"], data_dir=station.bench.folder / "2") == ["s3://other/b"]
    found = station.keys(intake__schemes=["file"], intake__buckets=[], data_dir=station.bench.folder / "3")
    assert found == ["file:///c"]
