"""A note in the store for every document that failed: why, when and from where.

A note is of the parser revision under which the document failed. Under another one the document may end well, and its
note goes; but the tables of the first revision still say that it failed, and count again when the settings return to
it. So the note is shelved under its revision, and given back then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import InvalidKeyError, ObjectNotFoundError
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.storage import ObjectStore, layout

#: Batches that a note names: as often as a document may fail, and far beyond.
MOST_BATCHES = 100


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What the notes of one attempt at a batch have in common; see :func:`record`."""

    batch: str
    now: datetime
    revision: str | None
    table: str | None


def record(
    store: ObjectStore,
    rows: Sequence[ParsedRow],
    refs: Sequence[DocumentRef],
    batch: str,
    *,
    now: datetime,
    revision: str | None = None,
    table: str | None = None,
) -> None:
    """Write a note for each failed document, and remove the note of each that failed before and no longer does.

    Notes come before the table of their batch, which ends the attempt: a run that dies between them is repeated, and
    what it noted already does not count a second time.

    Args:
        store: where the notes are.
        rows: how the entries of the batch ended.
        refs: what the manifest says of them.
        batch: its key.
        now: when that was.
        revision: the parser's; None, where nobody knows it, leaves the notes without one, as in earlier versions.
        table: the :func:`ledger.mark` of the batch's table as it is before this attempt writes it; None, where nobody
            knows it, counts every failure.
    """
    for row, ref in zip(rows, refs, strict=True):
        if row.state != State.FAILED:
            _release(store, row, ref, revision)
        elif row.duplicate_of is None:
            _detain(store, row, ref, _Attempt(batch, now, revision, table))
        elif store.exists(own := layout.quarantine_key(identity(None, ref))):
            # Its bytes can be read at last, and the original's note stands for them: nothing would count this one up.
            remove(store, own, revision)


def give_back(store: ObjectStore, revision: str) -> None:
    """Bring back the notes that were shelved under a revision, which is the one of the settings again.

    Of a document that has failed under another revision meanwhile, that note is shelved in its turn.
    """
    prefix = layout.shelved_prefix(revision)
    for item in list(store.list(prefix)):
        name = item.key.removeprefix(prefix).removesuffix(".json")
        if not layout.is_shelved_key(item.key, revision, name):
            # Whoever put it there: it is no note, and must not end every run.
            continue
        try:
            data = store.get(item.key)
        except ObjectNotFoundError:
            # A rival was faster.
            continue
        key = layout.quarantine_key(name)
        note, present = _decoded(data) or {}, _note(store, key)
        # One of this revision is the newer one; and what was dropped stays out.
        if note.get("batch") not in dropped_in(store, name) and (present is None or _is_of_another(present, revision)):
            _shelve(store, key, present, revision)
            store.put(key, data)
        store.delete(item.key)


def remove(store: ObjectStore, key: str, revision: str | None) -> None:
    """Remove a note under the present ``revision``; one of another revision is shelved."""
    _shelve(store, key, _note(store, key), revision)
    store.delete(key)


def _shelve(store: ObjectStore, key: str, note: Mapping[str, Any] | None, revision: str | None) -> None:
    """Keep a copy of the note for a return to its revision, if that is not the present one."""
    if note is None or not _is_of_another(note, revision):
        return
    try:
        shelf = layout.shelved_key(note["revision"], layout.identity_of_note(key))
    except InvalidKeyError:
        # Whatever stands in the note, no settings have such a revision.
        return
    store.put(shelf, _encoded(note))


def _is_of_another(note: Mapping[str, Any], revision: str | None) -> bool:
    own = note.get("revision")
    return isinstance(own, str) and revision is not None and own != revision


def _encoded(note: Mapping[str, Any]) -> bytes:
    # Half a character in a note that somebody wrote by hand stays the escape that it was.
    return json.dumps(note, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace") + b"\n"


def _release(store: ObjectStore, row: ParsedRow, ref: DocumentRef, revision: str | None) -> None:
    """Remove every note on the document, whichever way it was named when it failed."""
    own = {layout.quarantine_key(identity(sha256, ref)) for sha256 in (None, row.sha256)}
    for key in own:
        if store.exists(key):
            remove(store, key, revision)
    if not row.sha256 or not row.tenant:
        return
    # The same tenant's bytes may have come in with the tenant named where it is not named now, or the other way round.
    other = replace(ref, tenant=row.tenant if ref.tenant is None else None)
    key = layout.quarantine_key(identity(row.sha256, other))
    if store.exists(key) and (_note(store, key) or {}).get("tenant") == row.tenant:
        remove(store, key, revision)


def _detain(store: ObjectStore, row: ParsedRow, ref: DocumentRef, attempt: _Attempt) -> None:
    batch, revision = attempt.batch, attempt.revision
    dropped = dropped_in(store, identity(row.sha256, ref))
    if batch in dropped:
        # Somebody dropped it as it failed in this very batch, which is parsed again for others.
        _finish_drop(store, row.sha256, ref, dropped)
        return
    before = read(store, row.sha256, ref) or {}
    at = attempt.now.isoformat(timespec="seconds")
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
        # How often it has failed under this revision since it last ended well.
        "attempts": _earlier(before, attempt) + 1,
        "revision": revision,
        # By which a repetition of this attempt is known: it finds the same table, or none, again.
        "table": attempt.table,
    }
    place, key = (layout.quarantine_key(identity(sha256, ref)) for sha256 in (None, row.sha256))
    _shelve(store, key, _note(store, key), revision)
    store.put(key, _encoded(note))
    # A document that could not even be read had its note under its place.
    if place != key and store.exists(place):
        remove(store, place, revision)


def _earlier(before: Mapping[str, Any], attempt: _Attempt) -> int:
    """How often the document had failed before this attempt."""
    attempts = before.get("attempts", 1 if before else 0)
    if not isinstance(attempts, int) or _is_of_another(before, attempt.revision):
        # What has failed so often under another revision has not been tried under this one.
        return 0
    noted = (before.get("batch"), before.get("revision"), before.get("table"))
    repeated = attempt.table is not None and noted == (attempt.batch, attempt.revision, attempt.table)
    return max(0, attempts - repeated)


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
        return _decoded(store.get(key))
    except ObjectNotFoundError:
        return None


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        note = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return note if isinstance(note, dict) else None


def identity(sha256: str | None, ref: DocumentRef) -> str:
    """Return what names the document in the quarantine: its bytes or, where they could not be had, its place."""
    return layout.document_identity(sha256=sha256, uri=ref.uri, version=ref.version or ref.etag, tenant=ref.tenant)
