"""What goes out on a connection: portions, early answers, and what is never sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from raw_server import OK, Endless, Serve, always, ask, read_request

from mineru_pipeline.inference.connections import Connection, Flight, KeepAliveTransport


async def test_a_large_body_goes_out_in_portions(serve: Serve, transport: KeepAliveTransport) -> None:
    """A reader slower than the sender gets every byte once, in order."""
    bodies = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        bodies.append((await read_request(reader))[1])
        writer.write(OK)

    server = await serve(slow)
    body = bytes(range(256)) * 40_000
    assert await ask(transport, server.url, body) == (200, b"ok")
    assert bodies == [body]


class Written(asyncio.Transport):
    """Keeps what is written, and has the answer come when all of it is there."""

    def __init__(self, connection: Connection, size: int) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self._connection = connection
        self._size = size

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(bytes(data))
        if b"".join(self.pieces).partition(b"\r\n\r\n")[2] == b"a" * self._size:
            self._connection.data_received(OK)


@pytest.mark.parametrize(("size", "writes"), [(0, 1), (50_000, 1), (10 * 50_000, 4)])
async def test_a_request_of_usual_size_is_one_write(size: int, writes: int) -> None:
    """Head and pieces go out together, as long as that takes little memory."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // 50_000):
            yield b"a" * 50_000

    connection = Connection()
    transport = Written(connection, size)
    connection.connection_made(transport)
    answer = await connection.exchange(httpx.Request("POST", "http://host/", content=pieces()), Flight())
    assert (bytes(answer.body), len(transport.pieces)) == (b"ok", writes)


async def test_an_early_refusal_is_heard_while_sending(serve: Serve, transport: KeepAliveTransport) -> None:
    """A server that says 413 and reads no further is not sent the rest, and its connection is not used again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    server = await serve(refuse)
    endless = httpx.Request("POST", server.url, headers={"Content-Length": str(10**12)}, stream=Endless())
    async with asyncio.timeout(60):
        assert (await transport.handle_async_request(endless)).status_code == 413
    assert (await ask(transport, server.url))[0] == 413
    assert server.accepted == 2


async def test_a_line_break_in_a_header_is_not_sent(serve: Serve, transport: KeepAliveTransport) -> None:
    """A key or an id with one could add headers, or whole requests, of somebody else's choice."""
    server = await serve(always(OK))
    with pytest.raises(httpx.LocalProtocolError, match="line break"):
        await transport.handle_async_request(httpx.Request("GET", server.url, headers={"X-Request-Id": "a\r\nb: c"}))


async def test_an_early_answer_ends_the_sending(serve: Serve, transport: KeepAliveTransport) -> None:
    """A server that answers and reads no further has said its word: nobody waits until the body is out."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await asyncio.Event().wait()

    server = await serve(refuse)
    request = httpx.Request("POST", server.url, stream=Endless())
    async with asyncio.timeout(60):
        response = await transport.handle_async_request(request)
    assert response.status_code == 503
