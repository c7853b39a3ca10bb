"""What a tick of the sensor of watched buckets costs over the plain listing, and how much memory it takes.

::

    python bench/bucket_tick.py --objects 100000

The server is a stand-in within this process that answers listings as S3 writes them, page by page, so that
listing and tick differ by our own work alone, which is what is to be measured; the SDK, its XML parser and the HTTP
connection are the real ones. All its objects are of one and the same second. A real server is slower to list, so its
share of our work is smaller. With ``--server URL --bucket NAME`` a bucket of a real server is listed instead, as it is.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import psutil

from mineru_pipeline.documents.watching import Limits, Look, Watch
from mineru_pipeline.storage import FilesystemStore
from mineru_pipeline.storage.s3 import PAGE, S3Config, S3Connection

T = TypeVar("T")

_KEY = "papers/2026/{:09d}-with-a-name-of-usual-length.pdf"
_ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-11-22T10:00:00.000Z</LastModified>"
    "<ETag>&quot;{number:032x}&quot;</ETag><Size>{number}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class _Lister(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages: dict[str, bytes]

    def do_GET(self) -> None:  # the name that http.server calls
        after = parse_qs(urlsplit(self.path).query).get("start-after", [""])[0]
        body = self.pages[after]
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


def pages_of(objects: int) -> dict[str, bytes]:
    """Every page of the listing, by the key behind which it starts; made beforehand, so that serving costs little."""
    pages = {}
    for start in range(0, objects + 1, PAGE):
        entries = (
            _ENTRY.format(key=_KEY.format(number), number=number) for number in range(start, min(start + PAGE, objects))
        )
        after = _KEY.format(start - 1) if start else ""
        head = "<ListBucketResult><Name>bench</Name><IsTruncated>false</IsTruncated>"
        pages[after] = f"{head}{''.join(entries)}</ListBucketResult>".encode()
    return pages


@contextmanager
def stand_in(objects: int) -> Iterator[str]:
    """A server of such a listing; its address."""
    handler = type("Lister", (_Lister,), {"pages": pages_of(objects)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://key:secret@127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def measure(url: str, bucket: str, rounds: int) -> None:
    """Print what the plain listing and a tick with nothing new take, in turns, and the memory they add."""
    place, process = urlsplit(url), psutil.Process()
    endpoint = f"{place.scheme}://{place.netloc.rpartition('@')[2]}"
    connection = S3Connection(S3Config(endpoint, unquote(place.username or ""), unquote(place.password or "")))

    def listing() -> int:
        return sum(1 for _ in connection.listing(bucket, ""))

    with tempfile.TemporaryDirectory() as folder:
        ticks = Ticks(Watch([bucket], FilesystemStore(Path(folder)), connection.listing, "default"))
        print(f"{listing()} objects; RSS after one plain listing {process.memory_info().rss >> 20} MiB")
        first = [timed(ticks.next)[0]]
        while ticks.last.progressed:
            first.append(timed(ticks.next)[0])
        found = Counter(ticks.found)
        print(
            f"first pass: {len(first)} ticks, {sum(cost.wall for cost in first):.1f} s in all; "
            f"found {found.total()}, {found.total() - len(found)} of them twice"
        )
        before, kept = process.memory_info().rss, ticks.cursor
        costs = [(timed(listing)[0], timed(ticks.next)[0]) for _ in range(rounds)]
        assert ticks.cursor == kept, "the bucket changed meanwhile"
    for name in ("wall", "cpu"):
        one, other = (statistics.median(getattr(pair[which], name) for pair in costs) for which in (0, 1))
        print(f"{name:>4}: listing {one:.2f} s, tick with nothing new {other:.2f} s: {100 * (other / one - 1):+.1f}%")
    grown = (process.memory_info().rss - before) / 2**20
    print(f"cursor {len(kept or '')} bytes; RSS {before >> 20} MiB, {grown:+.1f} MiB after {rounds} more of each")


class Ticks:
    """One tick after the other, each from the cursor of the last, within the limits that are the default."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._limits = Limits(documents=2000, batch_size=200, in_time=lambda: True)
        self.cursor: str | None = None
        self.last = Look("")
        self.found: list[str] = []

    def next(self) -> None:
        """Look once and keep the cursor."""
        self.last = self._watch.look(self.cursor, self._limits, datetime.now(UTC))
        self.cursor = self.last.cursor
        self.found += [ref.uri for manifest in self.last.batches for ref in manifest.refs]


class Cost(NamedTuple):
    """Seconds by the clock and of this process's processors."""

    wall: float
    cpu: float


def timed(work: Callable[[], T]) -> tuple[Cost, T]:
    """What the work took, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu), result


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Cost of a tick of the sensor of watched buckets.")
    parser.add_argument("--objects", type=int, default=100_000, help="objects of the stand-in's listing")
    parser.add_argument("--rounds", type=int, default=5, help="measurements, of which the median is shown")
    parser.add_argument("--server", help="a real server, as http://key:secret@host:9000")
    parser.add_argument("--bucket", default="bench", help="the bucket to list there")
    given = parser.parse_args()
    if given.server:
        measure(given.server, given.bucket, given.rounds)
        return
    with stand_in(given.objects) as url:
        measure(url, given.bucket, given.rounds)


if __name__ == "__main__":
    main()
