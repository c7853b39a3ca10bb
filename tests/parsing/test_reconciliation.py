"""The comparison of listings with batches: each object counted once, and requested if nothing accounts for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from compared_shelf import AFTER, BEFORE, NOW, YOUNG, Shelf, counts, ref

from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.documents.sweep import PAGE
from mineru_pipeline.parsing import verdicts
from mineru_pipeline.parsing.difference import SHOWN
from mineru_pipeline.parsing.holdings import Place
from mineru_pipeline.parsing.reconciliation import Target
from mineru_pipeline.storage import FilesystemStore


@pytest.mark.parametrize("state", ["parsed", "degraded", "rejected", "failed"])
def test_an_object_with_a_row_is_not_missing(shelf: Shelf, state: str) -> None:
    """Whatever its state, even failed, which has a retry of its own, nothing is requested."""
    shelf.put("a.pdf")
    shelf.batch("1", ref("a.pdf"), states=[state])
    found = shelf.reconcile()
    assert (counts(found), found.to_start) == ({state: 1}, [])


def test_a_batch_without_a_table_is_waited_for(shelf: Shelf) -> None:
    """Its documents wait, and are not requested a second time."""
    shelf.put("a.pdf")
    shelf.batch("1", ref("a.pdf"))
    found = shelf.reconcile()
    assert (counts(found), found.requested) == ({"waiting": 1}, 0)


def test_what_no_batch_names_is_requested_once(shelf: Shelf) -> None:
    """Missing objects become batches of the usual size; the second reconciliation finds them waiting."""
    for number in range(7):
        shelf.put(f"{number}.pdf")
    shelf.batch("1", ref("3.pdf"), states=["parsed"])
    found = shelf.reconcile()
    assert (counts(found), found.requested) == ({"parsed": 1, "missing": 6}, 6)
    manifests = [read_manifest(shelf.store, batch) for batch in found.to_start]
    assert [[each.uri[-5:] for each in manifest.refs] for manifest in manifests] == [
        ["0.pdf", "1.pdf", "2.pdf"],
        ["4.pdf", "5.pdf", "6.pdf"],
    ]
    assert {each.origin for manifest in manifests for each in manifest.refs} == {"reconciliation"}
    assert {(each.etag, each.size) for manifest in manifests for each in manifest.refs} == {("e1", 1)}
    again = shelf.reconcile()
    assert (counts(again), again.requested) == ({"parsed": 1, "waiting": 6}, 0)


def test_two_at_once_make_the_same_batches(shelf: Shelf) -> None:
    """The key follows from the documents, so whoever comes second finds the batch of the first."""
    shelf.put("a.pdf")
    names = {tuple(shelf.reconcile(store=FilesystemStore(Path(shelf.store.address) / str(n))).to_start) for n in (1, 2)}
    assert len(names) == 1


def test_another_state_of_a_known_object_is_requested(shelf: Shelf) -> None:
    """What was overwritten unnoticed is parsed in its new state; an ETag is the same with and without quotes."""
    shelf.put("a.pdf", "e2")
    shelf.put("b.pdf", "e1")
    shelf.batch("1", ref("a.pdf"), ref("b.pdf", '"e1"'), states=["parsed", "parsed"])
    found = shelf.reconcile()
    assert (counts(found), found.requested) == ({"parsed": 1, "changed": 1}, 1)
    (batch,) = found.to_start
    assert [each.etag for each in read_manifest(shelf.store, batch).refs] == ["e2"]


def test_the_best_of_several_entries_counts(shelf: Shelf) -> None:
    """A document that failed and was parsed later, in another batch or revision, is parsed."""
    shelf.put("a.pdf")
    shelf.put("b.pdf")
    shelf.batch("1", ref("a.pdf"), ref("b.pdf"), states=["failed", "failed"])
    shelf.batch("2", ref("a.pdf"), states=["parsed"])
    shelf.batch("3", ref("a.pdf"))
    refs = (ref("b.pdf"),)
    shelf.table(shelf.batch("4", *refs, states=["failed"]), refs, ["degraded"], revision="r2")
    assert counts(shelf.reconcile()) == {"parsed": 1, "degraded": 1}


def test_young_objects_are_left_to_the_sensors(shelf: Shelf) -> None:
    """Within the grace an object may be about to be announced; it is counted and not requested."""
    shelf.put("a.pdf", at=YOUNG)
    found = shelf.reconcile()
    assert (counts(found), found.requested) == ({"fresh": 1}, 0)
    assert counts(shelf.reconcile(grace=timedelta(0))) == {"missing": 1}


def test_what_is_no_document_is_not_requested(shelf: Shelf) -> None:
    """Other objects and the store's own outputs stay out, unless somebody announced one of them."""
    for key in ("notes.txt", "folder.pdf/", "announced.bin"):
        shelf.put(key)
    shelf.batch("1", ref("announced.bin"), states=["rejected"])
    assert counts(shelf.reconcile()) == {"rejected": 1, "other": 2}


class InABucket(FilesystemStore):
    """A store that says that it lies in a bucket."""

    @property
    def address(self) -> str:
        return "s3://inbox/store"


def test_the_stores_own_outputs_are_no_documents(tmp_path: Path) -> None:
    """The overlays are PDFs, too; and a place within the store is not compared at all."""
    shelf = Shelf(InABucket(tmp_path))
    shelf.put("store/parsed/layout.pdf")
    assert counts(shelf.reconcile()) == {"other": 1}
    within = shelf.reconcile(Target(Place("inbox", "store/parsed/")))
    assert (counts(within), within.places[0].listed) == ({}, 0)
    assert "where the store itself lies" in within.places[0].note


def test_what_is_gone_is_named_and_kept(shelf: Shelf) -> None:
    """Documents whose objects were deleted are counted once each, with some addresses."""
    gone = [ref(f"{number}.pdf") for number in range(9)]
    shelf.put("0.pdf")
    shelf.batch("1", *gone, states=["parsed"] * 9)
    shelf.batch("2", gone[8], ref("elsewhere.pdf", uri="s3://other/elsewhere.pdf"), states=["parsed", "parsed"])
    found = shelf.reconcile()
    assert counts(found) == {"parsed": 1, "gone": 8}
    assert found.places[0].examples["gone"] == [each.uri for each in gone[1 : SHOWN + 1]]


def test_what_was_deleted_and_put_back_is_requested(shelf: Shelf) -> None:
    """An entry that ended as deleted accounts for nothing that is there, each time anew, and never twice."""
    shelf.put("a.pdf")
    seen = set()
    for _ in range(3):
        found = shelf.reconcile()
        assert (counts(found), found.requested) == ({"missing": 1}, 1)
        assert shelf.reconcile().requested == 0
        (batch,) = found.to_start
        seen.add(batch)
        shelf.table(batch, read_manifest(shelf.store, batch).refs, ["rejected:source-deleted"])
    assert len(seen) == 3


def test_a_table_that_lacks_an_entry_accounts_for_nothing_of_it(shelf: Shelf) -> None:
    """The batch is named as incomplete, and the document of the entry is requested."""
    shelf.put("a.pdf")
    shelf.put("b.pdf")
    batch = shelf.batch("1", ref("a.pdf"), ref("b.pdf"), states=["parsed", ""])
    found = shelf.reconcile()
    assert (counts(found), found.incomplete) == ({"parsed": 1, "missing": 1}, {batch: 1})
    assert not verdicts.nothing_missing(found.figures).passed
    assert found.requested == 1


def test_batches_without_partition_are_named_unless_the_command_makes_them(shelf: Shelf) -> None:
    """What nothing would ever run is to be started; not what ``run`` made, has a table or is being requested now."""
    stranded = shelf.batch("1", ref("a.pdf"))
    shelf.batch("2", ref("a.pdf", uri="file:///a.pdf", origin="folder"))
    shelf.batch("3", ref("b.pdf"), states=["parsed"])
    running = shelf.batch("4", ref("c.pdf"))
    shelf.batch("5", ref("d.pdf", received_at=utc_text(YOUNG)))
    found = shelf.reconciler().reconcile([], now=NOW, partitions=lambda: [running])
    assert (found.stranded, found.to_start) == ([stranded], [stranded])
    unknown = shelf.reconciler().reconcile([], now=NOW, partitions=None)
    assert unknown.stranded == []


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"received_at": AFTER}, "parsed"),
        ({"received_at": BEFORE}, "changed"),
        ({"received_at": AFTER, "size": 1}, "parsed"),
        ({"received_at": AFTER, "size": 2}, "changed"),
        ({"received_at": BEFORE, "version": "v1"}, "parsed"),
        ({"received_at": AFTER, "version": "v0"}, "changed"),
    ],
)
def test_an_announcement_without_etag_means_what_was_there_then(
    shelf: Shelf, entry: dict[str, object], kind: str
) -> None:
    """It accounts for what has not been written since, in the size it names; or for its version, which is asked for."""
    shelf.put("a.pdf")
    shelf.versions = {"a.pdf": "v1"}
    shelf.batch("1", ref("a.pdf", None, **entry), states=["parsed"])
    assert counts(shelf.reconcile()) == {kind: 1}
    assert shelf.asked == ["a.pdf"] * ("version" in entry)


def test_nobody_is_given_the_documents_of_others(shelf: Shelf) -> None:
    """Where other tenants announce, the missing are told and not requested, until somebody says whose they are."""
    shelf.put("a.pdf")
    shelf.put("b.pdf")
    shelf.batch("1", ref("a.pdf", tenant="acme"), states=["parsed"])
    found = shelf.reconcile(Target(Place("inbox"), certain=False))
    assert (counts(found), found.requested) == ({"parsed": 1, "missing": 1}, 0)
    assert "acme" in found.places[0].note
    assert "--tenant" in found.places[0].note
    assert shelf.reconcile(Target(Place("inbox"), certain=False), tenant="acme").requested == 1


def test_so_many_documents_at_once(shelf: Shelf) -> None:
    """Beyond the limit nothing is requested, which is said; the next reconciliation goes on."""
    for number in range(5):
        shelf.put(f"{number}.pdf")
    for requested in (2, 2, 1, 0):
        found = shelf.reconcile(most=2)
        assert found.requested == requested
        assert bool(found.places[0].note) == (found.missing > requested)


def test_progress_is_told_page_by_page(shelf: Shelf) -> None:
    """Whoever waits for a long listing sees how many objects have been compared."""
    for number in range(PAGE + 1):
        shelf.put(f"{number:04d}.txt")
    told: list[tuple[str, int]] = []
    shelf.reconciler().reconcile(
        [Target(Place("inbox"))], now=NOW, progress=lambda place, listed: told.append((place, listed))
    )
    assert told == [("inbox", PAGE), ("inbox", PAGE + 1)]


def test_a_dry_run_writes_nothing(shelf: Shelf) -> None:
    """It counts the same, and leaves the store as it is."""
    shelf.put("a.pdf")
    found = shelf.reconcile(request=False)
    assert (counts(found), found.to_start, found.requested) == ({"missing": 1}, [], 0)
    assert list(shelf.store.list("")) == []
