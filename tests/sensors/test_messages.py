"""The sensor on a real broker: announcements become run requests, each document of them once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from announcements import event, notification
from kafka_server import KafkaServer, own_kafka

from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.storage import FilesystemStore
from resources.documents import DocumentStore, PipelineSettings
from resources.messages import MessageFeed
from sensors.messages import TAG_SOURCE, announced_documents


@dataclass
class Station:
    """A sensor with its settings, and the cursor that Dagster would keep."""

    folder: Path
    server: KafkaServer
    partitions: int = 1
    cursor: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topic, self.dead = self.server.topic(self.partitions), self.server.topic()
        self.instance = dg.DagsterInstance.ephemeral()
        self.store = FilesystemStore(self.folder / "data" / "store")

    def tick(self, *, stored: bool = True, **kafka: Any) -> dg.SensorResult | dg.SkipReason:
        file = self.folder / "settings.yaml"
        tree = {
            "data_dir": str(self.folder / "data"),
            "intake": {"buckets": ["inbox"]},
            "workers": {"batch_size": 50},
            "kafka": {
                "bootstrap_servers": self.server.servers,
                "requests_topic": self.topic,
                "dead_letter_topic": self.dead,
                **kafka,
            },
            **self.settings,
        }
        file.write_text(json.dumps(tree))
        settings = PipelineSettings(config_file=str(file))
        feed = MessageFeed(settings=settings, store=DocumentStore(settings=settings))
        with dg.build_sensor_context(
            cursor=self.cursor, instance=self.instance, definitions=build_definitions(), resources={"feed": feed}
        ) as context:
            result = announced_documents(context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        if stored and isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        return result

    def requests(self, **kafka: Any) -> list[dg.RunRequest]:
        result = self.tick(**kafka)
        assert isinstance(result, dg.SensorResult)
        return list(result.run_requests or ())

    def keys(self, requests: list[dg.RunRequest]) -> list[str]:
        """The objects of the batches that are requested, in order."""
        manifests = [read_manifest(self.store, request.partition_key or "") for request in requests]
        return [ref.uri.removeprefix("s3://inbox/") for manifest in manifests for ref in manifest.refs]

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(value) for value in self.server.received(self.dead)]


Build = Callable[..., Station]


@pytest.fixture
def station(tmp_path: Path, kafka: KafkaServer) -> Build:
    """Stations with topics of their own; the first evaluation, which finds the logs, is done."""

    def build(partitions: int = 1, server: KafkaServer = kafka, **settings: Any) -> Station:
        found = Station(tmp_path, server, partitions, settings=settings)
        assert found.requests() == []
        return found

    return build


@pytest.fixture
def mortal() -> Iterator[KafkaServer]:
    with own_kafka() as server:
        yield server


def request(key: str, **data: Any) -> bytes:
    return json.dumps(event({"uri": f"s3://inbox/{key}", **data})).encode()


def test_announcements_become_run_requests(station: Build) -> None:
    """One for each batch, under the key of its manifest, with its partition added in the same step."""
    here = station()
    here.server.send(here.topic, [request(f"{n}") for n in range(120)])
    result = here.tick()
    assert isinstance(result, dg.SensorResult)
    requests = list(result.run_requests or ())
    assert here.keys(requests) == [str(n) for n in range(120)]
    assert [request.run_key for request in requests] == [request.partition_key for request in requests]
    (added,) = result.dynamic_partitions_requests or ()
    assert added.partition_keys == [request.partition_key for request in requests]
    assert requests[1].tags[TAG_SOURCE] == f"{here.topic}[0] 50-100"
    assert here.requests() == []


def test_several_partitions_are_read_side_by_side(station: Build) -> None:
    """Each in its own order, nothing twice and nothing left out."""
    here = station(partitions=3)
    for number in range(3):
        here.server.send(here.topic, [request(f"{number}-{n:03}") for n in range(70)], partition=number)
    keys = here.keys(here.requests())
    assert Counter(keys) == Counter(f"{number}-{n:03}" for number in range(3) for n in range(70))
    for number in range(3):
        own = [key for key in keys if key.startswith(f"{number}-")]
        assert own == sorted(own)


def test_poison_becomes_dead_letters_and_stops_nothing(station: Build) -> None:
    """Garbage, a wrong schema, an unknown type, a foreign bucket and a bad tenant lie between good requests."""
    here = station()
    poison = [
        b"\x00\xff",
        request("a", size="big"),
        json.dumps(event({}, type="other")).encode(),
        json.dumps(event({"uri": "s3://foreign/a"})).encode(),
        request("a", tenant="../b"),
    ]
    mixed = [value for n, bad in enumerate(poison) for value in (request(f"good-{n}"), bad)]
    here.server.send(here.topic, mixed)
    result = here.tick()
    assert isinstance(result, dg.SensorResult)
    assert here.keys(list(result.run_requests or ())) == [f"good-{n}" for n in range(5)]
    (seen,) = result.asset_events
    assert isinstance(seen, dg.AssetObservation)
    assert (seen.asset_key, seen.metadata["refused"].value) == (dg.AssetKey("source_documents"), 5)
    letters = here.letters()
    assert [letter["data"]["reason"] for letter in letters] == [
        "not-json", "invalid-size", "unknown-type", "forbidden-bucket", "invalid-tenant",
    ]  # fmt: skip
    assert [letter["data"]["origin"]["offset"] for letter in letters] == [1, 3, 5, 7, 9]


def test_duplicates_are_entries_of_their_own(station: Build) -> None:
    """Each announcement is accounted for; the same bytes are found to be the same when they are read."""
    here = station()
    here.server.send(here.topic, [request("same"), request("same"), request("other"), request("same")])
    assert here.keys(here.requests()) == ["same", "same", "other", "same"]


def test_a_crash_between_manifest_and_cursor_repeats_the_same(station: Build) -> None:
    """Evaluated twice from one cursor, with more arriving in between: the same batches, and no letter twice."""
    here = station()
    here.server.send(here.topic, [request("a"), b"{", request("b")])
    before = here.tick(stored=False)
    assert isinstance(before, dg.SensorResult)
    letters = here.letters()
    here.server.send(here.topic, [request("c"), b"{"])
    after = here.requests()
    assert [each.run_key for each in after][:1] == [each.run_key for each in before.run_requests or ()]
    assert here.keys(after) == ["a", "b", "c"]
    assert [letter["id"] for letter in here.letters()[:1]] == [letter["id"] for letter in letters]
    assert len(here.letters()) == 2


def test_a_broker_that_stops_in_the_middle_loses_nothing(station: Build, mortal: KafkaServer) -> None:
    """The evaluation fails in words, the cursor stays, and once the broker answers all is read."""
    here = station(server=mortal)
    here.server.send(here.topic, [request(str(n)) for n in range(60)])
    keys = here.keys(here.requests(max_messages=20))
    cursor = here.cursor
    with mortal.halted(), pytest.raises(dg.Failure, match="does not answer"):
        here.tick(timeout_seconds=1)
    assert here.cursor == cursor
    while requests := here.requests(max_messages=20):
        keys += here.keys(requests)
    assert keys == [str(n) for n in range(60)]


def test_a_broker_that_is_killed_fails_the_evaluation_in_words(station: Build, mortal: KafkaServer) -> None:
    """Address and advice are in the tick, not a traceback of the library alone."""
    here = station(server=mortal)
    mortal.kill()
    with pytest.raises(dg.Failure, match=r"kafka\.bootstrap_servers"):
        here.tick(timeout_seconds=1)


def test_a_store_that_is_in_the_way_fails_the_evaluation_in_words(station: Build) -> None:
    """And the next one does the work."""
    here = station()
    here.server.send(here.topic, [request("a")])
    manifests = here.store.root / "manifests"
    manifests.parent.mkdir(parents=True, exist_ok=True)
    manifests.write_text("in the way")
    with pytest.raises(dg.Failure, match="manifests"):
        here.tick()
    manifests.unlink()
    assert here.keys(here.requests()) == ["a"]


def test_ten_thousand_messages_are_taken_in_bounded_steps(station: Build) -> None:
    """No evaluation takes more than it may, and together they take everything once, in order."""
    here = station(workers={"batch_size": 500})
    here.server.send(here.topic, [request(f"{n:05}") for n in range(10_000)])
    keys: list[str] = []
    steps = 0
    while requests := here.requests(max_messages=2000, max_batches=3):
        assert len(requests) <= 3
        found = here.keys(requests)
        assert len(found) <= 1500
        keys += found
        steps += 1
    assert keys == [f"{n:05}" for n in range(10_000)]
    assert steps >= 7


def test_notifications_of_a_bucket_are_read_beside_requests(station: Build) -> None:
    """From a topic of their own; removed objects are passed, and their addresses are in the evaluation."""
    here = station()
    bucket = here.server.topic()
    here.requests(notifications_topic=bucket)
    values = [notification({"key": "in%2Fa+b.pdf"}), notification({"key": "x"}, name="s3:ObjectRemoved:Delete")]
    here.server.send(bucket, [json.dumps(value).encode() for value in values])
    here.server.send(here.topic, [request("b")])
    assert sorted(here.keys(here.requests(notifications_topic=bucket))) == ["b", "in/a%20b.pdf"]
    assert here.letters() == []


def test_without_kafka_it_says_what_is_not_set(tmp_path: Path, kafka: KafkaServer) -> None:
    """Nothing is connected."""
    skipped = Station(tmp_path, kafka).tick(bootstrap_servers=None)
    assert isinstance(skipped, dg.SkipReason)
    assert "kafka.bootstrap_servers" in str(skipped.skip_message)


def test_without_buckets_messages_wait(station: Build) -> None:
    """Rather than all becoming dead letters because of a setting that was forgotten."""
    here = station()
    here.server.send(here.topic, [request("a")])
    here.settings = {"intake": {"buckets": []}}
    with pytest.raises(dg.Failure, match=r"intake\.buckets is empty"):
        here.tick()
    here.settings = {}
    assert here.keys(here.requests()) == ["a"]


def test_a_topic_that_is_missing_is_named(station: Build) -> None:
    """Also the one for dead letters, before there is any: a broker might create it under the mistyped name."""
    here = station()
    with pytest.raises(dg.Failure, match="no-such-topic"):
        here.tick(requests_topic="no-such-topic")
    with pytest.raises(dg.Failure, match="no-such-dead-letters"):
        here.tick(dead_letter_topic="no-such-dead-letters")
