"""Addresses of objects in buckets: ``s3://bucket/key`` with the key percent-encoded, so that any key survives."""

from __future__ import annotations

from urllib.parse import quote, unquote

from mineru_pipeline.documents.refs import INVALID, public_uri
from mineru_pipeline.errors import SourceError

_SCHEME = "s3://"


def bucket_uri(bucket: str, key: str) -> str:
    """Return the address of ``key`` in ``bucket``; slashes stay, everything unsafe is percent-encoded."""
    return f"{_SCHEME}{bucket}/{quote(key, safe='/')}"


def parse_bucket_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of :func:`bucket_uri`; raises :class:`SourceError` for any other address."""
    bucket, _, encoded = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket or not encoded:
        raise SourceError(INVALID, f"{public_uri(uri)!r} is not the address of an object: s3://bucket/key is expected.")
    try:
        return bucket, unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:
        raise SourceError(INVALID, f"The key in {public_uri(uri)!r} is not percent-encoded UTF-8.") from error
