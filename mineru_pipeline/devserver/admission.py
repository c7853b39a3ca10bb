"""The bounded queue in front of a responder: who runs, who waits, who is turned away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

from mineru_pipeline.devserver.metrics import ServerMetrics
from mineru_pipeline.devserver.protocol import ApiError
from mineru_pipeline.devserver.responder import Answer, PromptRequest, Responder


class ClientGoneError(Exception):
    """The client hung up while its request was waiting."""


@dataclass(frozen=True, slots=True)
class TimedAnswer:
    """An answer with the seconds it waited and ran."""

    answer: Answer
    queue_seconds: float
    run_seconds: float


class Admission:
    """Lets ``responder.concurrency`` requests run and at most ``limit`` run or wait (no limit: ``None``)."""

    def __init__(self, responder: Responder, metrics: ServerMetrics, limit: int | None) -> None:
        self._responder = responder
        self._metrics = metrics
        self._limit = limit
        self._slots = asyncio.Semaphore(responder.concurrency)
        self._inside = 0
        self._running = 0
        self._show()

    async def run(self, request: PromptRequest, gone: asyncio.Future[None]) -> TimedAnswer:
        """Answer ``request`` when its turn comes; ``gone`` is done when its client has hung up.

        Raises :class:`ApiError` (503) when the queue is full, and :class:`ClientGoneError` instead of doing
        work whose client hung up while waiting, as vLLM aborts such requests.
        """
        if self._limit is not None and self._inside >= self._limit:
            self._metrics.rejected()
            raise ApiError(503, "Service Unavailable", f"The server's queue is full ({self._limit} requests).")
        arrived = time.monotonic()
        self._inside += 1
        self._show()
        try:
            await self._acquire_slot(gone)
            try:
                started = time.monotonic()
                answer = await self._run_one(request)
                return TimedAnswer(answer, started - arrived, time.monotonic() - started)
            finally:
                self._slots.release()
        finally:
            self._inside -= 1
            self._show()

    async def _acquire_slot(self, gone: asyncio.Future[None]) -> None:
        turn: asyncio.Future[Literal[True]] = asyncio.ensure_future(self._slots.acquire())
        try:
            await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._give_back(turn)
            raise
        if gone.done():
            self._give_back(turn)
            raise ClientGoneError

    def _give_back(self, turn: asyncio.Future[Literal[True]]) -> None:
        if turn.done() and not turn.cancelled():
            self._slots.release()
        turn.cancel()

    async def _run_one(self, request: PromptRequest) -> Answer:
        self._running += 1
        self._show()
        try:
            return await self._responder.answer(request)
        finally:
            self._running -= 1

    def _show(self) -> None:
        self._metrics.set_load(self._running, self._inside - self._running, self._responder.concurrency)
