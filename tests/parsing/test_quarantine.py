"""The notes on documents that failed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import quarantine
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.storage import FilesystemStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REF = DocumentRef("file:///a.pdf", 1, "e", None, "2026-01-01T00:00:00Z", "folder")


def row(state: str, sha256: str | None = "d" * 64) -> ParsedRow:
    return ParsedRow(0, REF.uri, sha256, None, state, "internal", "boom", 1, 0, 0, 0, 0.0, 0, None, "")


def test_a_failure_leaves_a_note_and_a_later_success_removes_it(tmp_path: Path) -> None:
    """The note says why, when and from where, for as long as the document is broken."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    note = json.loads(store.get(f"quarantine/{'d' * 64}.json"))
    assert (note["reason"], note["message"], note["origin"], note["batch"]) == ("internal", "boom", "folder", "batch")
    assert note["at"].startswith("2026-01-02")
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW)
    assert list(store.list("quarantine/")) == []


def test_a_document_that_could_not_be_read_has_a_note_too(tmp_path: Path) -> None:
    """Without bytes there is no sha256; the note is kept under the hash of its place."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed", None)], [REF], "batch", now=NOW)
    assert len(list(store.list("quarantine/"))) == 1
