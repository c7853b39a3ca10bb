"""What is known of the objects below one prefix of a bucket, in some twenty bytes a manifest entry."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from minio.datatypes import Object as ListedObject
from numpy.typing import NDArray

from mineru_pipeline.documents.refs import DocumentRef, utc_moment
from mineru_pipeline.parsing.accounts import VOID, Account
from mineru_pipeline.storage.addresses import SCHEME, object_uri, parse_object_uri

_DIGEST = np.dtype("<u8")
Digests = NDArray[np.uint64]
#: Tenants that are remembered by name; there is no need to list thousands.
_TENANTS = 20

#: Asks the server for the version that an object has now; None where it has none, or is gone.
CurrentVersion = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Objects of ``bucket`` whose keys start with ``prefix``."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    def holds(self, bucket: str, key: str) -> bool:
        """Whether the object is one of them."""
        return bucket == self.bucket and key.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class _Loose:
    """An entry that names no ETag, so that it meant whatever was there when it was read."""

    received: float
    size: int | None
    version: str | None
    standing: int

    def means(self, item: ListedObject, current: Callable[[], str | None]) -> bool:
        if self.size is not None and item.size is not None and self.size != item.size:
            return False
        if self.version is not None:
            return self.version == current()
        # Written since it was announced: then nothing tells whether it was read before or after that.
        return item.last_modified is not None and item.last_modified.timestamp() <= self.received


@dataclass(frozen=True, slots=True)
class Holding:
    """What is known of one listed object."""

    #: Place in STANDINGS, or VOID when no entry means the object in this state.
    standing: int
    #: Whether any entry names the object, in whatever state.
    known: bool
    #: Entries that meant this very state and came to nothing.
    earlier: int


@dataclass(slots=True)
class Holdings:
    """Entries of manifests for the objects of a place, looked up by address and ETag.

    Digests have 64 bits, as those of a listing that was seen: among a million objects, one is taken for another
    with a probability of 5e-14.
    """

    place: Place
    #: Whose documents there are.
    tenants: set[str] = field(default_factory=set)
    _keys: list[Digests] = field(default_factory=list)
    _states: list[Digests] = field(default_factory=list)
    _standings: list[NDArray[np.uint8]] = field(default_factory=list)
    _loose: dict[int, list[_Loose]] = field(default_factory=dict)

    def add(self, account: Account) -> None:
        """Take in the entries of a batch that name objects of this place."""
        keys, states, standings = bytearray(), bytearray(), bytearray()
        for (_, key), ref, standing in entries_at(self.place, account):
            address = _address(self.place.bucket, key)
            keys += address.digest()
            if len(self.tenants) < _TENANTS:
                self.tenants.add(account.manifest.tenant_of(ref))
            if ref.etag is not None:
                states += _with_etag(address, ref.etag)
                standings.append(standing)
            elif standing != VOID:
                self._add_loose(address.digest(), ref, standing)
        if not keys:
            return
        self._keys.append(_digests(keys))
        self._states.append(_digests(states))
        self._standings.append(np.frombuffer(bytes(standings), np.uint8))

    def _add_loose(self, digest: bytes, ref: DocumentRef, standing: int) -> None:
        entry = _Loose(utc_moment(ref.received_at).timestamp(), ref.size, ref.version, standing)
        self._loose.setdefault(int.from_bytes(digest, "little"), []).append(entry)

    def close(self, current_version: CurrentVersion) -> Comparison:
        """Return what listings are compared with; nothing is added from here on."""
        states, standings = _joined(self._states), np.concatenate([np.empty(0, np.uint8), *self._standings])
        order = np.lexsort((standings, states))
        distinct, first, times = np.unique(states[order], return_index=True, return_counts=True)
        keys = np.unique(_joined(self._keys))
        return Comparison(
            self.place,
            keys,
            distinct,
            standings[order][first],
            times.astype(np.uint32),
            self._loose,
            current_version,
            np.zeros(keys.size, np.bool_),
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Looks up listed objects, a page at a time, and remembers which of the known ones have been listed."""

    place: Place
    _keys: Digests
    _states: Digests
    #: The best of each state, and how many entries mean it.
    _standings: NDArray[np.uint8]
    _times: NDArray[np.uint32]
    _loose: dict[int, list[_Loose]]
    _current_version: CurrentVersion
    _listed: NDArray[np.bool_]

    def look_up(self, page: Sequence[ListedObject]) -> Iterator[Holding]:
        """Yield what is known of each object of the page."""
        keys, states = bytearray(), bytearray()
        for item in page:
            address = _address(self.place.bucket, str(item.object_name))
            keys += address.digest()
            states += _with_etag(address, item.etag or "")
        digests = _digests(keys)
        at_key, at_state = _find(self._keys, digests), _find(self._states, _digests(states))
        self._listed[at_key[at_key >= 0]] = True
        for item, digest, known, place in zip(page, digests.tolist(), at_key >= 0, at_state.tolist(), strict=True):
            standing = int(self._standings[place]) if place >= 0 else VOID
            earlier = int(self._times[place]) if place >= 0 else 0
            if standing == VOID and digest in self._loose:
                standing = self._loosely(item, self._loose[digest])
            yield Holding(standing, bool(known), earlier)

    def _loosely(self, item: ListedObject, entries: Iterable[_Loose]) -> int:
        asked: list[str | None] = []

        def current() -> str | None:
            if not asked:
                asked.append(self._current_version(self.place.bucket, str(item.object_name)))
            return asked[0]

        return min((entry.standing for entry in entries if entry.means(item, current)), default=VOID)

    @property
    def gone(self) -> int:
        """Objects that are known and were in no page."""
        return int(np.count_nonzero(~self._listed))

    def gone_among(self, account: Account) -> Iterator[str]:
        """Yield the addresses in a batch that were in no page."""
        found = [key for (_, key), _, _ in entries_at(self.place, account)]
        digests = _digests(bytearray(b"".join(_address(self.place.bucket, key).digest() for key in found)))
        for key, at in zip(found, _find(self._keys, digests).tolist(), strict=True):
            if at >= 0 and not self._listed[at]:
                yield object_uri(self.place.bucket, key)


def entries_at(place: Place, account: Account) -> Iterator[tuple[tuple[str, str], DocumentRef, int]]:
    """Yield bucket and key, reference and standing of the entries of a batch that lie there."""
    for ref, standing in zip(account.manifest.refs, account.standings, strict=True):
        # Other buckets' are passed over before their addresses are taken apart.
        if not ref.uri.startswith(f"{SCHEME}://{place.bucket}/"):
            continue
        try:
            where = parse_object_uri(ref.uri)
        except ValueError:
            # Its run said so in its row.
            continue
        if place.holds(*where):
            yield where, ref, standing


def _address(bucket: str, key: str) -> hashlib.blake2b:
    return hashlib.blake2b(f"{bucket}/{key}".encode("utf-8", "surrogatepass"), digest_size=8)


def _with_etag(address: hashlib.blake2b, etag: str) -> bytes:
    state = address.copy()
    stripped = etag.strip('"')
    state.update(f"\0{stripped}".encode("utf-8", "surrogatepass"))
    return state.digest()


def _digests(data: bytearray) -> Digests:
    return np.frombuffer(bytes(data), _DIGEST)


def _joined(parts: Sequence[Digests]) -> Digests:
    return np.concatenate([np.empty(0, _DIGEST), *parts])


def _find(among: Digests, wanted: Digests) -> NDArray[np.intp]:
    """Return the place of each in a sorted array, -1 where it is not there."""
    if not among.size:
        return np.full(wanted.size, -1, np.intp)
    at = np.minimum(np.searchsorted(among, wanted), among.size - 1)
    return np.where(among[at] == wanted, at, -1)
