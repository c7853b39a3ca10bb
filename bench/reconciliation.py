"""What a reconciliation costs over the plain listing, and how much memory it takes.

::

    python bench/reconciliation.py --objects 100000

As in ``bench/bucket_tick.py`` the server is a stand-in within this process, so that the difference is our own
work alone. All objects but some are in batches with tables, in a folder; the batches are made beforehand.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench.bucket_tick import stand_in, timed
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.watching import listed_reference
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.holdings import Place
from mineru_pipeline.parsing.ledger import PARSED_DOCUMENTS, ParsedRow
from mineru_pipeline.parsing.reconciliation import Reconciler, Target
from mineru_pipeline.storage import FilesystemStore, ObjectStore
from mineru_pipeline.storage.s3 import S3Config, S3Connection

_BATCH = 200
_NOW = datetime(2026, 11, 23, tzinfo=UTC)
_SAMPLE_SECONDS = 0.005


def fill(store: ObjectStore, connection: S3Connection, bucket: str, left_out: int) -> int:
    """Make batches with tables of all objects but the first ``left_out``; how many entries they have."""
    refs, entries = [], 0
    for number, item in enumerate(connection.listing(bucket, "")):
        if number >= left_out:
            refs.append(listed_reference(bucket, item, "2026-11-22T10:00:00Z", "minio"))
        if len(refs) == _BATCH:
            entries += _write(store, f"20261122T100000Z-{number:012d}", refs)
            refs = []
    return entries + (_write(store, f"20261122T100000Z-{0:012d}", refs) if refs else 0)


def _write(store: ObjectStore, batch: str, refs: list) -> int:  # type: ignore[type-arg]  # of DocumentRef
    write_manifest(store, BatchManifest(batch, "default", tuple(refs)))
    rows = [
        ParsedRow(number, ref.uri, "0" * 64, None, "parsed", "", "", 9, 9, 0, 0, 1.0, 9, 0.9, "parsed/x/")
        for number, ref in enumerate(refs)
    ]
    ledger.write(store, PARSED_DOCUMENTS, "r1", batch, rows, ParsedRow)
    return len(refs)


@contextmanager
def peak() -> Iterator[list[int]]:
    """Bytes by which the resident memory of this process grew at most."""
    process, done, grown = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            grown[0] = max(grown[0], process.memory_info().rss - before)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield grown
    finally:
        done.set()
        thread.join()


def measure(url: str, left_out: int) -> None:
    """Print what listing and reconciling take."""
    place = urlsplit(url)
    endpoint = f"{place.scheme}://{place.netloc.rpartition('@')[2]}"
    connection = S3Connection(S3Config(endpoint, "key", "secret"))
    with tempfile.TemporaryDirectory() as folder:
        store = FilesystemStore(Path(folder))
        entries = fill(store, connection, "bench", left_out)
        listing, objects = timed(lambda: sum(1 for _ in connection.listing("bench", "")))
        plain = Reconciler(store, connection.listing, lambda *_: None, "default", _BATCH, timedelta(0))
        with peak() as grown:
            cost, found = timed(lambda: plain.reconcile([Target(Place("bench"))], now=_NOW))
        again, second = timed(lambda: plain.reconcile([Target(Place("bench"))], now=_NOW))
    print(f"{objects} objects, {entries} entries of {found.batches} batches")
    print(f"listing {listing.wall:.1f} s; reconciling {cost.wall:.1f} s, once more {again.wall:.1f} s")
    print(f"missing {found.missing}, requested {found.requested}; once more {second.missing}, {second.requested}")
    print(f"memory: {grown[0] / 2**20:.1f} MiB more at most")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Cost of a reconciliation.")
    parser.add_argument("--objects", type=int, default=100_000, help="objects of the stand-in's listing")
    parser.add_argument("--missing", type=int, default=1000, help="objects that no batch names")
    given = parser.parse_args()
    started = time.monotonic()
    with stand_in(given.objects) as url:
        measure(url, given.missing)
    print(f"in all {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
