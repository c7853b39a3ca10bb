"""Reading a server's load: while there is work, not in step, and without metrics by latency."""

from __future__ import annotations

import asyncio

from mineru_pipeline.inference.breaker import CircuitBreaker
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.endpoints import Endpoint
from mineru_pipeline.inference.limiter import START, AdaptiveLimiter
from mineru_pipeline.inference.load import MIN_SAMPLES, ServerLoad
from mineru_pipeline.inference.testing import ManualClock
from mineru_pipeline.inference.watch import LONGEST_PERIOD, PERIOD, LoadWatch


class Desk:
    """An endpoint whose load is told by hand, and when it was asked for."""

    def __init__(self, load: ServerLoad | None, seconds: float = 0.0) -> None:
        self.clock = ManualClock()
        self.load = load
        self.seconds = seconds
        self.asked: list[float] = []
        self.heard = 0
        breaker = CircuitBreaker(BreakerConfig(), self.clock)
        self.endpoint = Endpoint("http://gpu", breaker, AdaptiveLimiter(self.clock))
        self.watch = LoadWatch(self._read, self.clock, self._hear)

    async def _read(self, endpoint: Endpoint) -> ServerLoad | None:
        self.asked.append(self.clock.now)
        await self.clock.sleep(self.seconds)
        return self.load

    def _hear(self) -> None:
        self.heard += 1

    async def work(self, seconds: float) -> None:
        self.watch.attend(self.endpoint)
        self.endpoint.take(0.0)
        self.endpoint.was_full = True
        await self.clock.sleep(seconds)
        self.endpoint.in_flight -= 1

    def pauses(self) -> list[float]:
        return [after - before for before, after in zip(self.asked, self.asked[1:], strict=False)]


async def test_the_load_is_read_about_twice_a_second() -> None:
    """With pauses that differ, so that workers which started together do not ask together."""
    desk = Desk(ServerLoad(1, 1))
    await desk.clock.run(desk.work(100.0))
    assert 180 < len(desk.asked) == desk.heard < 220
    assert len({round(pause, 3) for pause in desk.pauses()}) > 20
    await desk.watch.aclose()


async def test_an_idle_client_asks_nothing() -> None:
    """With nothing in flight the reading stops, and work starts it again."""
    desk = Desk(ServerLoad(1, 1))
    await desk.clock.run(desk.work(3.0))
    asked = len(desk.asked)
    await desk.clock.run(desk.clock.sleep(60.0))
    assert len(desk.asked) == asked
    await desk.clock.run(desk.work(3.0))
    assert len(desk.asked) > asked
    await desk.watch.aclose()


async def test_a_server_that_takes_long_to_tell_is_asked_less_often() -> None:
    """Asking takes a tenth of the time at most, but never waits longer than a few seconds."""
    for seconds, expected in ((0.2, 2.0), (5.0, LONGEST_PERIOD)):
        desk = Desk(ServerLoad(1, 1), seconds)
        await desk.clock.run(desk.work(60.0))
        steady = desk.pauses()[1:]
        assert 0.7 * expected < sum(steady) / len(steady) - seconds < 1.3 * expected
        await desk.watch.aclose()


async def test_after_a_rest_the_limit_begins_anew() -> None:
    """A short pause keeps it; after a long one, others may have filled the server."""
    desk = Desk(ServerLoad(100, 0))
    await desk.clock.run(desk.work(5.0))
    high = desk.endpoint.limiter.limit
    assert high > START
    await desk.clock.run(desk.clock.sleep(2.0))
    await desk.clock.run(desk.work(PERIOD / 2))
    assert desk.endpoint.limiter.limit >= high - 1
    await desk.clock.run(desk.clock.sleep(60.0))
    desk.watch.attend(desk.endpoint)
    assert desk.endpoint.limiter.limit == START
    await desk.watch.aclose()


async def test_without_a_reading_latency_has_to_do() -> None:
    """The limit grows by the guess, and not before there is one."""
    desk = Desk(None)
    await desk.clock.run(desk.work(10.0))
    assert (desk.endpoint.limiter.limit, desk.heard) == (START, 0)
    for _ in range(MIN_SAMPLES):
        desk.endpoint.latency.note("text", 1.0)
    await desk.clock.run(desk.work(2.0))
    assert (desk.endpoint.limiter.limit, desk.heard) == (2 * START, 1)
    await desk.watch.aclose()


async def test_closing_ends_the_reading() -> None:
    """No task is left behind."""
    desk = Desk(ServerLoad(1, 1))
    desk.watch.attend(desk.endpoint)
    desk.endpoint.take(0.0)
    await asyncio.sleep(0)
    before = len(asyncio.all_tasks())
    await desk.watch.aclose()
    assert len(asyncio.all_tasks()) == before - 1
