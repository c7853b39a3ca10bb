"""Structured concurrency whose failure is one plain exception instead of a group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def first_error_wins() -> AsyncIterator[asyncio.TaskGroup]:
    """A ``TaskGroup`` that raises the first failure itself, after the other tasks were cancelled.

    Callers tell errors apart by type; a group of one would hide it from ``except``.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        error = _first(failures)
        raise error from error.__cause__


async def all_or_first_error(jobs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all jobs in order; the first failure cancels the rest and is raised."""
    async with first_error_wins() as group:
        tasks = [group.create_task(job) for job in jobs]
    return [task.result() for task in tasks]


async def preferred(choice: Coroutine[Any, Any, T], substitute: Coroutine[Any, Any, T], failure: type[Exception]) -> T:
    """The result of ``choice`` or, if that ends in a ``failure``, of ``substitute``; both run from the start."""
    tasks = [asyncio.create_task(choice), asyncio.create_task(substitute)]
    try:
        try:
            return await tasks[0]
        except failure:
            return await tasks[1]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
