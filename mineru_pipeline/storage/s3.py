"""A connection to an S3-compatible server: the SDK without retries of its own, under ours."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.datatypes import Object as ListedObject
from urllib3.response import BaseHTTPResponse

from mineru_pipeline.errors import StoreMisconfiguredError
from mineru_pipeline.storage.retry import Clock, Patience, SystemClock
from mineru_pipeline.storage.s3_errors import explained

T = TypeVar("T")

#: Objects of one page of a listing: the most that S3 gives at a time.
PAGE = 1000
#: Connections kept open; more threads than that open one for the moment.
_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class S3Config:
    """Where the server is and who asks; no representation of it shows the keys."""

    #: URL without path, such as ``http://host:9000``.
    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    #: Certificates to trust; None trusts those of the system.
    ca_file: Path | None = None
    connection_timeout_seconds: float = 5.0
    timeout_seconds: float = 60.0
    #: How long a failing call is repeated before it fails for good.
    patience_seconds: float = 120.0


class S3Client(Minio):
    """The SDK's client with the one request it has no method for."""

    def put_new(self, bucket: str, key: str, data: bytes, headers: dict[str, str]) -> str:
        """PUT with ``If-None-Match: *``; the ETag, or an S3Error with status 412 where the key is taken.

        ``put_object`` would turn the header into user metadata, which condition nothing.
        """
        done = self._put_object(bucket, key, data, {"If-None-Match": "*", **headers})
        return str(done.etag or "")


class S3Connection:
    """Calls to one server, each repeated while the server is unwell, and failing with typed errors.

    Nothing is connected before the first call. Threads may share it; a forked child must not use it.
    """

    def __init__(self, config: S3Config, clock: Clock | None = None) -> None:
        self.config = config
        url = urlsplit(config.endpoint)
        self._client = S3Client(
            url.netloc,
            access_key=config.access_key,
            secret_key=config.secret_key,
            secure=url.scheme == "https",
            # With a region the SDK never asks the server for that of a bucket.
            region=config.region,
            http_client=_pool(config, secure=url.scheme == "https"),
        )
        self._patience = Patience(config.patience_seconds, clock or SystemClock())

    def __repr__(self) -> str:
        return f"S3Connection({self.config.endpoint!r})"

    def call(self, doing: str, bucket: str, operation: Callable[[S3Client, int], T]) -> T:
        """Return what ``operation`` makes of the client; it is also given the number of the attempt, from 1.

        Args:
            doing: completes the sentence "Cannot …" for the person who reads the error.
            bucket: the bucket it is about.
            operation: one request, safe to repeat.

        Raises:
            StoreError: it cannot be done, or not within the patience.
        """

        def attempt(number: int) -> T:
            with explained(self.config.endpoint, doing, bucket):
                return operation(self._client, number)

        return self._patience.repeat(attempt)

    def listing(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Yield every object whose key starts with ``prefix``, a page of the server at a time, in its order.

        The order is that of the keys with S3 and MinIO. A server that keeps folders (SeaweedFS, S3's
        directory buckets) may go by folder. ``start_after`` goes on behind a key in the same order, and
        so does this generator by itself when a page fails in the middle.
        """
        doing, last = f"list s3://{bucket}/{prefix}", start_after
        while page := self.call(doing, bucket, _page_after(bucket, prefix, last)):
            yield from page
            if len(page) < PAGE:
                return
            last = str(page[-1].object_name)


def _page_after(bucket: str, prefix: str, key: str) -> Callable[[S3Client, int], list[ListedObject]]:
    def page(client: S3Client, _attempt: int) -> list[ListedObject]:
        listing = client.list_objects(bucket, prefix, recursive=True, start_after=key or None)
        return list(itertools.islice(listing, PAGE))

    return page


class _Pool(urllib3.PoolManager):
    """Connections that repeat nothing and follow nowhere: both would happen behind the back of our budget."""

    def urlopen(self, method: str, url: str, redirect: bool = False, **kw: Any) -> BaseHTTPResponse:  # type: ignore[override]  # noqa: FBT001, FBT002
        del redirect
        return super().urlopen(method, url, redirect=False, **{**kw, "retries": False})


def _pool(config: S3Config, *, secure: bool) -> _Pool:
    timeout = urllib3.Timeout(connect=config.connection_timeout_seconds, read=config.timeout_seconds)
    if not secure:
        return _Pool(timeout=timeout, maxsize=_CONNECTIONS)
    try:
        trust = ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:
        raise StoreMisconfiguredError(
            f"minio.ca_file {config.ca_file} cannot be used: {error.strerror or error}. "
            "It must be a readable file of certificates in PEM."
        ) from error
    return _Pool(timeout=timeout, maxsize=_CONNECTIONS, ssl_context=trust)
