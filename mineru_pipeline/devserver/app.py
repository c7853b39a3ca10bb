"""The HTTP side: routes, authentication, error answers and metrics around one responder."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mineru_pipeline.devserver import protocol
from mineru_pipeline.devserver.admission import Admission, ClientGoneError
from mineru_pipeline.devserver.metrics import RequestFigures, ServerMetrics
from mineru_pipeline.devserver.middleware import GuardAndCount
from mineru_pipeline.devserver.protocol import ApiError, bad_request
from mineru_pipeline.devserver.responder import Responder, UnusableImageError

_LOG = logging.getLogger(__name__)
_MAX_BODY_BYTES = 128 * 2**20
_MAX_REQUEST_ID = 200
_CLIENT_CLOSED_REQUEST = 499


def build_app(responder: Responder, *, api_key: str | None = None, max_num_queued_reqs: int | None = None) -> Starlette:
    """The ASGI application around ``responder``.

    ``api_key`` guards ``/v1`` alone, as in vLLM. ``max_num_queued_reqs`` bounds running plus waiting requests.
    """
    metrics = ServerMetrics(responder.card.model_id)
    endpoints = _Endpoints(responder, metrics, max_num_queued_reqs)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        responder.close()

    return Starlette(
        routes=[
            Route("/v1/chat/completions", endpoints.chat, methods=["POST"]),
            Route("/v1/models", endpoints.models),
            Route("/health", endpoints.health),
            Route("/metrics", endpoints.metrics_text),
            Route("/version", endpoints.version),
        ],
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _internal_error},
        middleware=[Middleware(GuardAndCount, metrics=metrics, api_key=api_key)],
        lifespan=lifespan,
    )


class _Endpoints:
    def __init__(self, responder: Responder, metrics: ServerMetrics, limit: int | None) -> None:
        self._card = responder.card
        self._metrics = metrics
        self._admission = Admission(responder, metrics, limit)
        self._created = int(time.time())

    async def chat(self, request: Request) -> Response:
        chat = protocol.parse_chat(await _json_body(request), model_id=self._card.model_id)
        request_id = _request_id(request)
        gone = asyncio.create_task(_hung_up(request))
        try:
            timed = await self._admission.run(chat.prompt, gone)
        except UnusableImageError as error:
            raise bad_request(str(error), param="messages") from error
        except ClientGoneError:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
        finally:
            gone.cancel()
        body = protocol.completion(timed.answer, chat, f"chatcmpl-{request_id}")
        usage, choice = body["usage"], body["choices"][0]
        self._metrics.finished(
            RequestFigures(
                timed.queue_seconds,
                timed.run_seconds,
                usage["prompt_tokens"],
                usage["completion_tokens"],
                choice["finish_reason"],
            )
        )
        return JSONResponse(body, headers={"X-Request-Id": request_id})

    async def models(self, _: Request) -> Response:
        return JSONResponse(protocol.model_list(self._card, self._created))

    async def health(self, _: Request) -> Response:
        return Response()

    async def metrics_text(self, _: Request) -> Response:
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def version(self, _: Request) -> Response:
        return JSONResponse({"version": _package_version(), "server": "mineru-pipeline devserver"})


async def _hung_up(request: Request) -> None:
    """Returns when the client closes the connection; the body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _package_version() -> str:
    try:
        return version("mineru-pipeline")
    except PackageNotFoundError:
        return "0+unknown"


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    usable = given.isascii() and given.isprintable() and 0 < len(given) <= _MAX_REQUEST_ID
    return given if usable else uuid.uuid4().hex


async def _json_body(request: Request) -> object:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise ApiError(413, "RequestEntityTooLarge", f"The body is larger than {_MAX_BODY_BYTES} bytes.")
    except ClientDisconnect as error:
        # Nobody is there to read the answer; the log should not take it for a defect.
        raise bad_request("The client hung up before the body was complete.") from error
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}") from error


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), status_code=error.status)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


async def _internal_error(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed inside the server", exc_info=error)
    return JSONResponse(ApiError(500, "InternalServerError", type(error).__name__).body(), status_code=500)
