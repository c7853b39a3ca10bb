"""Watched buckets of a real S3 server: from uploads to batches, without loss and without repetition."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import unquote

import pytest
from minio.datatypes import Object as ListedObject
from s3_faults import FaultyS3, Waiting, error, faulty_s3
from s3_server import S3Server

from mineru_pipeline.documents.manifest import read_manifest
from mineru_pipeline.documents.sweep import PAGE
from mineru_pipeline.documents.watching import Limits, Look, Watch, own_prefix
from mineru_pipeline.errors import StoreError, StoreUnavailableError
from mineru_pipeline.storage import FilesystemStore, ObjectStore, layout
from mineru_pipeline.storage.s3 import S3Connection

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def always() -> bool:
    return True


@dataclass
class Bench:
    """A watch with its cursor, and all that it ever found."""

    server: S3Server
    bucket: str
    store: ObjectStore
    prefixes: Sequence[str] = ("",)
    cursor: str | None = None
    found: list[tuple[str, str]] = field(default_factory=list)

    def put(self, *keys: str, data: bytes = b"x") -> None:
        client = self.server.client
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: client.put_object(self.bucket, key, io.BytesIO(data), len(data)), keys))

    def look(self, *, documents: int = 10_000, batch_size: int = 100, in_time: Callable[[], bool] = always) -> Look:
        """Evaluate, without keeping the cursor."""
        connection = S3Connection(self.server.config(patience_seconds=5.0), Waiting())
        names = [f"{self.bucket}/{prefix}" if prefix else self.bucket for prefix in self.prefixes]
        watch = Watch(names, self.store, connection.listing, "default")
        return watch.look(self.cursor, Limits(documents, batch_size, in_time), NOW)

    def tick(self, **limits: int | Callable[[], bool]) -> Look:
        """Evaluate and keep the cursor, as Dagster does when a tick has succeeded."""
        look = self.look(**limits)  # type: ignore[arg-type]  # passed on
        self.cursor = look.cursor
        for manifest in look.batches:
            self.found += [(unquote(ref.uri.partition(f"//{self.bucket}/")[2]), str(ref.etag)) for ref in manifest.refs]
        return look

    @property
    def keys(self) -> list[str]:
        return sorted(key for key, _ in self.found)


@pytest.fixture
def bench(tmp_path: Path, s3: S3Server, bucket: str) -> Bench:
    return Bench(s3, bucket, FilesystemStore(tmp_path / "store"))


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3(s3) as proxy:
        yield proxy


def test_an_object_that_no_reference_can_name_keeps_no_other_waiting(tmp_path: Path) -> None:
    """Half a character in a key or an ETag is refused once, with its reason; the others come in."""
    listed = [
        ListedObject("inbox", key, etag=etag, size=1) for key, etag in (("a\ud800.pdf", "e"), ("b.pdf", "\udc80"))
    ]
    listed.append(ListedObject("inbox", "c.pdf", etag="e", size=1))
    watch = Watch(["inbox"], FilesystemStore(tmp_path), lambda _bucket, _prefix, _after: listed, "default")
    first = watch.look(None, Limits(100, 10, always), NOW)
    assert [ref.uri for batch in first.batches for ref in batch.refs] == ["s3://inbox/c.pdf"]
    assert [r"s3://inbox/a\ud800.pdf" in first.refused[0], "'s3://inbox/b.pdf'" in first.refused[1]] == [True, True]
    again = watch.look(first.cursor, Limits(100, 10, always), NOW)
    assert (again.batches, again.refused) == ([], [])


def test_a_thousand_at_once_some_of_them_overwritten(bench: Bench) -> None:
    """A thousand objects of the same seconds, some overwritten: each state comes once, in batches of the size set."""
    keys = [f"in/{number:04d}.pdf" for number in range(PAGE)]
    bench.put(*keys)
    first = bench.tick()
    assert [len(manifest.refs) for manifest in first.batches] == [100] * 10
    assert bench.keys == keys
    bench.put(*keys[::100], data=b"another state")
    second = bench.tick()
    assert sorted(ref.uri for ref in second.batches[0].refs) == [f"s3://{bench.bucket}/{key}" for key in keys[::100]]
    assert len(second.batches) == 1
    assert Counter(bench.found).most_common(1)[0][1] == 1
    assert bench.tick().batches == []
    assert bench.cursor == second.cursor


def test_the_same_bytes_stored_again_are_nothing_new(bench: Bench) -> None:
    """The identity of an object is its key and ETag: a later LastModified alone changes nothing."""
    bench.put("a.pdf")
    bench.tick()
    bench.put("a.pdf")
    assert bench.tick().batches == []


def test_a_manifest_says_what_was_listed(bench: Bench) -> None:
    """References hold address, size, ETag and time, so that exactly this state is read; the key sorts by time."""
    bench.put("a b+c%#?.PDF", "no-document.txt", "folder.pdf/", data=b"12345")
    (manifest,) = bench.tick().batches
    (ref,) = manifest.refs
    assert ref.uri == f"s3://{bench.bucket}/a%20b%2Bc%25%23%3F.PDF"
    stat = bench.server.client.stat_object(bench.bucket, "a b+c%#?.PDF")
    assert (ref.size, ref.etag, ref.origin, ref.version) == (5, stat.etag, "minio", None)
    assert ref.received_at == "2026-11-22T00:00:00Z"
    assert ref.modified_at
    assert manifest.batch[:16] == ref.modified_at.replace("-", "").replace(":", "")
    assert read_manifest(bench.store, manifest.batch) == manifest


def test_two_evaluations_of_one_cursor_give_the_same_batches(bench: Bench) -> None:
    """Whoever evaluates again, because a tick was lost or somebody tries it in the UI, gets the same."""
    bench.put(*(f"{number}.pdf" for number in range(25)))
    one, two = (bench.look(batch_size=10, documents=15) for _ in range(2))
    assert [manifest.batch for manifest in one.batches] == [manifest.batch for manifest in two.batches]
    assert one.cursor == two.cursor
    assert one.batches == two.batches


def test_a_lost_tick_is_made_up_for(bench: Bench) -> None:
    """A tick that wrote its manifests and died before its cursor was kept loses nothing and repeats nothing."""
    bench.put("a.pdf", "c.pdf")
    bench.look()
    bench.put("b.pdf")
    bench.tick()
    assert bench.keys == ["a.pdf", "b.pdf", "c.pdf"]
    assert bench.tick().batches == []


def test_a_long_listing_takes_several_ticks(bench: Bench) -> None:
    """Bounded in documents and in time, ticks go on where the last stopped, and what comes meanwhile is not lost."""
    bench.put(*(f"k{number:04d}.pdf" for number in range(PAGE + 500)))
    ticks = []
    for turn in count():
        ticks.append(bench.tick(documents=400, in_time=lambda: False))
        assert sum(len(manifest.refs) for manifest in ticks[-1].batches) <= 400
        if turn == 1:
            # Behind the position, and before it, where only the next pass looks.
            bench.put("a-late.pdf", "z-late.pdf")
        if not json.loads(ticks[-1].cursor)["places"][bench.bucket]["position"]:
            break
    bench.tick()
    expected = ["a-late.pdf", *(f"k{number:04d}.pdf" for number in range(PAGE + 500)), "z-late.pdf"]
    assert bench.keys == expected
    assert len(ticks) >= 4
    assert len(str(bench.cursor)) < 1000


def test_prefixes_have_positions_of_their_own_and_take_turns(bench: Bench) -> None:
    """A large prefix does not keep a small one waiting, and a new one starts from the beginning."""
    bench.prefixes = ("large/", "small/")
    bench.put(*(f"large/{number:03d}.pdf" for number in range(30)), "small/a.pdf", "other/b.pdf")
    for _ in range(2):
        bench.tick(documents=10)
    assert "small/a.pdf" in bench.keys
    for _ in range(5):
        bench.tick(documents=10)
    assert len(bench.found) == len(set(bench.found)) == 31
    bench.prefixes = ("large/", "small/", "other/")
    bench.tick()
    assert len(bench.found) == 32


def test_deleted_objects_are_noticed(bench: Bench) -> None:
    """How many objects are gone is said once, when a pass is complete, and nothing is requested for them."""
    bench.put("a.pdf", "b.pdf", "c.pdf")
    bench.tick()
    for key in ("a.pdf", "b.pdf"):
        bench.server.client.remove_object(bench.bucket, key)
    look = bench.tick()
    assert [note for note in look.notes if "2 objects were deleted" in note]
    assert look.batches == []
    assert bench.tick().notes == []


def test_an_outage_keeps_the_cursor_and_work_resumes(bench: Bench, faulty: FaultyS3) -> None:
    """While the server is down a look says why, keeps what it knows, and afterwards finds what came meanwhile."""
    bench.put("a.pdf")
    bench.server = faulty.server
    bench.tick()
    bench.put("b.pdf")
    faulty.faults = [error(503, "SlowDown")] * 1000
    look = bench.tick()
    assert not look.progressed
    assert [type(failure) for failure in look.failures] == [StoreUnavailableError]
    assert "503" in str(look.failures[0])
    faulty.faults.clear()
    bench.tick()
    assert bench.keys == ["a.pdf", "b.pdf"]


def test_a_prefix_that_cannot_be_listed_does_not_stop_the_others(bench: Bench, faulty: FaultyS3) -> None:
    """One denied prefix is a failure beside the others' batches."""
    bench.put("a/1.pdf", "b/1.pdf")
    bench.server, bench.prefixes = faulty.server, ("a/", "b/")
    faulty.faults = [error(403, "AccessDenied")]
    look = bench.tick()
    assert (len(look.failures), look.progressed, bench.keys) == (1, True, ["b/1.pdf"])
    bench.tick()
    assert bench.keys == ["a/1.pdf", "b/1.pdf"]


def test_a_store_that_fails_loses_no_document(bench: Bench) -> None:
    """Where a manifest cannot be written the cursor stays, so that its documents come again."""

    class Full(FilesystemStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            raise StoreUnavailableError("no room")

    good = bench.store
    assert isinstance(good, FilesystemStore)
    bench.put("a.pdf")
    bench.store = Full(good.root)
    look = bench.tick()
    assert (look.batches, look.progressed, [str(each) for each in look.failures]) == ([], False, ["no room"])
    bench.store = good
    bench.tick()
    assert bench.keys == ["a.pdf"]


def test_what_was_seen_does_not_pile_up(bench: Bench) -> None:
    """Old records are removed, but never those that a cursor of the last few ticks names."""
    cursors = []
    for number in range(15):
        bench.put(f"{number}.pdf")
        bench.tick()
        cursors.append(bench.cursor)
    assert len(list(bench.store.list(layout.seen_prefix(bench.bucket)))) <= 10
    bench.cursor = cursors[-5]
    look = bench.look()
    assert (look.failures, len(look.batches[0].refs)) == ([], 4)


def test_a_cursor_that_is_none_and_a_record_that_is_gone_are_explained(bench: Bench) -> None:
    """Neither is taken for "nothing seen yet"; the message says what resetting the cursor means."""
    bench.put("a.pdf")
    bench.tick()
    for info in list(bench.store.list("intake/")):
        bench.store.delete(info.key)
    (failure,) = bench.look().failures
    assert "Reset the cursor" in str(failure)
    bench.cursor = '{"offsets": 3}'
    with pytest.raises(StoreError, match="Reset the cursor"):
        bench.look()


def test_what_the_store_holds_is_no_document(bench: Bench) -> None:
    """Where the store lies in the watched bucket, its overlays do not come in as documents."""
    store = bench.server.store(bench.bucket, "results/a")
    bench.store = store
    store.put("parsed/layout.pdf", b"%PDF")
    bench.put("new.pdf", "results/another.pdf")
    bench.tick()
    bench.tick()
    assert bench.keys == ["new.pdf", "results/another.pdf"]
    assert own_prefix(store, bench.bucket) == "results/a/"
    assert own_prefix(store, "another") is None
    assert own_prefix(bench.server.store(bench.bucket), bench.bucket) == ""
