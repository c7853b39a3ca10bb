"""Connections against servers that behave, and servers that do not, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct

import httpx
import pytest
from raw_server import OK, Serve, always, ask, once, read_request

from mineru_pipeline.inference import connections
from mineru_pipeline.inference.connections import Flight, KeepAliveTransport


@pytest.mark.parametrize(
    "parts",
    [
        (OK,),
        tuple(bytes([byte]) for byte in OK),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK,),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok",),
    ],
    ids=["plain", "byte by byte", "chunked", "continue", "continue at once", "terse"],
)
async def test_answers_of_any_form_are_read_and_the_connection_is_kept(
    serve: Serve, transport: KeepAliveTransport, parts: tuple[bytes, ...]
) -> None:
    """However the bytes arrive, three exchanges take one connection."""
    server = await serve(always(*parts))
    assert [await ask(transport, server.url) for _ in range(3)] == [(200, b"ok")] * 3
    assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x01\x02" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
    ids=[
        "nothing",
        "half a head",
        "half a body",
        "half a chunk",
        "another protocol",
        "binary",
        "negative length",
        "no chunk",
        "upgrade",
        "endless head",
    ],
)
async def test_what_is_no_whole_answer_is_a_transport_error(
    serve: Serve, transport: KeepAliveTransport, answer: bytes
) -> None:
    """It never hangs, never comes out as an answer, and the next exchange is not touched by it."""
    server = await serve(once(answer))
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            await ask(transport, server.url)
    assert server.accepted == 2


async def test_a_reset_says_how_far_the_exchange_got(serve: Serve, transport: KeepAliveTransport) -> None:
    """Whether the connection was new and whether a byte had come decides what may be sent again."""

    async def reset_the_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await read_request(reader)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await serve(reset_the_second)
    first, second = Flight(), Flight()
    await ask(transport, server.url, flight=first)
    with pytest.raises(httpx.ReadError):
        await ask(transport, server.url, flight=second)
    assert first == Flight(connected=True, sent=True, answered=True)
    assert second == Flight(connected=False, sent=True, answered=False)


async def test_an_endless_body_is_refused(serve: Serve, transport: KeepAliveTransport) -> None:
    """What sends more than any model server has to say does not fill the memory."""
    megabyte = bytes(1 << 20)

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(megabyte)
            await writer.drain()

    server = await serve(pour)
    with pytest.raises(httpx.DecodingError, match=str(connections.MAX_BODY_BYTES)):
        await ask(transport, server.url)


async def test_compressed_answers_are_refused(serve: Serve, transport: KeepAliveTransport) -> None:
    """Nobody asked for them, and they could unfold to any size."""
    server = await serve(always(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"))
    with pytest.raises(httpx.DecodingError, match="compressed"):
        await ask(transport, server.url)


@pytest.mark.parametrize("piece", [b"x-trailer: 1\r\n", b"x" * 1000], ids=["trailers", "one trailer"])
async def test_what_follows_the_last_chunk_is_bounded(
    serve: Serve, transport: KeepAliveTransport, piece: bytes
) -> None:
    """Trailers without end are cut off like a body without end, and take no memory meanwhile."""

    async def trail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        while True:
            writer.write(piece * 100)
            await writer.drain()

    server = await serve(trail)
    with pytest.raises((httpx.DecodingError, httpx.RemoteProtocolError)):
        await ask(transport, server.url)


async def test_trailers_change_nothing_of_the_head(serve: Serve, transport: KeepAliveTransport) -> None:
    """What a server adds after the body is not taken for a header."""

    async def trail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"2\r\nok\r\n0\r\nContent-Encoding: gzip\r\n\r\n")

    server = await serve(trail)
    assert await ask(transport, server.url) == (200, b"ok")
