"""Where documents are: what the store knows of batches, entries and their ends, read without changing anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.documents.refs import INVALID
from mineru_pipeline.errors import ObjectNotFoundError, SourceError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing import ledger, quarantine
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, SOURCE_DOCUMENTS, ParsedRow
from mineru_pipeline.storage import ObjectStore, layout

#: Batches that one question looks at, the newest first.
MOST_BATCHES = 5000
MOST_ENTRIES = 200
MOST_LISTED = 100_000
#: The state of an entry that no table knows yet.
WAITING = "waiting"
#: The state of an entry whose table cannot be read.
UNKNOWN = "unknown"
_AT_ONCE = 8
_SHOWN = 5

#: What cannot be read, for people, by the key of the object.
_Damages = dict[str, str]
Whole = TypeVar("Whole")
Row = TypeVar("Row", ParsedRow, SourceRow)


@dataclass(frozen=True, slots=True)
class Overview:
    """All batches at a glance; documents are counted by manifest entry under one parser revision."""

    revision: str
    batches: int
    done: int
    #: Batches without a table of this revision; some may have one of another.
    open: tuple[str, ...]
    under_other_revisions: int
    states: Mapping[str, int]
    quarantined: int
    #: Batches whose results wait to be told.
    outbox: int
    #: Whether there is more than was looked at.
    cut: bool
    #: Tables that cannot be read, each a text for people; their documents are not in ``states``.
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One manifest entry under one parser revision."""

    batch: str
    entry: int
    uri: str
    version: str | None
    origin: str
    received_at: str
    tenant: str
    #: None where no table knows the entry yet.
    revision: str | None = None
    sha256: str | None = None
    state: str = WAITING
    reason: str = ""
    message: str = ""
    pages: int = 0
    degraded_pages: int = 0
    duplicate_of: str | None = None
    #: Key of the folder of outputs; "" where there are none.
    outputs: str = ""
    quarantine: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The entries of a document, the newest batch first; ``cut`` says whether there may be more.

    ``damaged`` names what could not be read, each a text for people; there may be entries in it.
    """

    entries: tuple[Entry, ...] = ()
    cut: bool = False
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ends:
    """How the documents of a batch ended: counts by state, by parser revision; and tables that cannot be read."""

    states: Mapping[str, Mapping[str, int]]
    damaged: tuple[str, ...] = ()


@dataclass(slots=True)
class _Places:
    """The parser revisions under which a batch has tables."""

    source: dict[str, list[str]] = field(default_factory=dict)
    parsed: dict[str, list[str]] = field(default_factory=dict)


def overview(store: ObjectStore, revision: str, *, most: int = MOST_BATCHES) -> Overview:
    """Count batches and documents; each table of the revision is read once."""
    batches, cut = _newest_batches(store, most)
    parsed = _by_batch(store, PARSED_DOCUMENTS)
    done = [batch for batch in batches if revision in parsed.get(batch, ())]
    states, damaged = Counter[str](), _Damages()
    for _, _, table in ledger.scan(store, PARSED_DOCUMENTS, ((revision, batch) for batch in done), ["state"], damaged):
        states.update(map(str, table["state"]))
    waiting = tuple(batch for batch in batches if revision not in parsed.get(batch, ()))
    kept, told = _count(store, layout.QUARANTINE), _count(store, layout.OUTBOX)
    return Overview(
        revision=revision,
        batches=len(batches),
        done=len(done),
        open=waiting,
        under_other_revisions=sum(batch in parsed for batch in waiting),
        states=dict(sorted(states.items())),
        quarantined=kept,
        outbox=told,
        cut=cut or MOST_LISTED in {kept, told},
        damaged=tuple(damaged.values()),
    )


def without_table(store: ObjectStore, revision: str, *, most: int = MOST_BATCHES) -> tuple[list[str], bool]:
    """Return the batches without a table of the revision, the newest first, and whether there are more batches."""
    batches, cut = _newest_batches(store, most)
    done = {batch for _, batch in ledger.places(store, PARSED_DOCUMENTS, revision)}
    return [batch for batch in batches if batch not in done], cut


def ends_of(store: ObjectStore, batch: str) -> Ends:
    """Return how the documents of a batch ended."""
    places, damaged = [(revision, batch) for revision in _by_batch(store, PARSED_DOCUMENTS).get(batch, ())], _Damages()
    tables = ledger.scan(store, PARSED_DOCUMENTS, places, ["state"], damaged)
    states = {revision: dict(sorted(Counter(map(str, table["state"])).items())) for revision, _, table in tables}
    return Ends(states, tuple(damaged.values()))


def by_uri(store: ObjectStore, uris: Collection[str], *, most: int = MOST_BATCHES) -> Found:
    """Return every entry whose address is one of ``uris``; manifests are decoded only where they contain it."""
    wanted = [json.dumps(uri, ensure_ascii=False).encode("utf-8", "surrogatepass") for uri in uris]
    batches, cut = _newest_batches(store, most)

    def names_it(batch: str) -> bool:
        try:
            data = store.get(layout.manifest_key(batch))
        except ObjectNotFoundError:
            return False
        return any(text in data for text in wanted)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        named = [batch for batch, hit in zip(batches, pool.map(names_it, batches), strict=True) if hit]

    def numbers(manifest: BatchManifest) -> list[int]:
        return [number for number, ref in enumerate(manifest.refs) if ref.uri in uris]

    return _found(store, dict.fromkeys(named, numbers), _Damages(), cut=cut)


def by_sha256(store: ObjectStore, prefix: str, *, most: int = MOST_BATCHES) -> Found:
    """Return every entry whose bytes have this SHA-256, or the only one that starts with ``prefix``.

    Raises:
        SourceError: several documents start with it.
    """
    tables = sorted(ledger.places(store, SOURCE_DOCUMENTS), key=lambda place: place[1], reverse=True)
    hits, matches, damaged = dict[str, set[int]](), set[str](), _Damages()
    for _, batch, table in ledger.scan(store, SOURCE_DOCUMENTS, tables[:most], ["entry", "sha256"], damaged):
        for number, sha256 in zip(table["entry"], table["sha256"], strict=True):
            if isinstance(sha256, str) and sha256.startswith(prefix):
                hits.setdefault(batch, set()).add(number)
                matches.add(sha256)
    if len(matches) > 1:
        shown = ", ".join(sorted(matches)[:_SHOWN])
        raise SourceError(INVALID, f"{len(matches)} documents start with {prefix}: {shown}. Give more digits.")
    every = {batch: partial(_there, entries=entries) for batch, entries in hits.items()}
    return _found(store, every, damaged, cut=len(tables) > most)


def _there(manifest: BatchManifest, entries: Collection[int]) -> list[int]:
    # What was damaged and can be read nevertheless may say anything.
    return [number for number in range(len(manifest.refs)) if number in entries]


def _found(
    store: ObjectStore, hits: Mapping[str, Callable[[BatchManifest], list[int]]], damaged: _Damages, *, cut: bool
) -> Found:
    """Look up the entries that each batch, by its manifest, is said to have."""
    if not hits:
        return Found((), cut, tuple(damaged.values()))
    places = _Places(_by_batch(store, SOURCE_DOCUMENTS), _by_batch(store, PARSED_DOCUMENTS))

    def found() -> Iterator[Entry]:
        for batch, numbers in hits.items():
            key = layout.manifest_key(batch)
            manifest = _if_whole(key, damaged, partial(read_manifest, store, batch))
            if manifest is not None:
                yield from _entries(store, manifest, numbers(manifest), places, damaged)

    entries = tuple(islice(found(), MOST_ENTRIES + 1))
    return Found(entries[:MOST_ENTRIES], cut or len(entries) > MOST_ENTRIES, tuple(damaged.values()))


def _if_whole(key: str, damaged: _Damages, read: Callable[[], Whole]) -> Whole | None:
    """What is read; None where the object is damaged, or gone since somebody spoke of it."""
    try:
        return read()
    except StoreUnavailableError:
        raise
    except StoreError as error:
        damaged.setdefault(key, str(error))
        return None


def _entries(
    store: ObjectStore, manifest: BatchManifest, numbers: Sequence[int], places: _Places, damaged: _Damages
) -> Iterator[Entry]:
    batch = manifest.batch
    parsed = places.parsed.get(batch, [])
    taken_in = [revision for revision in places.source.get(batch, []) if revision not in parsed]

    def rows(asset: str, revision: str, kind: type[Row]) -> list[Row] | None:
        key = layout.table_key(asset, revision, batch)
        return _if_whole(key, damaged, lambda: ledger.read(store, asset, revision, batch, kind))

    tables: Iterator[tuple[str, Sequence[ParsedRow | SourceRow] | None]] = chain(
        ((revision, rows(PARSED_DOCUMENTS, revision, ParsedRow)) for revision in parsed),
        ((revision, rows(SOURCE_DOCUMENTS, revision, SourceRow)) for revision in taken_in),
    )
    for revision, ended in tables:
        by_entry = {row.entry: row for row in ended or ()}
        for number in numbers:
            entry = _entry(store, manifest, number, revision, by_entry.get(number))
            yield entry if ended is not None else replace(entry, state=UNKNOWN)
    if not parsed and not taken_in:
        yield from (_entry(store, manifest, number, None, None) for number in numbers)


def _entry(
    store: ObjectStore, manifest: BatchManifest, number: int, revision: str | None, row: ParsedRow | SourceRow | None
) -> Entry:
    ref = manifest.refs[number]
    sha256 = row.sha256 if row is not None else None
    names = ("sha256", "state", "reason", "message", "pages", "degraded_pages", "duplicate_of", "outputs")
    return Entry(
        batch=manifest.batch,
        entry=number,
        uri=ref.uri,
        version=ref.version,
        origin=ref.origin,
        received_at=ref.received_at,
        tenant=manifest.tenant_of(ref),
        revision=revision,
        quarantine=quarantine.read(store, sha256, ref),
        **{name: getattr(row, name) for name in names if hasattr(row, name)},
    )


def _newest_batches(store: ObjectStore, most: int) -> tuple[list[str], bool]:
    # Keys start with a time, and listings are sorted by key.
    keys = [layout.batch_of_manifest(item.key) for item in store.list(layout.MANIFESTS)]
    return keys[::-1][:most], len(keys) > most


def _by_batch(store: ObjectStore, asset: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for revision, batch in ledger.places(store, asset):
        found.setdefault(batch, []).append(revision)
    return found


def _count(store: ObjectStore, prefix: str) -> int:
    return sum(1 for _ in islice(store.list(prefix), MOST_LISTED))
