"""Bounds the memory of the pages on their way, in bytes: a count of pages would not, for their sizes differ."""

from __future__ import annotations

import asyncio


class Hold:
    """The bytes that one page keeps; whoever has it says when they become fewer or more."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self.size = size

    def resize(self, size: int) -> None:
        """Keep ``size`` bytes from now on; never waits, so that a page on its way always comes to its end."""
        self._budget._change(size - self.size)  # noqa: SLF001 - the two classes are one mechanism
        self.size = size

    def release(self) -> None:
        """Keep nothing any more; may be called twice."""
        self.resize(0)


class ByteBudget:
    """Hands out ``limit`` bytes, in the order in which they are asked for."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        self._limit = limit
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def acquire(self, size: int) -> Hold:
        """Wait until ``size`` bytes more fit; where nothing is held, any size does."""
        async with self._turn:
            while self.held and self.held + size > self._limit:
                self._changed.clear()
                await self._changed.wait()
            self._change(size)
            return Hold(self, size)

    def _change(self, size: int) -> None:
        self.held += size
        self._changed.set()
