"""Tells when new pages are wanted: early enough that no slot ever lies idle, and no earlier."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.slots import LAYOUT, SlotQueue

#: Requests that should be ready or in sight, for each slot. Pages come as slowly as a layout is read, two or
#: three times as long as a block: so many blocks are done meanwhile, and one more for each slot is spare.
BACKLOG = 3.0
#: Blocks of a page, as long as none has been seen.
USUAL_BLOCKS = 8
#: A page that was let in and has not asked for its layout after so many seconds could not be rendered.
PROMISE_SECONDS = 30.0


class Demand:
    """Follows every request from the moment it is known until it is answered, pauses and outages included."""

    def __init__(self, slots: SlotQueue, clock: Clock) -> None:
        self._slots = slots
        self._clock = clock
        self._pending: Counter[bool] = Counter()
        self._answered: Counter[bool] = Counter()
        self._promised: deque[float] = deque()
        self._gate: deque[asyncio.Future[None]] = deque()

    @contextmanager
    def request(self, kind: str) -> Iterator[None]:
        """Count a request as pending; the pages that wait for room hear of its end."""
        is_layout = kind == LAYOUT
        if is_layout and self._promised:
            self._promised.popleft()
        self._pending[is_layout] += 1
        try:
            yield
        finally:
            self._pending[is_layout] -= 1
            self._answered[is_layout] += 1
            self.wake()

    async def room(self) -> None:
        """Return when one more page is wanted; each return promises one page."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gate.append(turn)
        self.wake()
        await turn

    def wake(self) -> None:
        """Let in as many of the waiting pages as are wanted; to be called whenever that may have changed."""
        while self._gate and (self._gate[0].done() or self._wants_a_page()):
            turn = self._gate.popleft()
            if not turn.done():
                self._promised.append(self._clock.monotonic())
                turn.set_result(None)

    def _wants_a_page(self) -> bool:
        while self._promised and self._clock.monotonic() - self._promised[0] > PROMISE_SECONDS:
            self._promised.popleft()
        layouts, blocks = self._pending[True], self._pending[False]
        coming = len(self._promised)
        if layouts + blocks == 0 or coming + self._slots.waiting < self._slots.free():
            # Without any request nobody would ever call again; and a free slot is worth any page.
            return True
        blocks_in_sight = (layouts + coming) * self._blocks_of_a_page()
        ready = layouts + blocks - self._slots.in_flight()
        return ready + coming + blocks_in_sight < BACKLOG * self._slots.limit()

    def _blocks_of_a_page(self) -> float:
        return (USUAL_BLOCKS + self._answered[False]) / (1 + self._answered[True])
