"""A note in the store for every document that failed: why, when and from where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import ObjectNotFoundError
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.storage import ObjectStore, layout


def record(
    store: ObjectStore, rows: Sequence[ParsedRow], refs: Sequence[DocumentRef], batch: str, *, now: datetime
) -> None:
    """Write a note for each failed document, and remove the note of each that failed before and no longer does."""
    for row, ref in zip(rows, refs, strict=True):
        if row.duplicate_of is not None:
            continue
        place = layout.quarantine_key(identity(None, ref))
        key = layout.quarantine_key(identity(row.sha256, ref))
        # A document that could not even be read has its note under its place, from before.
        for stale in {place, key} if row.state != State.FAILED else {place} - {key}:
            if store.exists(stale):
                store.delete(stale)
        if row.state != State.FAILED:
            continue
        note = {
            "uri": row.uri,
            "sha256": row.sha256,
            "tenant": row.tenant,
            "batch": batch,
            "origin": ref.origin,
            "reason": row.reason,
            "message": row.message,
            "at": now.isoformat(timespec="seconds"),
        }
        store.put(key, json.dumps(note, ensure_ascii=False, indent=1).encode() + b"\n")


def read(store: ObjectStore, sha256: str | None, ref: DocumentRef) -> dict[str, Any] | None:
    """Return the note on a document; None where there is none, or none that can be read."""
    for key in (layout.quarantine_key(identity(sha256, ref)), layout.quarantine_key(identity(None, ref))):
        try:
            note = json.loads(store.get(key))
        except (ObjectNotFoundError, ValueError):
            continue
        if isinstance(note, dict):
            return note
    return None


def identity(sha256: str | None, ref: DocumentRef) -> str:
    """Return what names the document in the quarantine: its bytes or, where they could not be had, its place."""
    return layout.document_identity(sha256=sha256, uri=ref.uri, version=ref.version or ref.etag, tenant=ref.tenant)
