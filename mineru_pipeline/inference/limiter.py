"""The port that decides how many requests may be in flight, and its simplest adapter, a fixed cap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol


class Limiter(Protocol):
    """Hands out slots; an adaptive limiter learns from how long each is held and what leaves it.

    Nothing but the one HTTP exchange happens inside a slot: back-off and waiting in an outage do
    not, and the error of a failed attempt passes through the slot's exit.
    """

    def slot(self, endpoint: str) -> AbstractAsyncContextManager[None]:
        """Wait until one more request may be sent to ``endpoint``, and hold its place."""
        ...


class FixedLimiter:
    """At most ``size`` requests in flight over all endpoints; ``None`` means no cap."""

    def __init__(self, size: int | None) -> None:
        self._places = None if size is None else asyncio.Semaphore(size)

    @asynccontextmanager
    async def slot(self, endpoint: str) -> AsyncIterator[None]:
        """Wait for one of the places, whatever the endpoint."""
        del endpoint
        async with self._places or nullcontext():
            yield
