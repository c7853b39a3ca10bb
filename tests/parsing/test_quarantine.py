"""The notes on documents that failed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.quarantine import observation, show_after_run
from mineru_pipeline import settings
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import backfilling, backoff, quarantine, release
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.storage import FilesystemStore, ObjectInfo, layout

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


def test_a_document_read_at_last_as_a_duplicate_leaves_the_quarantine(tmp_path: Path) -> None:
    """It was noted under its place; that another entry of the batch has the same bytes must not keep it there."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed", None)], [REF], "first", now=NOW)
    other = replace(REF, uri="file:///b.pdf")
    rows = [replace(row("parsed"), uri=other.uri), replace(row("parsed"), entry=1, duplicate_of=other.uri)]
    quarantine.record(store, rows, [other, REF], "second", now=NOW)
    assert list(store.list("quarantine/")) == []


def test_a_document_read_at_last_as_a_duplicate_that_fails_has_one_note(tmp_path: Path) -> None:
    """That of the original: the one on its place would never be counted up, and ask for its batch for ever."""
    store = FilesystemStore(tmp_path)
    other = replace(REF, uri="file:///b.pdf")
    quarantine.record(store, [row("failed", None)], [REF], "batch", now=NOW)
    rows = [replace(row("failed"), uri=other.uri), replace(row("failed"), entry=1, duplicate_of=other.uri)]
    quarantine.record(store, rows, [other, REF], "batch", now=NOW)
    assert [note.identity for note in release.survey(store).notes] == ["d" * 64]


def test_a_tenant_named_or_not_is_the_same_tenant(tmp_path: Path) -> None:
    """A note made where the tenant was left to the manifest goes when it is named, and the other way round."""
    store = FilesystemStore(tmp_path)
    named = replace(REF, tenant="acme")
    failed, parsed = (replace(row(state), tenant="acme") for state in ("failed", "parsed"))
    for first, second in ((REF, named), (named, REF)):
        quarantine.record(store, [failed], [first], "first", now=NOW)
        quarantine.record(store, [parsed], [second], "second", now=NOW)
        assert list(store.list("quarantine/")) == []


def test_a_note_of_another_tenant_stays(tmp_path: Path) -> None:
    """The same bytes of somebody else are another document."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [replace(row("failed"), tenant="other")], [REF], "first", now=NOW)
    quarantine.record(store, [replace(row("parsed"), tenant="acme")], [replace(REF, tenant="acme")], "2", now=NOW)
    assert len(list(store.list("quarantine/"))) == 1


def test_failures_are_counted_until_the_document_ends_well(tmp_path: Path) -> None:
    """The count and the first time go on when its bytes can be read at last, and begin anew after a success."""
    store = FilesystemStore(tmp_path)
    for sha256, now in ((None, NOW), ("d" * 64, NOW.replace(day=3)), ("d" * 64, NOW.replace(day=4))):
        quarantine.record(store, [row("failed", sha256)], [REF], "batch", now=now)
    note = quarantine.read(store, "d" * 64, REF)
    assert note is not None
    assert (note["attempts"], note["first_at"][:10], note["at"][:10]) == (3, "2026-01-02", "2026-01-04")
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    assert (quarantine.read(store, "d" * 64, REF) or {})["attempts"] == 1


def test_an_attempt_that_is_repeated_counts_once(tmp_path: Path) -> None:
    """The same batch and revision with the same table before it: also where it died between place and content."""
    store = FilesystemStore(tmp_path)

    def fail(sha256: str | None, table: str | None, batch: str = "batch", revision: str = "r1") -> int:
        failed = [row("failed", sha256)]
        quarantine.record(store, failed, [REF], batch, now=NOW, revision=revision, table=table)
        return int((quarantine.read(store, sha256, REF) or {})["attempts"])

    assert [fail(None, ""), fail(None, ""), fail(None, "first")] == [1, 1, 2]
    place = layout.quarantine_key(quarantine.identity(None, REF))
    note = store.get(place)
    assert fail("d" * 64, "second") == 3
    # As it lay there when the run died after the note on the content.
    store.put(place, note)
    assert fail("d" * 64, "second") == 3
    assert len(release.survey(store).notes) == 1
    assert [fail("d" * 64, "second", "another"), fail("d" * 64, "second", "another", "r2")] == [4, 1]
    assert [fail("d" * 64, None), fail("d" * 64, None)] == [1, 2]


def test_what_was_dropped_stays_dropped_when_its_batch_is_parsed_again(tmp_path: Path) -> None:
    """That happens for the sake of others; announced again, in another batch, it is noted again."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    (note,) = release.survey(store).notes
    release.drop(store, note, by="me", why="", now=NOW)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    assert release.survey(store) == release.Survey(())
    quarantine.record(store, [row("failed")], [REF], "another", now=NOW)
    assert [found.attempts for found in release.survey(store).notes] == [1]


def test_a_damaged_note_does_not_hide_the_others(tmp_path: Path) -> None:
    """A survey names it and goes on."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    store.put(f"quarantine/{'a' * 64}.json", b'{"at": "2026-01-02T00:00:00Z", "attempts": "many"}')
    found = release.survey(store)
    assert len(found.notes) == 1
    assert f"quarantine/{'a' * 64}.json" in found.damaged[0].text
    assert (found.total, found.truncated) == (2, False)


def test_a_survey_says_how_many_notes_it_did_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of more than it reads it gives the number, and whoever relies on all of them, or shows them, says so, too."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    note = store.root / "quarantine" / f"{'d' * 64}.json"
    for number in range(release.MOST_NOTES + 2):
        os.link(note, note.with_name(f"{number:064}.json"))
    found = release.survey(store)
    assert (len(found.notes), found.total, found.truncated) == (release.MOST_NOTES, release.MOST_NOTES + 3, True)
    shown = observation(found, backoff.documents(4))
    assert (shown.metadata["waiting"].value, shown.metadata["truncated"].value) == (release.MOST_NOTES + 3, True)
    assert f"{release.MOST_NOTES + 3} documents" in (shown.description or "")
    release.settle(store, [row("parsed")], [REF], "another")
    assert f"of which {release.MOST_NOTES} are read" in caplog.text


def test_what_was_dropped_stays_dropped_in_all_batches_in_which_it_failed(tmp_path: Path) -> None:
    """A retry is a batch of its own; the first batch is parsed again with each new revision, and remembers nothing."""
    store = FilesystemStore(tmp_path)
    for announced in ("batch", "another"):
        for batch in (announced, f"retry of {announced}"):
            quarantine.record(store, [row("failed")], [REF], batch, now=NOW)
        (note,) = release.survey(store).notes
        release.drop(store, note, by="me", why="", now=NOW)
    for batch in ("batch", "retry of batch", "another", "retry of another"):
        quarantine.record(store, [row("failed")], [REF], batch, now=NOW)
        assert release.survey(store).notes == (), batch
    quarantine.record(store, [row("failed")], [REF], "announced once more", now=NOW)
    assert len(release.survey(store).notes) == 1


def test_a_drop_that_died_halfway_is_finished_by_the_next_failure(tmp_path: Path) -> None:
    """Or its note would stay as it is, and ask for its batch for ever."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    (note,) = release.survey(store).notes
    before = store.get(f"quarantine/{'d' * 64}.json")
    release.drop(store, note, by="me", why="", now=NOW)
    store.put(f"quarantine/{'d' * 64}.json", before)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    assert release.survey(store).notes == ()
    # What was announced again since is another matter.
    quarantine.record(store, [row("failed")], [REF], "another", now=NOW)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    assert [found.batch for found in release.survey(store).notes] == ["another"]


def test_a_failure_is_remembered_for_a_return_to_its_revision(tmp_path: Path) -> None:
    """Parsed under another revision, it waits no longer; back under the first, it waits as it did, given up or not."""
    store = FilesystemStore(tmp_path)
    for attempts in (1, 2):
        quarantine.record(store, [row("failed")], [REF], "batch", now=NOW, revision="r1")
        (before,) = release.survey(store).notes
        assert (before.attempts, before.revision) == (attempts, "r1")
        quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW, revision="r2")
        assert release.survey(store).notes == ()
        for _ in range(2):
            quarantine.give_back(store, "r2")
            quarantine.give_back(store, "r3")
            assert release.survey(store).notes == ()
        quarantine.give_back(store, "r1")
        assert release.survey(store).notes == (before,)
        assert list(store.list("shelved/")) == []
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW, revision="r1")
    quarantine.give_back(store, "r1")
    assert release.survey(store).notes == ()


def test_a_new_revision_has_all_attempts_and_forgets_none_of_the_old(tmp_path: Path) -> None:
    """Each revision counts its own failures, also where its bytes or only its place name the document."""
    store = FilesystemStore(tmp_path)
    for revision, sha256, attempts in (
        ("r1", None, 1), ("r1", None, 2), ("r2", None, 1), ("r2", "d" * 64, 2), ("r2", "d" * 64, 3),
    ):  # fmt: skip
        quarantine.record(store, [row("failed", sha256)], [REF], "batch", now=NOW, revision=revision)
        (note,) = release.survey(store).notes
        assert (note.attempts, note.revision) == (attempts, revision)
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW, revision="r2")
    quarantine.give_back(store, "r1")
    (note,) = release.survey(store).notes
    assert (note.attempts, note.revision, note.sha256) == (2, "r1", None)
    quarantine.record(store, [row("failed", None)], [REF], "batch", now=NOW, revision="r2")
    quarantine.give_back(store, "r1")
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW, revision="r1")
    quarantine.give_back(store, "r1")
    assert release.survey(store).notes == ()
    quarantine.give_back(store, "r2")
    assert [note.revision for note in release.survey(store).notes] == ["r2"]


def test_a_shelf_holds_one_small_note_for_each_document_and_may_be_emptied(tmp_path: Path) -> None:
    """As a lifecycle rule does it: back under its revision nobody waits, and failures are counted from the first."""
    store = FilesystemStore(tmp_path)
    for revision, state in (("r1", "failed"), ("r1", "failed"), ("r2", "parsed"), ("r1", "failed"), ("r2", "parsed")):
        quarantine.give_back(store, revision)
        quarantine.record(store, [row(state)], [REF], "batch", now=NOW, revision=revision)
    (shelved,) = store.list("shelved/")
    assert (shelved.key, json.loads(store.get(shelved.key))["attempts"]) == (f"shelved/r1/{'d' * 64}.json", 3)
    assert shelved.size < 1024
    store.delete(shelved.key)
    quarantine.give_back(store, "r1")
    assert release.survey(store).total == 0
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW, revision="r1")
    assert [note.attempts for note in release.survey(store).notes] == [1]


def test_what_was_dropped_is_not_given_back(tmp_path: Path) -> None:
    """Whoever drops a document under one revision does not want it under another."""
    store = FilesystemStore(tmp_path)
    for revision in ("r1", "r2"):
        quarantine.record(store, [row("failed")], [REF], "batch", now=NOW, revision=revision)
    (note,) = release.survey(store).notes
    release.drop(store, note, by="me", why="", now=NOW)
    quarantine.give_back(store, "r1")
    assert (release.survey(store).notes, list(store.list("shelved/"))) == ((), [])


def test_a_revision_that_no_settings_have_does_no_harm(tmp_path: Path) -> None:
    """A note is a file that anybody may have written: what it names is never a place outside of the shelf."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW, revision="r1")
    key = f"quarantine/{'d' * 64}.json"
    store.put(key, json.dumps(json.loads(store.get(key)) | {"revision": "../../up"}).encode())
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW, revision="r2")
    assert [info.key for info in store.list("")] == []


@pytest.mark.parametrize("name", ["sub/x.json", "foo.txt", ".json"])
def test_what_is_no_note_on_the_shelf_is_left_alone(tmp_path: Path, name: str) -> None:
    """Whoever put it there: it ends no run, and the notes beside it come back."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW, revision="r1")
    quarantine.record(store, [row("parsed")], [REF], "batch", now=NOW, revision="r2")
    store.put(f"shelved/r1/{name}", b"{}")
    quarantine.give_back(store, "r1")
    assert [info.key for info in store.list("")] == [f"quarantine/{'d' * 64}.json", f"shelved/r1/{name}"]


@pytest.mark.parametrize("name", ["sub/x.json", "foo.txt", ".json"])
def test_a_note_under_a_strange_key_is_damaged(tmp_path: Path, name: str) -> None:
    """What it says may be in order; but its key is made from no document, so it could not be dropped as a note."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    store.put(f"quarantine/{name}", store.get(f"quarantine/{'d' * 64}.json"))
    assert [each.key for each in release.survey(store).damaged] == [f"quarantine/{name}"]


@pytest.mark.parametrize(
    "damage",
    [
        {"reason": ["internal"]},
        {"batch": ["b"]},
        {"uri": 5},
        {"origin": {}},
        {"sha256": 4},
        {"first_at": 3},
        {"entry": "0"},
        {"attempts": None},
        {"revision": 5},
        {"batches": 3},
        {"batches": [["b"]]},
        {"at": "9999-12-31T23:59:59+00:00"},
        {"at": "0001-01-01T00:00:00+14:00"},
        b"[" * 100_000,
    ],
    ids=str,
)
def test_whatever_a_note_holds_whoever_shows_all_notes_goes_on(tmp_path: Path, damage: dict[str, Any] | bytes) -> None:
    """Neither the schedule of retries nor the page of the quarantine, drawn at the end of each run, stops at it."""
    store = FilesystemStore(tmp_path)
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    key = f"quarantine/{'d' * 64}.json"
    store.put(key, damage if isinstance(damage, bytes) else json.dumps(json.loads(store.get(key)) | damage).encode())
    found = release.survey(store)
    assert (len(found.notes), len(found.damaged)) == (0, 1)
    assert backfilling.due_times(found.notes, backoff.documents(4)) == {}
    assert observation(found, backoff.documents(4)).metadata["damaged_notes"].value == 1
    # The next failure writes it anew.
    quarantine.record(store, [row("failed")], [REF], "batch", now=NOW)
    assert len(release.survey(store).notes) == 1


class BrokenStore(FilesystemStore):
    """Fails in a way that nobody has thought of."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        raise ArithmeticError(prefix)


def test_a_run_does_not_fail_for_the_page_of_the_quarantine(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is drawn when the table of the batch is written already, and that counts; the log says what went wrong."""
    found = settings.load(environ={}, overrides={"data_dir": tmp_path}).settings
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_asset_context(instance=instance)
        show_after_run(context, BrokenStore(tmp_path), found)
    assert "the quarantine is not shown: ArithmeticError" in capfd.readouterr().err
