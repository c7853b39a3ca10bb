"""Finds out again what a damaged note of the quarantine was about: its document has rows in the tables that failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.errors import InvalidKeyError, StoreError, StoreUnavailableError
from mineru_pipeline.parsing import ledger, quarantine
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.release import Note
from mineru_pipeline.storage import ObjectStore


def recover(store: ObjectStore, identity: str) -> Note | None:
    """Return a note on the document as the tables know it, or None where in no table such a document failed.

    The identity cannot be calculated back, so all tables are read. The note speaks of the newest batch and names the
    others; its time is that at which the document came in, so that a repeated retry makes the same batch.

    Raises:
        StoreUnavailableError: the store cannot be used.
    """
    found: Note | None = None
    for batch, revision in sorted({(batch, revision) for revision, batch in ledger.places(store, PARSED_DOCUMENTS)}):
        for note in _notes(store, revision, batch, identity):
            found = replace(note, batches=tuple(dict.fromkeys([*(found.batches if found else ()), batch])))
    return found


def _notes(store: ObjectStore, revision: str, batch: str, identity: str) -> Iterator[Note]:
    try:
        rows = ledger.read(store, PARSED_DOCUMENTS, revision, batch, ParsedRow)
        failed = [row for row in rows if row.state == State.FAILED]
        if not failed:
            return
        manifest = read_manifest(store, batch)
    except StoreUnavailableError:
        raise
    except StoreError:
        # Of this batch nothing can be found out, or it went meanwhile.
        return
    for row in failed:
        ref = manifest.refs[row.entry] if 0 <= row.entry < len(manifest.refs) else None
        named = None if ref is None else _named(row, ref, identity)
        if ref is not None and named is not None:
            yield _note(row, ref, manifest, named, identity)


def _named(row: ParsedRow, ref: DocumentRef, identity: str) -> str | None:
    """What the note was named by, as in ``Note.sha256``, with "" for its place; None where it is another document."""
    try:
        if row.sha256 is not None and quarantine.identity(row.sha256, ref) == identity:
            return row.sha256
    except InvalidKeyError:
        # Whatever stands in the table is no SHA-256.
        return None
    return "" if quarantine.identity(None, ref) == identity else None


def _note(row: ParsedRow, ref: DocumentRef, manifest: BatchManifest, sha256: str, identity: str) -> Note:
    return Note(
        identity=identity,
        uri=row.uri,
        sha256=sha256 or None,
        tenant=row.tenant or manifest.tenant_of(ref),
        batch=manifest.batch,
        origin=ref.origin,
        reason=row.reason,
        message=row.message,
        at=ref.received_at,
        first_at=ref.received_at,
        entry=row.entry,
    )
