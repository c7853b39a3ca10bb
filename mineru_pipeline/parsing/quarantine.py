"""A note in the store for every document that failed: why, when and from where."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import ObjectNotFoundError
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.storage import ObjectStore, layout

#: Batches that a note names: as often as a document may fail, and far beyond.
MOST_BATCHES = 100


def record(
    store: ObjectStore, rows: Sequence[ParsedRow], refs: Sequence[DocumentRef], batch: str, *, now: datetime
) -> None:
    """Write a note for each failed document, and remove the note of each that failed before and no longer does."""
    for row, ref in zip(rows, refs, strict=True):
        if row.state != State.FAILED:
            _release(store, row, ref)
        elif row.duplicate_of is None:
            _detain(store, row, ref, batch, now)
        elif store.exists(own := layout.quarantine_key(identity(None, ref))):
            # Its bytes can be read at last, and the original's note stands for them: nothing would count this one up.
            store.delete(own)


def _release(store: ObjectStore, row: ParsedRow, ref: DocumentRef) -> None:
    """Remove every note on the document, whichever way it was named when it failed."""
    own = {layout.quarantine_key(identity(sha256, ref)) for sha256 in (None, row.sha256)}
    for key in own:
        if store.exists(key):
            store.delete(key)
    if not row.sha256 or not row.tenant:
        return
    # The same tenant's bytes may have come in with the tenant named where it is not named now, or the other way round.
    other = replace(ref, tenant=row.tenant if ref.tenant is None else None)
    key = layout.quarantine_key(identity(row.sha256, other))
    if store.exists(key) and (_note(store, key) or {}).get("tenant") == row.tenant:
        store.delete(key)


def _detain(store: ObjectStore, row: ParsedRow, ref: DocumentRef, batch: str, now: datetime) -> None:
    dropped = dropped_in(store, identity(row.sha256, ref))
    if batch in dropped:
        # Somebody dropped it as it failed in this very batch, which is parsed again for others.
        _finish_drop(store, row.sha256, ref, dropped)
        return
    before = read(store, row.sha256, ref) or {}
    at, attempts = now.isoformat(timespec="seconds"), before.get("attempts", 1 if before else 0)
    first_at = before.get("first_at", before.get("at", at))
    note = {
        "uri": row.uri,
        "sha256": row.sha256,
        "tenant": row.tenant,
        "batch": batch,
        # All in which it has failed since it last ended well, for whoever drops it drops it in all of them.
        "batches": _batches(before, batch),
        "entry": row.entry,
        "origin": ref.origin,
        "reason": row.reason,
        "message": row.message,
        "first_at": first_at if isinstance(first_at, str) else at,
        "at": at,
        # How often it has failed since it last ended well.
        "attempts": (attempts if isinstance(attempts, int) else 0) + 1,
    }
    place, key = (layout.quarantine_key(identity(sha256, ref)) for sha256 in (None, row.sha256))
    store.put(key, json.dumps(note, ensure_ascii=False, indent=1).encode() + b"\n")
    # A document that could not even be read had its note under its place.
    if place != key and store.exists(place):
        store.delete(place)


def _batches(before: Mapping[str, Any], batch: str) -> list[str]:
    named = before.get("batches")
    found = [before.get("batch"), *(named if isinstance(named, list) else []), batch]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))[-MOST_BATCHES:]


def _finish_drop(store: ObjectStore, sha256: str | None, ref: DocumentRef, dropped: Sequence[str]) -> None:
    """Remove the note if it is still there: who dies between record and note leaves one that nothing would count up."""
    key = layout.quarantine_key(identity(sha256, ref))
    if (_note(store, key) or {}).get("batch") in dropped:
        store.delete(key)


def dropped_in(store: ObjectStore, identity: str) -> list[str]:
    """Return the batches in which the document had failed whenever somebody dropped it."""
    record = _note(store, layout.dropped_key(identity)) or {}
    # Records of earlier versions have their note alone.
    named, note = record.get("batches"), record.get("note")
    found = [*(named if isinstance(named, list) else []), note.get("batch") if isinstance(note, dict) else None]
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def read(store: ObjectStore, sha256: str | None, ref: DocumentRef) -> dict[str, Any] | None:
    """Return the note on a document; None where there is none, or none that can be read."""
    keys = (layout.quarantine_key(identity(digest, ref)) for digest in dict.fromkeys((sha256, None)))
    return next((note for note in (_note(store, key) for key in keys) if note is not None), None)


def _note(store: ObjectStore, key: str) -> dict[str, Any] | None:
    try:
        note = json.loads(store.get(key))
    except (ObjectNotFoundError, ValueError, RecursionError):
        return None
    return note if isinstance(note, dict) else None


def identity(sha256: str | None, ref: DocumentRef) -> str:
    """Return what names the document in the quarantine: its bytes or, where they could not be had, its place."""
    return layout.document_identity(sha256=sha256, uri=ref.uri, version=ref.version or ref.etag, tenant=ref.tenant)
