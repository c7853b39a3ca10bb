"""Feeds the detector of drift with the documents of all batches, once each, however many runs end at once.

A run leaves the signals of its new documents in the store before it writes its table, and whoever comes next takes
what waits, in the order of the keys (batches by time, documents as in the manifest), and puts a next generation of the
state in its place. Of any number of rivals for one generation the store lets one win; the others read it and see
what is left. Whatever dies, dies before a generation, and then everything still waits, or after it: then the documents
are found among those fed last and are not fed again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from mineru_pipeline.errors import GateInputError, ObjectNotFoundError, StoreError, StoreUnavailableError
from mineru_pipeline.quality.gates.drift import Detector, Point
from mineru_pipeline.quality.gates.drift_state import DriftState
from mineru_pipeline.quality.reading import decoded
from mineru_pipeline.storage import ObjectStore, layout

T = TypeVar("T")

#: A name of a document and its signals.
Document = tuple[str, Mapping[str, float | None]]

#: Documents that are remembered by name: a run that died after it had fed them is over long before so many more.
_REMEMBERED: Final = 10_000
#: Documents that one look takes on, so that it stays within seconds after a long silence; the rest wait.
_MOST: Final = 5_000
#: Points kept for the plot.
_SHOWN: Final = 2_000
#: Older generations keep their place, empty: whoever slept for long must not take one that was taken.
_PLACES_KEPT: Final = 500
#: Each lost race means that somebody else went ahead, and eight runs end at once.
_ATTEMPTS: Final = 40
_DIGITS: Final = 16
_GENERATION: Final = re.compile(r"\d{10}\.json\.gz")


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of the drift under one parser revision."""

    state: DriftState
    #: The latest points, the oldest first.
    points: tuple[Point, ...] = ()
    #: Short names of the documents fed last.
    recent: tuple[str, ...] = ()
    #: Why and when the state was begun, for people; "" for the first.
    begun: str = ""

    def to_bytes(self) -> bytes:
        """Return what :meth:`from_bytes` reads."""
        value = {
            "state": self.state.to_json(),
            "points": [[point.document, round(point.evidence, 4), point.leading] for point in self.points],
            "recent": self.recent,
            "begun": self.begun,
        }
        return gzip.compress(json.dumps(value).encode(), compresslevel=1, mtime=0)

    @classmethod
    def from_bytes(cls, data: bytes) -> Memory:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            GateInputError: it is no such memory.
        """
        stored = _unpacked(_Stored, data)
        points = tuple(Point(*point) for point in stored.points)
        return cls(DriftState.from_json(stored.state), points, stored.recent, stored.begun)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A memory as it lies in the store."""

    state: str
    points: tuple[tuple[str, float, str], ...]
    recent: tuple[str, ...]
    begun: str


@dataclass(frozen=True, slots=True)
class Fed:
    """What a look has brought."""

    memory: Memory
    #: Documents that this look fed, and batches that it left for the next.
    documents: int = 0
    waiting: int = 0
    #: What waits and cannot be read, and is to be removed by somebody.
    damaged: tuple[str, ...] = ()


def leave(store: ObjectStore, revision: str, batch: str, documents: Sequence[Document]) -> None:
    """Leave documents for the detector; the same ones of a batch again change nothing. None leave nothing."""
    if not documents:
        return
    data = gzip.compress(json.dumps(documents, sort_keys=True).encode(), mtime=0)
    store.put(layout.drift_waiting_key(revision, batch, hashlib.sha256(data).hexdigest()[:_DIGITS]), data)


def feed(store: ObjectStore, revision: str, detector: Detector) -> Fed:
    """Feed the detector with what waits, and return what is known now.

    Raises:
        StoreError: the store cannot be used, or what lies in it is damaged.
        GateInputError: a signal is unknown or no number.
    """
    for _ in range(_ATTEMPTS):
        keys = [item.key for item in store.list(layout.drift_waiting_prefix(revision))]
        generation, memory = _latest(store, revision, detector)
        if not keys:
            return Fed(memory)
        taken, documents, damaged = _take(store, keys)
        known = set(memory.recent)
        new = [(name, signals) for name, signals in documents if _short(name) not in known]
        if new:
            memory = _grown(memory, detector, new)
            if not store.put_if_absent(layout.drift_state_key(revision, generation + 1), memory.to_bytes()):
                continue
            _empty_older(store, revision, generation)
        for key in taken:
            store.delete(key)
        return Fed(memory, len(new), len(keys) - len(taken) - len(damaged), tuple(damaged))
    raise StoreError(
        f"{_ATTEMPTS} times somebody else was faster to feed the detector of drift; the next batch tries again"
    )


def look(store: ObjectStore, revision: str, detector: Detector) -> Fed:
    """Return what is known, and how many batches wait, without feeding anything."""
    waiting = sum(1 for _ in store.list(layout.drift_waiting_prefix(revision)))
    return Fed(_latest(store, revision, detector)[1], 0, waiting)


def begin_anew(store: ObjectStore, revision: str, detector: Detector, why: str) -> None:
    """Forget what was learned, after a warning was dealt with; what was fed is not fed again.

    Raises:
        StoreError: the store cannot be used, or somebody fed the detector at this moment, all the time.
    """
    for _ in range(_ATTEMPTS):
        try:
            generation, memory = _latest(store, revision, detector)
        except StoreUnavailableError:
            raise
        except StoreError:
            # What cannot be read is what is begun anew for; who was fed is forgotten with it.
            keys = _generations(store, revision)
            generation, memory = _generation(revision, keys[-1]), Memory(detector.begin())
        fresh = Memory(detector.begin(), (), memory.recent, why)
        if store.put_if_absent(layout.drift_state_key(revision, generation + 1), fresh.to_bytes()):
            _empty_older(store, revision, generation)
            return
    raise StoreError("the detector of drift is being fed all the time; try again")


def _latest(store: ObjectStore, revision: str, detector: Detector) -> tuple[int, Memory]:
    """The latest generation and what it says; one that was begun with other rules is begun anew."""
    key, data = _newest(store, revision)
    if not key:
        return 0, Memory(detector.begin())
    generation = _generation(revision, key)
    try:
        memory = Memory.from_bytes(data)
    except GateInputError as error:
        raise StoreError(f"{store.uri(key)}: {error}. Begin anew: mineru-pipeline drift begin") from error
    if memory.state.rules != detector.rules:
        return generation, Memory(detector.begin(), (), memory.recent, "other signals or limits than before")
    return generation, memory


def _generations(store: ObjectStore, revision: str) -> list[str]:
    """The keys of all generations, the latest last; strange objects may lie beside them."""
    prefix = layout.drift_state_prefix(revision)
    return [item.key for item in store.list(prefix) if _GENERATION.fullmatch(item.key.removeprefix(prefix))]


def _newest(store: ObjectStore, revision: str) -> tuple[str, bytes]:
    """The key of the latest generation and its bytes; nothing before the first."""
    for _ in range(_ATTEMPTS):
        keys = _generations(store, revision)
        if not keys:
            return "", b""
        with suppress(ObjectNotFoundError):
            # Empty, or gone: it was followed since it was listed.
            if data := store.get(keys[-1]):
                return keys[-1], data
    raise StoreError(f"the latest state of drift under {store.uri(keys[-1])} is empty: mineru-pipeline drift begin")


def _generation(revision: str, key: str) -> int:
    return int(key.removeprefix(layout.drift_state_prefix(revision)).partition(".")[0])


def _take(store: ObjectStore, keys: Sequence[str]) -> tuple[list[str], list[Document], list[str]]:
    """The first batches that wait, as many as one look takes on, their documents, each once, and what is damaged."""
    taken: list[str] = []
    damaged: list[str] = []
    documents: dict[str, Mapping[str, float | None]] = {}
    for key in keys:
        if len(documents) >= _MOST:
            break
        try:
            data = store.get(key)
        except ObjectNotFoundError:
            # A rival has fed it.
            continue
        try:
            found = _unpacked(list[Document], data)
        except GateInputError:
            damaged.append(store.uri(key))
            continue
        for name, signals in found:
            documents.setdefault(name, signals)
        taken.append(key)
    return taken, list(documents.items()), damaged


def _grown(memory: Memory, detector: Detector, documents: Sequence[Document]) -> Memory:
    watched = {name for name, _ in detector.signals}
    only = [(name, {key: value for key, value in signals.items() if key in watched}) for name, signals in documents]
    state, points = detector.observe(memory.state, only)
    recent = (*memory.recent, *(_short(name) for name, _ in documents))[-_REMEMBERED:]
    return Memory(state, (*memory.points, *points)[-_SHOWN:], recent, memory.begun)


def _empty_older(store: ObjectStore, revision: str, generation: int) -> None:
    """Empty the generation that was followed, and remove those so old that nobody can still mean to follow them."""
    if generation:
        store.put(layout.drift_state_key(revision, generation), b"")
    if generation > _PLACES_KEPT:
        store.delete(layout.drift_state_key(revision, generation - _PLACES_KEPT))


def _unpacked(kind: type[T], data: bytes) -> T:
    try:
        return decoded(kind, gzip.decompress(data))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise GateInputError(f"damaged: {error}") from error


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
