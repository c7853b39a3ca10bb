"""``mineru-pipeline doctor`` tells what is well and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import SIMULATED_MODEL, ModelServer
from kafka_server import KafkaServer
from s3_faults import faulty_s3, no_fault, pretended
from s3_server import S3Server

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
