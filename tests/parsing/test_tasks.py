"""Structured concurrency with plain exceptions."""

from __future__ import annotations

import asyncio

import pytest

from mineru_pipeline.errors import InferenceError, ModelServerError, OutageError, RequestTimeoutError, ServerError
from mineru_pipeline.parsing.tasks import all_or_first_error, first_error_wins, preferred


async def give(value: int) -> int:
    return value


async def test_results_come_in_order() -> None:
    """As with gather, the order is that of the jobs."""
    assert await all_or_first_error(give(n) for n in range(5)) == [0, 1, 2, 3, 4]


async def test_the_first_failure_is_raised_bare_and_cancels_the_rest() -> None:
    """Callers see the error itself, not a group, and nothing keeps running."""
    cancelled = asyncio.Event()

    async def hang() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 0

    async def fail() -> int:
        raise OutageError("gone")

    with pytest.raises(OutageError, match="gone"):
        await all_or_first_error([hang(), fail()])
    assert cancelled.is_set()


async def test_nested_groups_still_raise_the_error_itself() -> None:
    """A failure two groups deep arrives as it was raised."""

    async def nested() -> None:
        async with first_error_wins(), first_error_wins() as inner:
            inner.create_task(_fail())

    with pytest.raises(OutageError):
        await nested()


async def _fail() -> None:
    raise OutageError("deep")


async def told(what: str | Exception, after: asyncio.Event | None = None) -> str:
    if after is not None:
        await after.wait()
    if isinstance(what, Exception):
        raise what
    return what


@pytest.mark.parametrize(
    ("choice", "substitute", "expected"),
    [
        ("choice", "substitute", "choice"),
        (ServerError("no"), "substitute", "substitute"),
        (ServerError("no"), RequestTimeoutError("late"), RequestTimeoutError),
        (ModelServerError("wrong key"), "substitute", ModelServerError),
    ],
)
async def test_the_preferred_answer_counts_if_there_is_one(
    choice: str | Exception, substitute: str | Exception, expected: str | type[Exception]
) -> None:
    """Else the substitute's, which was asked for at the same time; what is no such failure is raised at once."""
    outcome = preferred(told(choice), told(substitute), InferenceError)
    if isinstance(expected, str):
        assert await outcome == expected
    else:
        with pytest.raises(expected):
            await outcome


async def test_nobody_goes_on_when_one_answer_is_enough() -> None:
    """The other one is cancelled, and so are both if the caller is."""
    never = asyncio.Event()
    assert await preferred(told("choice"), told("substitute", never), InferenceError) == "choice"
    task = asyncio.create_task(preferred(told("choice", never), told("substitute", never), InferenceError))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
