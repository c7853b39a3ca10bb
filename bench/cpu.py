"""Part ``cpu``: what a page costs in processor time, ours and the peer's, pass by pass in turn."""

from __future__ import annotations

import statistics
from typing import Any

from bench import drivers
from bench.context import Context
from bench.drivers import Driver, Pass
from bench.servers import dev_server
from mineru_pipeline.devserver.process import ServerOptions

#: Answers come at once: only the parsers' own work is to be seen.
FAST = ServerOptions(simulate=True, slots=256, prefill_rate=1e6, decode_rate=1e5)


def run(context: Context) -> dict[str, Any]:
    """Parse the files in alternating passes, after one of each that is not counted."""
    with (
        dev_server(FAST) as server,
        drivers.ours(server) as ours,
        drivers.theirs(server, context.peer) as theirs,
    ):
        both = (ours, theirs)
        for driver in both:
            driver.wait_until_ready()
            driver.parse(context.files[:3])
        passes: dict[str, list[Pass]] = {driver.name: [] for driver in both}
        for number in range(context.repetitions):
            # Whatever else the machine does hits both: they take turns, and in turn who begins.
            for driver in both if number % 2 == 0 else both[::-1]:
                passes[driver.name].append(_one(context, driver))
        # In all passes, the warm-up included: equal numbers show that both did the same work.
        requests = server.simulation().finished_by_client
    return _figures(context, passes, requests)


def _one(context: Context, driver: Driver) -> Pass:
    done = driver.parse(context.files).whole()
    context.say(f"{driver.name}: {1000 * done.cpu_per_page:.0f} ms CPU a page ({done.pages} pages)")
    return done


def _figures(context: Context, passes: dict[str, list[Pass]], requests: dict[str, int]) -> dict[str, Any]:
    per_page = {name: statistics.median(one.cpu_per_page for one in found) for name, found in passes.items()}
    ratios = [
        mine.cpu_per_page / other.cpu_per_page for mine, other in zip(passes["ours"], passes["peer"], strict=True)
    ]
    context.known["cpu_seconds_per_page"] = max(per_page.values())
    return {
        "client_cpu_ratio": round(statistics.median(ratios), 4),
        "client_cpu_ms_per_page": {name: round(1000 * seconds, 2) for name, seconds in per_page.items()},
        "raw": {
            "requests": requests,
            "ratios": [round(ratio, 4) for ratio in ratios],
            "passes": {
                name: [
                    {
                        "cpu_ms_per_page": round(1000 * one.cpu_per_page, 2),
                        "pages": one.pages,
                        "seconds": round(one.seconds, 2),
                    }
                    for one in found
                ]
                for name, found in passes.items()
            },
        },
    }
