"""``mineru-pipeline doctor`` tells what is well and what is not."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from conftest import SIMULATED_MODEL, ModelServer
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from kafka_server import KafkaServer
from s3_faults import faulty_s3, no_fault, pretended
from s3_server import S3Server

from mineru_pipeline import runs
from mineru_pipeline.commands.doctor import Finding, daemon_words, examine
from mineru_pipeline.errors import PipelineError, SettingsError
from mineru_pipeline.settings import load


@pytest.fixture
def base(tmp_path: Path, model_server: ModelServer) -> dict[str, Any]:
    return {
        "data_dir": tmp_path / "data",
        "vllm_server.base_url": model_server.url,
        "vllm_server.model": SIMULATED_MODEL,
        "http_client.backoff_min_seconds": 0,
    }


def findings(base: dict[str, Any], **changes: Any) -> dict[str, Finding]:
    overrides = base | {name.replace("__", "."): value for name, value in changes.items()}
    return {finding.name: finding for finding in examine(load(environ={}, overrides=overrides).settings)}


def test_a_healthy_installation_is_well_throughout(base: dict[str, Any]) -> None:
    """Store, disk, render child, model server, Kafka and the parts of Dagster are each examined and named."""
    found = findings(base)
    assert list(found) == ["store", "disk", "render child", "model server", "database", "dagster", "daemon", "kafka"]
    assert [finding.name for finding in found.values() if not finding.ok] == []
    assert SIMULATED_MODEL in found["model server"].message


@pytest.mark.parametrize(
    ("change", "ill", "says"),
    [
        ({"vllm_server__base_url": "http://127.0.0.1:9"}, "model server", "127.0.0.1:9"),
        ({"vllm_server__model": "other/model"}, "model server", "other/model"),
    ],
)
def test_an_unusable_model_server_is_named(base: dict[str, Any], change: dict[str, Any], ill: str, says: str) -> None:
    """Only the part that is unwell is reported as such, with what was found."""
    found = findings(base, **change)
    assert [finding.name for finding in found.values() if not finding.ok] == [ill]
    assert says in found[ill].message


def test_a_store_in_the_way_and_a_home_in_the_way_are_named(base: dict[str, Any], tmp_path: Path) -> None:
    """A file where a folder should be is found for the store and for the Dagster home."""
    (tmp_path / "file").write_text("in the way")
    found = findings(base, storage__root=tmp_path / "file", dagster__home=tmp_path / "file")
    assert not found["store"].ok
    assert [name for name in ("database", "dagster", "daemon") if found[name].ok] == []
    assert found["model server"].ok


@pytest.mark.parametrize(
    ("change", "says"),
    [({"vllm_server__enabled": False}, "switched off"), ({"vllm_server__base_url": None}, "not MinerU2.5")],
)
def test_working_without_a_server_is_explained(base: dict[str, Any], change: dict[str, Any], says: str) -> None:
    """No server is well, too, but the line says what that means."""
    assert says in findings(base, **change)["model server"].message


def test_a_check_can_be_left_out(base: dict[str, Any]) -> None:
    """In a cluster not every pod reaches everything; a name that is none is an error and skips nothing."""
    settings = load(environ={}, overrides=base).settings
    names = [finding.name for finding in examine(settings, skip=["model server", "kafka", "buckets"])]
    assert names == ["store", "disk", "render child", "database", "dagster", "daemon"]
    with pytest.raises(SettingsError, match="no check modelserver"):
        examine(settings, skip=["modelserver"])


def test_a_database_that_cannot_be_reached_is_named(base: dict[str, Any], tmp_path: Path) -> None:
    """With PostgreSQL away, the database's address is told, and the file that names it; the model server is well."""
    home = tmp_path / "home"
    home.mkdir()
    database = {"hostname": "127.0.0.1", "port": 9, "db_name": "d", "username": "u", "password": "hunter2"}
    storage = {"postgres": {"postgres_db": database | {"scheme": "postgresql+psycopg2"}}}
    (home / "dagster.yaml").write_text(json.dumps({"storage": storage}))
    settings = load(environ={}, overrides=base | {"dagster.home": home}).settings
    skipped = ["store", "disk", "render child", "dagster", "daemon", "kafka"]
    found = {finding.name: finding for finding in examine(settings, skip=skipped)}
    assert (found["database"].ok, found["model server"].ok) == (False, True)
    assert "127.0.0.1" in found["database"].message
    assert str(home / "dagster.yaml") in found["database"].message
    assert "hunter2" not in found["database"].message


def test_the_daemon_is_judged_by_its_signs_of_life(tmp_path: Path) -> None:
    """All parts heard lately is well; one of them silent is named; what a part reports is told."""
    now = 1_000_000.0
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert runs.daemon(instance, now).silent_seconds is None
        parts = instance.get_required_daemon_types()
        for part in parts:
            instance.add_daemon_heartbeat(DaemonHeartbeat(now - 20, part, "one", []))
        assert runs.daemon(instance, now).silent_seconds == 20
        error = SerializableErrorInfo("out of luck\nand more", [], "SomeError")
        instance.add_daemon_heartbeat(DaemonHeartbeat(now - 400, parts[0], "one", [error]))
        found = runs.daemon(instance, now)
    assert (found.silent_seconds, found.silent) == (400, (parts[0].lower(),))
    assert found.errors == (f"{parts[0].lower()}: out of luck",)


def test_a_silent_daemon_is_ill_where_the_database_is_shared() -> None:
    """On a laptop nobody expects one; beside a shared database all would stand still, and it says what to do."""
    well, never = runs.Daemon(12.4, ("sensor",), ()), runs.Daemon(None, ("sensor", "backfill"), ())
    assert daemon_words(well, shared=True) == "heard 12 s ago"
    assert "mineru-pipeline dev" in daemon_words(never, shared=False)
    for silent in (never, runs.Daemon(301.0, ("sensor",), ())):
        with pytest.raises(PipelineError, match=r"sensor.*Start dagster-daemon"):
            daemon_words(silent, shared=True)
    with pytest.raises(PipelineError, match="sensor: out of luck"):
        daemon_words(runs.Daemon(1.0, ("sensor",), ("sensor: out of luck",)), shared=False)


def entry(kind: str = "RepositoryLocation") -> dict[str, Any]:
    return {"name": "mineru_pipeline", "locationOrLoadError": {"__typename": kind, "message": "\nno such module\n"}}


@pytest.mark.parametrize(
    ("entries", "ok", "says"),
    [
        ([entry()], True, "has loaded mineru_pipeline"),
        ([entry("PythonError")], False, "no such module"),
        ([], False, "its workspace is empty"),
        (None, False, "is the address right?"),
    ],
)
def test_the_webserver_is_asked_what_it_has_loaded(
    base: dict[str, Any], entries: list[dict[str, Any]] | None, ok: bool, says: str
) -> None:
    """A webserver that answers is not enough: it must have loaded the code location."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            self._send({"dagster_version": "1.13.0"})

        def do_POST(self) -> None:
            self._send({"data": {"workspaceOrError": {"locationEntries": entries}}} if entries is not None else {})

        def _send(self, answer: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        found = webserver(base, url)
        server.shutdown()
        thread.join()
    assert found.ok is ok
    assert says in found.message
    assert "does not answer" in webserver(base, url).message


@pytest.mark.parametrize("status", [403, 404])
def test_another_server_in_place_of_the_webserver_is_told_from_none(base: dict[str, Any], status: int) -> None:
    """A server that answers with an error is not said to be silent; the message is one line without foreign advice."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            self.send_error(status)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found = webserver(base, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert not found.ok
    assert f"answers {status}" in found.message
    assert "proxy" in found.message
    assert "does not answer" not in found.message
    assert "\n" not in found.message


def webserver(base: dict[str, Any], url: str) -> Finding:
    skipped = ["store", "disk", "render child", "model server", "database", "dagster", "daemon", "kafka"]
    settings = load(environ={}, overrides=base).settings
    (finding,) = examine(settings, webserver=url, skip=skipped)
    return finding


@pytest.fixture
def with_bucket(base: dict[str, Any], s3: S3Server, bucket: str) -> dict[str, Any]:
    """The settings of a store in a bucket."""
    return base | {
        "storage.backend": "minio", "storage.bucket": bucket, "minio.endpoint": s3.endpoint,
        "minio.access_key": s3.access_key, "minio.secret_key": s3.secret_key,
    }  # fmt: skip


def test_a_store_in_a_bucket_is_examined(
    with_bucket: dict[str, Any], s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    """The bucket is written, read, listed and left empty; the disk that matters is that of the data folder."""
    found = findings(with_bucket)
    assert found["store"].ok
    assert f"s3://{bucket} " in found["store"].message
    assert str(tmp_path / "data") in found["disk"].message
    assert list(s3.client.list_objects(bucket, recursive=True)) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"minio__secret_key": "wr0ng"}, "minio.secret_key"),
        ({"minio__access_key": "wr0ng"}, "minio.access_key"),
        ({"storage__bucket": "no-such-bucket-here"}, "create it"),
        ({"storage__bucket": None}, "storage.bucket"),
        ({"minio__endpoint": None}, "minio.endpoint"),
        ({"minio__endpoint": "http://127.0.0.1:9"}, "cannot be reached"),
        ({"storage__prefix": ".tmp-x"}, "storage.prefix"),
    ],
)
def test_what_is_wrong_with_the_bucket_is_said(with_bucket: dict[str, Any], change: dict[str, Any], says: str) -> None:
    """Keys, bucket, address, prefix: each is named by its setting, and no message repeats a key."""
    found = findings(with_bucket, **change)
    assert [finding.name for finding in found.values() if not finding.ok] == ["store"]
    assert says in found["store"].message
    assert "wr0ng" not in found["store"].message


def test_a_server_without_conditional_writes_is_found_out(
    with_bucket: dict[str, Any], s3: S3Server, bucket: str
) -> None:
    """A server that ignores If-None-Match would let two runs disagree about a batch; the doctor notices."""
    with faulty_s3(s3) as proxy:
        # The header is part of what is signed, so nothing on the way can drop it; only the server itself.
        proxy.faults = [no_fault, pretended]
        found = findings(with_bucket, minio__endpoint=proxy.endpoint)
    assert not found["store"].ok
    assert "If-None-Match" in found["store"].message


def test_the_buckets_of_documents_are_examined(base: dict[str, Any], s3: S3Server, bucket: str) -> None:
    """A bucket that documents may come from is listed, whichever store is in use; a missing one is named."""
    access = {"minio.endpoint": s3.endpoint, "minio.access_key": s3.access_key, "minio.secret_key": s3.secret_key}
    good = findings(base | access | {"intake.buckets": [bucket]})
    assert (good["buckets"].ok, good["store"].ok) == (True, True)
    bad = findings(base | access | {"intake.buckets": [bucket, "no-such-bucket-here"]})
    assert not bad["buckets"].ok
    assert "no-such-bucket-here" in bad["buckets"].message


def test_kafka_is_examined_where_it_is_set(base: dict[str, Any], kafka: KafkaServer) -> None:
    """Brokers and topics are named with what is to be read; a missing topic, or no bucket at all, is found."""
    given = {
        "kafka__bootstrap_servers": kafka.servers,
        "kafka__requests_topic": kafka.topic(3),
        "kafka__dead_letter_topic": kafka.topic(),
        "intake__buckets": ["inbox"],
    }
    found = findings(base, **given)["kafka"]
    assert found.ok
    assert "3 partitions to read" in found.message
    assert "no-such-results" in findings(base, **given, kafka__results_topic="no-such-results")["kafka"].message
    assert "intake.buckets is empty" in findings(base, **given | {"intake__buckets": []})["kafka"].message
