"""What is special about the store in a bucket: a server that fails, refuses, or is not what it should be."""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig
from s3_faults import (
    Fault,
    FaultyS3,
    Waiting,
    cut_after,
    cut_before,
    cut_within,
    error,
    faulty_s3,
    no_fault,
    redirects_to,
    says,
)
from s3_server import S3Server

from bench.ports import free_port
from mineru_pipeline.errors import (
    InvalidKeyError,
    ObjectNotFoundError,
    StoreDeniedError,
    StoreError,
    StoreFullError,
    StoreMisconfiguredError,
    StoreUnavailableError,
    ends_run,
)
from mineru_pipeline.storage.minio import PART_BYTES, MinioStore
from mineru_pipeline.storage.s3 import PAGE, S3Connection


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3(s3) as proxy:
        yield proxy


@pytest.fixture
def clock() -> Waiting:
    return Waiting()


@pytest.fixture
def store(faulty: FaultyS3, bucket: str, clock: Waiting) -> MinioStore:
    """A store behind the proxy, whose patience of a minute passes at once."""
    config = faulty.server.config(patience_seconds=60.0)
    return MinioStore(S3Connection(config, clock), bucket)


PASSING: dict[str, Fault] = {
    "slow-down": error(503, "SlowDown"),
    "internal": error(500, "InternalError"),
    "bad-gateway": says(502, "text/html", "<h1>Bad Gateway</h1>"),
    "no-body": says(503, "application/xml", ""),
    "too-many": error(429, "TooManyRequests"),
    "cut-before": cut_before,
    "cut-after": cut_after,
}
#: What only a writer is told.
WRITING: dict[str, Fault] = {
    **PASSING,
    "timeout": error(400, "RequestTimeout"),
    "conflict": error(409, "ConditionalRequestConflict"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_for(store: MinioStore, faulty: FaultyS3, clock: Waiting, fault: Fault) -> None:
    """Overload, restarts and lost connections cost pauses that double; every call then does its work."""
    faulty.faults = [fault, fault, fault]
    store.put("a/k", b"data")
    assert clock.pauses == [0.2, 0.4, 0.8]
    faulty.faults = [fault]
    assert store.get("a/k") == b"data"
    faulty.faults = [fault]
    assert [info.key for info in store.list("a/")] == ["a/k"]
    faulty.faults = [fault]
    assert store.exists("a/k")
    faulty.faults = [fault]
    store.delete("a/k")
    assert not store.exists("a/k")
    assert len(clock.pauses) == 7


@pytest.mark.parametrize("fault", WRITING.values(), ids=WRITING)
def test_the_first_writer_wins_whatever_is_lost(store: MinioStore, faulty: FaultyS3, fault: Fault) -> None:
    """Where the answer to a conditional write is lost, its writer still learns that it has won; a rival does not."""
    faulty.faults = [fault]
    assert store.put_if_absent("m/k", b"mine") is True
    faulty.faults = [fault]
    assert store.put_if_absent("m/k", b"mine") is False
    assert store.get("m/k") == b"mine"


def test_nothing_below_us_repeats(store: MinioStore, faulty: FaultyS3, clock: Waiting) -> None:
    """The SDK and its connections send each request once: the number of attempts is the number of our pauses."""
    faulty.faults = [error(503, "SlowDown")] * 1000
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        store.get("k")
    assert len(faulty.requests) == len(clock.pauses) + 1
    # Twice as long each time up to ten seconds, and no pause that ends beyond the patience.
    assert clock.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10]
    assert clock.now < 60


def test_a_body_cut_short_is_read_again(store: MinioStore, faulty: FaultyS3) -> None:
    """Half an object is never taken for the object."""
    store.put("k", b"x" * 100_000)
    faulty.faults = [cut_within, cut_within]
    assert store.get("k") == b"x" * 100_000


def test_a_listing_goes_on_behind_the_last_page(store: MinioStore, faulty: FaultyS3) -> None:
    """A listing that is disturbed between its pages yields every key once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(f"many/{n:05d}", b""), range(PAGE + 5)))
    faulty.requests.clear()
    faulty.faults = [cut_before, cut_within, error(503, "SlowDown")]
    assert [info.key for info in store.list("many/")] == [f"many/{n:05d}" for n in range(PAGE + 5)]
    assert len(faulty.requests) == 3 + 2


def test_a_large_object_goes_in_parts(store: MinioStore, faulty: FaultyS3, s3: S3Server, bucket: str) -> None:
    """Beyond the size of a part an object is uploaded in several, comes back whole, and a lost part is repeated."""
    data = bytes(range(256)) * ((PART_BYTES * 2 + 1024) // 256)
    faulty.faults = [error(503, "SlowDown")]
    store.put("large", data)
    assert store.get("large") == data
    parts = [request for request in faulty.requests if "partNumber" in request]
    assert len(parts) == 3
    (info,) = store.list("large")
    assert info.size == len(data)
    store.put("large", b"small again")
    assert store.get("large") == b"small again"


UPLOADED_IN_VAIN = "<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"


def test_an_error_inside_a_good_answer_is_an_error(store: MinioStore, faulty: FaultyS3) -> None:
    """S3 may answer the completion of an upload with status 200 and an error in the body; nothing is lost by it."""
    faulty.faults = [no_fault, no_fault, no_fault, says(200, "application/xml", UPLOADED_IN_VAIN)]
    data = b"y" * (PART_BYTES + 1)
    store.put("large", data)
    assert store.get("large") == data


REFUSALS: dict[str, tuple[Fault, type[StoreError], str]] = {
    "keys": (error(403, "InvalidAccessKeyId"), StoreMisconfiguredError, "minio.access_key"),
    "signature": (error(403, "SignatureDoesNotMatch"), StoreMisconfiguredError, "minio.secret_key"),
    "denied": (error(403, "AccessDenied"), StoreDeniedError, "s3:PutObject"),
    "bucket": (error(404, "NoSuchBucket"), StoreMisconfiguredError, "create it"),
    "clock": (error(403, "RequestTimeTooSkewed"), StoreMisconfiguredError, "NTP"),
    "region": (error(400, "AuthorizationHeaderMalformed"), StoreMisconfiguredError, "minio.region"),
    "elsewhere": (error(301, "PermanentRedirect"), StoreMisconfiguredError, "minio.endpoint"),
    "full": (error(507, "XMinioStorageFull"), StoreFullError, "make room"),
    "quota": (error(400, "XMinioAdminBucketQuotaExceeded"), StoreFullError, "raise the quota"),
    "console": (says(200, "text/html", "<html>a console</html>"), StoreMisconfiguredError, "not that of its console"),
    "tls-wanted": (says(400, "text/plain", "use TLS"), StoreMisconfiguredError, "https://"),
    "no-conditions": (error(501, "NotImplemented"), StoreMisconfiguredError, "If-None-Match"),
    "unknown": (error(418, "ImATeapot"), StoreMisconfiguredError, "ImATeapot"),
}


@pytest.mark.parametrize(("fault", "kind", "advice"), REFUSALS.values(), ids=REFUSALS)
def test_what_does_not_pass_is_explained_at_once(
    store: MinioStore, faulty: FaultyS3, clock: Waiting, fault: Fault, kind: type[StoreError], advice: str
) -> None:
    """What only people can mend is not asked for twice, names its cause and the cure, and ends a run resumably."""
    faulty.faults = [fault]
    with pytest.raises(StoreError, match=advice) as caught:
        list(store.list()) if "console" in advice else store.put("k", b"x")
    assert type(caught.value) is kind
    assert ends_run(caught.value)
    assert clock.pauses == []
    assert faulty.endpoint in str(caught.value)


def test_credentials_show_nowhere(s3: S3Server, bucket: str) -> None:
    """Neither errors with all that hangs on them, nor representations, nor addresses hold a key or a secret."""
    store = s3.store(bucket, access_key="wrong-key-000", secret_key="wrong-secret-000")
    with pytest.raises(StoreMisconfiguredError, match="credentials") as caught:
        store.put("k", b"x")
    with pytest.raises(StoreDeniedError):
        # To HEAD the server answers without a body, so with less to go by.
        store.exists("k")
    connection = store._connection
    texts = [repr(store), repr(connection), repr(connection.config), store.address, store.uri("k")]
    failure: BaseException | None = caught.value
    while failure is not None:
        texts.append(repr(failure))
        failure = failure.__cause__
    assert [text for text in texts if "wrong-" in text] == []


def test_a_missing_bucket_is_no_missing_object(s3: S3Server) -> None:
    """Every method says that the bucket is missing, also those whose answer would fit a missing object."""
    store = s3.store("no-such-bucket-here")
    calls = [lambda: store.get("k"), lambda: store.exists("k"), lambda: store.put("k", b""), lambda: list(store.list())]
    for call in [*calls, lambda: store.put_if_absent("k", b"")]:
        with pytest.raises(StoreMisconfiguredError, match="no-such-bucket-here") as caught:
            call()
        assert not isinstance(caught.value, ObjectNotFoundError)


def test_nobody_there(bucket: str, clock: Waiting) -> None:
    """An endpoint that refuses connections, or whose name nobody knows, is named with what to check."""
    port = free_port()
    for endpoint in (f"http://127.0.0.1:{port}", "http://nobody.invalid:9000"):
        store = MinioStore(S3Connection(S3Server(endpoint).config(patience_seconds=1.0), clock), bucket)
        with pytest.raises(StoreUnavailableError, match="cannot be reached") as caught:
            store.get("k")
        assert endpoint in str(caught.value)
        assert caught.value.retryable


def test_a_server_that_never_answers(bucket: str, clock: Waiting) -> None:
    """A server that takes the connection and says nothing costs the time-out, not for ever."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        server = S3Server(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        store = MinioStore(S3Connection(server.config(timeout_seconds=0.2, patience_seconds=0.0), clock), bucket)
        with pytest.raises(StoreUnavailableError, match="no answer in time"):
            store.get("k")


@pytest.mark.parametrize("call", ["put", "get", "exists", "delete"])
def test_nobody_sends_us_elsewhere(store: MinioStore, faulty: FaultyS3, call: str) -> None:
    """A redirect is not followed, so that neither documents nor signatures go to whomever an answer names."""
    faulty.faults = [redirects_to(f"{faulty.endpoint}/elsewhere")] * 2
    with pytest.raises(StoreMisconfiguredError):
        getattr(store, call)(*(("k", b"data") if call == "put" else ("k",)))
    assert [request for request in faulty.requests if "elsewhere" in request] == []


@pytest.mark.parametrize("call", ["put", "put_if_absent", "get"])
def test_a_web_page_is_not_taken_for_a_store(store: MinioStore, faulty: FaultyS3, call: str) -> None:
    """A server that answers every request with a page and status 200 stores nothing and gives nothing."""
    faulty.faults = [says(200, "text/html", "<html>welcome</html>")] * 1000
    arguments = ("k",) if call == "get" else ("k", b"data")
    with pytest.raises(StoreUnavailableError, match=r"minio\.endpoint"):
        getattr(store, call)(*arguments)


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A TLS server with a certificate of its own making, which answers nothing; its port and certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = tmp_path / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=greet, args=(listening, context))
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}", pem
        # Closing alone would not wake the thread that waits for visitors.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def greet(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands with everybody and answer 503."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                request = b""
                # What is left unread when a connection is closed resets it.
                while not request.endswith(b"\r\n\r\n"):
                    more = secure.recv(65536)
                    if not more:
                        raise ConnectionResetError
                    request += more
                secure.sendall(b"HTTP/1.1 503 Unwell\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except OSError:
            continue


def test_trust_is_asked_for(self_signed: tuple[str, Path], bucket: str, clock: Waiting) -> None:
    """A certificate of one's own making is not trusted until minio.ca_file names it."""
    endpoint, pem = self_signed

    def store(ca_file: Path | None) -> MinioStore:
        config = S3Server(endpoint).config(ca_file=ca_file, patience_seconds=0.0)
        return MinioStore(S3Connection(config, clock), bucket)

    with pytest.raises(StoreMisconfiguredError, match=r"minio\.ca_file"):
        store(None).exists("k")
    with pytest.raises(StoreUnavailableError, match="503"):
        store(pem).exists("k")


def test_tls_where_there_is_none(s3: S3Server, bucket: str, clock: Waiting) -> None:
    """https:// to a server without TLS is told apart from a server that is down."""
    server = S3Server(s3.endpoint.replace("http://", "https://"))
    if server.endpoint == s3.endpoint:
        pytest.skip("this server has TLS")
    with pytest.raises(StoreMisconfiguredError, match="does not speak TLS"):
        MinioStore(S3Connection(server.config(), clock), bucket).put("k", b"x")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bad_file_of_certificates_is_named(tmp_path: Path, content: str | None) -> None:
    """A file of certificates that is missing or none is an error before anything is sent."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StoreMisconfiguredError, match=r"ca\.pem"):
        S3Connection(S3Server("https://localhost:1").config(ca_file=file))


def test_what_others_keep_in_the_bucket_is_not_listed(s3: S3Server, bucket: str) -> None:
    """Objects under keys that no store takes, such as a console's folders, do not break a listing."""
    s3.client.put_object(bucket, "a/", io.BytesIO(b""), 0)
    s3.client.put_object(bucket, "a/.tmp-1", io.BytesIO(b"x"), 1)
    store = s3.store(bucket)
    store.put("a/b", b"x")
    assert [info.key for info in store.list()] == ["a/b"]


def test_stores_under_two_prefixes_do_not_meet(s3: S3Server, bucket: str) -> None:
    """Two stores in one bucket see their own objects alone, also where one prefix starts like the other."""
    one, two = s3.store(bucket, "a"), s3.store(bucket, "ab/")
    one.put("k", b"1")
    two.put("k", b"2")
    assert (one.get("k"), two.get("k")) == (b"1", b"2")
    assert [info.key for info in one.list()] == [info.key for info in two.list()] == ["k"]
    assert (one.address, two.address) == (f"s3://{bucket}/a", f"s3://{bucket}/ab")
    assert one.uri("k") == f"s3://{bucket}/a/k"


def test_prefix_and_key_together_have_a_limit(s3: S3Server, bucket: str) -> None:
    """A key that is too long only because of the prefix is refused with the setting's name."""
    store = s3.store(bucket, "/".join(["p" * 200] * 3))
    with pytest.raises(InvalidKeyError, match=r"storage\.prefix"):
        store.put("/".join(["k" * 200] * 3), b"x")


def test_a_bad_prefix_is_refused(s3: S3Server, bucket: str) -> None:
    """The prefix obeys the rules of keys."""
    with pytest.raises(InvalidKeyError):
        s3.store(bucket, "a/../b")


def test_a_versioned_bucket_behaves_like_any_other(s3: S3Server, bucket: str) -> None:
    """Where the server keeps versions, the store shows the newest, a deleted object is gone, and may be put again."""
    s3.client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    store = s3.store(bucket)
    assert store.put_if_absent("k", b"1")
    store.put("k", b"2")
    assert store.get("k") == b"2"
    assert not store.put_if_absent("k", b"3")
    store.delete("k")
    assert not store.exists("k")
    assert list(store.list()) == []
    assert store.put_if_absent("k", b"4")
