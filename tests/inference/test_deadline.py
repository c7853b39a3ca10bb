"""A deadline can come nearer while something waits for it, and never moves away."""

from __future__ import annotations

import asyncio
import time

import pytest

from mineru_pipeline.inference.deadline import STANDSTILL_SECONDS, Deadline


async def waiting(deadline: Deadline) -> str:
    async with deadline.kept():
        await asyncio.Event().wait()
    return "answered"


async def test_what_takes_too_long_is_cancelled() -> None:
    """It ends by a time-out, not by hanging."""
    with pytest.raises(TimeoutError):
        await waiting(Deadline(0.01))


async def test_it_comes_nearer_while_somebody_waits() -> None:
    """A wait that was allowed an hour ends as soon as it is allowed no time."""
    deadline = Deadline(3600)
    task = asyncio.create_task(waiting(deadline))
    await asyncio.sleep(0)
    deadline.shorten(0.0)
    with pytest.raises(TimeoutError):
        await task


async def test_it_never_moves_away() -> None:
    """More time than it had changes nothing."""
    deadline = Deadline(0.01)
    deadline.shorten(3600)
    assert deadline.seconds == 0.01
    with pytest.raises(TimeoutError):
        await waiting(deadline)


async def test_shortening_what_is_over_does_no_harm() -> None:
    """Neither in the moment in which the time-out strikes nor afterwards."""
    deadline = Deadline(0.0)
    task = asyncio.create_task(waiting(deadline))
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, deadline.shorten, -1.0)
    with pytest.raises(TimeoutError):
        await task
    deadline.shorten(-2.0)
    assert deadline.seconds == 0.0


async def test_entered_again_it_gives_what_is_left() -> None:
    """The time counts from the beginning, not from each entering."""
    deadline = Deadline(0.02)
    async with deadline.kept():
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)
    with pytest.raises(TimeoutError):
        await waiting(deadline)


async def test_what_is_left_can_be_cut() -> None:
    """So much from now on, however long it has taken, and never more than there was."""
    deadline = Deadline(3600)
    deadline.leave(7200)
    assert deadline.seconds == 3600
    task = asyncio.create_task(waiting(deadline))
    await asyncio.sleep(0)
    deadline.leave(0.01)
    with pytest.raises(TimeoutError):
        await task


async def test_what_ends_in_time_is_left_alone() -> None:
    """And a cancellation from outside stays one."""
    async with Deadline(3600).kept():
        pass
    task = asyncio.create_task(waiting(Deadline(3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_process_that_stood_still_reads_its_answers_first() -> None:
    """The time passes while nothing at all can run here: what lies ready afterwards is in time."""
    loop, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    async def wait() -> str:
        async with Deadline(2 * STANDSTILL_SECONDS).kept():
            text: str = await answer
        return text

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    time.sleep(4 * STANDSTILL_SECONDS)  # noqa: ASYNC251 - the standstill
    loop.call_later(STANDSTILL_SECONDS, answer.set_result, "there")
    assert await task == "there"


async def test_standing_still_is_no_excuse_for_ever() -> None:
    """It is given the time that it lost, and then it is over."""
    task = asyncio.create_task(waiting(Deadline(0.01)))
    await asyncio.sleep(0)
    time.sleep(2 * STANDSTILL_SECONDS)  # noqa: ASYNC251 - the standstill
    with pytest.raises(TimeoutError):
        await task
