"""A server that does with its connections whatever a test wants, and what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from mineru_pipeline.inference.connections import KeepAliveTransport

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class RawServer:
    """Hands every connection, numbered by :attr:`accepted`, to a function that may do anything with it."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.accepted = 0
        self.closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/x?y=1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            await self._handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.closed.set()
            writer.close()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Serve = Callable[[Handler], Awaitable[RawServer]]


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)


def make(most_idle: int | None = None, idle_seconds: float = 60.0) -> KeepAliveTransport:
    return KeepAliveTransport(None, connect_seconds=10, most_idle=most_idle, idle_seconds=idle_seconds)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head, await reader.readexactly(length)


def always(*parts: bytes) -> Handler:
    """A handler that answers every request with ``parts``, each sent by itself."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

    return handle


def once(answer: bytes) -> Handler:
    """A handler that answers one request and closes the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    return handle


def request(url: str, body: bytes = b"", **extensions: object) -> httpx.Request:
    return httpx.Request("POST", url, content=body, extensions=extensions)


async def ask(transport: KeepAliveTransport, url: str, body: bytes = b"", **extensions: object) -> tuple[int, bytes]:
    """Status and body of one exchange; what should not hang ends here if it does."""
    async with asyncio.timeout(60):
        response = await transport.handle_async_request(request(url, body, **extensions))
        return response.status_code, await response.aread()
