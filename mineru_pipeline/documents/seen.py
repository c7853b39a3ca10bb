"""What a listing has already shown, in 16 bytes an object."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.errors import StoreError

_MAGIC = b"seen/1\n"
_DIGEST = np.dtype("<u8")
Digests = NDArray[np.uint64]


class Listed(Protocol):
    """One object of a listing, as the SDK tells it."""

    @property
    def object_name(self) -> str | None: ...  # noqa: D102  # as in S3
    @property
    def etag(self) -> str | None: ...  # noqa: D102  # as in S3
    @property
    def size(self) -> int | None: ...  # noqa: D102  # as in S3


@dataclass(frozen=True, slots=True)
class Seen:
    """Digests of keys, and of keys with their state, side by side and in the order of the listing.

    64 bits each: among a million objects, a new one is taken for a known one with a probability of
    5e-14.
    """

    keys: Digests
    states: Digests

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def join(cls, parts: Sequence[Seen]) -> Seen:
        """Return all the objects of ``parts``, one after the other."""
        return cls(np.concatenate([part.keys for part in parts]), np.concatenate([part.states for part in parts]))

    def first(self, count: int) -> Seen:
        """Return the first ``count`` objects."""
        return Seen(self.keys[:count], self.states[:count])

    def gone_in(self, later: Seen) -> int:
        """Return how many of these keys a later listing no longer has, in whatever state."""
        return int(np.setdiff1d(self.keys, later.keys).size)

    def to_bytes(self) -> bytes:
        """Return what :meth:`from_bytes` reads; equal listings give equal bytes."""
        return _MAGIC + self.keys.astype(_DIGEST).tobytes() + self.states.astype(_DIGEST).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Seen:
        """Read :meth:`to_bytes` back; raises :class:`StoreError` for anything else."""
        body = data.removeprefix(_MAGIC)
        if len(body) == len(data) or len(body) % (2 * _DIGEST.itemsize):
            raise StoreError("What was seen of a bucket is damaged in the store; reset the sensor's cursor.")
        keys, states = np.frombuffer(body, _DIGEST).reshape(2, -1)
        return cls(keys, states)


NOTHING = Seen(np.empty(0, np.uint64), np.empty(0, np.uint64))


def digest(objects: Sequence[Listed]) -> Seen:
    """Return the digests of a page of a listing.

    The state is the ETag, which changes with the bytes. The time of modification is no part of it:
    it changes when the same bytes are stored again, and there is nothing to be done then.
    """
    keys, states = bytearray(), bytearray()
    for each in objects:
        key = hashlib.blake2b(str(each.object_name).encode("utf-8", "surrogatepass"), digest_size=8)
        keys += key.digest()
        key.update(f"\0{each.etag or each.size}".encode("utf-8", "surrogatepass"))
        states += key.digest()
    return Seen(np.frombuffer(bytes(keys), _DIGEST), np.frombuffer(bytes(states), _DIGEST))


class Known:
    """Looks up states among those of an earlier listing, a page at a time."""

    def __init__(self, seen: Seen) -> None:
        self._sorted = np.sort(seen.states)

    def missing(self, page: Seen) -> list[int]:
        """Return the places in the page of the objects that are new or have another state."""
        if not self._sorted.size:
            return list(range(len(page)))
        at = np.minimum(np.searchsorted(self._sorted, page.states), self._sorted.size - 1)
        return [int(place) for place in np.flatnonzero(self._sorted[at] != page.states)]
