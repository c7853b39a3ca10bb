"""A look at the store counts everything, and reads only what is new."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from s3_server import S3Server

from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef, utc_text
from mineru_pipeline.errors import StoreUnavailableError
from mineru_pipeline.monitoring.deadlines import FAILED, IN_TIME, LATE, PROMISE_SECONDS
from mineru_pipeline.monitoring.survey import StoreSurvey
from mineru_pipeline.parsing import backoff, ledger, quarantine
from mineru_pipeline.parsing.ledger import DOCUMENT_SIGNALS, PARSED_DOCUMENTS, ParsedRow, SignalsRow
from mineru_pipeline.storage import FilesystemStore, ObjectStore, layout
from mineru_pipeline.storage.store import ObjectInfo

OLD, NEW = "20260101T000000Z-0123456789ab", "20260102T000000Z-0123456789ab"
ROW = ParsedRow(0, "s3://inbox/a", "ab" * 32, None, "parsed", "", "", 1, 1, 0, 0, 0.1, 2, None, "parsed/x/", "t")


@dataclass
class Counting:
    """A store that counts how often each object is read."""

    inner: ObjectStore
    reads: Counter[str]
    broken: bool = False

    @property
    def address(self) -> str:
        return self.inner.address

    def put(self, key: str, data: bytes) -> None:
        self.inner.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self.inner.put_if_absent(key, data)

    def get(self, key: str) -> bytes:
        self.reads[key] += 1
        return self.inner.get(key)

    def exists(self, key: str) -> bool:
        return self.inner.exists(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if self.broken:
            raise StoreUnavailableError("gone")
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def uri(self, key: str) -> str:
        return self.inner.uri(key)


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Counting:
    """A store of each kind."""
    if request.param == "folder":
        return Counting(FilesystemStore(tmp_path), Counter())
    s3: S3Server = request.getfixturevalue("s3")
    bucket: str = request.getfixturevalue("bucket")
    return Counting(s3.store(bucket, "p"), Counter())


def announce(store: ObjectStore, batch: str, *arrivals: float) -> None:
    refs = [
        DocumentRef(f"s3://inbox/{number}", 1, "e", None, utc_text(datetime.fromtimestamp(at, UTC)), "kafka")
        for number, at in enumerate(arrivals)
    ]
    write_manifest(store, BatchManifest(batch, "t", tuple(refs)))


def end(store: ObjectStore, batch: str, *states: str, revision: str = "r") -> None:
    rows = [replace(ROW, entry=number, state=state) for number, state in enumerate(states)]
    ledger.write(store, PARSED_DOCUMENTS, revision, batch, rows, ParsedRow)


def survey(store: ObjectStore, ahead: float = 0.0) -> StoreSurvey:
    return StoreSurvey(store, "r", backoff.documents(4), lambda: time.time() + ahead)


def test_everything_is_counted(store: Counting) -> None:
    """Documents by state and band, batches, what waits, the quarantine and the outbox."""
    now = time.time()
    announce(store, OLD, now, now)
    end(store, OLD, "parsed", "failed")
    announce(store, NEW, now - 60, now - 50, now)
    signals = SignalsRow(0, "u", "ab" * 32, "t", OLD, "poor", "gap_share", "x")
    ledger.write(store, DOCUMENT_SIGNALS, "r", OLD, [signals], SignalsRow)
    refs = [DocumentRef("s3://inbox/a", 1, "e", None, "2026-01-01T00:00:00Z", "kafka")]
    quarantine.record(store, [replace(ROW, state="failed", reason="internal")], refs, OLD, now=datetime.now(UTC))
    store.put("quarantine/nonsense.json", b"{")
    store.put("outbox/waits.jsonl", b"")
    view = survey(store).look()
    assert view.documents == {"parsed": 1, "degraded": 0, "rejected": 0, "failed": 1}
    assert view.bands == {"poor": 1}
    assert (view.batches_done, view.open, view.waiting) == (1, (NEW,), 3)
    assert view.oldest == pytest.approx(now - 60, abs=1)
    assert view.quarantined == {"retry": 1, "somebody": 0, "damaged": 1}
    assert (view.outbox, view.unreadable) == (1, 0)
    assert view.drift is not None
    assert not view.drift.alarm


def test_a_second_look_reads_only_what_is_new(store: Counting) -> None:
    """Manifests, tables and notes are read once each; a table that is written anew, once more."""
    announce(store, OLD, time.time())
    end(store, OLD, "failed")
    store.put("quarantine/nonsense.json", b"{")
    surveyor = survey(store)
    surveyor.look()
    store.reads.clear()
    assert surveyor.look().documents["failed"] == 1
    assert not store.reads
    end(store, OLD, "parsed")
    announce(store, NEW, time.time())
    store.reads.clear()
    assert surveyor.look().documents == {"parsed": 1, "degraded": 0, "rejected": 0, "failed": 0}
    assert store.reads == {layout.table_key(PARSED_DOCUMENTS, "r", OLD): 1, layout.manifest_key(NEW): 1}
    store.reads.clear()
    surveyor.look()
    assert not store.reads


def test_old_batches_are_not_judged(store: Counting) -> None:
    """What had its table before the start costs no reading of its manifest, and no verdict."""
    announce(store, OLD, time.time())
    end(store, OLD, "parsed")
    store.reads.clear()
    surveyor = survey(store, ahead=5)
    assert not surveyor.look().verdicts
    assert store.reads[layout.manifest_key(OLD)] == 0


def test_results_and_lateness_are_judged(store: Counting) -> None:
    """In time, failed, and late although nothing happens."""
    surveyor = survey(store, ahead=-5)
    announce(store, OLD, time.time(), time.time())
    announce(store, NEW, time.time() - PROMISE_SECONDS + 4)
    surveyor.look()
    end(store, OLD, "degraded", "failed")
    surveyor.clock = lambda: time.time() + 10
    view = surveyor.look()
    assert view.verdicts == {IN_TIME: 1, FAILED: 1, LATE: 1}
    assert view.waiting == 1
    assert sum(view.seconds) == 2


def test_what_comes_and_ends_between_two_looks_is_judged(store: Counting) -> None:
    """A batch that was never seen waiting counts all the same."""
    surveyor = survey(store, ahead=-5)
    surveyor.look()
    announce(store, NEW, time.time())
    end(store, NEW, "parsed")
    assert surveyor.look().verdicts == {IN_TIME: 1}


def test_another_revision_breaks_no_promise(store: Counting) -> None:
    """A document has had its result since its first revision, although a new one has yet to parse it."""
    announce(store, OLD, time.time() - 2 * PROMISE_SECONDS)
    end(store, OLD, "parsed", revision="earlier")
    view = survey(store, ahead=5).look()
    assert (view.open, view.waiting, view.oldest) == ((OLD,), 0, None)
    assert not view.verdicts


def test_damage_is_counted_and_hides_nothing(store: Counting) -> None:
    """A damaged table or manifest is one of many."""
    announce(store, OLD, time.time())
    end(store, OLD, "parsed")
    store.put(layout.table_key(PARSED_DOCUMENTS, "r", NEW), b"nothing")
    store.put(layout.manifest_key(NEW), b"nothing")
    view = survey(store).look()
    assert (view.unreadable, view.documents["parsed"]) == (1, 1)


def test_a_store_that_is_away_is_an_error(store: Counting) -> None:
    """Nothing is made up; the next look goes on."""
    surveyor = survey(store)
    store.broken = True
    with pytest.raises(StoreUnavailableError):
        surveyor.look()
    store.broken = False
    assert surveyor.look().open == ()
