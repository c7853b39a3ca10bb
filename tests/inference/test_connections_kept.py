"""Connections that are kept for the next exchange, and those that are not."""

from __future__ import annotations

import asyncio

import pytest
from raw_server import OK, Serve, always, ask, make, once, read_request

from mineru_pipeline.inference.connections import Flight, KeepAliveTransport


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
        OK + OK,
        OK + b"stray",
    ],
    ids=["close", "HTTP/1.0", "until the end", "close without length", "two answers", "stray bytes"],
)
async def test_a_connection_that_is_spent_is_not_used_again(
    serve: Serve, transport: KeepAliveTransport, answer: bytes
) -> None:
    """The answer counts; the next exchange has a connection of its own and is not confused by the first."""
    server = await serve(once(answer))
    assert [await ask(transport, server.url) for _ in range(2)] == [(200, b"ok")] * 2
    assert server.accepted == 2


async def test_cancelling_closes_the_connection(serve: Serve, transport: KeepAliveTransport) -> None:
    """The server sees that nobody waits any more, and the next exchange cannot get the old answer."""
    asked = asyncio.Event()

    async def hang_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        if server.accepted == 1:
            await reader.read()
        else:
            writer.write(OK)

    server = await serve(hang_once)
    task = asyncio.create_task(ask(transport, server.url))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(60):
        await server.closed.wait()
    assert await ask(transport, server.url) == (200, b"ok")


async def test_a_connection_closed_while_idle_is_noticed(serve: Serve, transport: KeepAliveTransport) -> None:
    """Whoever comes next gets a fresh one without having to fail first."""
    server = await serve(once(OK))
    await ask(transport, server.url)
    (idle,) = transport._idle[("http", "127.0.0.1", int(server.url.split(":")[2].split("/")[0]))]
    async with asyncio.timeout(60):
        while idle.reusable:  # noqa: ASYNC110 - the connection sets no event
            await asyncio.sleep(0.001)
    flight = Flight()
    assert await ask(transport, server.url, flight=flight) == (200, b"ok")
    assert flight.connected


async def test_the_latest_connection_is_used_first(serve: Serve, transport: KeepAliveTransport) -> None:
    """After a burst a single stream of requests stays on one connection, and the others can expire."""
    together = asyncio.Barrier(3)

    async def numbered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = b"%d" % server.accepted
        await read_request(reader)
        await together.wait()
        while True:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name)
            await read_request(reader)

    server = await serve(numbered)
    await asyncio.gather(*(ask(transport, server.url) for _ in range(3)))
    assert len({await ask(transport, server.url) for _ in range(5)}) == 1
    assert server.accepted == 3


async def test_idle_connections_are_limited_in_number_and_time(serve: Serve) -> None:
    """Beyond either limit they are closed, and a new one is opened when needed."""
    server = await serve(always(OK))
    for limits in ({"most_idle": 0}, {"idle_seconds": 0.0}):
        transport, before = make(**limits), server.accepted  # type: ignore[arg-type]
        for _ in range(2):
            await ask(transport, server.url)
        assert server.accepted == before + 2
        await transport.aclose()


async def test_a_fresh_request_shares_nothing(serve: Serve, transport: KeepAliveTransport) -> None:
    """It neither takes an idle connection nor leaves one."""
    server = await serve(always(OK))
    await ask(transport, server.url)
    await ask(transport, server.url, fresh=True)
    await ask(transport, server.url)
    assert server.accepted == 2


async def test_a_closed_transport_says_so(transport: KeepAliveTransport) -> None:
    """Work that comes after the end is a defect, not an outage."""
    await transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await ask(transport, "http://127.0.0.1:9/")
