"""What became of every batch: its manifest beside its tables, one batch after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.documents.rejection import RejectionReason
from mineru_pipeline.errors import ObjectNotFoundError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.whereabouts import UNKNOWN, WAITING
from mineru_pipeline.storage import ObjectStore, layout

#: How an entry stands, the best first: of several entries for one document, the best counts.
STANDINGS = (str(State.PARSED), str(State.DEGRADED), str(State.REJECTED), str(State.FAILED), WAITING, UNKNOWN)
#: Stands for an entry that says nothing of the object as it is now: without a row, or deleted before it was read.
VOID = len(STANDINGS)

_AWAITED = STANDINGS.index(WAITING)
_AT_ONCE = 8
#: Batches that are read ahead, which bounds the memory whatever the store and its reader are worth.
_AHEAD = 32


@dataclass(frozen=True, slots=True)
class Account:
    """One batch; ``standings`` has a place in STANDINGS, or VOID, for each entry of the manifest."""

    manifest: BatchManifest
    standings: Sequence[int]
    #: Whether there is a table of some parser revision.
    tabled: bool
    #: Entries that a table of this batch lacks.
    lacking: Sequence[int] = ()
    #: What of it cannot be read, for people.
    damaged: str = ""


def accounts(store: ObjectStore) -> Iterator[Account | str]:
    """Yield the account of each batch, the oldest first; a text for people in place of a manifest that is damaged.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    revisions: dict[str, list[str]] = {}
    for revision, batch in ledger.places(store, PARSED_DOCUMENTS):
        revisions.setdefault(batch, []).append(revision)
    batches = [layout.batch_of_manifest(item.key) for item in store.list(layout.MANIFESTS)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for some in _parts(batches):
            found = pool.map(lambda batch: _account(store, batch, revisions.get(batch, ())), some)
            yield from (account for account in found if account is not None)


def _parts(batches: Sequence[str]) -> Iterable[Sequence[str]]:
    return (batches[start : start + _AHEAD] for start in range(0, len(batches), _AHEAD))


def _account(store: ObjectStore, batch: str, revisions: Sequence[str]) -> Account | str | None:
    try:
        manifest = read_manifest(store, batch)
    except ObjectNotFoundError:
        # Removed since it was listed.
        return None
    except StoreUnavailableError:
        raise
    except StoreError as error:
        return str(error)
    standings, tabled, lacking, damaged = [VOID] * len(manifest.refs), False, set[int](), ""
    for revision in revisions:
        try:
            rows = _rows(store, revision, batch)
        except ObjectNotFoundError:
            continue
        except StoreUnavailableError:
            raise
        except StoreError as error:
            # Nothing is asked for twice because a table cannot be read for once; somebody must look at it.
            damaged, rows = str(error), dict.fromkeys(range(len(standings)), STANDINGS.index(UNKNOWN))
        tabled = True
        lacking |= set(range(len(standings))) - rows.keys()
        standings = [min(standing, rows.get(entry, VOID)) for entry, standing in enumerate(standings)]
    return Account(manifest, standings if tabled else [_AWAITED] * len(standings), tabled, sorted(lacking), damaged)


def _rows(store: ObjectStore, revision: str, batch: str) -> dict[int, int]:
    table = ledger.read_columns(store, PARSED_DOCUMENTS, revision, batch, ["entry", "state", "reason"])
    rows: Iterable[tuple[Any, Any, Any]] = zip(table["entry"], table["state"], table["reason"], strict=True)
    try:
        return {entry: _standing(state, reason) for entry, state, reason in rows}
    except TypeError as error:
        raise StoreError(f"The table of {batch} of the revision {revision} is damaged: {error}") from error


def _standing(state: str, reason: str) -> int:
    # Whoever puts the object back means it to be parsed.
    if state not in STANDINGS or reason == RejectionReason.SOURCE_DELETED:
        return VOID
    return STANDINGS.index(state)
