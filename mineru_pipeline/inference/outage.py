"""Telling an outage, in which work waits, from the failure of one request, which its caller must handle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mineru_pipeline.errors import CircuitOpenError, InferenceError, OutageError
from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool
from mineru_pipeline.inference.testing import current_caps


class Probe(Protocol):
    """The two questions that can be asked of a server in doubt."""

    async def is_healthy(self, endpoint: Endpoint) -> bool:
        """Whether ``/health`` answers 200."""
        ...

    async def canary(self, endpoint: Endpoint) -> bool:
        """Whether a small request that is known to be good is answered; False if it may not be sent."""
        ...


class Outage:
    """Watches all endpoints together; shared by all requests of a client.

    An outage begins when somebody starts to wait and ends with the first success of anybody. Only
    then does a new one, with a new budget, become possible: however many requests wait, and however
    often they start anew, the budget is the time without any success. ``count`` is told its seconds,
    piece by piece while it lasts.
    """

    def __init__(
        self,
        pool: EndpointPool,
        clock: Clock,
        config: ClientConfig,
        probe: Probe,
        count: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.successes = 0
        self._pool = pool
        self._clock = clock
        self._config = config
        self._probe = probe
        self._count = count
        self._since: float | None = None
        self._counted_to = 0.0
        self._last_error = ""
        self._asking = asyncio.Lock()
        self._asked_at = {False: float("-inf"), True: float("-inf")}

    def note_success(self) -> None:
        """Book that something got through: whatever outage there was is over."""
        self.successes += 1
        self._count_on()
        self._since = None

    def note_failure(self, error: InferenceError) -> None:
        """Remember the latest failure for the message."""
        self._last_error = str(error)

    async def admit(self) -> None:
        """Return as soon as any endpoint's breaker permits a call.

        Raises:
            CircuitOpenError: if nothing got through for the whole outage budget.
        """
        await self._wait(lambda: bool(self._pool.permitted()), CircuitOpenError, canary=False)

    async def is_request_at_fault(self, successes_at_failure: int) -> bool:
        """Whether the servers answer others, now that a request has spent its attempts.

        Only what happens after the failure is evidence: a success just before it may have been the
        last thing that the server did.
        """
        async with self._asking:
            if self.successes > successes_at_failure:
                return True
            if self._since is not None:
                return False
            passed = await self._ask(canary=True)
        # A full queue may have shed the canary, while real work got through.
        return passed or self.successes > successes_at_failure

    async def wait_for_recovery(self) -> None:
        """Return as soon as anything gets through, be it only the canary.

        Raises:
            OutageError: if nothing did for the whole outage budget.
        """
        before = self.successes
        await self._wait(lambda: self.successes > before, OutageError, canary=True)

    async def _wait(self, over: Callable[[], bool], failure: type[OutageError], *, canary: bool) -> None:
        while not over():
            if self._since is None:
                self._since = self._counted_to = self._clock.monotonic()
            await self._ask_in_turn(canary=canary)
            self._count_on()
            if over():
                return
            if self._waited() >= self._budget():
                raise failure(self._report(), endpoint=str(self._pool))
            await self._clock.sleep(self._config.outage_poll_seconds)

    def _count_on(self) -> None:
        if self._since is not None:
            now = self._clock.monotonic()
            self._count(max(0.0, now - self._counted_to))
            self._counted_to = now

    def _waited(self) -> float:
        return 0.0 if self._since is None else self._clock.monotonic() - self._since

    def _budget(self) -> float:
        caps = current_caps()
        return self._config.outage_budget_seconds if caps is None else caps.outage_budget_seconds

    async def _ask_in_turn(self, *, canary: bool) -> None:
        """Ask once for all who wait: hundreds of requests must not each knock every two seconds."""
        async with self._asking:
            if self._clock.monotonic() - self._asked_at[canary] >= self._config.outage_poll_seconds:
                await self._ask(canary=canary)
                self._asked_at[canary] = self._clock.monotonic()

    async def _ask(self, *, canary: bool) -> bool:
        answers = await asyncio.gather(*(self._ask_one(endpoint, canary=canary) for endpoint in self._pool.endpoints))
        return any(answers)

    async def _ask_one(self, endpoint: Endpoint, *, canary: bool) -> bool:
        endpoint.healthy = await self._probe.is_healthy(endpoint)
        if endpoint.healthy:
            endpoint.breaker.transition_to_half_open()
        return canary and await self._probe.canary(endpoint)

    def _report(self) -> str:
        return (
            f"Nothing has got through to {self._pool} for {self._waited():.0f} s. "
            f"The last failure: {self._last_error or 'none was seen, the breaker does not permit a call.'} "
            f"See the server's log and whether {self._pool.endpoints[0].url}/health answers, then run the same "
            "command again: finished pages are kept."
        )
