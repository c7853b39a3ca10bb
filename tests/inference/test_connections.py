"""Connections against servers that behave, and servers that do not, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from mineru_pipeline.inference import connections
from mineru_pipeline.inference.connections import Connection, Flight, KeepAliveTransport

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


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers = []

    async def start(handler: Handler) -> RawServer:
        servers.append(await RawServer(handler).start())
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def transport() -> AsyncIterator[KeepAliveTransport]:
    made = make()
    yield made
    await made.aclose()


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


async def test_a_line_break_in_a_header_is_not_sent(serve: Serve, transport: KeepAliveTransport) -> None:
    """A key or an id with one could add headers, or whole requests, of somebody else's choice."""
    server = await serve(always(OK))
    with pytest.raises(httpx.LocalProtocolError, match="line break"):
        await transport.handle_async_request(httpx.Request("GET", server.url, headers={"X-Request-Id": "a\r\nb: c"}))


async def test_a_closed_transport_says_so(transport: KeepAliveTransport) -> None:
    """Work that comes after the end is a defect, not an outage."""
    await transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await ask(transport, "http://127.0.0.1:9/")


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
