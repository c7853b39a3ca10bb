"""Documents in buckets of a real S3 server: addresses, states, limits, and who is to blame."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from s3_faults import FaultyS3, Waiting, cut_before, cut_within, error, faulty_s3
from s3_server import S3Server

from mineru_pipeline.documents.buckets import BucketSource
from mineru_pipeline.documents.intake import examine
from mineru_pipeline.documents.probe import DocumentInfo
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.documents.source import Sources, read_source
from mineru_pipeline.errors import (
    RejectedDocumentError,
    SourceError,
    StoreError,
    StoreMisconfiguredError,
    StoreUnavailableError,
    ends_run,
)
from mineru_pipeline.storage.addresses import object_uri
from mineru_pipeline.storage.s3 import S3Connection

KEYS = [
    "plain.pdf",
    "with space/and  two.pdf",
    "50%/100%25.pdf",
    "a+b.pdf",
    "question?x=1.pdf",
    "hash#1.pdf",
    "..two/dots../a..b.pdf",
    "Übergröße/日本語/🙂.pdf",
    "/".join(["k" * 224] * 4),
]


def reference(uri: str, *, size: int | None = None, etag: str | None = None, version: str | None = None) -> DocumentRef:
    return DocumentRef(uri, size, etag, version, "2026-01-01T00:00:00Z", "kafka")


def source(server: S3Server, *allowed: str, clock: Waiting | None = None) -> BucketSource:
    connection = S3Connection(server.config(), clock)
    return BucketSource(frozenset(allowed), lambda: connection)


Put = Callable[..., tuple[str, str, str | None]]


@pytest.fixture
def put(s3: S3Server, bucket: str) -> Put:
    """Stores an object; its address, ETag and version."""

    def put(key: str, data: bytes) -> tuple[str, str, str | None]:
        done = s3.client.put_object(bucket, key, io.BytesIO(data), len(data))
        return object_uri(bucket, key), str(done.etag), done.version_id

    return put


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3(s3) as proxy:
        yield proxy


@pytest.mark.parametrize("key", KEYS)
def test_any_key_can_be_read_by_its_address(s3: S3Server, bucket: str, put: Put, key: str) -> None:
    """Whatever is in a key, its address leads to its object."""
    uri, etag, _ = put(key, key.encode())
    assert source(s3, bucket)(reference(uri, etag=etag, size=len(key.encode())), 10_000) == key.encode()


@pytest.mark.parametrize("key", ["../secret.pdf", "a/../../b", "a/./b"])
def test_a_key_that_http_would_resolve_is_not_asked_for(faulty: FaultyS3, bucket: str, key: str) -> None:
    """``..`` in a key never becomes a step up to another bucket: no request is made at all."""
    with pytest.raises(SourceError, match="HTTP resolves") as caught:
        source(faulty.server, bucket)(reference(f"s3://{bucket}/{key}"), 1000)
    assert caught.value.reason == "source-unreadable"
    assert faulty.requests == []


@pytest.mark.parametrize("uri", ["s3://other-bucket/a.pdf", "S3://other-bucket/a.pdf", "s3://other-bucket/../x"])
def test_a_bucket_that_is_not_allowed_is_not_asked_for(faulty: FaultyS3, bucket: str, uri: str) -> None:
    """A message cannot make us read any bucket that our keys open: the row says which setting allows it."""
    with pytest.raises(SourceError, match=r"intake\.buckets") as caught:
        source(faulty.server, bucket)(reference(uri), 1000)
    assert caught.value.reason == "source-forbidden"
    assert faulty.requests == []


@pytest.mark.parametrize(
    ("uri", "etag", "version"),
    [
        ("s3://user:hunter2@bucket/a.pdf", None, None),
        ("s3://{bucket}/a?versionId=1", None, None),
        ("s3://{bucket}/%ff", None, None),
        ("s3://{bucket}/" + "k" * 1025, None, None),
        ("s3://{bucket}/a", 'x"\r\nHost: elsewhere', None),
        ("s3://{bucket}/a", "é", None),
        ("s3://{bucket}/a", None, "1\r\n2"),
        ("s3://{bucket}/a", None, "v" * 2000),
    ],
)
def test_a_hostile_reference_costs_its_own_document(
    faulty: FaultyS3, bucket: str, uri: str, etag: str | None, version: str | None
) -> None:
    """What no server could have given is refused before anything is sent, and repeats no credential."""
    with pytest.raises(SourceError) as caught:
        source(faulty.server, bucket)(reference(uri.format(bucket=bucket), etag=etag, version=version), 1000)
    assert caught.value.reason == "reference-invalid"
    assert "hunter2" not in str(caught.value)
    assert faulty.requests == []


def test_another_state_than_the_one_listed_is_not_read(s3: S3Server, bucket: str, put: Put) -> None:
    """An object that was overwritten since is source-changed, by its ETag or, where there is none, its size."""
    uri, before, _ = put("a.pdf", b"before")
    _, after, _ = put("a.pdf", b"afterwards")
    read = source(s3, bucket)
    for ref in (reference(uri, etag=before), reference(uri, size=6), reference(uri, etag="0" * 32)):
        with pytest.raises(SourceError, match="changed") as caught:
            read(ref, 1000)
        assert caught.value.reason == "source-changed"
    for ref in (reference(uri, etag=after), reference(uri, etag=f'"{after}"'), reference(uri, size=10), reference(uri)):
        assert read(ref, 1000) == b"afterwards"


def test_the_version_that_was_announced_is_read(s3: S3Server, bucket: str, put: Put) -> None:
    """In a bucket with versions an older state can still be had; a version that never was is missing."""
    s3.client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    uri, etag, first = put("a.pdf", b"first")
    put("a.pdf", b"second one")
    read = source(s3, bucket)
    assert read(reference(uri, version=first, etag=etag, size=5), 1000) == b"first"
    assert read(reference(uri), 1000) == b"second one"
    s3.client.remove_object(bucket, "a.pdf")
    assert read(reference(uri, version=first), 1000) == b"first"
    for ref in (reference(uri), reference(uri, version="0" * 32)):
        with pytest.raises(SourceError) as caught:
            read(ref, 1000)
        assert caught.value.reason in {"source-missing", "source-unreadable"}


def test_what_is_not_there_is_missing(s3: S3Server, bucket: str) -> None:
    """A missing object and a missing bucket concern the documents that were to come from them."""
    for uri in (f"s3://{bucket}/gone.pdf", "s3://no-such-bucket-here/a.pdf"):
        with pytest.raises(SourceError, match="not there") as caught:
            source(s3, bucket, "no-such-bucket-here")(reference(uri), 1000)
        assert caught.value.reason == "source-missing"


def test_a_large_object_is_rejected_before_it_is_read(s3: S3Server, bucket: str, put: Put) -> None:
    """Beyond limits.max_bytes the document is rejected with its size; exactly at the limit it is read."""
    uri, _, _ = put("a.pdf", b"x" * 1000)
    assert len(source(s3, bucket)(reference(uri), 1000)) == 1000
    with pytest.raises(RejectedDocumentError, match="1000 bytes; the limit is 999") as caught:
        source(s3, bucket)(reference(uri), 999)
    assert caught.value.reason == "too-many-bytes"


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (403, "InvalidObjectState"), (400, "InvalidArgument"), (416, "InvalidRange")],
)
def test_an_answer_about_one_object_costs_one_document(faulty: FaultyS3, bucket: str, status: int, code: str) -> None:
    """What the server says of the object alone does not stop the others."""
    faulty.faults = [error(status, code)]
    with pytest.raises(SourceError, match=code) as caught:
        source(faulty.server, bucket)(reference(f"s3://{bucket}/a.pdf"), 1000)
    assert caught.value.reason == "source-unreadable"
    assert not ends_run(caught.value)


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"])
def test_an_answer_about_us_ends_the_run(faulty: FaultyS3, bucket: str, code: str) -> None:
    """Wrong keys and clocks are no document's fault."""
    faulty.faults = [error(403, code)]
    with pytest.raises(StoreMisconfiguredError) as caught:
        source(faulty.server, bucket)(reference(f"s3://{bucket}/a.pdf"), 1000)
    assert ends_run(caught.value)


def test_a_passing_fault_is_waited_for(faulty: FaultyS3, bucket: str, put: Put) -> None:
    """Overload, a lost connection and half a body are followed by the whole document."""
    uri, etag, _ = put("a.pdf", b"x" * 50_000)
    faulty.faults = [error(503, "SlowDown"), cut_before, cut_within]
    clock = Waiting()
    assert source(faulty.server, bucket, clock=clock)(reference(uri, etag=etag), 100_000) == b"x" * 50_000
    assert len(clock.pauses) == 3


async def test_an_outage_ends_the_intake_instead_of_failing_documents(
    tmp_path: Path, faulty: FaultyS3, bucket: str, put: Put
) -> None:
    """While the server is down no document is marked; when it is back, the same intake sees them all."""
    (tmp_path / "local.pdf").write_bytes(b"local")
    uri, _, _ = put("a.pdf", b"remote")
    refs = [
        reference((tmp_path / "local.pdf").as_uri()),
        reference(uri),
        reference(f"s3://{bucket}/gone.pdf"),
        reference("s3://elsewhere/a.pdf"),
        reference("ftp://host/a.pdf"),
    ]
    sources = Sources({"file": read_source, "s3": source(faulty.server, bucket, clock=Waiting())})

    async def probe(data: bytes) -> DocumentInfo:
        return DocumentInfo(page_count=1, page_sizes=((595.0, 842.0),))

    def read(ref: DocumentRef) -> bytes:
        return sources(ref, 1000)

    faulty.faults = [error(503, "SlowDown")] * 1000
    with pytest.raises(StoreUnavailableError) as caught:
        await examine(refs, read, probe)
    assert isinstance(caught.value, StoreError)
    assert ends_run(caught.value)
    faulty.faults.clear()
    rows = await examine(refs, read, probe)
    assert [(row.state, row.reason) for row in rows] == [
        ("accepted", ""),
        ("accepted", ""),
        ("failed", "source-missing"),
        ("failed", "source-forbidden"),
        ("failed", "source-unreadable"),
    ]
    assert "file:// and s3://" in rows[4].message
