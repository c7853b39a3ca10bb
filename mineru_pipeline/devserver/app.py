"""The HTTP side: routes, authentication, error answers and metrics around one responder."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mineru_pipeline.devserver import protocol
from mineru_pipeline.devserver.admin import Admin
from mineru_pipeline.devserver.admission import Admission, CutShortError, End, QueueFullError
from mineru_pipeline.devserver.apierror import ApiError, bad_request
from mineru_pipeline.devserver.faults.book import FaultBook
from mineru_pipeline.devserver.faults.disturber import Disturber
from mineru_pipeline.devserver.faults.refusals import refusal
from mineru_pipeline.devserver.faults.wire import Doomed
from mineru_pipeline.devserver.load import Load
from mineru_pipeline.devserver.metrics import RequestFigures, ServerMetrics
from mineru_pipeline.devserver.middleware import ClientPrefix, GuardAndCount, client_of
from mineru_pipeline.devserver.port import Port
from mineru_pipeline.devserver.protocol import ChatRequest
from mineru_pipeline.devserver.responder import Responder, UnusableImageError, Work
from mineru_pipeline.devserver.simulate import SimulatedWork

_LOG = logging.getLogger(__name__)
_MAX_BODY_BYTES = 128 * 2**20
_MAX_REQUEST_ID = 200
_CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults that a simulated server is to have, and the port they may shut."""

    book: FaultBook
    port: Port


def build_app(
    responder: Responder,
    *,
    api_key: str | None = None,
    max_num_queued_reqs: int | None = None,
    faults: Faults | None = None,
) -> ASGIApp:
    """The ASGI application around ``responder``.

    ``api_key`` guards ``/v1`` alone, as in vLLM. ``max_num_queued_reqs`` bounds running plus waiting requests.
    With ``faults``, which need the simulated responder, ``/faults`` and ``/simulation`` can be read and changed.
    """
    metrics = ServerMetrics(responder.card.model_id)
    admission = Admission(Load(responder.slots), responder.kv_cache_tokens, max_num_queued_reqs)
    disturber = Disturber(faults.book, faults.port, admission) if faults else None
    endpoints = _Endpoints(responder, metrics, admission, disturber)
    admin = Admin(admission, faults.book).routes() if faults else []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        responder.close()

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/v1/models", endpoints.models),
            Route("/health", endpoints.health),
            Route("/metrics", endpoints.metrics_text),
            Route("/version", endpoints.version),
            *admin,
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _internal_error},
        middleware=[Middleware(GuardAndCount, metrics=metrics, api_key=api_key)],
        lifespan=lifespan,
    )
    named = ClientPrefix(app)
    return Doomed(named, port=disturber.port, connections=disturber.doomed) if disturber else named


class _Endpoints:
    def __init__(
        self, responder: Responder, metrics: ServerMetrics, admission: Admission, disturber: Disturber | None
    ) -> None:
        self._responder = responder
        self._metrics = metrics
        self._admission = admission
        self._disturber = disturber
        self._created = int(time.time())

    async def chat(self, request: Request) -> Response:
        chat = protocol.parse_chat(await _body(request), model_id=self._responder.card.model_id)
        request_id = _request_id(request)
        work = self._responder.plan(chat.prompt)

        async def serve(work: Work) -> Response:
            return await self._serve(work, chat, request, request_id)

        if self._disturber is not None and isinstance(work, SimulatedWork):
            return await self._disturber.answer(work, request, request_id, serve)
        return await serve(work)

    async def _serve(self, work: Work, chat: ChatRequest, request: Request, request_id: str) -> Response:
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        listener = asyncio.create_task(_end_when_hung_up(request, end))
        try:
            timed = await self._admission.run(work, client_of(request.scope), end)
        except UnusableImageError as error:
            raise bad_request(str(error), param="messages") from error
        except QueueFullError:
            self._metrics.rejected()
            raise
        except CutShortError as cut:
            return self._cut_short(cut, chat, request_id)
        finally:
            listener.cancel()
        body = protocol.completion(timed.answer, chat, f"chatcmpl-{request_id}")
        usage, choice = body["usage"], body["choices"][0]
        self._metrics.finished(
            RequestFigures(
                timed.queue_seconds,
                timed.run_seconds,
                timed.answer.decode_seconds,
                usage["prompt_tokens"],
                usage["completion_tokens"],
                choice["finish_reason"],
            )
        )
        return JSONResponse(body, headers={"X-Request-Id": request_id})

    def _cut_short(self, cut: CutShortError, chat: ChatRequest, request_id: str) -> Response:
        """VLLM that is told to stop gives up what runs with what there is of it; all else fails."""
        if cut.end is End.CLIENT_GONE:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
        if cut.end is End.SERVER_STOPS and cut.answer is not None:
            body = protocol.completion(cut.answer, chat, f"chatcmpl-{request_id}")
            return JSONResponse(body, headers={"X-Request-Id": request_id})
        return refusal("error-500")

    async def models(self, _: Request) -> Response:
        return JSONResponse(protocol.model_list(self._responder.card, self._created))

    async def health(self, _: Request) -> Response:
        return Response()

    async def metrics_text(self, _: Request) -> Response:
        load = self._admission.load
        self._metrics.set_load(load.running, load.waiting, self._admission.kv_usage)
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def version(self, _: Request) -> Response:
        return JSONResponse({"version": _package_version(), "server": "mineru-pipeline devserver"})


async def _end_when_hung_up(request: Request, end: asyncio.Future[End]) -> None:
    """Set ``end`` when the client closes the connection; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if not end.done():
        end.set_result(End.CLIENT_GONE)


def _package_version() -> str:
    try:
        return version("mineru-pipeline")
    except PackageNotFoundError:
        return "0+unknown"


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    usable = given.isascii() and given.isprintable() and 0 < len(given) <= _MAX_REQUEST_ID
    return given if usable else uuid.uuid4().hex


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise ApiError(413, "RequestEntityTooLarge", f"The body is larger than {_MAX_BODY_BYTES} bytes.")
    except ClientDisconnect as error:
        # Nobody is there to read the answer; the log should not take it for a defect.
        raise bad_request("The client hung up before the body was complete.") from error
    return bytes(body)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), status_code=error.status)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


async def _internal_error(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed inside the server", exc_info=error)
    return JSONResponse(ApiError(500, "InternalServerError", type(error).__name__).body(), status_code=500)
