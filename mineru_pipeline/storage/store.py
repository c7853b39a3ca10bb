"""The port every object store is used through, and the rules its keys obey."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mineru_pipeline.errors import InvalidKeyError

#: S3's own limit for a whole key, and what common file systems take for one name (bytes of UTF-8).
MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 255

#: Names that start like this belong to the stores themselves: files still being written.
RESERVED_PREFIX = ".tmp-"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of one object; ``etag`` changes whenever the bytes do."""

    key: str
    size: int
    etag: str | None = None
    #: When it was stored, in seconds since 1970 by the store's own clock; None where the store does not say.
    modified_at: float | None = None


class ObjectStore(Protocol):
    """Immutable blobs under keys such as ``manifests/x.jsonl``.

    Every method raises :class:`InvalidKeyError` for a key it will not take,
    :class:`StoreUnavailableError` when the store cannot be used and :class:`StoreFullError` when it
    has no room. A reader sees a whole object or none. Stores may be used from several threads and
    by several processes at once.
    """

    @property
    def address(self) -> str:
        """Where the store is, for people and for opening the same store again; it never holds credentials."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` durably under ``key``; whatever was there is replaced in one step."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` unless ``key`` is taken; of any number of rivals exactly one gets True."""
        ...

    def get(self, key: str) -> bytes:
        """Return the object's bytes; raises :class:`ObjectNotFoundError`."""
        ...

    def exists(self, key: str) -> bool:
        """Whether an object is stored under exactly this key."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield the objects whose keys start with ``prefix`` ("" for all), sorted by key.

        The prefix is a plain string, as in S3: ``a/b`` matches ``a/b/c`` and ``a/bc`` alike.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def uri(self, key: str) -> str:
        """Return an address of the object for people and logs; it never holds credentials."""
        ...


def validate_key(key: str) -> str:
    """Return ``key`` if every store can hold it; raises :class:`InvalidKeyError` saying why not."""
    problem = "it is empty" if not key else next(_problems(key), None)
    if problem:
        raise InvalidKeyError(f"The store takes no object under the key {_shown(key)}: {problem}.")
    return key


def is_key(name: str) -> bool:
    """Whether a store can hold an object under ``name``."""
    return bool(name) and next(_problems(name), None) is None


def validate_prefix(prefix: str) -> str:
    """Return ``prefix`` if some valid key can start with it; one trailing slash is allowed."""
    problem = next(_problems(prefix if prefix == "/" else prefix.removesuffix("/")), None) if prefix else None
    if problem:
        raise InvalidKeyError(f"The store lists nothing under {_shown(prefix)}: {problem}.")
    return prefix


def _problems(key: str) -> Iterator[str]:
    try:
        size = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        yield "it is not valid Unicode"
        return
    if size > MAX_KEY_BYTES:
        yield f"it has {size} bytes, more than {MAX_KEY_BYTES}"
    if key.startswith("/"):
        yield "it is absolute; keys start without a slash"
    # Nearly all keys are printable ASCII, and each is looked at several times a page.
    is_plain = key.isascii() and key.isprintable()
    if not is_plain and any(unicodedata.category(character) == "Cc" for character in key):
        yield "it holds a control character"
    if "\\" in key:
        yield "it holds a backslash; the separator is a slash"
    for segment in key.split("/"):
        yield from _segment_problems(segment)


def _segment_problems(segment: str) -> Iterator[str]:
    if not segment:
        yield "it has an empty segment"
    if segment in {".", ".."}:
        yield f"the segment {segment!r} would leave its folder"
    if segment.startswith(RESERVED_PREFIX):
        yield f"names that start with {RESERVED_PREFIX!r} are reserved for unfinished files"
    if len(segment.encode("utf-8")) > MAX_SEGMENT_BYTES:
        yield f"a segment has more than {MAX_SEGMENT_BYTES} bytes"


def _shown(key: str, limit: int = 120) -> str:
    return ascii(key if len(key) <= limit else key[:limit] + "…")
