"""Reading and steering a simulation while it runs; vLLM has no such addresses."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mineru_pipeline.devserver.admission import Admission
from mineru_pipeline.devserver.apierror import bad_request
from mineru_pipeline.devserver.faults import rules
from mineru_pipeline.devserver.faults.book import FaultBook
from mineru_pipeline.errors import ModelServerError


class Admin:
    """``/simulation``: figures, and the number of slots. ``/faults``: rules and what they struck."""

    def __init__(self, admission: Admission, book: FaultBook) -> None:
        self._admission = admission
        self._book = book

    def routes(self) -> list[Route]:
        """The routes to mount."""
        return [
            Route("/simulation", self._read_simulation, methods=["GET"]),
            Route("/simulation", self._change_simulation, methods=["POST"]),
            Route("/faults", self._read_faults, methods=["GET"]),
            Route("/faults", self._change_faults, methods=["POST"]),
        ]

    async def _read_simulation(self, _: Request) -> Response:
        return JSONResponse({**self._admission.load.snapshot(), "kv_usage": self._admission.kv_usage})

    async def _change_simulation(self, request: Request) -> Response:
        match await _json(request):
            case {"slots": int(slots), **others} if slots > 0 and not isinstance(slots, bool) and not others:
                self._admission.resize(slots)
            case _:
                raise bad_request('Send {"slots": N} with N of at least 1.')
        return await self._read_simulation(request)

    async def _read_faults(self, _: Request) -> Response:
        return JSONResponse(self._book.report())

    async def _change_faults(self, request: Request) -> Response:
        text = (await request.body()).decode("utf-8", "replace")
        try:
            self._book.set(rules.parse(text, "The body"))
        except ModelServerError as error:
            raise bad_request(str(error)) from error
        return await self._read_faults(request)


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}") from error
