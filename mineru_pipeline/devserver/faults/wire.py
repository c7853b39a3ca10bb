"""Faults of one connection or one body: what the client reads is not what was sent, or nothing at all."""

from __future__ import annotations

from weakref import WeakSet

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mineru_pipeline.devserver.port import Port


class CutResponse(Response):
    """Promises the whole body, sends half of it, and closes the connection."""

    def __init__(self, whole: Response, port: Port) -> None:
        super().__init__(whole.body, whole.status_code, media_type=whole.media_type)
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half and hang up."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})
        if connection := self._port.connection(scope["client"]):
            connection.transport.close()
        await _disconnected(receive)


class ResetResponse(Response):
    """Resets the connection before any byte of an answer."""

    def __init__(self, port: Port) -> None:
        super().__init__(status_code=500)
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 nothing is sent
        """Send nothing."""
        self._port.reset(self._port.connection(scope["client"]))
        await _disconnected(receive)


class Doomed:
    """ASGI middleware: resets the next request on a connection that has seen an unhandled 500."""

    def __init__(self, app: ASGIApp, *, port: Port, connections: WeakSet[object]) -> None:
        self._app = app
        self._port = port
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI event stream."""
        if self._connections and scope["type"] == "http":
            connection = self._port.connection(scope["client"])
            if connection in self._connections:
                await ResetResponse(self._port)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def damage(fault: str, response: Response, port: Port) -> Response:
    """What is sent in place of a good ``response``: ``cut``, ``not-json`` or ``not-a-completion``."""
    if fault == "cut":
        return CutResponse(response, port)
    if fault == "not-json":
        return PlainTextResponse("<html><body>It works!</body></html>", media_type="text/html")
    return JSONResponse({"object": "list", "data": []})
