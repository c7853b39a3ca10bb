"""Part ``rss``: the most memory that parsing a long file takes, worker and children together."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from bench import drivers
from bench.context import Context
from bench.cpu import FAST
from bench.drivers import Driver
from bench.memory import Peaks, ProcessTree, as_json
from bench.servers import dev_server

PAGES = {"ours": 1000, "peer": 130}
_SAMPLE_SECONDS = 0.1


def run(context: Context) -> dict[str, Any]:
    """Parse 1,000 pages with ours and 130 with the peer, each in one file."""
    found = {}
    with dev_server(FAST) as server:
        starts: dict[str, Callable[[], Driver]] = {
            "ours": lambda: drivers.ours(server),
            "peer": lambda: drivers.theirs(server, context.peer),
        }
        for name, start in starts.items():
            pages = max(10, round(PAGES[name] * context.scale))
            with start() as driver:
                driver.wait_until_ready()
                found[name] = {"pages": pages, **_peak(driver, context.long_pdf(pages), context.folder / f"rss-{name}")}
            context.say(f"{name}: {found[name]['peak_rss_mb']:.0f} MiB at most for {pages} pages")
    return {
        "peak_rss_mib": {name: one["peak_rss_mb"] for name, one in found.items()},
        "peak_rss_pages": {name: one["pages"] for name, one in found.items()},
        "raw": found,
    }


def _peak(driver: Driver, file: Path, out: Path) -> dict[str, Any]:
    peaks, tree = Peaks(), ProcessTree(psutil.Process(driver.pid))
    with ThreadPoolExecutor(1) as pool:
        driver.start([file], out)
        end = pool.submit(driver.finish)
        while not end.done():
            if readings := tree.read(with_pss=peaks.samples % 20 == 0):
                peaks.add(readings)
            time.sleep(_SAMPLE_SECONDS)
    done = end.result().whole()
    return as_json(len(done.failed), done.seconds, peaks)
