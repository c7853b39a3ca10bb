"""Keeps every endpoint busy and no more than that: the slots, what fills them, and the readings that size them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.demand import Demand
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool
from mineru_pipeline.inference.slots import SlotQueue
from mineru_pipeline.inference.watch import LoadWatch, ReadLoad

#: Shows where a limiter stands: the endpoint, and the requests that wait for any slot.
Show = Callable[[Endpoint, int], None]


class Traffic:
    """The client's view of slots, demand and load as one.

    Args:
        pool: the endpoints.
        clock: time and chance.
        read: asks an endpoint for its load.
        show: called after every reading, for the metrics.
        most: requests in flight over all endpoints; None leaves it to the limiters.
    """

    def __init__(self, pool: EndpointPool, clock: Clock, read: ReadLoad, show: Show, most: int | None) -> None:
        self._pool = pool
        self._show = show
        self._watch = LoadWatch(read, clock, self.changed)
        self._slots = SlotQueue(pool, clock, most, self._watch.attend)
        self._demand = Demand(self._slots, clock)

    def request(self, kind: str) -> AbstractContextManager[None]:
        """Hold a request as pending until it is answered or given up."""
        return self._demand.request(kind)

    def slot(
        self, kind: str, avoid: Endpoint | None, *, is_urgent: bool
    ) -> AbstractAsyncContextManager[Endpoint | None]:
        """See :meth:`SlotQueue.slot`."""
        return self._slots.slot(kind, avoid, is_urgent=is_urgent)

    async def room(self) -> None:
        """See :meth:`Demand.room`."""
        await self._demand.room()

    def changed(self) -> None:
        """Take note that a limiter or a breaker has changed its mind."""
        self._slots.serve()
        self._demand.wake()
        for endpoint in self._pool.endpoints:
            self._show(endpoint, self._slots.waiting)

    async def aclose(self) -> None:
        """Stop reading."""
        await self._watch.aclose()
