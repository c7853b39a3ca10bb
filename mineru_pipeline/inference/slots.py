"""Who is sent next, and where to: one queue for all endpoints, in which layouts and retries go first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mineru_pipeline.errors import ServerOverloadedError
from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool

#: One layout is worth some eight requests to come; behind a full queue of those the server would run dry.
LAYOUT = "layout"

_Waiter = asyncio.Future[Endpoint | None]


class SlotQueue:
    """Gives free slots of the endpoints to those who wait: layouts and retries first, otherwise in order of arrival.

    Nothing but the one HTTP exchange happens inside a slot: back-off and waiting in an outage do not,
    and the error of a failed attempt passes through the slot's exit, where the limiter sees it.

    Args:
        pool: the endpoints, each with its limiter.
        clock: time.
        most: requests in flight over all endpoints; None leaves it to the limiters.
        on_take: called with the endpoint whose slot is taken.
    """

    def __init__(
        self,
        pool: EndpointPool,
        clock: Clock,
        most: int | None = None,
        on_take: Callable[[Endpoint], None] = lambda _: None,
    ) -> None:
        self.waiting = 0
        self._pool = pool
        self._clock = clock
        self._most = most
        self._on_take = on_take
        self._order = itertools.count()
        self._queue: list[tuple[bool, int, _Waiter, Endpoint | None]] = []

    @asynccontextmanager
    async def slot(
        self, kind: str, avoid: Endpoint | None = None, *, is_urgent: bool = False
    ) -> AsyncIterator[Endpoint | None]:
        """Wait for a slot and hold it; yields where to send, or None as soon as no breaker permits a call.

        ``avoid`` is taken only if no other endpoint has a slot to give; ``is_urgent`` says that it has waited before.
        """
        endpoint = await self._turn(avoid, is_first=is_urgent or kind == LAYOUT)
        if endpoint is None:
            yield None
            return
        sent_at = self._clock.monotonic()
        try:
            yield endpoint
        except ServerOverloadedError:
            endpoint.limiter.on_overload(sent_at)
            raise
        finally:
            self._give_back(endpoint)

    def in_flight(self) -> int:
        """How many requests are being answered, over all endpoints."""
        return sum(endpoint.in_flight for endpoint in self._pool.endpoints)

    def free(self) -> int:
        """How many more requests could be sent at once."""
        free = sum(max(0, endpoint.limiter.limit - endpoint.in_flight) for endpoint in self._pool.permitted())
        return free if self._most is None else min(free, self._most - self.in_flight())

    def limit(self) -> int:
        """How many requests may be in flight, over all endpoints that can be used."""
        limit = sum(endpoint.limiter.limit for endpoint in self._pool.permitted())
        return limit if self._most is None else min(limit, self._most)

    def serve(self) -> None:
        """Hand out what there is; to be called whenever a limiter or a breaker may have changed its mind."""
        while self._queue:
            *_, waiter, avoid = self._queue[0]
            if not waiter.done():
                endpoint = self._choose(avoid)
                if endpoint is None and self._pool.permitted():
                    break
                if endpoint is not None:
                    self._on_take(endpoint)
                    endpoint.take(self._clock.monotonic())
                waiter.set_result(endpoint)
            heapq.heappop(self._queue)

    async def _turn(self, avoid: Endpoint | None, *, is_first: bool) -> Endpoint | None:
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (not is_first, next(self._order), waiter, avoid))
        self.waiting += 1
        self.serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            # The slot may have been granted in the very moment in which its task was cancelled.
            if not waiter.cancelled() and (endpoint := waiter.result()) is not None:
                self._give_back(endpoint)
            raise
        finally:
            self.waiting -= 1

    def _choose(self, avoid: Endpoint | None) -> Endpoint | None:
        if self._most is not None and self.in_flight() >= self._most:
            return None
        return self._pool.choose(avoid)

    def _give_back(self, endpoint: Endpoint) -> None:
        endpoint.in_flight -= 1
        self.serve()
