"""The byte budget of the pages on their way."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from mineru_pipeline.parsing.budget import ByteBudget


async def test_who_does_not_fit_waits_until_others_need_less() -> None:
    """A page waits for the bytes of others, and goes on as soon as they shrink."""
    budget = ByteBudget(100)
    first = await budget.acquire(80)
    second = asyncio.create_task(budget.acquire(40))
    await asyncio.sleep(0)
    assert not second.done()
    first.resize(60)
    hold = await second
    assert (budget.held, hold.size) == (100, 40)


async def test_a_page_larger_than_the_budget_goes_alone() -> None:
    """What does not fit at all is let through once nothing else is held."""
    budget = ByteBudget(10)
    first = await budget.acquire(5)
    giant = asyncio.create_task(budget.acquire(50))
    await asyncio.sleep(0)
    assert not giant.done()
    first.release()
    assert (await giant).size == 50


async def test_the_order_is_that_of_asking() -> None:
    """A small page does not overtake a large one, which would else wait for ever."""
    budget = ByteBudget(100)
    first = await budget.acquire(90)
    order: list[int] = []

    async def take(size: int) -> None:
        await budget.acquire(size)
        order.append(size)

    tasks = [asyncio.create_task(take(size)) for size in (60, 5)]
    await asyncio.sleep(0)
    assert order == []
    first.release()
    await asyncio.gather(*tasks)
    assert order == [60, 5]


async def test_a_cancelled_wait_takes_nothing() -> None:
    """Whoever gives up while waiting leaves the budget as it was, and the next one gets it."""
    budget = ByteBudget(10)
    first = await budget.acquire(10)
    waiting = asyncio.create_task(budget.acquire(10))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    first.release()
    assert (await budget.acquire(10)).size == 10
    assert budget.held == 10


@given(st.lists(st.integers(0, 120), max_size=30))
def test_never_more_than_the_limit_but_for_a_single_giant(sizes: list[int]) -> None:
    """However many ask, what is acquired never exceeds the limit, unless one page alone does."""

    async def run() -> None:
        budget = ByteBudget(100)

        async def one(size: int) -> None:
            hold = await budget.acquire(size)
            assert budget.held <= 100 or budget.held == size
            await asyncio.sleep(0)
            hold.release()
            hold.release()

        await asyncio.gather(*map(one, sizes))
        assert budget.held == 0

    asyncio.run(run())
