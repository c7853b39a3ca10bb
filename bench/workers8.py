"""Part ``workers8``: eight processes that know nothing of each other, on one server that sheds what is too much."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

from bench import drivers
from bench.context import Context
from bench.drivers import Driver
from bench.load import Rates, page_load
from bench.servers import Server, dev_server
from bench.steady import Window, Worker, observe

WORKERS = 8
SLOTS = 64
#: ``--max-num-queued-reqs``, which counts running requests, too: half as many may wait as run.
QUEUE = 96
_START_SECONDS = 10.0
_WINDOW_SECONDS = 60.0


def run(context: Context) -> dict[str, Any]:
    """Eight of ours, then eight of the peer's, each with files of its own."""
    rates = page_load(context).rates(context, SLOTS)
    seconds = _WINDOW_SECONDS * max(context.scale, 0.25)
    pages = math.ceil(1.5 * SLOTS / rates.page_seconds * (_START_SECONDS + seconds) / WORKERS) + 12
    context.say(f"{WORKERS} workers on {SLOTS} slots: {rates.request_seconds:.2f} s a request, {pages} pages each")
    with dev_server(rates.server(SLOTS, QUEUE)) as server:
        ours = _together(context, server, [drivers.ours(server, f"w{n}") for n in range(WORKERS)], pages, seconds)
    with dev_server(rates.server(SLOTS, QUEUE)) as server:
        starting = [drivers.theirs(server, context.peer, f"w{n}") for n in range(WORKERS)]
        theirs = _together(context, server, starting, pages, seconds)
    return {
        "workers8": _figures(ours),
        "peer": {"workers8": _figures(theirs)},
        "raw": {"ours": ours.as_json(), "peer": theirs.as_json(), "slots": SLOTS, "queue": QUEUE, **_speed(rates)},
    }


def _together(context: Context, server: Server, starting: list[Driver], pages: int, seconds: float) -> Window:
    with ExitStack() as stack:
        workers = []
        for number, driver in enumerate(starting):
            stack.enter_context(driver)
            workers.append(Worker(f"w{number}", driver, context.mixed_pdfs(pages, 10_000 * (number + 1))))
        for worker in workers:
            worker.driver.wait_until_ready()
        window = observe(server, workers, _START_SECONDS, seconds)
    context.say(
        f"{starting[0].name} × {len(workers)}: {window.of_capacity:.3f} of capacity, {window.shed} shed, "
        f"{window.waiting_over_running:.2f} waiting for each that runs, "
        f"slowest/fastest {window.slowest_over_fastest:.2f}, documents {dict(window.documents)}"
    )
    return window


def _figures(window: Window) -> dict[str, Any]:
    return {
        "shed_after_10s": window.shed,
        "waiting_over_running": round(window.waiting_over_running, 4),
        "of_capacity": round(window.of_capacity, 4),
        "slowest_over_fastest": round(window.slowest_over_fastest, 4),
        "documents_not_whole": sum(count for state, count in window.documents.items() if state != "parsed"),
    }


def _speed(rates: Rates) -> dict[str, float]:
    return {"request_seconds": round(rates.request_seconds, 3), "page_seconds": round(rates.page_seconds, 3)}
