"""Manifests: a batch is fixed once, under a key that follows from its documents."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mineru_pipeline.documents.manifest import (
    BatchManifest,
    LogRange,
    batch_digest_for_log,
    batch_key_for_folder,
    batch_key_for_log,
    batches_by_digest,
    read_manifest,
    write_manifest,
)
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import InvalidKeyError, ObjectNotFoundError, StoreError
from mineru_pipeline.storage import FilesystemStore, ObjectStore
from mineru_pipeline.storage.layout import manifest_key


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FilesystemStore(tmp_path / "store")


def ref(name: str, *, etag: str = "1", received: str = "2026-02-01T00:00:00Z", day: int = 1) -> DocumentRef:
    return DocumentRef(f"file:///{name}", 5, etag, None, received, "folder", f"2026-01-{day:02d}T10:20:30Z")


def test_a_manifest_is_read_back_as_it_was_written(store: ObjectStore) -> None:
    """Batch, tenant and references survive, odd names included."""
    manifest = BatchManifest("b1", "acme", (ref("a"), ref("ä%20\u2028b")))
    assert write_manifest(store, manifest) == manifest
    assert read_manifest(store, "b1") == manifest


def test_the_first_manifest_of_a_batch_stays(store: ObjectStore) -> None:
    """Whoever writes the same batch again gets the stored one back, with its own times and end."""
    first = write_manifest(store, BatchManifest("b", "t", (ref("a"),)))
    again = write_manifest(store, BatchManifest("b", "t", (ref("a", received="2027-01-01T00:00:00Z"), ref("b"))))
    assert again == first


def test_the_file_is_lines_of_json_with_a_header(store: ObjectStore) -> None:
    """The first line says schema, batch, tenant and count; each further line is a document."""
    write_manifest(store, BatchManifest("b", "t", (ref("a"), ref("c"))))
    header, first, second, end = store.get(manifest_key("b")).decode().split("\n")
    assert header == '{"schema":"mineru-pipeline.manifest/1","batch":"b","tenant":"t","documents":2}'
    assert (DocumentRef.from_json(first), DocumentRef.from_json(second), end) == (ref("a"), ref("c"), "")


def test_the_key_follows_from_the_documents_alone() -> None:
    """Order and time of listing do not matter; any other document or state does."""
    refs = [ref(name, day=day) for day, name in enumerate("abcdef", start=1)]
    key = batch_key_for_folder(refs, "default")
    shuffled = random.Random(1).sample(refs, len(refs))
    assert batch_key_for_folder(shuffled, "default") == key
    assert batch_key_for_folder([ref("a", received="2030-01-01T00:00:00Z")], "default") == batch_key_for_folder(
        [ref("a")], "default"
    )
    assert len({batch_key_for_folder(refs[:n], "default") for n in range(1, 7)}) == 6
    assert batch_key_for_folder([ref("a", etag="2")], "default") != batch_key_for_folder([ref("a")], "default")


def test_keys_sort_by_time() -> None:
    """The newest modification leads the key, so batches list in order of time, and the key is a valid name."""
    keys = [batch_key_for_folder([ref("x"), ref("y", day=day)], "default") for day in (2, 9, 10, 30)]
    assert keys == sorted(keys)
    assert keys[0].startswith("20260102T102030Z-")
    assert (
        batch_key_for_folder([DocumentRef("s3://b/k", None, None, None, "2026-01-01T00:00:00Z", "x")], "default")[:4]
        == "1970"
    )


def test_a_batch_that_does_not_exist_says_how_batches_are_made(store: ObjectStore) -> None:
    """The error names the batch and the command."""
    with pytest.raises(ObjectNotFoundError, match=r"no batch 'nope'.*mineru-pipeline run"):
        read_manifest(store, "nope")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[]\n", "damaged"),
        (b'{"schema":"other","batch":"b","tenant":"t","documents":0}\n', "schema"),
        (b'{"schema":"mineru-pipeline.manifest/1","batch":"c","tenant":"t","documents":0}\n', "manifest of 'c'"),
        (b'{"schema":"mineru-pipeline.manifest/1","batch":"b","tenant":"t","documents":2}\n{}\n', "announces 2"),
        (b'{"schema":"mineru-pipeline.manifest/1","batch":"b","tenant":"t","documents":1}\n{}\n', "missing"),
        (b'{"schema":"mineru-pipeline.manifest/1","batch":"b","tenant":"t","documents":0,"source":{}}', "damaged"),
        (b"[" * 100_000, "damaged"),
        (
            b'{"schema":"mineru-pipeline.manifest/1","batch":"b","tenant":"t","documents":1}\n{"uri":"s3://b/a","received_at":"9999-12-31T23:59:59-10:00","origin":"k"}\n',
            "time",
        ),
    ],
    ids=range(10),
)
def test_a_damaged_manifest_stops_the_run(store: ObjectStore, data: bytes, text: str) -> None:
    """A manifest that cannot be read whole is an error of the store that names the file, never a shorter batch."""
    store.put(manifest_key("b"), data)
    with pytest.raises(StoreError, match=text) as raised:
        read_manifest(store, "b")
    assert "manifests/b.jsonl" in str(raised.value)


@pytest.mark.parametrize(
    "source",
    [
        LogRange("topic", 3, 10, 10),
        LogRange("topic", 3, 10, 9),
        LogRange("topic", 3, -1, 9),
        LogRange("topic", 3, "10", "25"),  # type: ignore[arg-type]
        LogRange("topic", 3, 10, 25.0),  # type: ignore[arg-type]
        LogRange(None, 3, 10, 25),  # type: ignore[arg-type]
    ],
)
def test_a_range_of_a_log_that_does_not_move_on_is_damage(store: ObjectStore, source: LogRange) -> None:
    """Whoever reads on from its end would read the same messages for ever; the error says what to do."""
    with pytest.raises(StoreError, match=r"is damaged: its source .*Restore it from a backup, or remove it"):
        write_manifest(store, BatchManifest("b", "t", (ref("a"),), source))


def test_a_batch_name_cannot_leave_its_folder(store: ObjectStore) -> None:
    """Partition keys come from outside, too."""
    with pytest.raises(InvalidKeyError):
        read_manifest(store, "../../etc/passwd")


def test_a_batch_of_messages_says_where_it_was_announced(store: ObjectStore) -> None:
    """Topic, partition, first and next offset are read back; a manifest from before there were any has none."""
    source = LogRange("topic", 3, 10, 25)
    written = write_manifest(store, BatchManifest("b", "t", (ref("a"),), source))
    assert written.source == source
    header = store.get(manifest_key("b")).decode().split("\n")[0]
    assert header.endswith('"source":{"topic":"topic","partition":3,"first_offset":10,"next_offset":25}}')
    old = b'{"schema":"mineru-pipeline.manifest/1","batch":"old","tenant":"t","documents":0}\n'
    store.put(manifest_key("old"), old)
    assert read_manifest(store, "old").source is None


def test_keys_of_messages_follow_from_their_start_alone() -> None:
    """Topic, partition, offset and generation each make another batch, and the time of the first message leads."""
    starts = [("t", 0, 1, 0), ("u", 0, 1, 0), ("t", 1, 1, 0), ("t", 0, 2, 0), ("t", 0, 1, 1), ("t", 0, 11, 0)]
    assert len({batch_digest_for_log(*start) for start in starts}) == len(starts)
    early = datetime(2026, 9, 30, 23, 59, 59, tzinfo=UTC)
    keys = [batch_key_for_log(batch_digest_for_log("t", 0, n), early + timedelta(hours=n)) for n in range(30)]
    assert keys == sorted(keys)
    assert keys[0].startswith("20260930T235959Z-")


def test_batches_are_found_without_their_time(store: ObjectStore) -> None:
    """Where the first message is gone, the rest of the key finds the batch."""
    assert batches_by_digest(store) == {}
    digests = [batch_digest_for_log("t", 0, offset) for offset in (5, 6)]
    keys = [
        write_manifest(store, BatchManifest(f"20260101T000000Z-{each}", "t", (ref("a"),))).batch for each in digests
    ]
    assert batches_by_digest(store) == dict(zip(digests, keys, strict=True))


def test_the_tenant_of_a_reference_goes_before_that_of_its_manifest() -> None:
    """A document without a tenant of its own belongs to the batch's."""
    own = DocumentRef("file:///x", 1, None, None, "2026-01-01T00:00:00Z", "kafka", tenant="acme")
    manifest = BatchManifest("b", "default", (ref("a"), own))
    assert [manifest.tenant_of(each) for each in manifest.refs] == ["default", "acme"]
