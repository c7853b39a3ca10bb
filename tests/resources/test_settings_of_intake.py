"""What the settings of stores, buckets and the intake change."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import pdf
from s3_server import S3Server
from settings_bench import CONNECTION, Bench, Result, through

from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from resources.documents import connect, open_store
from resources.reconciling import open_reconciler, targets
from sensors.buckets import look


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
        return asyncio.run(through(found, store, manifest.batch))

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


@pytest.mark.setting(*CONNECTION)
@pytest.mark.parametrize("name", CONNECTION)
def test_the_settings_of_the_s3_server_reach_the_connection(bench: Bench, name: str) -> None:
    """Each changes exactly its field of the connection's configuration, whose effect the store's own tests show."""
    field, value = CONNECTION[name]
    base = {"minio.endpoint": "https://host:9000", "minio.access_key": "k", "minio.secret_key": "s"}
    plain, changed = (connect(bench.load(**base, **given).settings).config for given in ({}, {name: value}))
    assert plain != changed == replace(plain, **{field: value})


@pytest.mark.setting("workers.batch_size")
def test_batch_size(bench: Bench, tmp_path: Path) -> None:
    """Five documents in batches of two are three batches."""
    folder = tmp_path / "five"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.pdf").write_bytes(b"")
    loaded = bench.load(workers__batch_size=2)
    assert len(write_manifests([folder], loaded, open_store(loaded.settings))) == 3
