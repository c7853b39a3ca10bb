"""Limiters that do not know of each other share a model of a vLLM server, in virtual time and at once."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from mineru_pipeline.inference.limiter import AdaptiveLimiter, FixedLimiter, Limiter
from mineru_pipeline.inference.load import LatencyLoad, ServerLoad

#: How far a request and its answer travel, and how long a client takes to send the next one (seconds, mean).
ON_THE_WAY = 0.005
TURNAROUND = 0.01


class Events:
    """Virtual time: what happens next, and when; also the clock of the limiters."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.dice = random.Random(seed)
        self._order = itertools.count()
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def after(self, seconds: float, what: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), what, arguments))

    def run(self, until: float) -> None:
        while self._queue and self._queue[0][0] <= until:
            self.now, _, what, arguments = heapq.heappop(self._queue)
            what(*arguments)

    def monotonic(self) -> float:
        return self.now

    def uniform(self, low: float, high: float) -> float:
        return self.dice.uniform(low, high)

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass
class Server:
    """Slots, a queue in order of arrival, and the bound of vLLM's ``--max-num-queued-reqs``."""

    events: Events
    slots: int
    service: float
    most: float = math.inf
    #: Some servers without a cache show the share of busy slots as its usage.
    shows_slots: bool = False
    running: int = 0
    queue: deque[Worker] = field(default_factory=deque)
    #: From when on it is measured.
    measured_from: float = 0.0
    busy: float = 0.0
    waited: float = 0.0
    capacity: float = 0.0
    shed: int = 0
    _since: float = 0.0

    def arrive(self, worker: Worker, sent_at: float) -> None:
        self.measure()
        if self.running + len(self.queue) >= self.most:
            self.shed += self.events.now >= self.measured_from
            self.events.after(ON_THE_WAY, worker.is_shed, sent_at)
        elif self.running < self.slots:
            self._start(worker)
        else:
            self.queue.append(worker)

    def load(self) -> ServerLoad:
        return ServerLoad(self.running, len(self.queue), self.running / self.slots if self.shows_slots else 0.4)

    def resize(self, slots: int) -> None:
        self.measure()
        self.slots = slots

    def measure(self) -> None:
        now = self.events.now
        seconds = max(0.0, now - max(self._since, self.measured_from))
        self._since = now
        self.busy += seconds * min(self.running, self.slots)
        self.waited += seconds * len(self.queue)
        self.capacity += seconds * self.slots

    def _start(self, worker: Worker) -> None:
        self.running += 1
        # Lognormal, with a standard deviation of half the mean: a batch holds short lines and long tables.
        sigma = math.sqrt(math.log(1.25))
        seconds = self.service * self.events.dice.lognormvariate(-sigma * sigma / 2, sigma)
        self.events.after(seconds, self._finish, worker, seconds)

    def _finish(self, worker: Worker, seconds: float) -> None:
        self.measure()
        self.running -= 1
        if self.queue and self.running < self.slots:
            self._start(self.queue.popleft())
        self.events.after(self.events.uniform(0.5, 1.5) * TURNAROUND, worker.is_answered)


@dataclass(eq=False)
class Worker:
    """Always has more to send; its limiter reads the load about twice a second."""

    events: Events
    server: Server
    limiter: Limiter
    is_blind: bool = False
    in_flight: int = 0
    answered: int = 0
    is_on: bool = False
    latency: LatencyLoad = field(default_factory=LatencyLoad)
    sent: deque[float] = field(default_factory=deque)

    def start(self) -> None:
        self.is_on = True
        self._fill()
        self._read_later()

    def stop(self) -> None:
        self.is_on = False

    def is_answered(self) -> None:
        self.answered += self.events.now >= self.server.measured_from
        # The server takes requests in order, so on the whole the oldest one is answered first.
        self.latency.note("text", self.events.now - self.sent.popleft())
        self.in_flight -= 1
        self._fill()

    def is_shed(self, sent_at: float) -> None:
        self.sent.pop()
        self.in_flight -= 1
        self.limiter.on_overload(sent_at)
        self._fill()

    def _fill(self) -> None:
        while self.is_on and self.in_flight < self.limiter.limit:
            self.in_flight += 1
            self.sent.append(self.events.now)
            self.events.after(ON_THE_WAY, self.server.arrive, self, self.events.now)

    def _read_later(self) -> None:
        self.events.after(self.events.uniform(0.4, 0.6), self._read)

    def _read(self) -> None:
        load = self.latency.guess(self.in_flight) if self.is_blind else self.server.load()
        if load is not None:
            self.limiter.on_load(load, self.in_flight, is_used=True)
        self._fill()
        if self.is_on:
            self._read_later()


@dataclass(frozen=True)
class Outcome:
    """Shares of the capacity, of the running, of the fastest worker; the rest are numbers of requests."""

    used: float
    waiting_over_running: float
    slowest_over_fastest: float
    shed: int
    limits: list[int]


@dataclass
class Scene:
    """A server and its workers; what happens when is told by ``at``."""

    slots: int
    workers: int
    service: float
    seed: int = 1
    most: float = 1.5
    blind: bool = False

    def __post_init__(self) -> None:
        self.events = Events(self.seed)
        self.server = Server(self.events, self.slots, self.service, self.most * self.slots)
        self.crew = [
            Worker(self.events, self.server, AdaptiveLimiter(self.events), self.blind) for _ in range(self.workers)
        ]
        for worker in self.crew:
            worker.starts_at = self.events.uniform(0.0, 0.5)  # type: ignore[attr-defined]

    def run(self, until: float, measured_from: float = 10.0, *, late: dict[int, float] | None = None) -> Outcome:
        self.server.measured_from = measured_from
        for number, worker in enumerate(self.crew):
            self.events.after((late or {}).get(number, worker.starts_at), worker.start)  # type: ignore[attr-defined]
        self.events.run(until)
        self.server.measure()
        answered = [worker.answered for worker in self.crew]
        return Outcome(
            self.server.busy / self.server.capacity,
            self.server.waited / max(1e-9, self.server.busy),
            min(answered) / max(answered),
            self.server.shed,
            [worker.limiter.limit for worker in self.crew],
        )


#: Few events are enough where a second holds many.
def long_enough(slots: int, service: float) -> float:
    return min(150.0, max(40.0, 60_000 * service / slots))


@pytest.mark.parametrize("service", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("slots", [4, 40, 400])
def test_one_worker_keeps_any_server_full(slots: int, service: float) -> None:
    """From 4 slots to 400 the same limiter uses more than 98% of them, with a short queue."""
    outcome = Scene(slots, 1, service).run(long_enough(slots, service))
    assert outcome.used > 0.98
    assert outcome.waiting_over_running < 0.1 + 2 / slots


@pytest.mark.parametrize("service", [0.2, 1.0, 7.0])
@pytest.mark.parametrize(("slots", "workers"), [(40, 8), (40, 3), (400, 8), (400, 20)])
def test_workers_that_do_not_know_of_each_other_share_fairly(slots: int, workers: int, service: float) -> None:
    """The queue stays short, nothing is shed after ten seconds, and nobody gets much less than another."""
    outcome = Scene(slots, workers, service).run(long_enough(slots, service) * 1.3)
    assert outcome.used > 0.97
    assert outcome.waiting_over_running < 0.2
    assert outcome.shed == 0
    assert outcome.slowest_over_fastest > 0.7


@pytest.mark.parametrize(("slots", "workers"), [(4, 1), (40, 1), (40, 8), (400, 1), (400, 8)])
def test_a_full_cache_leaves_no_slot_empty(slots: int, workers: int) -> None:
    """With a cache that is full whenever all slots are busy, they are kept busy all the same, with a shorter queue."""
    scene = Scene(slots, workers, 1.0)
    scene.server.shows_slots = True
    outcome = scene.run(60.0)
    assert outcome.used > 0.97
    assert outcome.waiting_over_running < 0.1 + 2 / slots
    assert outcome.slowest_over_fastest > 0.6


@pytest.mark.parametrize("workers", [8, 16])
def test_more_workers_than_slots_do_not_swing(workers: int) -> None:
    """One request each is the least: the queue is as long as that makes it, and every slot is used."""
    scene = Scene(4, workers, 1.0, most=math.inf)
    outcome = scene.run(60.0, measured_from=30.0)
    assert outcome.used > 0.99
    assert outcome.limits == [1] * workers
    assert outcome.waiting_over_running == pytest.approx((workers - 4) / 4, rel=0.1)


@pytest.mark.parametrize(("slots", "workers"), [(400, 2), (400, 8), (40, 2)])
def test_a_late_worker_gets_its_share_within_a_minute(slots: int, workers: int) -> None:
    """A server that others filled long before gives room to who comes later."""
    outcome = Scene(slots, workers, 1.0).run(150.0, measured_from=120.0, late={workers - 1: 60.0})
    assert outcome.slowest_over_fastest > 0.7
    assert outcome.used > 0.97
    assert outcome.shed == 0


def test_the_room_of_workers_that_left_is_taken_soon() -> None:
    """With half of the workers gone the others fill the server within seconds."""
    scene = Scene(400, 8, 1.0)
    for worker in scene.crew[:4]:
        scene.events.after(40.0, worker.stop)
    assert scene.run(60.0, measured_from=45.0).used > 0.97


def test_a_server_that_comes_back_smaller_gets_a_shorter_queue() -> None:
    """From 400 slots to 100, the queue is cut within seconds; from 100 to 400, it is filled."""
    shrinking = Scene(400, 8, 1.0, most=math.inf)
    shrinking.events.after(30.0, shrinking.server.resize, 100)
    smaller = shrinking.run(60.0, measured_from=40.0)
    assert smaller.waiting_over_running < 0.2
    assert smaller.used > 0.97
    growing = Scene(100, 8, 1.0, most=math.inf)
    growing.events.after(30.0, growing.server.resize, 400)
    assert growing.run(60.0, measured_from=40.0).used > 0.97


def test_a_foreign_client_keeps_what_it_takes() -> None:
    """Beside a client that always has half of the slots in use, the queue stays short and the rest is used."""
    scene = Scene(400, 4, 1.0)
    foreign = Worker(scene.events, scene.server, FixedLimiter(200))
    scene.events.after(0.0, foreign.start)
    outcome = scene.run(60.0)
    assert outcome.used > 0.98
    assert outcome.waiting_over_running < 0.15
    assert 180 <= sum(outcome.limits) <= 260
    assert outcome.shed == 0


def test_the_start_takes_seconds() -> None:
    """Four seconds after the first request, 400 slots are full."""
    assert Scene(400, 1, 1.0).run(14.0, measured_from=5.0).used > 0.98


@pytest.mark.parametrize(("slots", "workers"), [(4, 1), (40, 1), (40, 4), (400, 1)])
def test_without_metrics_latency_keeps_the_queue_bounded(slots: int, workers: int) -> None:
    """Where ``/metrics`` cannot be read, the server is used, and no more waits there than a batch and a half."""
    outcome = Scene(slots, workers, 1.0, most=math.inf, blind=True).run(200.0, measured_from=60.0)
    assert outcome.used > 0.95
    assert outcome.waiting_over_running < 1.5
