"""Parsing a batch again for some documents never takes from the others what they have."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from conftest import pdf

from mineru_pipeline.documents.discovery import discover
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest, write_manifest
from mineru_pipeline.documents.refs import utc_moment
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing import ledger, quarantine, release
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.progress import ignore_progress
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import FilesystemStore, layout
from resources import parsing

NOW = utc_moment("2026-01-02T03:04:05Z")


def fixed(found: Settings, files: list[Path]) -> FilesystemStore:
    store = FilesystemStore(found.store_root)
    write_manifest(store, BatchManifest("b", "default", tuple(discover(files, received_at=NOW))))
    return store


def through(found: Settings, store: FilesystemStore, *, dies: bool = False) -> list[ParsedRow]:
    """Parse the batch as its run does, to the end or until just before the table."""
    revision = parsing.revisions_of(found).parser

    async def both() -> list[ParsedRow]:
        sources = await parsing.examine(found, store, "b")
        ledger.write(store, ledger.SOURCE_DOCUMENTS, revision, "b", sources, SourceRow)
        return (await parsing.parse(found, store, "b", ignore_progress, ClientMetrics())).rows

    rows = asyncio.run(both())
    if not dies:
        ledger.write(store, ledger.PARSED_DOCUMENTS, revision, "b", rows, ParsedRow)
    return rows


def test_what_was_parsed_stays_parsed_when_its_source_is_gone(tmp_path: Path, found: Settings) -> None:
    """Its outputs are there: neither does its row forget them, nor does it come into the quarantine."""
    names = ("a", "b", "broken", "same")
    files = [tmp_path / f"{name}.pdf" for name in names]
    for file in files[:2]:
        file.write_bytes(pdf(file.stem))
    files[2].write_bytes(b"no PDF")
    files[3].write_bytes(pdf("b"))
    store = fixed(found, files)
    first = through(found, store)
    assert [row.state for row in first] == ["parsed", "parsed", "rejected", "parsed"]
    files[0].unlink()
    files[1].write_bytes(pdf("another state of it"))
    files[2].unlink()
    again = through(found, store)
    kept = [(row.state, row.reason, row.outputs, row.sha256, row.duplicate_of, row.requests) for row in again]
    assert kept == [(row.state, row.reason, row.outputs, row.sha256, row.duplicate_of, 0) for row in first]
    assert release.survey(store).notes == ()


def test_what_has_no_outputs_needs_its_source(tmp_path: Path, found: Settings) -> None:
    """Somebody removed the outputs: an earlier row alone does not stand for a document."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("a"))
    store = fixed(found, [file])
    (row,) = through(found, store)
    store.delete(f"{row.outputs}result.json")
    file.unlink()
    (row,) = through(found, store)
    assert (row.state, row.reason, row.outputs) == ("failed", "source-missing", "")


def test_a_damaged_earlier_table_is_written_anew(tmp_path: Path, found: Settings) -> None:
    """It is looked at for what was known already; where it cannot be read, nothing is known."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("a"))
    store = fixed(found, [file])
    store.put(layout.table_key(ledger.SOURCE_DOCUMENTS, parsing.revisions_of(found).parser, "b"), b"no table")
    assert [row.state for row in through(found, store)] == ["parsed"]


def test_a_failed_document_whose_source_is_gone_keeps_its_one_note(tmp_path: Path, found: Settings) -> None:
    """Its bytes name it as before: or the old note would never be counted up, and ask for its batch for ever."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("a"))
    store = fixed(found, [file])
    (row,) = through(found, store)
    refs = read_manifest(store, "b").refs
    quarantine.record(store, [replace(row, state="failed", reason="internal")], refs, "b", now=NOW)
    store.delete(f"{row.outputs}result.json")
    file.unlink()
    for attempts in (2, 3):
        through(found, store)
        (note,) = release.survey(store).notes
        assert (note.identity, note.reason, note.attempts) == (row.sha256, "source-missing", attempts)


def test_a_run_that_dies_before_its_table_costs_no_attempt(tmp_path: Path, found: Settings) -> None:
    """However often it dies there, its failures count as one; the next attempt after a table counts on."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("a"))
    store = fixed(found, [file])
    file.unlink()
    seen = []
    for dies in (True, True, False, False, True, False):
        through(found, store, dies=dies)
        (note,) = release.survey(store).notes
        seen.append(note.attempts)
    assert seen == [1, 1, 1, 2, 3, 3]


def test_settings_that_go_and_come_back_find_their_failures(tmp_path: Path, found: Settings) -> None:
    """Under other settings it can be parsed; the table of the first ones says failed, and so does their quarantine."""
    file, aside = tmp_path / "a.pdf", tmp_path / "aside"
    file.write_bytes(pdf("a"))
    store = fixed(found, [file])
    turned = found.parsing.model_copy(update={"text_layer_fallback": not found.parsing.text_layer_fallback})
    other = found.model_copy(update={"parsing": turned})
    file.rename(aside)
    assert [row.state for row in through(found, store)] == ["failed"]
    aside.rename(file)
    assert [row.state for row in through(other, store)] == ["parsed"]
    assert release.survey(store).notes == ()
    quarantine.give_back(store, parsing.revisions_of(found).parser)
    assert [note.reason for note in release.survey(store).notes] == ["source-missing"]
    assert [row.state for row in through(found, store)] == ["parsed"]
    assert release.survey(store).notes == ()


def test_a_note_on_bytes_that_are_no_longer_at_their_place_goes(tmp_path: Path, found: Settings) -> None:
    """Nothing would ever count it up: an announcement without an ETag means whatever is there."""
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("as it is now"))
    (ref,) = discover([file], received_at=NOW)
    store = FilesystemStore(found.store_root)
    loose = replace(ref, etag=None, size=None)
    write_manifest(store, BatchManifest("b", "default", (loose,)))
    (row,) = through(found, store)
    old = replace(row, sha256="d" * 64, state="failed", reason="internal")
    for batch in ("b", "another"):
        quarantine.record(store, [replace(old, sha256=batch[0] * 64)], [loose], batch, now=NOW)
    earlier = json.loads(store.get(f"quarantine/{'a' * 64}.json")) | {"batch": "b", "entry": None, "sha256": "c" * 64}
    store.put(f"quarantine/{'c' * 64}.json", json.dumps(earlier).encode())
    through(found, store)
    # The one of another batch, and the one of an earlier version, which may mean another entry, stay.
    assert {(note.batch, note.entry) for note in release.survey(store).notes} == {("another", 0), ("b", None)}
