"""The queue for slots: its order, what it survives, and where it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mineru_pipeline.errors import ServerOverloadedError
from mineru_pipeline.inference.breaker import CircuitBreaker
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool
from mineru_pipeline.inference.limiter import AdaptiveLimiter, FixedLimiter
from mineru_pipeline.inference.slots import SlotQueue
from mineru_pipeline.inference.testing import ManualClock


class Hall:
    """A queue, and visitors who stay in their slot until they are told to leave."""

    def __init__(self, *limits: int, most: int | None = None) -> None:
        self.clock = ManualClock()
        config = BreakerConfig(failure_threshold=1)
        self.endpoints = [
            Endpoint(f"http://{number}", CircuitBreaker(config, self.clock), FixedLimiter(limit))
            for number, limit in enumerate(limits)
        ]
        self.queue = SlotQueue(EndpointPool(tuple(self.endpoints)), self.clock, most)
        self.inside: dict[str, Endpoint | None] = {}
        self.order: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}

    async def enter(self, name: str, kind: str = "text") -> asyncio.Task[None]:
        task = asyncio.create_task(self._visit(name, kind))
        await asyncio.sleep(0)
        return task

    async def leave(self, name: str) -> None:
        self._doors[name].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def _visit(self, name: str, kind: str) -> None:
        self._doors[name] = asyncio.Event()
        async with self.queue.slot(kind) as endpoint:
            self.inside[name] = endpoint
            self.order.append(name)
            try:
                await self._doors[name].wait()
            finally:
                del self.inside[name]

    def break_down(self, endpoint: Endpoint) -> None:
        permission = endpoint.breaker.try_acquire_permission()
        assert permission is not None
        permission.on_error()
        self.queue.serve()


async def test_no_more_than_the_limit_are_inside() -> None:
    """The third waits until one of the two has left."""
    hall = Hall(2)
    for name in "abc":
        await hall.enter(name)
    assert (sorted(hall.inside), hall.queue.waiting) == (["a", "b"], 1)
    await hall.leave("a")
    assert (sorted(hall.inside), hall.queue.waiting) == (["b", "c"], 0)


async def test_layouts_go_first_and_the_rest_in_order() -> None:
    """Without layouts no blocks would follow, so they pass those who came before."""
    hall = Hall(1)
    for name, kind in [("a", "text"), ("b", "text"), ("c", "table"), ("d", "layout"), ("e", "layout")]:
        await hall.enter(name, kind)
    for name in "adebc":
        await hall.leave(name)
    assert hall.order == list("adebc")


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    """Whether it is cancelled while it waits or just as its turn comes, the next one goes on."""
    hall = Hall(1)
    await hall.enter("a")
    waiting = await hall.enter("b")
    lucky = await hall.enter("c")
    await hall.enter("d")
    waiting.cancel()
    await hall.settle()
    assert hall.queue.waiting == 2
    hall._doors["a"].set()
    while "a" in hall.inside:  # noqa: ASYNC110 - one turn of the loop at a time is the point
        await asyncio.sleep(0)
    # Now the slot has been granted to "c", whose task has not run yet.
    lucky.cancel()
    await hall.settle()
    assert list(hall.inside) == ["d"]
    assert hall.queue.waiting == 0
    await hall.leave("d")
    assert hall.queue.in_flight() == 0


@pytest.mark.parametrize("moments", range(8))
async def test_cancellation_at_any_moment_leaves_nothing_behind(moments: int) -> None:
    """However far the others have got, in the end nothing is in flight and nobody waits."""
    hall = Hall(2)
    tasks = [await hall.enter(name) for name in "abcdef"]
    hall._doors["a"].set()
    for _ in range(moments):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (hall.queue.in_flight(), hall.queue.waiting, hall.inside) == (0, 0, {})


async def test_a_larger_limit_lets_waiters_in() -> None:
    """As soon as the queue is told, not when the next one leaves."""
    hall = Hall(1)
    for name in "abc":
        await hall.enter(name)
    hall.endpoints[0].limiter = FixedLimiter(3)
    hall.queue.serve()
    await hall.settle()
    assert sorted(hall.inside) == ["a", "b", "c"]


async def test_waiters_go_to_whichever_server_has_room() -> None:
    """Nobody waits for a particular server, so one that is stuck or gone holds nobody up."""
    hall = Hall(2, 2)
    for name in "abcdef":
        await hall.enter(name)
    broken, well = hall.endpoints
    assert (broken.in_flight, well.in_flight) == (2, 2)
    hall.break_down(broken)
    for name in list(hall.inside):
        await hall.leave(name)
    assert set(hall.inside) == {"e", "f"}
    assert set(hall.inside.values()) == {well}


async def test_with_every_breaker_open_waiters_are_sent_back() -> None:
    """They get no endpoint, so that they can wait for the end of the outage instead."""
    hall = Hall(1)
    await hall.enter("a")
    await hall.enter("b")
    hall.break_down(hall.endpoints[0])
    await hall.settle()
    assert hall.inside["b"] is None
    assert hall.queue.in_flight() == 1


async def test_a_cap_holds_over_all_endpoints() -> None:
    """``connection_pool_size`` counts the requests of the whole worker."""
    hall = Hall(5, 5, most=3)
    for name in "abcd":
        await hall.enter(name)
    assert (len(hall.inside), hall.queue.free(), hall.queue.limit()) == (3, 0, 3)
    await hall.leave("a")
    assert "d" in hall.inside


@pytest.mark.parametrize(("error", "falls"), [(ServerOverloadedError, True), (ValueError, False)])
async def test_shed_load_reaches_the_limiter(error: Callable[[str], Exception], *, falls: bool) -> None:
    """It leaves through the slot's exit; other failures say nothing about the load."""
    hall = Hall(1)
    limiter = hall.endpoints[0].limiter = AdaptiveLimiter(hall.clock)
    before = limiter.limit
    with pytest.raises((ServerOverloadedError, ValueError)):
        async with hall.queue.slot("text"):
            raise error("no")
    assert (limiter.limit < before) is falls
    assert hall.queue.in_flight() == 0
