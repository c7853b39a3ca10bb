"""When an attempt has to be answered: a moment that can come nearer while the attempt waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Deadline:
    """Gives what runs under it ``seconds`` from now; belongs to the running event loop.

    It can be entered again, for what is left of the time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(0.0, seconds)
        #: Whether the server has recovered from an outage since; so if it passes, that is nobody's fault.
        self.is_outlived = False
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timeout: asyncio.Timeout | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Cancel what happens inside when the time is over; raises :class:`TimeoutError` then."""
        async with asyncio.timeout_at(self._ends_at) as timeout:
            self._timeout = timeout
            try:
                yield
            finally:
                self._timeout = None

    def shorten(self, seconds: float) -> None:
        """Allow only ``seconds`` from the beginning, if that is less; what took longer already ends at once."""
        if seconds >= self.seconds:
            return
        self.seconds = max(0.0, seconds)
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._ends_at)

    @property
    def _ends_at(self) -> float:
        return self._began + self.seconds
