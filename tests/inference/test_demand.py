"""When new pages are let in."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from mineru_pipeline.inference.breaker import CircuitBreaker
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.demand import BACKLOG, PROMISE_SECONDS, USUAL_BLOCKS, Demand
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool
from mineru_pipeline.inference.limiter import FixedLimiter
from mineru_pipeline.inference.slots import SlotQueue
from mineru_pipeline.inference.testing import ManualClock


class Gate:
    """A server of so many slots; requests of it last until their task is cancelled."""

    def __init__(self, slots: int) -> None:
        self.clock = ManualClock()
        breaker = CircuitBreaker(BreakerConfig(failure_threshold=1), self.clock)
        self.endpoint = Endpoint("http://gpu", breaker, FixedLimiter(slots))
        self.slots = SlotQueue(EndpointPool((self.endpoint,)), self.clock)
        self.demand = Demand(self.slots, self.clock)
        self.tasks: list[asyncio.Task[None]] = []

    async def send(self, kind: str, count: int = 1) -> None:
        self.tasks += [asyncio.create_task(self._request(kind)) for _ in range(count)]
        await self.settle()

    async def _request(self, kind: str) -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.demand.request(kind))
            await stack.enter_async_context(self.slots.slot(kind))
            await asyncio.Event().wait()

    async def finish(self, count: int) -> None:
        for task in self.tasks[:count]:
            task.cancel()
        del self.tasks[:count]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def admitted(self) -> int:
        """How many pages in a row find room."""
        count = 0
        while count < 10_000:
            page = asyncio.create_task(self.demand.room())
            await self.settle()
            if not page.done():
                page.cancel()
                return count
            count += 1
        return count


async def test_a_free_slot_is_worth_a_page() -> None:
    """Every slot gets a layout at first, and a few pages more are promised."""
    gate = Gate(10)
    await gate.send("layout")
    assert 9 <= await gate.admitted() <= 10


async def test_a_backlog_of_blocks_keeps_pages_out() -> None:
    """With enough requests in sight for every slot no page is wanted, until they run low."""
    gate = Gate(10)
    await gate.send("text", 10 + int(BACKLOG * 10))
    assert await gate.admitted() == 0
    await gate.finish(int(BACKLOG * 10))
    assert await gate.admitted() > 0


async def test_layouts_on_their_way_count_as_the_blocks_to_come() -> None:
    """Ten layouts being read are eighty blocks soon: more pages would only take memory."""
    gate = Gate(10)
    await gate.send("layout", 10)
    assert await gate.admitted() <= BACKLOG * 10 / (USUAL_BLOCKS + 1) + 1
    await gate.send("layout", 10)
    assert await gate.admitted() == 0


async def test_pages_of_few_blocks_are_wanted_in_larger_numbers() -> None:
    """How many blocks a page has is learned from the pages so far."""

    async def wanted(blocks: int) -> int:
        gate = Gate(20)
        for _ in range(50):
            await gate.send("layout")
            await gate.send("text", blocks)
            await gate.finish(1 + blocks)
        await gate.send("text", 20)
        return await gate.admitted()

    assert await wanted(1) > 2 * await wanted(12)


async def test_whoever_waits_is_let_in_as_soon_as_there_is_room() -> None:
    """The end of a request wakes the next page; nobody has to ask again."""
    gate = Gate(2)
    await gate.send("text", 20)
    page = asyncio.create_task(gate.demand.room())
    await gate.settle()
    assert not page.done()
    await gate.finish(18)
    assert page.done()


async def test_a_page_that_never_came_is_forgotten() -> None:
    """Pages that could not be rendered do not take room for ever."""
    gate = Gate(2)
    await gate.send("text", 2)
    first = await gate.admitted()
    assert first > 0
    gate.clock.advance(PROMISE_SECONDS + 1)
    gate.demand.wake()
    assert await gate.admitted() > 0


async def test_with_nothing_pending_a_page_is_always_let_in() -> None:
    """In an outage too: without any request nobody would ever wake the pages that wait."""
    gate = Gate(2)
    permission = gate.endpoint.breaker.try_acquire_permission()
    assert permission is not None
    permission.on_error()
    async with asyncio.timeout(10):
        await gate.demand.room()


async def test_in_an_outage_no_more_pages_are_wanted() -> None:
    """While requests wait for the server's return, pages wait too."""
    gate = Gate(2)
    await gate.send("text", 1)
    permission = gate.endpoint.breaker.try_acquire_permission()
    assert permission is not None
    permission.on_error()
    assert await gate.admitted() == 0


async def test_a_cancelled_page_does_not_block_the_gate() -> None:
    """The next in line is let in instead."""
    gate = Gate(2)
    await gate.send("text", 20)
    first, second = (asyncio.create_task(gate.demand.room()) for _ in range(2))
    await gate.settle()
    first.cancel()
    await gate.finish(18)
    assert first.cancelled()
    assert second.done()
