"""When an attempt has to be answered: a moment that can come nearer while the attempt waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

#: A timer that fires later than this says that the process stood still, not that the server did.
STANDSTILL_SECONDS = 0.25


class Deadline:
    """Gives what runs under it ``seconds`` from now; belongs to the running event loop.

    It can be entered again, for what is left of the time. Where the process itself stood still as the time
    passed (a busy machine, a suspended one), as much time is given again, once: the answer may be there unread.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(0.0, seconds)
        #: Whether the server has recovered from an outage since; so if it passes, that is nobody's fault.
        self.is_outlived = False
        #: Whether it was set for a probe of a server in doubt.
        self.is_probe = False
        self._is_extended = False
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._timeout: asyncio.Timeout | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Cancel what happens inside when the time is over; raises :class:`TimeoutError` then."""
        async with asyncio.timeout(None) as timeout:
            self._timeout = timeout
            self._set()
            try:
                yield
            finally:
                self._timeout = None
                self._clear()

    def shorten(self, seconds: float) -> None:
        """Allow only ``seconds`` from the beginning, if that is less; what took longer already ends at once."""
        if seconds >= self.seconds:
            return
        self.seconds = max(0.0, seconds)
        if self._timeout is not None:
            self._set()

    def leave(self, seconds: float) -> None:
        """Allow at most ``seconds`` from now on."""
        self.shorten(self._loop.time() - self._began + seconds)

    def _set(self) -> None:
        self._clear()
        # What is over already was decided to be, and not by a timer that came late.
        due = max(self._began + self.seconds, self._loop.time())
        self._timer = self._loop.call_at(due, self._strike, due)

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _strike(self, due: float) -> None:
        now = self._loop.time()
        if (late := now - due) > STANDSTILL_SECONDS and not self._is_extended:
            self._is_extended = True
            self._timer = self._loop.call_at(now + late, self._strike, now + late)
        elif self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(now)
