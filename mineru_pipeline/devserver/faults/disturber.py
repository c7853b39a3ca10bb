"""Puts faults into effect around the answering of a request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from weakref import WeakSet

from starlette.requests import Request
from starlette.responses import Response

from mineru_pipeline.devserver.admission import Admission, End
from mineru_pipeline.devserver.apierror import ApiError
from mineru_pipeline.devserver.faults.answers import ANSWERS, Parameters
from mineru_pipeline.devserver.faults.book import FaultBook
from mineru_pipeline.devserver.faults.refusals import REFUSALS, refusal
from mineru_pipeline.devserver.faults.rules import OUTAGES, WIRE, FaultRule
from mineru_pipeline.devserver.faults.wire import ResetResponse, damage
from mineru_pipeline.devserver.port import Port
from mineru_pipeline.devserver.simulate import SimulatedWork

#: An engine that died takes its server with it after this long.
_DEATH_SECONDS = 0.3

Serve = Callable[[SimulatedWork], Awaitable[Response]]


@dataclass(slots=True)
class Disturber:
    """Answers requests as a server would that has the faults of ``book``."""

    book: FaultBook
    port: Port
    admission: Admission
    doomed: WeakSet[object] = field(default_factory=WeakSet)
    _refusing: str = ""
    _outage: asyncio.Task[None] | None = None

    async def answer(self, work: SimulatedWork, request: Request, request_id: str, serve: Serve) -> Response:
        """Let ``serve`` do ``work``, unless a fault changes work, answer, connection or the whole server."""
        if self._refusing:
            raise ApiError(500, "InternalServerError", self._refusing)
        rule = self.book.choose(work, request_id)
        if rule is None:
            return await serve(work)
        if rule.fault in OUTAGES:
            return self._begin_outage(rule)
        if rule.fault in REFUSALS:
            return _refuse(rule.fault, rule.parameters())
        if rule.fault in WIRE:
            return await self._disturb_wire(rule.fault, work, request, serve)
        return await serve(_alter(work, rule.fault, rule.parameters()))

    async def _disturb_wire(self, fault: str, work: SimulatedWork, request: Request, serve: Serve) -> Response:
        if fault == "reset":
            return ResetResponse(self.port)
        if fault == "reset-after-500":
            self.doomed.add(self.port.connection(request.scope["client"]))
            return refusal("error-500")
        return damage(fault, await serve(work), self.port)

    def _begin_outage(self, rule: FaultRule) -> Response:
        seconds = rule.parameters()["seconds"]
        length = None if seconds is None else float(seconds)
        if self._outage is None or self._outage.done():
            self._outage = asyncio.create_task(self._go_through(rule.fault, length))
        return ResetResponse(self.port) if rule.fault == "refused" else refusal("error-500")

    async def _go_through(self, fault: str, seconds: float | None) -> None:
        if fault == "shutdown-draining":
            self._refusing = "cannot schedule new futures after shutdown"
            if seconds is not None:
                await asyncio.sleep(seconds)
                self._refusing = ""
            return
        await self._go_down(fault)
        if seconds is None:
            self.port.exit()
            return
        await asyncio.sleep(seconds)
        self._refusing = ""
        await self.port.open()

    async def _go_down(self, fault: str) -> None:
        """Refuse connections; what is in flight is reset, fails or is cut short, as the fault has it."""
        if fault == "refused":
            await self.port.shut()
            self.port.reset_all()
            return
        self._refusing = "EngineCore encountered an issue. See stack trace (above) for the root cause."
        self.admission.end_all(End.ENGINE_DIED if fault == "engine-dead" else End.SERVER_STOPS)
        if fault == "engine-dead":
            await asyncio.sleep(_DEATH_SECONDS)
        await self.port.shut()
        self.port.close_all()


def _refuse(fault: str, given: Parameters) -> Response:
    retry_after = given.get("retry_after")
    wait = None if retry_after is None else float(retry_after)
    return refusal(fault, status=int(given.get("status") or 500), retry_after=wait)


def _alter(work: SimulatedWork, fault: str, given: Parameters) -> SimulatedWork:
    if fault == "hang":
        return work.later(1, math.inf)
    if fault == "slow":
        return work.later(float(given["factor"] or 0), float(given["seconds"] or 0))
    return ANSWERS[fault](work, given)
