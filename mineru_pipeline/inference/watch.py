"""Reads the load of a server again and again while requests are in flight there, and tells its limiter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.endpoints import Endpoint
from mineru_pipeline.inference.load import ServerLoad

#: Seconds between two readings; each pause is a little longer or shorter, so that workers do not march in step.
PERIOD = 0.5
JITTER = 0.2
#: A server that takes long to tell its load is asked less often, so that asking takes at most this share of the time.
MOST_ASKING = 0.1
LONGEST_PERIOD = 5.0
#: After so many seconds without a request in flight, nothing is known of the server any more.
REST = 5.0

ReadLoad = Callable[[Endpoint], Awaitable[ServerLoad | None]]


class LoadWatch:
    """One task for each endpoint that has requests in flight; an idle client asks nothing.

    Where the reading brings nothing (None), the latency of our own requests has to do. ``on_reading`` is
    called after each, and when the work has ended.
    """

    def __init__(self, read: ReadLoad, clock: Clock, on_reading: Callable[[], None]) -> None:
        self._read = read
        self._clock = clock
        self._on_reading = on_reading
        self._tasks: dict[Endpoint, asyncio.Task[None]] = {}
        self._rests_since: dict[Endpoint, float] = {}

    def attend(self, endpoint: Endpoint) -> None:
        """Make sure that ``endpoint``, where a request is about to be in flight, is watched."""
        if endpoint in self._tasks:
            return
        if self._clock.monotonic() - self._rests_since.get(endpoint, float("-inf")) > REST:
            endpoint.limiter.restart()
        self._tasks[endpoint] = asyncio.create_task(self._watch(endpoint), name=f"load of {endpoint.url}")

    async def aclose(self) -> None:
        """Stop watching."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, endpoint: Endpoint) -> None:
        took = 0.0
        try:
            while True:
                period = min(LONGEST_PERIOD, max(PERIOD, took / MOST_ASKING))
                await self._clock.sleep(period * self._clock.uniform(1 - JITTER, 1 + JITTER))
                if not endpoint.in_flight:
                    self._on_reading()
                    return
                started = self._clock.monotonic()
                load = await self._read(endpoint)
                took = self._clock.monotonic() - started
                if load is None:
                    load = endpoint.latency.guess(endpoint.in_flight)
                if load is not None:
                    endpoint.learn(load)
                    self._on_reading()
        finally:
            self._rests_since[endpoint] = self._clock.monotonic()
            del self._tasks[endpoint]
