"""``mineru-pipeline doctor`` tells what is well and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import SIMULATED_MODEL, ModelServer
from kafka_server import KafkaServer

from mineru_pipeline.commands.doctor import Finding, examine
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
    """Store, disk, render child, model server, Dagster and Kafka are each examined and named."""
    found = findings(base)
    assert list(found) == ["store", "disk", "render child", "model server", "dagster", "kafka"]
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
    assert not found["dagster"].ok
    assert found["model server"].ok


@pytest.mark.parametrize(
    ("change", "says"),
    [({"vllm_server__enabled": False}, "switched off"), ({"vllm_server__base_url": None}, "not MinerU2.5")],
)
def test_working_without_a_server_is_explained(base: dict[str, Any], change: dict[str, Any], says: str) -> None:
    """No server is well, too, but the line says what that means."""
    assert says in findings(base, **change)["model server"].message


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
