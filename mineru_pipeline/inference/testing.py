"""What tests of any room need so that none of them sleeps: a test mode and a clock moved by hand."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

#: Turns of the event loop after which work that waits for no socket has come to rest.
_SETTLE_TURNS = 12


@dataclass(frozen=True, slots=True)
class WaitCaps:
    """Caps that apply while :func:`no_waiting` is on."""

    attempts: int
    outage_budget_seconds: float


_mode: ContextVar[WaitCaps | None] = ContextVar("inference_test_mode", default=None)


def current_caps() -> WaitCaps | None:
    """Return the caps in force in this context, or None outside :func:`no_waiting`."""
    return _mode.get()


@contextmanager
def no_waiting(attempts: int = 1, outage_budget_seconds: float = 0.0) -> Iterator[None]:
    """Switch back-off off, cap the attempts, and give an outage up at once.

    It holds for the calling context and the tasks that are started from it.
    """
    token = _mode.set(WaitCaps(attempts, outage_budget_seconds))
    try:
        yield
    finally:
        _mode.reset(token)


class ManualClock:
    """A clock that stands still until it is told to move, or jumps to the next sleeper in :meth:`run`."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 1000.0
        self._random = random.Random(seed)  # noqa: S311 - repeatable jitter
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        """Return the time it was last moved to."""
        return self.now

    def uniform(self, low: float, high: float) -> float:
        """Return the next number of a seeded sequence, between ``low`` and ``high``."""
        return self._random.uniform(low, high)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved by ``seconds``."""
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, wake))
        await wake

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds`` and wake whoever sleeps no longer than that."""
        self.now += seconds
        while self._sleepers and self._sleepers[0][0] <= self.now:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)

    def _advance_to_next_sleeper(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if self._sleepers:
            self.advance(max(0.0, self._sleepers[0][0] - self.now))

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, moving on whenever nothing but sleepers is left; only for work without real I/O."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                for _ in range(_SETTLE_TURNS):
                    await asyncio.sleep(0)
                if not task.done():
                    self._advance_to_next_sleeper()
            return task.result()
        finally:
            task.cancel()
