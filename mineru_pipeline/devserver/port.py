"""The address a server listens on, which a fault can shut and open again, and the connections to it."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from mineru_pipeline.errors import ModelServerError

if TYPE_CHECKING:
    import uvicorn

_RETRY_SECONDS = 0.01
_RETRIES = 500


class Port:
    """A bound port; it belongs to this process also while nobody listens on it. Raises :class:`ModelServerError`."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        try:
            self.socket = _bound(host, port)
        except (OSError, OverflowError) as error:
            raise ModelServerError(
                f"The dev server cannot listen on {host}:{port} ({error}). Choose another port, or 0 for a free one."
            ) from error
        self._number: int = self.socket.getsockname()[1]
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """``http://host:port``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._number}"

    def attach(self, server: uvicorn.Server) -> None:
        """Name the server that listens here."""
        self._server = server

    def connection(self, client: object) -> Any:
        """The server's side of the connection from ``client`` (host and port), ``None`` if there is none."""
        return next((found for found in self._connections() if found.client == client), None)

    def reset(self, connection: Any) -> None:
        """End one connection with a TCP reset instead of a farewell; ``None`` is no connection."""
        if connection is None or connection.transport is None or connection.transport.is_closing():
            return
        # A linger time of zero turns the closing into a reset.
        linger = struct.pack("ii", 1, 0)
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.transport.abort()

    def reset_all(self) -> None:
        """Reset every connection."""
        for connection in self._connections():
            self.reset(connection)

    def close_all(self) -> None:
        """Close every connection, those with a request on its way after their answer."""
        for connection in self._connections():
            connection.shutdown()

    async def shut(self) -> None:
        """Refuse connections from now on; those that exist are not touched."""
        assert self._server is not None
        for listening in self._server.servers:
            listening.close()
        self.socket = await self._bind_again()

    async def open(self) -> None:
        """Accept connections again."""
        server = self._server
        assert server is not None
        protocol = cast("Any", server.config.http_protocol_class)

        def connect() -> asyncio.Protocol:
            made: asyncio.Protocol = protocol(
                config=server.config, server_state=server.server_state, app_state=server.lifespan.state
            )
            return made

        loop = asyncio.get_running_loop()
        server.servers = [await loop.create_server(connect, sock=self.socket, backlog=server.config.backlog)]

    def exit(self) -> None:
        """End the server."""
        assert self._server is not None
        self._server.should_exit = True

    def _connections(self) -> list[Any]:
        return list(self._server.server_state.connections) if self._server else []

    async def _bind_again(self) -> socket.socket:
        # The loop closes the listening socket in its own time; until then the address is in use.
        for _ in range(_RETRIES):
            try:
                return _bound(self._host, self._number)
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
        return _bound(self._host, self._number)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that is bound but does not listen, so that connecting to it is refused."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError):
        bound.close()
        raise
    return bound
