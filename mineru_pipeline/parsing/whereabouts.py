"""Where documents are: what the store knows of batches, entries and their ends, read without changing anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.documents.refs import INVALID
from mineru_pipeline.errors import ObjectNotFoundError, SourceError
from mineru_pipeline.parsing import ledger, quarantine
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, SOURCE_DOCUMENTS, ParsedRow
from mineru_pipeline.storage import ObjectStore, layout

#: Batches that one question looks at, the newest first.
MOST_BATCHES = 5000
MOST_ENTRIES = 200
MOST_LISTED = 100_000
#: The state of an entry that no table knows yet.
WAITING = "waiting"
_AT_ONCE = 8
_SHOWN = 5


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
    """The entries of a document, the newest batch first; ``cut`` says whether there may be more."""

    entries: tuple[Entry, ...] = ()
    cut: bool = False


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
    states: Counter[str] = Counter()
    for _, _, table in ledger.scan(store, PARSED_DOCUMENTS, ((revision, batch) for batch in done), ["state"]):
        states.update(table["state"])
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
    )


def without_table(store: ObjectStore, revision: str, *, most: int = MOST_BATCHES) -> tuple[list[str], bool]:
    """Return the batches without a table of the revision, the newest first, and whether there are more batches."""
    batches, cut = _newest_batches(store, most)
    done = {batch for _, batch in ledger.places(store, PARSED_DOCUMENTS, revision)}
    return [batch for batch in batches if batch not in done], cut


def states_of(store: ObjectStore, batch: str) -> dict[str, dict[str, int]]:
    """Return how the documents of a batch ended: counts by state, by parser revision."""
    places = [(revision, batch) for revision in _by_batch(store, PARSED_DOCUMENTS).get(batch, ())]
    tables = ledger.scan(store, PARSED_DOCUMENTS, places, ["state"])
    return {revision: dict(sorted(Counter(table["state"]).items())) for revision, _, table in tables}


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
    manifests = (read_manifest(store, batch) for batch in named)
    hits = ((m, [number for number, ref in enumerate(m.refs) if ref.uri in uris]) for m in manifests)
    return _found(store, hits, cut=cut) if named else Found((), cut)


def by_sha256(store: ObjectStore, prefix: str, *, most: int = MOST_BATCHES) -> Found:
    """Return every entry whose bytes have this SHA-256, or the only one that starts with ``prefix``.

    Raises:
        SourceError: several documents start with it.
    """
    tables = sorted(ledger.places(store, SOURCE_DOCUMENTS), key=lambda place: place[1], reverse=True)
    hits: dict[str, set[int]] = {}
    matches: set[str] = set()
    for _, batch, table in ledger.scan(store, SOURCE_DOCUMENTS, tables[:most], ["entry", "sha256"]):
        for number, sha256 in zip(table["entry"], table["sha256"], strict=True):
            if sha256 is not None and sha256.startswith(prefix):
                hits.setdefault(batch, set()).add(number)
                matches.add(sha256)
    if len(matches) > 1:
        shown = ", ".join(sorted(matches)[:_SHOWN])
        raise SourceError(INVALID, f"{len(matches)} documents start with {prefix}: {shown}. Give more digits.")
    manifests = ((read_manifest(store, batch), sorted(numbers)) for batch, numbers in hits.items())
    return _found(store, manifests, cut=len(tables) > most) if hits else Found((), len(tables) > most)


def _found(store: ObjectStore, hits: Iterable[tuple[BatchManifest, list[int]]], *, cut: bool) -> Found:
    places = _Places(_by_batch(store, SOURCE_DOCUMENTS), _by_batch(store, PARSED_DOCUMENTS))
    every = (entry for manifest, numbers in hits for entry in _entries(store, manifest, numbers, places))
    entries = tuple(islice(every, MOST_ENTRIES + 1))
    return Found(entries[:MOST_ENTRIES], cut or len(entries) > MOST_ENTRIES)


def _entries(store: ObjectStore, manifest: BatchManifest, numbers: Sequence[int], places: _Places) -> Iterator[Entry]:
    batch = manifest.batch
    parsed = places.parsed.get(batch, [])
    taken_in = [revision for revision in places.source.get(batch, []) if revision not in parsed]
    for revision in parsed:
        ended = {row.entry: row for row in ledger.read(store, PARSED_DOCUMENTS, revision, batch, ParsedRow)}
        yield from (_entry(store, manifest, number, revision, ended.get(number)) for number in numbers)
    for revision in taken_in:
        taken = {row.entry: row for row in ledger.read(store, SOURCE_DOCUMENTS, revision, batch, SourceRow)}
        yield from (_entry(store, manifest, number, revision, taken.get(number)) for number in numbers)
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
