"""The whole way: Dagster's own daemon on a real broker, from announcements to tables, killed halfway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from announcements import event
from conftest import ModelServer, pdf
from kafka_server import KafkaServer

from mineru_pipeline import launch
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.settings import Settings, load, project_root
from mineru_pipeline.storage import FilesystemStore, layout
from resources.parsing import revisions_of

DAEMON = Path(sys.executable).with_name("dagster-daemon")
Environment = Callable[[ModelServer], dict[str, str]]


def wait_for(condition: Callable[[], bool], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def daemon(environ: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon with its code server and the runs it starts, all in one process group, killed at the end."""
    command = [str(DAEMON), "run", "--workspace", str(project_root() / "workspace.yaml")]
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


@pytest.fixture
def environ(kafka: KafkaServer, model_server: ModelServer, environment: Environment) -> dict[str, str]:
    given = environment(model_server)
    home = load(
        environ={name: value for name, value in given.items() if name.startswith("MINERU")}
    ).settings.dagster_home
    return {
        **given,
        "DAGSTER_HOME": str(home),
        "MINERU_PIPELINE__INTAKE__SCHEMES": '["file"]',
        "MINERU_PIPELINE__WORKERS__BATCH_SIZE": "3",
        "MINERU_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": kafka.servers,
        "MINERU_PIPELINE__KAFKA__REQUESTS_TOPIC": kafka.topic(),
        "MINERU_PIPELINE__KAFKA__DEAD_LETTER_TOPIC": kafka.topic(),
        "MINERU_PIPELINE__KAFKA__RESULTS_TOPIC": kafka.topic(),
    }


def manifests(store: FilesystemStore) -> list[BatchManifest]:
    keys = [
        item.key.removeprefix(layout.MANIFESTS).removesuffix(layout.MANIFEST_SUFFIX)
        for item in store.list("manifests/")
    ]
    # Keys sort by time, to the second; here it is the order of the log that matters.
    return sorted(
        (read_manifest(store, key) for key in keys), key=lambda found: found.source.first_offset if found.source else -1
    )


def announce(folder: Path, kafka: KafkaServer, found: Settings) -> list[str]:
    """Five documents, one of them twice, one that is no PDF, and a message that is garbage; their addresses."""
    for number in range(4):
        (folder / f"{number}.pdf").write_bytes(pdf(f"text {number}"))
    (folder / "broken.pdf").write_bytes(b"no PDF at all")
    uris = [(folder / name).as_uri() for name in ("0.pdf", "1.pdf", "0.pdf", "2.pdf", "broken.pdf", "3.pdf")]
    values = [json.dumps(event({"uri": uri, "tenant": "acme"})).encode() for uri in uris]
    kafka.send(found.kafka.requests_topic or "", [*values[:3], b"garbage", *values[3:]])
    return uris


@pytest.mark.timeout(500)
def test_every_announced_document_is_parsed_once_although_the_daemon_is_killed(
    tmp_path: Path, kafka: KafkaServer, environ: dict[str, str]
) -> None:
    """Killed as soon as the first batch is fixed and started again: one run a batch, one row an announcement."""
    found = load(environ={name: value for name, value in environ.items() if name.startswith("MINERU")}).settings
    store = FilesystemStore(found.store_root)
    uris = announce(tmp_path, kafka, found)
    with launch.open_instance(found) as instance:
        with daemon(environ, tmp_path / "daemon.log"):
            wait_for(lambda: bool(manifests(store)))
        with daemon(environ, tmp_path / "daemon.log"):
            wait_for(lambda: len(tables(found, store)) == 2)
            wait_for(lambda: all(run.is_finished for run in instance.get_runs()))
            wait_for(lambda: not list(store.list(layout.OUTBOX)))
        batches = manifests(store)
        assert [ref.uri for batch in batches for ref in batch.refs] == uris
        keys = sorted(batch.batch for batch in batches)
        assert sorted(instance.get_dynamic_partitions(launch.PARTITIONS)) == keys
        succeeded = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        assert sorted(run.tags["dagster/partition"] for run in succeeded) == keys
    rows = [row for table in tables(found, store) for row in table]
    assert [row.uri for row in rows] == uris
    assert [row.state for row in rows] == ["parsed", "parsed", "parsed", "parsed", "rejected", "parsed"]
    assert {row.outputs.split("/")[1] for row in rows if row.outputs} == {"acme"}
    results = [json.loads(value) for value in kafka.received(found.kafka.results_topic or "")]
    told = {result["id"]: (result["data"]["uri"], result["data"]["state"]) for result in results}
    assert sorted(told.values()) == sorted((row.uri, row.state) for row in rows)
    letters = kafka.received(found.kafka.dead_letter_topic)
    assert len({json.loads(letter)["id"] for letter in letters}) == 1


def tables(found: Settings, store: FilesystemStore) -> list[list[ParsedRow]]:
    revision = revisions_of(found).parser
    keys = [layout.table_key(ledger.PARSED_DOCUMENTS, revision, batch.batch) for batch in manifests(store)]
    written = [batch for batch, key in zip(manifests(store), keys, strict=True) if store.exists(key)]
    return [ledger.read(store, ledger.PARSED_DOCUMENTS, revision, batch.batch, ParsedRow) for batch in written]
