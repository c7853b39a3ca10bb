"""The comparison of listings with batches: each object counted once, and requested if nothing accounts for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from minio.datatypes import Object as ListedObject

from mineru_pipeline.documents.manifest import BatchManifest, read_manifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef, utc_text
from mineru_pipeline.documents.sweep import PAGE
from mineru_pipeline.errors import StoreUnavailableError
from mineru_pipeline.parsing import ledger, verdicts
from mineru_pipeline.parsing.difference import KINDS, MISSING, SHOWN, Reconciliation
from mineru_pipeline.parsing.holdings import Place
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.parsing.reconciliation import Reconciler, Target
from mineru_pipeline.storage import FilesystemStore, ObjectStore, layout
from mineru_pipeline.storage.addresses import object_uri

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(hours=3), NOW - timedelta(minutes=1)
GRACE = timedelta(minutes=10)
BEFORE, AFTER = utc_text(OLD - timedelta(hours=1)), utc_text(OLD + timedelta(hours=1))


@dataclass
class Shelf:
    """Buckets in memory, a store in a folder, and batches with tables."""

    store: ObjectStore
    objects: dict[str, list[ListedObject]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    def put(self, key: str, etag: str = "e1", *, at: datetime = OLD, bucket: str = "inbox", size: int = 1) -> None:
        kept = [item for item in self.objects.get(bucket, []) if item.object_name != key]
        item = ListedObject(bucket, key, last_modified=at, etag=etag, size=size)
        self.objects[bucket] = sorted([*kept, item], key=lambda item: str(item.object_name))

    def remove(self, key: str) -> None:
        self.objects["inbox"] = [item for item in self.objects["inbox"] if item.object_name != key]

    def listing(self, bucket: str, prefix: str, _after: str) -> Iterator[ListedObject]:
        for item in self.objects.get(bucket, []):
            if str(item.object_name).startswith(prefix):
                yield item
        if bucket in self.failing:
            raise StoreUnavailableError(f"Cannot list s3://{bucket}/: it is down.")

    def version(self, _bucket: str, key: str) -> str | None:
        self.asked.append(key)
        return self.versions.get(key)

    def batch(self, name: str, *refs: DocumentRef, tenant: str = "default", states: Sequence[str] = ()) -> str:
        key = f"20261101T000000Z-{name:0>12}"
        write_manifest(self.store, BatchManifest(key, tenant, refs))
        if states:
            self.table(key, refs, states)
        return key

    def table(self, batch: str, refs: Sequence[DocumentRef], states: Sequence[str], revision: str = "r1") -> None:
        """A table; a state can have a reason behind a colon, and an empty one has no row."""
        parts = [state.partition(":") for state in states]
        rows = [
            ParsedRow(number, ref.uri, None, None, state, reason, "", 1, 1, 0, 0, 0.0, 0, None, "")
            for number, (ref, (state, _, reason)) in enumerate(zip(refs, parts, strict=True))
            if state
        ]
        ledger.write(self.store, PARSED_DOCUMENTS, revision, batch, rows, ParsedRow)

    def reconciler(self, **changes: object) -> Reconciler:
        plain = Reconciler(self.store, self.listing, self.version, "default", batch_size=3, grace=GRACE)
        return replace(plain, **changes)  # type: ignore[arg-type]  # passed on

    def reconcile(self, *targets: Target, request: bool = True, **changes: object) -> Reconciliation:
        meant = targets or (Target(Place("inbox")),)
        return self.reconciler(**changes).reconcile(meant, now=NOW, partitions=list, request=request)


def ref(key: str, etag: str | None = "e1", **changes: object) -> DocumentRef:
    plain = DocumentRef(object_uri("inbox", key), None, etag, None, AFTER, "kafka")
    return replace(plain, **changes)  # type: ignore[arg-type]  # passed on


def parquet(**columns: list[Any]) -> bytes:
    """A table of whatever columns."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def counts(found: Reconciliation) -> dict[str, int]:
    return {kind: count for kind, count in found.counts.items() if count}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(FilesystemStore(tmp_path))


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


def test_one_bucket_that_fails_keeps_no_other_from_being_compared(shelf: Shelf) -> None:
    """The others are compared, nothing of the one is called gone, and its failure is told."""
    shelf.put("a.pdf", bucket="down")
    shelf.put("b.pdf")
    shelf.batch("1", ref("x.pdf", uri="s3://down/x.pdf"), states=["parsed"])
    shelf.failing = {"down"}
    found = shelf.reconcile(Target(Place("down")), Target(Place("inbox")))
    assert found.failures == ["Cannot list s3://down/: it is down."]
    assert (found.places[1].counts.get(MISSING), found.counts["gone"]) == (1, 0)
    assert found.places[1].requested == 1


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


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda store, key: store.put(layout.manifest_key(key), b"{"), "missing"),
        (lambda store, key: store.put(layout.table_key(PARSED_DOCUMENTS, "r1", key), b"PAR1"), "unknown"),
        (lambda store, key: store.put(layout.manifest_key(key), b"[" * 100_000), "missing"),
        (lambda store, key: store.put(layout.table_key(PARSED_DOCUMENTS, "r1", key), parquet(a=[1])), "unknown"),
        (
            lambda store, key: store.put(
                layout.table_key(PARSED_DOCUMENTS, "r1", key), parquet(entry=[[0]], state=["parsed"], reason=[""])
            ),
            "unknown",
        ),
    ],
)
def test_what_is_damaged_is_told_and_stops_nothing(
    shelf: Shelf, damage: Callable[[ObjectStore, str], None], kind: str
) -> None:
    """The others are compared, and the verdict says it.

    Documents of a damaged table are unknown and not requested; those of a damaged manifest are nobody's, and requested.
    """
    shelf.put("a.pdf")
    shelf.put("b.pdf")
    shelf.batch("2", ref("b.pdf"), states=["parsed"])
    damage(shelf.store, shelf.batch("1", ref("a.pdf"), states=["parsed"]))
    found = shelf.reconcile()
    assert counts(found) == {"parsed": 1, kind: 1}
    (text,) = found.failures
    assert "damaged" in text
    assert (found.unlisted, found.figures["damaged"], found.requested) == ([], 1, int(kind == MISSING))
    assert "1 manifests or tables are damaged" in verdicts.nothing_missing(found.figures).message


def test_a_damaged_table_hides_no_better_one(shelf: Shelf) -> None:
    """Under another revision, or in another batch, the document was parsed: so it is known."""
    for key in ("a.pdf", "b.pdf"):
        shelf.put(key)
    batch = shelf.batch("1", ref("a.pdf"), ref("b.pdf"), states=["parsed", "failed"])
    shelf.store.put(layout.table_key(PARSED_DOCUMENTS, "r2", batch), b"PAR1")
    shelf.batch("2", ref("b.pdf"), states=["degraded"])
    found = shelf.reconcile()
    assert (counts(found), len(found.damaged)) == ({"parsed": 1, "degraded": 1}, 1)


def test_an_object_that_no_reference_can_name_stops_nothing(shelf: Shelf) -> None:
    """Half a character in a key or an ETag is missing and not requested; the place says why, and the others come in."""
    for key, etag in (("a\ud800.pdf", "e"), ("b.pdf", "\ud800"), ("c.pdf", "e")):
        shelf.put(key, etag)
    found = shelf.reconcile()
    assert (counts(found), found.requested, found.failures) == ({"missing": 3}, 1, [])
    assert "valid Unicode" in found.places[0].note
    assert r"s3://inbox/a\ud800.pdf" in found.places[0].examples[MISSING]
    assert counts(shelf.reconcile()) == {"missing": 2, "waiting": 1}


def test_the_verdict_is_passed_only_if_everything_was_known(shelf: Shelf) -> None:
    """Something missing is a reason to look at the sensors, though it has been requested; once more, nothing is."""
    shelf.put("a.pdf")
    first, second = (verdicts.nothing_missing(shelf.reconcile().figures) for _ in range(2))
    assert (first.passed, second.passed) == (False, True)
    assert "1 objects were in no batch" in first.message
    assert set(first.figures) >= set(KINDS)
    assert not verdicts.nothing_missing({}).passed


@pytest.mark.parametrize(
    "key",
    [
        "a b.pdf",
        "100%.pdf",
        "a+b.pdf",
        "a#b?.pdf",
        "x/../y.pdf",
        "//.pdf",
        "ä€😀.pdf",
        "%2e%20.pdf",
        "n" * 896 + ".pdf",
    ],
)
def test_any_key_is_found_again(shelf: Shelf, key: str) -> None:
    """Addresses are compared by what they name: what was requested under a strange key is known the next time."""
    shelf.put(key)
    assert shelf.reconcile().requested == 1
    assert counts(shelf.reconcile()) == {"waiting": 1}
    shelf.remove(key)
    assert counts(shelf.reconcile()) == {"gone": 1}
