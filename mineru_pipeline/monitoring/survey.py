"""Looks at the store again and again, and each time reads only what is new.

A look lists manifests, tables, quarantine and outbox: for each 1000 objects one request to an S3 server. It reads each
manifest once, each table once for every time it is written, and each note of the quarantine once for every failure.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.documents.refs import utc_moment
from mineru_pipeline.errors import ObjectNotFoundError, StoreError, StoreUnavailableError
from mineru_pipeline.monitoring.deadlines import Deadlines
from mineru_pipeline.parsing import backfilling, ledger, release
from mineru_pipeline.parsing.backoff import Patience
from mineru_pipeline.parsing.ledger import DOCUMENT_SIGNALS, PARSED_DOCUMENTS
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.release import Note
from mineru_pipeline.quality import drifting
from mineru_pipeline.quality.gates.drift import Detector
from mineru_pipeline.storage import ObjectStore, layout
from mineru_pipeline.storage.store import ObjectInfo

_AT_ONCE: Final = 8
_UNREADABLE: Final = "unreadable"
RETRY, SOMEBODY, DAMAGED = "retry", "somebody", "damaged"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Drift:
    """What the detector of drift knows."""

    alarm: bool
    evidence: float
    documents: int
    #: Batches whose documents it has not seen yet.
    waiting: int


@dataclass(frozen=True, slots=True)
class StoreView:
    """What a look at the store has found; documents are manifest entries under the present parser revision."""

    documents: Mapping[str, int]
    bands: Mapping[str, int]
    batches_done: int
    #: Batches without a table of the present revision.
    open: tuple[str, ...]
    #: Entries of batches without a table of any revision, and when the oldest of them arrived.
    waiting: int
    oldest: float | None
    #: Documents by what they wait for: RETRY, SOMEBODY or, because their notes cannot be read, DAMAGED.
    quarantined: Mapping[str, int]
    outbox: int
    #: Tables and manifests that are damaged.
    unreadable: int
    #: None where the state of the detector cannot be read.
    drift: Drift | None
    verdicts: Mapping[str, int]
    #: As in :class:`.deadlines.Deadlines`.
    seconds: Sequence[int]
    sum_seconds: float


@dataclass(slots=True)
class StoreSurvey:
    """Remembers what it has read; ``clock`` gives seconds since 1970."""

    store: ObjectStore
    revision: str
    patience: Patience
    clock: Callable[[], float] = time.time
    _deadlines: Deadlines = field(init=False)
    #: What was read of each object, and the state in which it was read.
    _tables: dict[str, tuple[str, Counter[str]]] = field(default_factory=dict)
    _signals: dict[str, tuple[str, Counter[str]]] = field(default_factory=dict)
    _notes: dict[str, tuple[str, Note | None]] = field(default_factory=dict)
    #: Batches that need not be waited for: they had a table, or their manifest cannot be read.
    _settled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._deadlines = Deadlines(self.clock())

    def look(self) -> StoreView:
        """Look once.

        Raises:
            StoreUnavailableError: the store cannot be used.
        """
        # Tables before manifests: what ends in between is a batch that still waits, and not one that nobody announced.
        tables = list(self._listed(layout.tables_prefix(PARSED_DOCUMENTS)))
        batches = [layout.batch_of_manifest(item.key) for item in self.store.list(layout.MANIFESTS)]
        self._promise(batches, tables)
        own = {batch: item for revision, batch, item in tables if revision == self.revision}
        documents = self._counted(self._tables, own, PARSED_DOCUMENTS, "state")
        signals = self._listed(layout.tables_prefix(DOCUMENT_SIGNALS, self.revision))
        bands = self._counted(self._signals, {batch: item for _, batch, item in signals}, DOCUMENT_SIGNALS, "band")
        unreadable = documents.pop(_UNREADABLE, 0) + bands.pop(_UNREADABLE, 0)
        return StoreView(
            documents={str(state): documents[str(state)] for state in State},
            bands=dict(sorted(bands.items())),
            batches_done=sum(batch in own for batch in batches),
            open=tuple(batch for batch in batches if batch not in own),
            waiting=sum(self._deadlines.waiting.values()),
            oldest=self._deadlines.oldest,
            quarantined=self._quarantined(),
            outbox=sum(1 for _ in self.store.list(layout.OUTBOX)),
            unreadable=unreadable,
            drift=self._drift(),
            verdicts=dict(self._deadlines.verdicts),
            seconds=tuple(self._deadlines.seconds),
            sum_seconds=self._deadlines.sum_seconds,
        )

    def _listed(self, prefix: str) -> Iterator[tuple[str, str, ObjectInfo]]:
        for item in self.store.list(prefix):
            if (place := layout.table_place(item.key)) is not None:
                yield (*place, item)

    def _promise(self, batches: Sequence[str], tables: Iterable[tuple[str, str, ObjectInfo]]) -> None:
        """Bring the deadlines up to date."""
        now, first = self.clock(), dict[str, tuple[float, str]]()
        for revision, batch, item in tables:
            # A batch of a new revision has its result since the first revision.
            first[batch] = min((item.modified_at or now, revision), first.get(batch, (now, revision)))
        ended = [batch for batch in first if self._deadlines.knows(batch)]
        # Manifests first written and ended between two looks were never waited for.
        fresh = [b for b in batches if b not in self._settled and not self._deadlines.knows(b)]
        fresh = [b for b in fresh if b not in first or first[b][0] > self._deadlines.since]
        for batch, arrivals in zip(fresh, self._all(self._arrivals, fresh), strict=True):
            if arrivals:
                self._deadlines.arrived(batch, arrivals)
        ended += [batch for batch in fresh if batch in first and self._deadlines.knows(batch)]
        for batch, failed in zip(ended, self._all(lambda b: self._failed(first[b][1], b), ended), strict=True):
            if failed is not None:
                self._deadlines.ended(batch, first[batch][0], failed)
        for batch in set(self._deadlines.waiting) - set(batches):
            self._deadlines.forget(batch)
        self._settled = {batch for batch in batches if not self._deadlines.knows(batch)}
        self._deadlines.look(now)

    def _arrivals(self, batch: str) -> list[float]:
        try:
            return [utc_moment(ref.received_at).timestamp() for ref in read_manifest(self.store, batch).refs]
        except StoreUnavailableError:
            raise
        except (ObjectNotFoundError, StoreError):
            # Whoever runs the batch says what is wrong with its manifest.
            return []

    def _failed(self, revision: str, batch: str) -> list[bool] | None:
        try:
            states = ledger.read_columns(self.store, PARSED_DOCUMENTS, revision, batch, ["state"])["state"]
        except StoreUnavailableError:
            raise
        except (ObjectNotFoundError, StoreError):
            return None
        return [state == State.FAILED for state in states]

    def _counted(
        self, known: dict[str, tuple[str, Counter[str]]], items: Mapping[str, ObjectInfo], asset: str, column: str
    ) -> Counter[str]:
        """The sum of a column's values over all tables, of which only those that changed are read."""
        new = [batch for batch, item in items.items() if known.get(batch, ("",))[0] != _state(item)]

        def read(batch: str) -> Counter[str]:
            try:
                return Counter(ledger.read_columns(self.store, asset, self.revision, batch, [column])[column])
            except StoreUnavailableError:
                raise
            except ObjectNotFoundError:
                return Counter()
            except StoreError:
                return Counter([_UNREADABLE])

        known.update({b: (_state(items[b]), found) for b, found in zip(new, self._all(read, new), strict=True)})
        for batch in known.keys() - items.keys():
            del known[batch]
        total: Counter[str] = Counter()
        for _, found in known.values():
            total.update(found)
        return total

    def _quarantined(self) -> dict[str, int]:
        listed = islice(self.store.list(layout.QUARANTINE), release.MOST_COUNTED)
        items = {item.key: item for item in listed}
        new = [key for key, item in items.items() if self._notes.get(key, ("",))[0] != _state(item)]
        read = self._all(lambda key: release.read_note(self.store, key), new)
        for key, found in zip(new, read, strict=True):
            self._notes[key] = (_state(items[key]), found if isinstance(found, Note) else None)
        for key in self._notes.keys() - items.keys():
            del self._notes[key]
        counts = Counter(
            DAMAGED if note is None else SOMEBODY if backfilling.next_try(note, self.patience) is None else RETRY
            for _, note in self._notes.values()
        )
        return {name: counts[name] for name in (RETRY, SOMEBODY, DAMAGED)}

    def _drift(self) -> Drift | None:
        try:
            found = drifting.look(self.store, self.revision, Detector())
        except StoreUnavailableError:
            raise
        except StoreError:
            return None
        state, points = found.memory.state, found.memory.points
        return Drift(state.alarm is not None, points[-1].evidence if points else 0.0, state.seen, found.waiting)

    def _all(self, read: Callable[[str], T], names: Sequence[str]) -> list[T]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(read, names))


def _state(item: ObjectInfo) -> str:
    """What changes whenever the bytes do."""
    return item.etag or f"{item.size} {item.modified_at}"
