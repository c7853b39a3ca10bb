"""The bounded queue in front of a responder: who runs, who waits, who is turned away, who is cut short."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from mineru_pipeline.devserver.apierror import ApiError
from mineru_pipeline.devserver.load import Load
from mineru_pipeline.devserver.responder import Answer, Work


class End(Enum):
    """Why a request ends before its answer is complete."""

    CLIENT_GONE = "the client hung up"
    SERVER_STOPS = "the server was told to stop"
    ENGINE_DIED = "the engine died"


class QueueFullError(ApiError):
    """vLLM's 503 for a request that found the queue full."""

    def __init__(self, limit: int) -> None:
        super().__init__(503, "Service Unavailable", f"The server's queue is full ({limit} requests).")


class CutShortError(Exception):
    """A request ended early; ``answer`` is what there is of it, ``None`` if it had not begun."""

    def __init__(self, end: End, answer: Answer | None) -> None:
        super().__init__(end.value)
        self.end = end
        self.answer = answer


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """An answer with the seconds it waited and ran."""

    answer: Answer
    queue_seconds: float
    run_seconds: float


@dataclass(slots=True, eq=False)
class _Ticket:
    """One request inside the server; ``turn`` is done once it may run, with the moment its slot became free."""

    kv_tokens: int
    turn: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Admission:
    """Lets requests run in order of arrival while a slot and enough KV cache are free.

    Args:
        load: Counts what runs and waits; its ``slots`` say how many requests may run at once.
        kv_cache_tokens: Tokens that the running requests may hold together. A request larger than all of it runs alone.
        limit: Most requests that may run or wait; 503 beyond it.
    """

    def __init__(self, load: Load, kv_cache_tokens: int | None = None, limit: int | None = None) -> None:
        self.load = load
        self._kv_cache_tokens = kv_cache_tokens
        self._limit = limit
        self._kv_used = 0
        # Dictionaries keep the order of arrival and let go of anybody at once.
        self._waiting: dict[_Ticket, None] = {}
        self._open: dict[asyncio.Future[End], None] = {}

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, 0 to 1; the share of busy slots where there is no cache."""
        if self._kv_cache_tokens is None:
            return min(1.0, self.load.running / self.load.slots)
        return min(1.0, self._kv_used / self._kv_cache_tokens)

    def resize(self, slots: int) -> None:
        """Go on with another number of slots; what runs is not disturbed."""
        self.load.resize(slots)
        self._admit(asyncio.get_running_loop().time())

    def end_all(self, end: End) -> None:
        """Cut short every request that is inside."""
        for future in list(self._open):
            if not future.done():
                future.set_result(end)

    async def run(self, work: Work, client: str, end: asyncio.Future[End]) -> TimedAnswer:
        """Answer one request when its turn comes; ``end`` is done when it must end early.

        Raises :class:`QueueFullError`, and :class:`CutShortError` when ``end`` came first:
        its slot is free at once, as vLLM aborts a request whose client has hung up.
        """
        if self._limit is not None and self.load.running + self.load.waiting >= self._limit:
            self.load.count(client, "shed")
            raise QueueFullError(self._limit)
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        ticket = _Ticket(work.kv_tokens)
        self._open[end] = None
        self._waiting[ticket] = None
        self.load.change(waiting=1)
        answer: Answer | None = None
        try:
            self._admit(arrived)
            since = max(arrived, await self._turn(ticket, end))
            self.load.count(client, "started")
            answer = await self._run(work, since, end)
            self.load.count(client, "finished")
            return TimedAnswer(answer, since - arrived, loop.time() - since)
        except BaseException:
            self.load.count(client, "aborted")
            raise
        finally:
            del self._open[end]
            # Who is next starts where this one was due to end: a late timer costs no capacity.
            self._leave(ticket, (answer and answer.ended_at) or loop.time())

    async def _turn(self, ticket: _Ticket, end: asyncio.Future[End]) -> float:
        if not ticket.turn.done():
            await asyncio.wait((ticket.turn, end), return_when=asyncio.FIRST_COMPLETED)
        if not ticket.turn.done():
            raise CutShortError(end.result(), None)
        return ticket.turn.result()

    async def _run(self, work: Work, since: float, end: asyncio.Future[End]) -> Answer:
        task = asyncio.ensure_future(work.run(since))
        try:
            await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise CutShortError(end.result(), work.so_far(asyncio.get_running_loop().time() - since))
        finally:
            if not task.done():
                task.cancel()
                # The slot is free only when the work is: a thread that reads a page cannot be stopped.
                await asyncio.wait((task,))

    def _leave(self, ticket: _Ticket, at: float) -> None:
        if ticket.turn.done():
            self._kv_used -= ticket.kv_tokens
            self.load.change(running=-1)
        else:
            del self._waiting[ticket]
            self.load.change(waiting=-1)
        self._admit(at)

    def _admit(self, at: float) -> None:
        while self._waiting and self.load.running < self.load.slots:
            ticket = next(iter(self._waiting))
            if self.load.running and self._kv_used + ticket.kv_tokens > (self._kv_cache_tokens or float("inf")):
                return
            del self._waiting[ticket]
            self._kv_used += ticket.kv_tokens
            self.load.change(running=1, waiting=-1)
            ticket.turn.set_result(at)
