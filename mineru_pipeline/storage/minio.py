"""The object store in a bucket of MinIO or any other S3-compatible server."""

from __future__ import annotations

import io
import mimetypes
import secrets
from collections.abc import Iterator
from contextlib import closing

from minio.error import S3Error
from urllib3.response import BaseHTTPResponse

from mineru_pipeline.errors import InvalidKeyError, ObjectNotFoundError, StoreUnavailableError
from mineru_pipeline.storage.addresses import object_uri
from mineru_pipeline.storage.s3 import S3Client, S3Connection
from mineru_pipeline.storage.store import MAX_KEY_BYTES, ObjectInfo, is_key, validate_key, validate_prefix

#: Larger objects are sent in parts of this size, so that a lost connection costs one part's time-out at most.
PART_BYTES = 16 << 20

_TAKEN, _MISSING = 412, 404
_WRITER = "x-amz-meta-writer"


class MinioStore:
    """Objects under ``prefix`` in ``bucket``, which must exist: making buckets is the operator's business.

    The server sees to it that an object is there whole or not at all. What it must know, beside the
    usual requests, is the conditional write (``If-None-Match: *``), as S3, MinIO and SeaweedFS do.
    """

    def __init__(self, connection: S3Connection, bucket: str, prefix: str = "") -> None:
        self._connection = connection
        self._bucket = bucket
        self._prefix = f"{validate_key(prefix.strip('/'))}/" if prefix.strip("/") else ""
        self._bucket_seen = False

    def __repr__(self) -> str:
        return f"MinioStore({self.address!r})"

    @property
    def address(self) -> str:
        """The bucket and the prefix, as ``s3://bucket/prefix``."""
        return object_uri(self._bucket, self._prefix).rstrip("/")

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``, in parts if it is large; the server replaces the object in one step."""
        path = self._path(key)

        def write(client: S3Client, _attempt: int) -> None:
            done = client.put_object(
                self._bucket,
                path,
                io.BytesIO(data),
                len(data),
                content_type=_content_type(key),
                part_size=PART_BYTES,
                # One after the other: each part is a copy, and a failure must end them all.
                num_parallel_uploads=1,
            )
            # S3 can answer the completion of a multipart upload with status 200 and an error inside.
            self._check_confirmed(key, done.etag)

        self._connection.call(f"write {self.uri(key)}", self._bucket, write)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` unless ``key`` is taken; the server picks exactly one of several rivals.

        An answer can be lost after the server has written: then the next attempt is told that the key
        is taken, by ourselves. So every call leaves a mark of its own with the object.
        """
        path, mark = self._path(key), secrets.token_hex(16)

        def write(client: S3Client, attempt: int) -> bool:
            try:
                etag = client.put_new(self._bucket, path, data, {_WRITER: mark, "Content-Type": _content_type(key)})
            except S3Error as error:
                if error.response.status != _TAKEN:
                    raise
                return attempt > 1 and _mark_of(client, self._bucket, path) == mark
            self._check_confirmed(key, etag)
            return True

        return self._connection.call(f"write {self.uri(key)}", self._bucket, write)

    def get(self, key: str) -> bytes:
        """Return the object's bytes; raises :class:`ObjectNotFoundError`."""
        path = self._path(key)

        def read(client: S3Client, _attempt: int) -> bytes:
            with closing(client.get_object(self._bucket, path)) as response:
                self._check_confirmed(key, response.headers.get("etag"))
                return read_at_most(response, None)

        try:
            return self._connection.call(f"read {self.uri(key)}", self._bucket, read)
        except ObjectNotFoundError as error:
            raise ObjectNotFoundError(f"Nothing is stored under {key!r} in {self.address}.") from error

    def exists(self, key: str) -> bool:
        """Whether an object is stored under exactly this key."""
        path = self._path(key)

        def look(client: S3Client, _attempt: int) -> bool:
            try:
                client.stat_object(self._bucket, path)
            except S3Error as error:
                if error.response.status != _MISSING:
                    raise
                return False
            return True

        found = self._connection.call(f"look for {self.uri(key)}", self._bucket, look)
        if not found and not self._bucket_seen:
            # An answer to HEAD has no body to tell a missing object from a missing bucket.
            self._connection.call(f"find bucket {self._bucket!r}", self._bucket, self._require_bucket)
        self._bucket_seen = True
        return found

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with ``prefix``, sorted by key.

        The listing is gathered first, some 300 bytes an object, because not every server sorts by key.
        """
        full = self._prefix + validate_prefix(prefix)
        found = []
        for each in self._connection.listing(self._bucket, full):
            key = str(each.object_name)[len(self._prefix) :]
            # Others may keep things in the bucket, such as the empty objects by which consoles mark folders.
            if is_key(key):
                stored = each.last_modified.timestamp() if each.last_modified else None
                found.append(ObjectInfo(key, each.size or 0, each.etag, stored))
        # Nearly always sorted already, and then this costs one comparison each.
        yield from sorted(found, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none. A versioned bucket keeps the versions."""
        path = self._path(key)
        self._connection.call(
            f"delete {self.uri(key)}", self._bucket, lambda client, _: client.remove_object(self._bucket, path)
        )

    def uri(self, key: str) -> str:
        """Return the ``s3://`` address of the object."""
        return object_uri(self._bucket, self._path(key))

    def _path(self, key: str) -> str:
        path = self._prefix + validate_key(key)
        if len(path.encode()) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"With the store's prefix {self._prefix!r}, a key of {len(key.encode())} bytes has more than "
                f"{MAX_KEY_BYTES} bytes; choose a shorter storage.prefix."
            )
        return path

    def _check_confirmed(self, key: str, etag: str | None) -> None:
        """Whatever speaks S3 tells the ETag of what it stored or gives; a web page with status 200 does not."""
        if not etag:
            raise StoreUnavailableError(
                f"What answers for {self.uri(key)} did not confirm it with an ETag. Look at the server's log, and "
                "check that minio.endpoint is the address of its S3 API. The same run resumes."
            )

    def _require_bucket(self, client: S3Client, _attempt: int) -> None:
        # Unlike HEAD, a listing is answered with a body that says what is wrong.
        next(iter(client.list_objects(self._bucket, self._prefix, start_after=None)), None)


def read_at_most(response: BaseHTTPResponse, limit: int | None) -> bytes:
    """Return the body, bit by bit as stored, or its first ``limit`` + 1 bytes where it has more than ``limit``.

    Raises:
        urllib3.exceptions.HTTPError: less came than the server had announced.
    """
    data = bytearray()
    # urllib3 compares the bytes with Content-Length; a body cut short is an IncompleteRead.
    for chunk in response.stream(1 << 20, decode_content=False):
        data += chunk
        if limit is not None and len(data) > limit:
            break
    return bytes(data)


def _mark_of(client: S3Client, bucket: str, path: str) -> str | None:
    metadata = client.stat_object(bucket, path).metadata or {}
    mark = metadata.get(_WRITER)
    return None if mark is None else str(mark)


def _content_type(key: str) -> str:
    """What a browser needs to show ``report.html`` instead of saving it."""
    return mimetypes.guess_type(key)[0] or "application/octet-stream"
