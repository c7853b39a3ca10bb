"""The sensor that tells results, on a real broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kafka_server import KafkaServer

from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.storage import FilesystemStore, layout
from resources.documents import DocumentStore, PipelineSettings
from resources.results import MOST, ResultOutbox
from sensors.results import document_results

SHA = "a" * 64
REFS = (
    DocumentRef("s3://b/a", 1, "e", "v1", "2026-01-01T00:00:00Z", "kafka", tenant="acme", metadata=(("case", "42"),)),
    DocumentRef("s3://b/c", None, None, None, "2026-01-01T00:00:00Z", "kafka"),
)
ROWS = [
    ParsedRow(0, "s3://b/a", SHA, None, "parsed", "", "", 3, 3, 0, 0, 1.5, 9, 0.9, f"parsed/acme/r/aa/{SHA}/", "acme"),
    ParsedRow(1, "s3://b/c", None, None, "failed", "source-missing", "gone", 0, 0, 0, 0, 0.0, 0, None, "", "default"),
]


def outbox_of(folder: Path, **kafka: Any) -> ResultOutbox:
    file = folder / "settings.yaml"
    file.write_text(json.dumps({"data_dir": str(folder / "data"), "kafka": kafka}))
    settings = PipelineSettings(config_file=str(file))
    return ResultOutbox(settings=settings, store=DocumentStore(settings=settings))


def tick(outbox: ResultOutbox) -> str:
    with dg.build_sensor_context(
        instance=dg.DagsterInstance.ephemeral(), definitions=build_definitions(), resources={"outbox": outbox}
    ) as context:
        skipped = document_results(context)
    assert isinstance(skipped, dg.SkipReason)
    return skipped.skip_message or ""


def test_results_are_told_once_they_are_there(tmp_path: Path, kafka: KafkaServer) -> None:
    """State, place of the outputs, revision, pages, and what the sender of the announcement had added."""
    topic = kafka.topic()
    outbox = outbox_of(tmp_path, bootstrap_servers=kafka.servers, results_topic=topic)
    store = FilesystemStore(tmp_path / "data" / "store")
    write_manifest(store, BatchManifest("b", "default", REFS))
    assert tick(outbox) == "no result waits to be told"
    outbox.put("b", "r", ROWS)
    assert tick(outbox) == "2 results of 1 batches sent"
    assert tick(outbox) == "no result waits to be told"
    parsed, failed = (json.loads(value) for value in kafka.received(topic))
    assert parsed["type"] == "mineru-pipeline.document.parsed.v1"
    data = parsed["data"]
    assert (data["tenant"], data["version"], data["metadata"], data["pages"]) == ("acme", "v1", {"case": "42"}, 3)
    assert data["outputs"] == f"{(store.root / 'parsed/acme/r/aa' / SHA).as_uri()}/"
    assert (data["outputs_key"], data["parser_revision"], data["batch"]) == (ROWS[0].outputs, "r", "b")
    assert (failed["data"]["state"], failed["data"]["reason"], failed["data"]["outputs"]) == (
        "failed",
        "source-missing",
        None,
    )


def test_results_behind_damaged_objects_are_told_and_the_tick_names_those(tmp_path: Path, kafka: KafkaServer) -> None:
    """More damaged ones than one evaluation sends hold nothing up, and each tick fails with what to do about them."""
    topic = kafka.topic()
    outbox = outbox_of(tmp_path, bootstrap_servers=kafka.servers, results_topic=topic)
    store = FilesystemStore(tmp_path / "data" / "store")
    for number in range(MOST + 1):
        store.put(layout.outbox_key("a", "r", f"{number:02}"), b"{")
    write_manifest(store, BatchManifest("b", "default", REFS))
    outbox.put("b", "r", ROWS)
    with pytest.raises(dg.Failure, match=rf"{MOST + 1} objects of the outbox .* 2 results of 1 other batches"):
        tick(outbox)
    assert len(kafka.received(topic)) == 2
    with pytest.raises(dg.Failure, match=r"remove the objects: .*outbox/a\.r\.00\.jsonl is damaged"):
        tick(outbox)
    for item in list(store.list(layout.OUTBOX)):
        store.delete(item.key)
    assert tick(outbox) == "no result waits to be told"


def test_a_missing_topic_keeps_the_results(tmp_path: Path, kafka: KafkaServer) -> None:
    """The evaluation fails in words, and they wait."""
    outbox = outbox_of(tmp_path, bootstrap_servers=kafka.servers, results_topic="no-such-results")
    write_manifest(FilesystemStore(tmp_path / "data" / "store"), BatchManifest("b", "default", REFS))
    outbox.put("b", "r", ROWS)
    with pytest.raises(dg.Failure, match="no-such-results"):
        tick(outbox)
    assert outbox.waits()


def test_without_a_topic_nobody_is_told(tmp_path: Path) -> None:
    """It says what is not set."""
    assert "kafka.results_topic" in tick(outbox_of(tmp_path))
