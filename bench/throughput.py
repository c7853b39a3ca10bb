"""Part ``throughput``: the share of a server's capacity that ours uses, the best fixed number, and the peer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import drivers
from bench.context import Context, processors
from bench.drivers import Driver
from bench.load import Rates, page_load
from bench.servers import Server, dev_server
from bench.steady import Window, Worker, observe

SLOTS = (4, 40, 400)
#: Fixed numbers of requests in flight that are tried, as multiples of the slots.
SWEEP = (1.0, 1.5, 2.0)
_WINDOW_SECONDS = 20.0
_START_SECONDS = 10.0
#: Mean request times that the peer is watched at least.
_WAVES = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How fast the server is, how long it is watched, and how many pages that takes."""

    slots: int
    rates: Rates
    start_seconds: float
    seconds: float
    pages: int


def run(context: Context) -> dict[str, Any]:
    """Measure each capacity; the adaptive limiter runs ``repetitions`` times, everything else once."""
    load = page_load(context)
    found = {}
    for slots in SLOTS:
        plan = plan_for(context, slots, load.rates(context, slots))
        context.say(
            f"{slots} slots: {plan.rates.request_seconds:.2f} s a request, {plan.pages} pages offered, "
            f"{plan.start_seconds + plan.seconds:.0f} s a run"
        )
        found[str(slots)] = _capacity(context, plan)
    best = {slots: max(one["of_capacity"] for one in each["static"].values()) for slots, each in found.items()}
    return {
        "throughput_of_capacity": {slots: each["ours"]["of_capacity"] for slots, each in found.items()},
        "throughput_of_best_static": {
            slots: round(each["ours"]["of_capacity"] / best[slots], 4) for slots, each in found.items()
        },
        "throughput_waiting_over_running": {
            slots: each["ours"]["waiting_over_running"] for slots, each in found.items()
        },
        "peer": {
            "throughput_of_capacity": {slots: each["peer"]["of_capacity"] for slots, each in found.items()},
            "throughput_of_best_static": {
                slots: round(each["peer"]["of_capacity"] / best[slots], 4) for slots, each in found.items()
            },
            "throughput_waiting_over_running": {
                slots: each["peer"]["waiting_over_running"] for slots, each in found.items()
            },
        },
        "raw": found,
    }


def plan_for(context: Context, slots: int, rates: Rates) -> Plan:
    """Return a run in which at most ``CPU_SHARE`` of the machine is needed, and the work does not run out."""
    start = max(_START_SECONDS, 2 * rates.request_seconds)
    seconds = _WINDOW_SECONDS * max(context.scale, 0.25)
    done = slots / rates.page_seconds * (start + seconds)
    # A page is needed for every few slots from the beginning, and there must be work left in the end.
    return Plan(slots, rates, start, seconds, math.ceil(1.2 * done + 0.4 * slots) + 12)


def _capacity(context: Context, plan: Plan) -> dict[str, Any]:
    with dev_server(plan.rates.server(plan.slots)) as server:
        adaptive = [_ours(context, server, plan, None) for _ in range(max(2, context.repetitions // 2))]
        static = {}
        for factor in SWEEP:
            static[f"{factor:g} x slots"] = _ours(context, server, plan, round(factor * plan.slots)).as_json()
        # It works in waves, document by document: a short window would see one phase of them.
        patient = replace(plan, seconds=max(plan.seconds, _WAVES * plan.rates.request_seconds))
        peer = _watch(context, server, patient, drivers.theirs(server, context.peer), None)
    return {
        "ours": _median(adaptive),
        "ours_runs": [window.as_json() for window in adaptive],
        "static": static,
        "peer": peer.as_json(),
        "request_seconds": round(plan.rates.request_seconds, 3),
        "page_seconds": round(plan.rates.page_seconds, 3),
        "cpu_share_needed": round(plan.slots / plan.rates.page_seconds * context.page_cost() / processors(), 3),
    }


def _ours(context: Context, server: Server, plan: Plan, in_flight: int | None) -> Window:
    return _watch(context, server, plan, drivers.ours(server), in_flight)


def _watch(context: Context, server: Server, plan: Plan, driver: Driver, in_flight: int | None) -> Window:
    with driver:
        driver.wait_until_ready()
        worker = Worker(driver.name, driver, context.mixed_pdfs(plan.pages), in_flight)
        window = observe(server, [worker], plan.start_seconds, plan.seconds)
    how = f"{driver.name}, {in_flight} in flight" if in_flight else driver.name
    context.say(
        f"{plan.slots} slots, {how}: {window.of_capacity:.3f} of capacity, "
        f"{window.waiting_over_running:.2f} waiting for each that runs"
    )
    return window


def _median(windows: Sequence[Window]) -> dict[str, float]:
    names = ("of_capacity", "waiting_over_running", "shed", "requests_per_second")
    return {name: round(statistics.median(getattr(window, name) for window in windows), 4) for name in names}
