"""The bytes behind a reference, read with a limit and checked to be the ones that were listed.

Where they lie decides who reads them: a source for each scheme, and :class:`Sources` before them.
"""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
from collections.abc import Mapping
from typing import Protocol

from mineru_pipeline.documents.local import CHANGED, UNREADABLE, file_etag, path_of, source_failure
from mineru_pipeline.documents.refs import DocumentRef, public_uri
from mineru_pipeline.documents.rejection import RejectionReason, rejected
from mineru_pipeline.errors import SourceError


class Source(Protocol):
    """Where documents of one scheme are read; may be called from several threads at once."""

    def __call__(self, ref: DocumentRef, max_bytes: int) -> bytes:
        """Return the document's bytes.

        Raises:
            SourceError: they cannot be had, or are not those that the reference means.
            RejectedDocumentError: there are more than ``max_bytes``.
            StoreError: the place itself cannot be used; says nothing of the document and ends the run.
        """
        ...


class Sources:
    """The sources by the scheme of the address they read, such as ``file`` and ``s3``."""

    def __init__(self, by_scheme: Mapping[str, Source]) -> None:
        self._by_scheme = dict(by_scheme)

    def __call__(self, ref: DocumentRef, max_bytes: int) -> bytes:
        """Let the source of the reference's scheme read it; see :class:`Source`."""
        source = self._by_scheme.get(ref.uri.partition(":")[0].lower())
        if source is None:
            known = " and ".join(f"{scheme}://" for scheme in sorted(self._by_scheme))
            raise SourceError(UNREADABLE, f"{public_uri(ref.uri)} cannot be read: only {known} can.")
        return source(ref, max_bytes)


def read_source(ref: DocumentRef, max_bytes: int) -> bytes:
    """Return the bytes of a local file.

    Raises :class:`SourceError` (``source-missing``, ``source-unreadable``, ``source-changed`` since it
    was listed) and :class:`RejectedDocumentError` for more than ``max_bytes``.
    """
    path = path_of(ref.uri)
    try:
        # Opening a named pipe would otherwise wait for somebody to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            stat = os.fstat(file.fileno())
            _check(ref, stat, max_bytes)
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise source_failure(error, ref.uri) from error
    if len(data) != stat.st_size:
        raise _changed(ref)
    return data


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data``, which is the document's identity, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _check(ref: DocumentRef, stat: os.stat_result, max_bytes: int) -> None:
    if not stat_module.S_ISREG(stat.st_mode):
        raise SourceError(UNREADABLE, f"{ref.uri} is not a regular file.")
    if ref.etag is not None and ref.etag != file_etag(stat):
        raise _changed(ref)
    if ref.size is not None and ref.size != stat.st_size:
        raise _changed(ref)
    if stat.st_size > max_bytes:
        raise rejected(RejectionReason.TOO_MANY_BYTES, f"It has {stat.st_size} bytes; the limit is {max_bytes}.")


def _changed(ref: DocumentRef) -> SourceError:
    return SourceError(CHANGED, f"{ref.uri} has changed since it was listed; submit it again to parse its new state.")
