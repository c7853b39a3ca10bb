"""The clock of the tests, and the real one behind the same port."""

from __future__ import annotations

import asyncio

from mineru_pipeline.inference.clock import SystemClock
from mineru_pipeline.inference.testing import ManualClock, current_caps, no_waiting


async def test_sleepers_wake_in_their_order(clock: ManualClock) -> None:
    """Hours pass in no time, and each sleeper sees its own."""
    seen: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        seen.append(clock.now - 1000)

    async def all_of_them() -> None:
        await asyncio.gather(sleeper(7200), sleeper(1), sleeper(60))

    await clock.run(all_of_them())
    assert seen == [1, 60, 7200]


async def test_a_cancelled_sleeper_is_skipped(clock: ManualClock) -> None:
    """The clock does not jump for those who no longer wait."""

    async def work() -> None:
        gone = asyncio.create_task(clock.sleep(5))
        await asyncio.sleep(0)
        gone.cancel()
        await clock.sleep(1)

    await clock.run(work())
    assert clock.now == 1001


def test_the_test_mode_ends_with_its_block() -> None:
    """Also where blocks are nested."""
    assert current_caps() is None
    with no_waiting(attempts=1):
        with no_waiting(attempts=2):
            assert current_caps().attempts == 2  # type: ignore[union-attr]
        assert current_caps().attempts == 1  # type: ignore[union-attr]
    assert current_caps() is None


async def test_the_real_clock_runs() -> None:
    """It moves on while one sleeps, and its chance stays in the range."""
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.002)
    assert clock.monotonic() > before
    assert 3 <= clock.uniform(3, 4) <= 4
