"""No setting is dead: for each there is a test in which changing it changes what happens."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import certifi
import dagster as dg
import httpx
import pytest
from announcements import event
from confluent_kafka import Consumer, TopicPartition
from conftest import SIMULATED_MODEL, ModelServer, pdf, start_server, stop_server
from kafka_server import KafkaServer
from s3_server import S3Server

from mineru_pipeline import launch, settings
from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import (
    BrokerUnavailableError,
    DeliveryError,
    ModelServerError,
    RunInterruptedError,
    SettingsError,
)
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.messaging.broker import Outgoing
from mineru_pipeline.messaging.cursor import Cursor
from mineru_pipeline.messaging.feed import Tick
from mineru_pipeline.messaging.kafka import KafkaBroker
from mineru_pipeline.parsing import ledger, quarantine
from mineru_pipeline.parsing.exporter import serving_metrics
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.progress import ignore_progress
from mineru_pipeline.parsing.render import sandbox_config
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.storage import FilesystemStore, ObjectStore
from resources import messages, parsing
from resources.documents import DocumentStore, PipelineSettings, connect, open_store
from resources.reconciling import open_reconciler, targets
from resources.results import ResultOutbox
from sensors import alerts, backfills
from sensors.buckets import look


@dataclass(frozen=True)
class Result:
    """One document taken through intake and engine."""

    source: SourceRow
    row: ParsedRow
    store: ObjectStore
    metrics: ClientMetrics


@dataclass(frozen=True)
class Bench:
    """Settings to start from, and a document to take through."""

    folder: Path
    base: dict[str, Any]

    def load(self, **changes: Any) -> LoadedSettings:
        overrides = {**self.base, **{name.replace("__", "."): value for name, value in changes.items()}}
        return settings.load(environ={}, overrides=overrides)

    def parse(self, data: bytes = b"", **changes: Any) -> Result:
        (self.folder / "a.pdf").write_bytes(data or pdf("hello"))
        loaded = self.load(**changes)
        found, store = loaded.settings, open_store(loaded.settings)
        (manifest,) = write_manifests([self.folder / "a.pdf"], loaded, store)
        return asyncio.run(_through(found, store, manifest.batch))


async def _through(found: settings.Settings, store: ObjectStore, batch: str) -> Result:
    (source,) = await parsing.examine(found, store, batch)
    ledger.write(store, ledger.SOURCE_DOCUMENTS, parsing.revisions_of(found).parser, batch, [source], SourceRow)
    metrics = ClientMetrics()
    (row,) = (await parsing.parse(found, store, batch, ignore_progress, metrics)).rows
    return Result(source, row, store, metrics)


@pytest.fixture
def bench(tmp_path: Path, model_server: ModelServer) -> Bench:
    base = {
        "data_dir": tmp_path / "data",
        "vllm_server.base_url": model_server.url,
        "vllm_server.model": SIMULATED_MODEL,
    }
    return Bench(tmp_path, base)


@pytest.mark.setting("data_dir", "storage.root", "dagster.home")
def test_folders(bench: Bench, tmp_path: Path) -> None:
    """The data folder holds store and instance, unless they are told to be elsewhere."""
    plain = bench.load().settings
    assert (plain.store_root, plain.dagster_home) == (tmp_path / "data" / "store", tmp_path / "data" / "dagster")
    assert bench.parse(storage__root=tmp_path / "s").store.address == str(tmp_path / "s")
    launch.open_instance(bench.load(dagster__home=tmp_path / "d").settings).dispose()
    assert (tmp_path / "d" / "dagster.yaml").exists()


@pytest.mark.setting(
    "storage.backend", "storage.bucket", "storage.prefix", "minio.endpoint", "minio.access_key", "minio.secret_key"
)
def test_a_bucket_takes_the_folders_place(bench: Bench, s3: S3Server, bucket: str, tmp_path: Path) -> None:
    """With these settings everything goes to the bucket, below the prefix, and nothing to the folder."""
    access = {"minio__access_key": s3.access_key, "minio__secret_key": s3.secret_key, "minio__endpoint": s3.endpoint}
    got = bench.parse(storage__backend="minio", storage__bucket=bucket, storage__prefix="team/a", **access)
    assert got.store.address == f"s3://{bucket}/team/a"
    keys = [str(item.object_name) for item in s3.client.list_objects(bucket, recursive=True)]
    assert f"team/a/{got.row.outputs}document.md" in keys
    assert all(key.startswith("team/a/") for key in keys)
    assert not (tmp_path / "data" / "store").exists()


@pytest.mark.setting("intake.buckets")
def test_a_document_may_come_from_these_buckets_alone(bench: Bench, s3: S3Server, bucket: str) -> None:
    """The same reference is parsed where its bucket is allowed, and fails with its reason where it is not."""
    s3.client.put_object(bucket, "in/a b.pdf", io.BytesIO(pdf("from a bucket")), len(pdf("from a bucket")))
    access = {"minio__access_key": s3.access_key, "minio__secret_key": s3.secret_key, "minio__endpoint": s3.endpoint}
    ref = DocumentRef(f"s3://{bucket}/in/a%20b.pdf", None, None, None, "2026-01-01T00:00:00Z", "kafka")

    def parsed(*buckets: str) -> Result:
        found = bench.load(intake__buckets=list(buckets), **access).settings
        store = open_store(found)
        manifest = write_manifest(store, BatchManifest(f"b-{len(buckets)}", found.tenant, (ref,)))
        return asyncio.run(_through(found, store, manifest.batch))

    assert parsed(bucket).row.state == "parsed"
    refused = parsed()
    assert (refused.row.state, refused.row.reason) == ("failed", "source-forbidden")


@pytest.mark.setting("intake.watch", "intake.tick_documents", "intake.tick_seconds")
def test_what_one_look_brings_in(bench: Bench, s3: S3Server, bucket: str) -> None:
    """Documents are looked for in the places named, so many at a time, and for so long."""
    for key in ("in/a.pdf", "in/b.pdf", "in/c.pdf", "out/d.pdf"):
        s3.client.put_object(bucket, key, io.BytesIO(b"x"), 1)
    access = {"minio__access_key": s3.access_key, "minio__secret_key": s3.secret_key, "minio__endpoint": s3.endpoint}

    def found(*watch: str, **changes: float) -> int:
        places = [f"{bucket}/{place}" for place in watch]
        loaded = bench.load(intake__buckets=[bucket], intake__watch=places, **access, **changes)
        return sum(len(manifest.refs) for manifest in look(loaded, None).batches)

    assert (found("in/"), found("out/"), found("in/", "out/")) == (3, 1, 4)
    assert found("in/", "out/", intake__tick_documents=2) == 2
    # A page of the listing is always looked at; then the time for the second place is over.
    assert found("out/", "in/", intake__tick_seconds=0.000_001) == 1


@pytest.mark.setting("intake.reconcile", "intake.reconcile_grace_seconds")
def test_what_is_compared_with_the_tables(bench: Bench, s3: S3Server, bucket: str) -> None:
    """Watched places, and all of the allowed buckets without one unless only those are wanted; young objects wait."""
    s3.client.put_object(bucket, "in/a.pdf", io.BytesIO(b"x"), 1)
    access = {"minio__access_key": s3.access_key, "minio__secret_key": s3.secret_key, "minio__endpoint": s3.endpoint}

    def places(*watch: str, **changes: str) -> list[str]:
        found = bench.load(intake__buckets=[bucket, "papers"], intake__watch=list(watch), **access, **changes).settings
        return [str(target.place) for target in targets(found)]

    assert places() == sorted([bucket, "papers"])
    assert places(f"{bucket}/in/") == [f"{bucket}/in/", "papers"]
    assert places(f"{bucket}/in/", intake__reconcile="watched") == [f"{bucket}/in/"]

    def missing(**changes: float) -> int:
        found = bench.load(intake__buckets=[bucket], **access, **changes).settings
        return open_reconciler(found).reconcile(targets(found), now=datetime.now(UTC), request=False).missing

    assert (missing(), missing(intake__reconcile_grace_seconds=0)) == (0, 1)


CONNECTION = {
    "minio.region": ("region", "eu-1"),
    "minio.ca_file": ("ca_file", Path(certifi.where())),
    "minio.connection_timeout_seconds": ("connection_timeout_seconds", 3.0),
    "minio.timeout_seconds": ("timeout_seconds", 7.0),
    "minio.retry_budget_seconds": ("patience_seconds", 0.5),
}


@pytest.mark.parametrize("name", CONNECTION)
def test_the_settings_of_the_s3_server_reach_the_connection(bench: Bench, name: str) -> None:
    """Each changes exactly its field of the connection's configuration, whose effect the store's own tests show."""
    field, value = CONNECTION[name]
    base = {"minio.endpoint": "https://host:9000", "minio.access_key": "k", "minio.secret_key": "s"}
    plain, changed = (connect(bench.load(**base, **given).settings).config for given in ({}, {name: value}))
    assert plain != changed == replace(plain, **{field: value})


@pytest.mark.setting("tenant")
def test_tenant(bench: Bench) -> None:
    """Outputs lie under the tenant."""
    assert bench.parse(tenant="acme").row.outputs.startswith("parsed/acme/")


@pytest.mark.setting("vllm_server.enabled")
def test_enabled(bench: Bench) -> None:
    """Switched off, a page that no model has read stops the run; a finished document does not need one."""
    with pytest.raises(ModelServerError, match=r"vllm_server\.enabled"):
        bench.parse(vllm_server__enabled=False)
    bench.parse()
    assert bench.parse(vllm_server__enabled=False).row.state == "parsed"


@pytest.mark.setting("vllm_server.base_url", "vllm_server.model")
def test_server_and_model(bench: Bench, model_server: ModelServer) -> None:
    """Requests go to the configured server, and a model that it does not serve is refused."""
    before = model_server.answered()
    assert bench.parse().row.requests < model_server.answered() - before
    with pytest.raises(ModelServerError, match="other/model"):
        bench.parse(vllm_server__model="other/model")


@pytest.mark.setting("vllm_server.model_revision", "rendering.dpi", "rendering.max_long_edge_px")
@pytest.mark.parametrize(
    "change", [{"vllm_server__model_revision": "r2"}, {"rendering__dpi": 100}, {"rendering__max_long_edge_px": 1000}]
)
def test_what_the_model_is_asked_keys_its_answers(bench: Bench, change: dict[str, Any]) -> None:
    """Another model or rendering has another extraction revision, and so another parser revision."""
    before, after = (parsing.revisions_of(bench.load(**given).settings) for given in ({}, change))
    assert before.extraction != after.extraction
    assert before.parser != after.parser


@pytest.mark.setting("rendering.dpi", "rendering.max_long_edge_px")
def test_rendering(bench: Bench) -> None:
    """An A4 page has as many pixels as asked for."""

    def height(**changes: int) -> int:
        store = bench.parse(**changes).store
        (key,) = (item.key for item in store.list("extracted/"))
        store_data = store.get(key).decode()
        for item in list(store.list("")):
            store.delete(item.key)
        return int(store_data.split('"height_px":')[1].split(",")[0])

    assert height() == 2339
    assert height(rendering__dpi=100) == 1170
    assert height(rendering__max_long_edge_px=1000) == 1000


@pytest.mark.setting("vllm_server.api_key")
def test_api_key(bench: Bench, tmp_path: Path) -> None:
    """A guarded server lets the right key in and refuses a wrong one, which no message repeats."""
    (tmp_path / "key").write_text("right\n")
    server = start_server(tmp_path, "--api-key-file", str(tmp_path / "key"))
    try:
        with pytest.raises(ModelServerError) as caught:
            bench.parse(vllm_server__base_url=server.url, vllm_server__api_key="wr0ng")
        assert "wr0ng" not in str(caught.value)
        assert "api_key" in str(caught.value)
        assert bench.parse(vllm_server__base_url=server.url, vllm_server__api_key="right").row.state == "parsed"
    finally:
        stop_server(server)


CLIENT = {
    "vllm_server.connection_timeout_seconds": ("connection_timeout_seconds", 3.0),
    "vllm_server.health_check_interval_seconds": ("health_check_interval_seconds", 7.0),
    "http_client.connection_pool_size": ("connection_pool_size", 5),
    "http_client.keepalive_connections": ("keepalive_connections", 2),
    "http_client.keepalive_expiry_seconds": ("keepalive_expiry_seconds", 1.0),
    "http_client.timeout_seconds": ("timeout_seconds", 11.0),
    "http_client.retry_attempts": ("retry_attempts", 9),
    "http_client.backoff_min_seconds": ("backoff_min_seconds", 0.5),
    "http_client.backoff_max_seconds": ("backoff_max_seconds", 99.0),
    "http_client.total_deadline_seconds": ("total_deadline_seconds", 77.0),
    "http_client.outage_budget_seconds": ("outage_budget_seconds", 66.0),
    "http_client.limiter.minimum": ("limiter_minimum", 3),
    "http_client.limiter.maximum": ("limiter_maximum", 40),
    "http_client.circuit_breaker.enabled": ("enabled", False),
    "http_client.circuit_breaker.failure_threshold": ("failure_threshold", 8),
    "http_client.circuit_breaker.recovery_timeout_seconds": ("recovery_timeout_seconds", 44.0),
    "http_client.circuit_breaker.success_threshold": ("success_threshold", 4),
}


@pytest.mark.setting(*CLIENT)
@pytest.mark.parametrize("name", CLIENT)
def test_the_clients_settings_reach_the_client(bench: Bench, name: str) -> None:
    """Each changes exactly its field of the client's configuration, whose effect the client's own tests show."""
    field, value = CLIENT[name]
    expected: ClientConfig
    plain, changed = (
        parsing.client_config(bench.load(**given).settings, ("http://127.0.0.1:9",)) for given in ({}, {name: value})
    )
    if name == "http_client.timeout_seconds":
        # A slow call is one that needs half of the time-out.
        breaker = replace(plain.breaker, slow_call_duration_threshold_seconds=value / 2)
        expected = replace(plain, timeout_seconds=value, breaker=breaker)
    elif ".circuit_breaker." in name:
        expected = replace(plain, breaker=replace(plain.breaker, **{field: value}))
    else:
        expected = replace(plain, **{field: value})
    assert plain != changed == expected


@pytest.mark.setting("workers.count", "workers.timeout_seconds")
def test_how_much_a_run_takes_on(bench: Bench, tmp_path: Path) -> None:
    """Render children follow the setting, and a run beyond its time stops."""
    assert parsing.engine_limits(bench.load(workers__count=3).settings).render_children == 3
    with pytest.raises(RunInterruptedError, match=r"workers\.timeout_seconds"):
        bench.parse(workers__timeout_seconds=0.000_001)


@pytest.mark.setting("workers.batch_size")
def test_batch_size(bench: Bench, tmp_path: Path) -> None:
    """Five documents in batches of two are three batches."""
    folder = tmp_path / "five"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.pdf").write_bytes(b"")
    loaded = bench.load(workers__batch_size=2)
    assert len(write_manifests([folder], loaded, open_store(loaded.settings))) == 3


@pytest.mark.setting("limits.max_bytes", "limits.max_pages", "limits.max_page_edge_pt", "limits.seconds_per_page")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"limits__max_bytes": 100}, "too-many-bytes"),
        ({"limits__max_pages": 1}, "too-many-pages"),
        ({"limits__max_page_edge_pt": 500}, "page-too-large"),
        ({"limits__seconds_per_page": 0.000_001}, "probe-timeout"),
    ],
)
def test_limits(bench: Bench, change: dict[str, Any], reason: str) -> None:
    """A document over a limit is rejected with the reason; within the default it is parsed."""
    data = pdf("one", "two")
    assert bench.parse(data).row.state == "parsed"
    got = bench.parse(data, **change).row
    assert (got.state, got.reason) == ("rejected", reason)


@pytest.mark.setting("limits.memory_mib")
def test_memory_limit(bench: Bench) -> None:
    """The render child's memory is limited to the setting."""
    limits = parsing.limits_of(bench.load(limits__memory_mib=222).settings)
    assert sandbox_config(limits).memory_mib == 222


@pytest.mark.setting("parsing.text_layer_fallback")
def test_text_layer_fallback_changes_outputs_but_not_what_the_model_is_asked(bench: Bench) -> None:
    """Switching it off needs no new answers: only the parser revision is another."""
    before, after = (
        parsing.revisions_of(bench.load(parsing__text_layer_fallback=value).settings) for value in (True, False)
    )
    assert before.extraction == after.extraction
    assert before.parser != after.parser
    bench.parse()
    again = bench.parse(parsing__text_layer_fallback=False)
    assert (again.row.state, again.row.requests, again.metrics.snapshot().requests) == ("parsed", 0, 0)


@pytest.mark.setting("metrics.port", "metrics.host")
def test_where_metrics_are_served(bench: Bench) -> None:
    """Off by default; with a port, the figures are served there and at no other address."""
    off, on = (bench.load(**given).settings.metrics for given in ({}, {"metrics__port": 0, "metrics__host": "::1"}))
    registry = ClientMetrics().registry
    with serving_metrics(registry, off.host, off.port) as nothing:
        assert nothing is None
    with serving_metrics(registry, on.host, on.port) as port:
        assert "mineru_vllm_client_requests_total 0.0" in httpx.get(f"http://[::1]:{port}/metrics").text
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/metrics")


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


@pytest.mark.setting("dagster.webserver_host", "dagster.webserver_port")
def test_webserver_address(bench: Bench) -> None:
    """``mineru-pipeline dev`` listens where it is told."""
    command, _ = launch.dev_server_command(bench.load(dagster__webserver_host="::1", dagster__webserver_port=3999))
    assert command[command.index("--host") + 1] == "::1"
    assert command[command.index("--port") + 1] == "3999"


@pytest.mark.setting("alerts.webhook_url", "alerts.link_base", "alerts.timeout_seconds")
def test_failed_runs_are_told(bench: Bench) -> None:
    """The webhook that is named is called, with a link into the UI that is named, for as long as is allowed."""
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, "j")
    run = dg.DagsterRun(job_name="j")
    with socket.create_server(("127.0.0.1", 0)) as silent, dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_run_status_sensor_context("s", event, instance, run).for_run_failure()

        def reason(**changes: Any) -> str:
            return str(alerts.evaluate(context, bench.load(**changes).settings, sleep=lambda _: None).skip_message)

        def waited(seconds: float) -> float:
            started = time.monotonic()
            assert "TimeoutError" in reason(alerts__webhook_url=url, alerts__timeout_seconds=seconds)
            return time.monotonic() - started

        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert "is not set" in reason()
        # Two attempts, neither of which is answered.
        assert waited(0.05) < waited(2.5)
        expected = alerts.outlook(instance, run, bench.load().settings)
        assert alerts.alert_of(context, expected, bench.load().settings.alerts.link_base).link is None
        base = bench.load(alerts__link_base="http://ui.example").settings.alerts.link_base
        assert alerts.alert_of(context, expected, base).link == f"http://ui.example/runs/{run.run_id}"


@pytest.mark.setting("backfills.most_runs", "backfills.most_attempts")
def test_what_is_parsed_again_by_itself(bench: Bench) -> None:
    """So many batches are asked for at a time, and a document that failed so often waits for somebody."""
    with dg.DagsterInstance.ephemeral() as instance:
        store = open_store(bench.load().settings)
        for batch in ("b1", "b2"):
            ref = DocumentRef(f"s3://b/{batch}.pdf", None, None, None, "2026-01-01T00:00:00Z", "kafka")
            write_manifest(store, BatchManifest(batch, "default", (ref,)))
            instance.add_dynamic_partitions(launch.PARTITIONS, [batch])
            instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition=batch))
            revision = parsing.revisions_of(bench.load().settings).parser
            store.put(f"tables/parsed_documents/revision={revision}/batch={batch}/part-0.parquet", b"")
            row = ParsedRow(0, ref.uri, None, None, "failed", "internal", "", 0, 0, 0, 0, 0.0, 0, None, "")
            for _ in range(2):
                quarantine.record(store, [row], [ref], batch, now=datetime(2026, 1, 1, tzinfo=UTC))

        def asked(**changes: int) -> int:
            found = backfills.evaluate(instance, bench.load(**changes), store, time.time())
            return len(found) if isinstance(found, list) else 0

        assert [asked(backfills__most_runs=most) for most in (0, 1, 5)] == [0, 1, 2]
        assert [asked(backfills__most_attempts=most) for most in (2, 3)] == [0, 2]


@pytest.fixture
def instance(bench: Bench) -> Iterator[dg.DagsterInstance]:
    with launch.open_instance(bench.load().settings) as instance:
        yield instance


@pytest.mark.setting("checks.max_failure_rate", "checks.min_text_layer_agreement")
def test_check_limits(bench: Bench, instance: dg.DagsterInstance, tmp_path: Path, model_server: ModelServer) -> None:
    """A batch with one failed and one disagreeing document passes or not as the limits say."""
    (tmp_path / "gone.pdf").write_bytes(pdf("gone"))
    (tmp_path / "here.pdf").write_bytes(pdf("words that no simulated answer holds"))
    loaded = bench.load()
    store = open_store(loaded.settings)
    (manifest,) = write_manifests([tmp_path / "gone.pdf", tmp_path / "here.pdf"], loaded, store)
    (tmp_path / "gone.pdf").unlink()

    def failed_checks(rate: float, agreement: float) -> set[str]:
        file = tmp_path / "settings.yaml"
        file.write_text(
            f"data_dir: {tmp_path}/data\nvllm_server: {{base_url: '{model_server.url}', model: {SIMULATED_MODEL}}}\n"
            f"checks: {{max_failure_rate: {rate}, min_text_layer_agreement: {agreement}}}\n"
        )
        config = launch.run_config(file, loaded.settings.store_root)
        return set(launch.execute_batch(instance, build_definitions(), manifest.batch, config).failed_checks)

    assert failed_checks(0.1, 0.9) == {"failure_rate_within_limit", "text_layer_agreement"}
    assert failed_checks(0.5, 0.0) == set()


def test_every_setting_has_such_a_test() -> None:
    """Whoever adds a setting adds a test that changes it."""
    tree = ast.parse(Path(__file__).read_text())
    marked: set[str] = set(CLIENT) | set(CONNECTION)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "setting":
            marked |= {arg.value for arg in call.args if isinstance(arg, ast.Constant)}
    assert marked == {name for name, _ in settings.leaves()}
