"""Documents in buckets: read only where that is allowed, and only in the state that the reference means."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing

from minio.error import S3Error
from urllib3.response import BaseHTTPResponse

from mineru_pipeline.documents.local import CHANGED, MISSING, UNREADABLE
from mineru_pipeline.documents.refs import INVALID, ORIGIN_LISTING, ORIGIN_RECONCILIATION, DocumentRef, public_uri
from mineru_pipeline.documents.rejection import RejectionReason, rejected
from mineru_pipeline.errors import RejectedDocumentError, SourceError
from mineru_pipeline.storage.addresses import parse_object_uri
from mineru_pipeline.storage.minio import read_at_most
from mineru_pipeline.storage.s3 import S3Client, S3Connection
from mineru_pipeline.storage.s3_errors import concerns_one_object
from mineru_pipeline.storage.store import MAX_KEY_BYTES

FORBIDDEN = "source-forbidden"

_ETAG = re.compile(r"[!#-~]{1,200}")
_VERSION = re.compile(r"[!-~]{1,1024}")
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "MethodNotAllowed"})
_PRECONDITION_FAILED = 412


class BucketSource:
    """Reads ``s3://bucket/key``; whoever can announce documents must not thereby be able to read any bucket.

    The version of the reference is read, where it has one. Where it has an ETag, the server is asked for
    the object in that state only, so that what was listed is what is parsed.
    """

    def __init__(self, allowed: frozenset[str], connection: Callable[[], S3Connection]) -> None:
        self._allowed = allowed
        self._connection = connection

    def __call__(self, ref: DocumentRef, max_bytes: int) -> bytes:
        """Return the document's bytes.

        Raises:
            SourceError: the object cannot be had, or the reference is not to be followed.
            RejectedDocumentError: it has more than ``max_bytes``.
            StoreError: the server is down, or lets nobody in; says nothing of the document.
        """
        bucket, key = self._place(ref)
        headers = {"If-Match": f'"{_checked_etag(ref)}"'} if ref.etag is not None and ref.version is None else {}
        version = _checked_version(ref)

        def read(client: S3Client, _attempt: int) -> bytes:
            try:
                found = client.get_object(bucket, key, version_id=version, request_headers=dict(headers))
            except S3Error as error:
                if concerns_one_object(error):
                    raise _failure(ref, error) from None
                raise
            with closing(found) as response:
                return _checked(ref, response, max_bytes)

        return self._connection().call(f"read {public_uri(ref.uri)}", bucket, read)

    def _place(self, ref: DocumentRef) -> tuple[str, str]:
        shown = public_uri(ref.uri)
        try:
            bucket, key = parse_object_uri(ref.uri)
        except ValueError as error:
            raise SourceError(INVALID, f"{shown} is not the address of an object: {error}.") from None
        if bucket not in self._allowed:
            raise SourceError(
                FORBIDDEN,
                f"{shown} is not read: bucket {bucket!r} is not among those of intake.buckets. Add it there if "
                "documents may come from it, and run the batch again.",
            )
        if {".", ".."} & set(key.split("/")):
            raise SourceError(
                UNREADABLE,
                f"{shown} cannot be asked for: a part of its key is . or .., which HTTP resolves. Rename it.",
            )
        if len(key.encode()) > MAX_KEY_BYTES:
            raise SourceError(
                INVALID, f"{shown} names a key of more than {MAX_KEY_BYTES} bytes, which no bucket holds."
            )
        return bucket, key


def _checked_etag(ref: DocumentRef) -> str:
    etag = (ref.etag or "").strip('"')
    if not _ETAG.fullmatch(etag):
        raise SourceError(INVALID, f"The reference to {public_uri(ref.uri)} has an etag that no server gives.")
    return etag


def _checked_version(ref: DocumentRef) -> str | None:
    if ref.version is not None and not _VERSION.fullmatch(ref.version):
        raise SourceError(INVALID, f"The reference to {public_uri(ref.uri)} has a version that no server gives.")
    return ref.version


def _checked(ref: DocumentRef, response: BaseHTTPResponse, max_bytes: int) -> bytes:
    announced = response.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else None
    if size is not None and ref.size is not None and ref.size != size:
        raise _changed(ref)
    if size is not None and size > max_bytes:
        raise rejected(RejectionReason.TOO_MANY_BYTES, f"It has {size} bytes; the limit is {max_bytes}.")
    data = read_at_most(response, max_bytes)
    if len(data) > max_bytes:
        raise rejected(RejectionReason.TOO_MANY_BYTES, f"It has more than {max_bytes} bytes, which is the limit.")
    return data


def _failure(ref: DocumentRef, error: S3Error) -> SourceError | RejectedDocumentError:
    shown, code = public_uri(ref.uri), ascii((error.code or "")[:60])[1:-1]
    if error.response.status == _PRECONDITION_FAILED:
        return _changed(ref)
    if error.code == "NoSuchKey" and ref.origin in {ORIGIN_LISTING, ORIGIN_RECONCILIATION}:
        # We saw it there ourselves, so somebody took it back. That is no failure, and no retry helps.
        return rejected(RejectionReason.SOURCE_DELETED)
    if error.code in _GONE_CODES:
        version = " in the version that was announced" if ref.version is not None else ""
        return SourceError(MISSING, f"{shown} is not there{version} ({code}). It may have been deleted since.")
    return SourceError(
        UNREADABLE,
        f"{shown} cannot be read: the server answers {error.response.status} ({code}). Check that the user of "
        "minio.access_key may read this object, and that it is not archived.",
    )


def _changed(ref: DocumentRef) -> SourceError:
    shown = public_uri(ref.uri)
    return SourceError(CHANGED, f"{shown} has changed since it was listed; submit it again to parse its new state.")
