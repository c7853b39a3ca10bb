"""The port through which the client sees time and chance, and its real adapter."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol


class Clock(Protocol):
    """Time in seconds from an arbitrary start, sleep, and the randomness of jitter."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between ``low`` and ``high``."""
        ...


class SystemClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - spreads retries in time, guards no secret

    def monotonic(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Yield to the event loop for ``seconds``."""
        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between ``low`` and ``high``."""
        return self._random.uniform(low, high)
