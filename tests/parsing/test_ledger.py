"""The tables of a batch: every entry has its row, and they survive the round trip."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.errors import ObjectNotFoundError, StoreError
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.outcome import DocumentOutcome, PageSummary, State
from mineru_pipeline.storage import FilesystemStore, layout

A, B = "a" * 64, "b" * 64


def source(entry: int, sha256: str | None = A, state: str = "accepted", **more: object) -> SourceRow:
    return SourceRow(entry, f"file:///{entry}.pdf", 10, "e", None, sha256, state, **more)  # type: ignore[arg-type]


def test_every_entry_gets_exactly_one_row() -> None:
    """Accepted, duplicate, rejected and unreadable entries all end in a row with their own state."""
    outcome = DocumentOutcome(A, State.DEGRADED, pages=2, degraded_pages=1, seconds=1.5, requests=9, outputs="p/")
    rows = ledger.join(
        [
            source(0, pages=2),
            source(1, duplicate_of="file:///0.pdf", pages=2),
            source(2, B, "rejected", reason="encrypted", message="it is locked"),
            source(3, None, "failed", reason="source-missing"),
        ],
        {("", A): outcome},
    )
    assert [(row.entry, row.state, row.reason) for row in rows] == [
        (0, "degraded", ""),
        (1, "degraded", ""),
        (2, "rejected", "encrypted"),
        (3, "failed", "source-missing"),
    ]
    assert [row.requests for row in rows] == [9, 0, 0, 0]
    assert rows[1].outputs == "p/"


def test_an_accepted_document_without_an_outcome_is_a_failure_not_a_gap() -> None:
    """A defect of the engine cannot make a document vanish."""
    (row,) = ledger.join([source(0)], {})
    assert (row.state, row.reason) == ("failed", "internal")


def test_pages_are_counted_from_what_came_out() -> None:
    """Looping and empty pages are counted, and agreement is the mean over pages that have a text layer."""
    pages = (
        PageSummary(0, 3, 100, 0.9),
        PageSummary(1, 1, 9, None, repetitive=True),
        PageSummary(2, 0, 0, 0.5, missing_text=True),
    )
    (row,) = ledger.join(
        [source(0, pages=3)], {("", A): DocumentOutcome(A, State.PARSED, pages=3, page_summaries=pages)}
    )
    assert (row.parsed_pages, row.degenerate_pages, row.agreement) == (3, 2, pytest.approx(0.7))


def test_tables_survive_the_round_trip(tmp_path: Path) -> None:
    """What is written is what is read, nulls and all, and any Parquet reader finds the columns."""
    store = FilesystemStore(tmp_path)
    sources = [source(0), source(1, None, "failed", message="weg — ü")]
    key = ledger.write(store, ledger.SOURCE_DOCUMENTS, "rev", "batch", sources, SourceRow)
    assert key == layout.table_key("source_documents", "rev", "batch")
    assert ledger.read(store, ledger.SOURCE_DOCUMENTS, "rev", "batch", SourceRow) == sources
    rows = ledger.join(sources, {})
    key = ledger.write(store, ledger.PARSED_DOCUMENTS, "rev", "batch", rows, ParsedRow)
    columns = set(pq.read_schema(io.BytesIO(store.get(key))).names)
    assert columns >= {
        "uri", "sha256", "duplicate_of", "state", "reason", "pages", "degraded_pages", "seconds", "requests", "outputs",
    }  # fmt: skip


def test_an_empty_batch_has_an_empty_table(tmp_path: Path) -> None:
    """No rows is a table with columns, not an error."""
    store = FilesystemStore(tmp_path)
    ledger.write(store, ledger.PARSED_DOCUMENTS, "rev", "batch", [], ParsedRow)
    assert ledger.read(store, ledger.PARSED_DOCUMENTS, "rev", "batch", ParsedRow) == []


def test_a_text_that_is_no_utf8_any_more_is_damage(tmp_path: Path) -> None:
    """Tables have no checksums: one bit that flips in a text is told as damage, and not as an error of Python's."""
    store = FilesystemStore(tmp_path)
    rows = ledger.join([source(0, None, "failed", message="weg")], {})
    key = ledger.write(store, ledger.PARSED_DOCUMENTS, "rev", "batch", rows, ParsedRow)
    data = store.get(key)
    assert b"weg" in data
    store.put(key, data.replace(b"weg", b"w\xe5g"))
    with pytest.raises(StoreError, match="damaged"):
        ledger.read(store, ledger.PARSED_DOCUMENTS, "rev", "batch", ParsedRow)
    with pytest.raises(StoreError, match="damaged"):
        ledger.read_columns(store, ledger.PARSED_DOCUMENTS, "rev", "batch", ["entry", "message"])


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    """Nobody mistakes a batch that was never parsed for an empty one."""
    with pytest.raises(ObjectNotFoundError):
        ledger.read(FilesystemStore(tmp_path), ledger.PARSED_DOCUMENTS, "rev", "none", ParsedRow)


_READS_AND_NAMES_NEW_THREADS = """
import sys
from pathlib import Path
import psutil
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.parsing import ledger
from mineru_pipeline.storage import FilesystemStore

def threads():
    return {thread.id for thread in psutil.Process().threads()}

store, table = FilesystemStore(Path(sys.argv[1])), (ledger.SOURCE_DOCUMENTS, "rev", "batch")
rows = [SourceRow(n, f"file:///{n}.pdf", 10, "e", None, "a" * 64, "accepted") for n in range(20)]
ledger.write(store, *table, rows, SourceRow)
before = threads()
assert ledger.read(store, *table, SourceRow) == rows
assert ledger.read_columns(store, *table, ["entry"]) == {"entry": list(range(20))}
print(sorted(threads() - before))
"""


def test_reading_leaves_no_thread_behind(tmp_path: Path) -> None:
    """A thread of Arrow that still held a table's bytes when the process ends would abort it after its work.

    In a process of its own: in this one, other tests may have started the threads already.
    """
    done = subprocess.run(
        [sys.executable, "-c", _READS_AND_NAMES_NEW_THREADS, str(tmp_path)],
        # Arrow's default allocator may start a thread of its own, which knows nothing of Python.
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
