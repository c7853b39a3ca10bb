"""What happens around every request: who asks, the key check on ``/v1``, and the HTTP metrics."""

from __future__ import annotations

import hmac
import time

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mineru_pipeline.devserver.metrics import ServerMetrics

_HANDLERS = frozenset({"/v1/chat/completions", "/v1/models", "/health", "/version", "/metrics"})


class GuardAndCount:
    """ASGI middleware: 401 as vLLM words it, and one count and one duration for each exchange."""

    def __init__(self, app: ASGIApp, *, metrics: ServerMetrics, api_key: str | None) -> None:
        self._app = app
        self._metrics = metrics
        self._expected = f"Bearer {api_key}".encode() if api_key else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event stream; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 500

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        app = self._app if self._allowed(scope) else JSONResponse({"error": "Unauthorized"}, status_code=401)
        try:
            await app(scope, receive, watched_send)
        finally:
            handler = scope["path"] if scope["path"] in _HANDLERS else "none"
            self._metrics.http(handler, scope["method"], status, time.monotonic() - started)

    def _allowed(self, scope: Scope) -> bool:
        if not self._expected or not scope["path"].startswith("/v1"):
            return True
        given = Headers(scope=scope).get("authorization", "").encode("latin-1", "replace")
        return hmac.compare_digest(given, self._expected)


_PREFIX = "/as/"


class ClientPrefix:
    """ASGI middleware: ``/as/NAME/v1/…`` is ``/v1/…`` asked by the client ``NAME``.

    So workers on one machine can be told apart by nothing but the address they are given.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event stream."""
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            name, _, rest = scope["path"].removeprefix(_PREFIX).partition("/")
            scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "client_name": name}
        await self._app(scope, receive, send)


def client_of(scope: Scope) -> str:
    """The name in the path, otherwise what the client calls itself."""
    given: str | None = scope.get("client_name")
    return given or Headers(scope=scope).get("user-agent", "unknown")
