"""The address of an object in a bucket, ``s3://bucket/key``, written and read in one place."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

SCHEME = "s3"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_bucket_name(name: str) -> bool:
    """Whether ``name`` can be a bucket's: 3 to 63 of a–z, 0–9, dot and hyphen, no two dots side by side."""
    return _BUCKET.fullmatch(name) is not None and ".." not in name


def object_uri(bucket: str, key: str) -> str:
    """Return the address of an object; all of its key but slashes and unreserved characters is percent-encoded."""
    return f"{SCHEME}://{bucket}/{quote(key, safe='/')}"


def parse_object_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an address; the inverse of :func:`object_uri`.

    The key is percent-decoded once, as UTF-8. A plus is a plus. Nothing is normalised: ``..`` and ``//``
    are parts of keys like any other. A raw ``?`` or ``#`` would begin a query or a fragment, which an
    object does not have; whoever means the character encodes it, and nobody has to guess.

    Raises:
        ValueError: it is no such address; the text says why, without repeating it.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme.lower() != SCHEME or not separator:
        raise ValueError("it does not start with s3://")
    bucket, _, path = rest.partition("/")
    if not is_bucket_name(bucket):
        raise ValueError("what follows s3:// is not the name of a bucket")
    if not path:
        raise ValueError("it names a bucket but no key")
    if "?" in path or "#" in path:
        raise ValueError("a question mark or hash in a key must be written as %3F or %23")
    if _STRAY_PERCENT.search(path):
        raise ValueError("a percent sign that starts no escape must be written as %25")
    try:
        return bucket, unquote_to_bytes(path).decode("utf-8")
    except UnicodeError:
        raise ValueError("its key is not UTF-8") from None
