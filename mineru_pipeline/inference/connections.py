"""HTTP/1.1 over kept connections, with httpx's interface and a fraction of its cost.

A page is some ten requests of half a megabyte in total. httpx with httpcore and h11 spends one to two
milliseconds of processor time on each, and four where many are in flight, for its pool looks at every
connection each time. Here the parser is C (httptools, the one of Node.js), the head is one join, and
the body goes out in pieces as it is made: half a millisecond at any number.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httptools
import httpx

#: Nothing that a model server has to say is longer; what answers more is something else.
MAX_BODY_BYTES: Final = 16 << 20
_MAX_HEAD_BYTES: Final = 64 << 10
#: What most requests stay below.
_WRITE_BYTES: Final = 128 << 10
_TOO_LONG: Final = f"it has more than {MAX_BODY_BYTES} bytes; is this a model server?"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
#: A body without either ends where the connection ends.
_LENGTH_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


@dataclass(slots=True)
class Flight:
    """How far one exchange got; passed in a request's extensions as ``flight``."""

    connected: bool = False
    sent: bool = False
    #: A byte of the answer, whatever it says, has come.
    answered: bool = False


@dataclass(slots=True)
class Answer:
    """A response as it comes in."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    head_is_complete: bool = False

    def ends_with_connection(self) -> bool:
        """Whether only the end of the connection tells where the body ends."""
        return self.head_is_complete and not any(name.lower() in _LENGTH_HEADERS for name, _ in self.headers)


class Connection(asyncio.Protocol):
    """One connection: exchanges one after the other; :attr:`reusable` says whether another is possible."""

    def __init__(self) -> None:
        self.reusable = True
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._done: asyncio.Future[Answer] | None = None

    async def exchange(self, request: httpx.Request, flight: Flight) -> Answer:
        """Send ``request`` and return the whole answer; cancelled or failed, the connection is closed."""
        assert self._transport is not None
        if self.is_closing():
            raise httpx.ConnectError("the connection was lost before it was used")
        self._parser, self._answer, self._flight = httptools.HttpResponseParser(self), Answer(), flight
        self._received = 0
        self._done = self._loop.create_future()
        try:
            await self._send(request)
            answer = await self._done
        except BaseException:
            self.abort()
            raise
        finally:
            self._done.cancel()
            self._done = None
        return answer

    async def _send(self, request: httpx.Request) -> None:
        assert self._transport is not None
        assert self._done is not None
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._flight.sent = True
        async for piece in _joined(_head(request), request.stream):
            await self._may_write.wait()
            if self._done.done():
                # The server has said its word, or is gone; who goes on with half a request would confuse it.
                self.reusable = False
                return
            self._transport.write(piece)

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more, be it that its end was not noticed yet."""
        return self._transport is None or self._transport.is_closing()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        self.abort()
        self._may_write.set()
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    # ---- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def pause_writing(self) -> None:
        """Stop sending: the system's buffer is full."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """Take in a part of the answer."""
        if self._done is None or self._done.done():
            # Nobody asked for it, so nobody can tell what the next answer would begin with.
            self.abort()
            return
        self._flight.answered = True
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"not an HTTP response: {error}"))
        else:
            self._check_size()

    def _check_size(self) -> None:
        if self._received > _MAX_HEAD_BYTES and not self._answer.head_is_complete:
            self._fail(httpx.RemoteProtocolError(f"the head of the response has more than {_MAX_HEAD_BYTES} bytes"))
        elif self._received > MAX_BODY_BYTES + _MAX_HEAD_BYTES:
            # Counted as it comes in: chunks have extensions and trailers, which end up in no body.
            self._fail(httpx.DecodingError(_TOO_LONG))

    def eof_received(self) -> None:
        """Let the transport close itself, which ends in :meth:`connection_lost`."""
        self.reusable = False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange that is under way, if there is one."""
        self.reusable = False
        if self._done is None or self._done.done():
            self._may_write.set()
        elif exc is None and self._answer.ends_with_connection():
            self._may_write.set()
            self._done.set_result(self._answer)
        elif exc is not None:
            error = httpx.ReadError("the connection broke")
            error.__cause__ = exc
            self._fail(error)
        else:
            self._fail(httpx.RemoteProtocolError("the server closed the connection before its answer was complete"))

    # ---- what the parser calls

    def on_message_begin(self) -> None:
        """Notice a second answer to one request: nobody could tell what the next one is about."""
        self.reusable &= self._done is not None and not self._done.done()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; what follows the body may not change what went before it."""
        if not self._answer.head_is_complete:
            self._answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._answer.status = self._parser.get_status_code()
        self._answer.head_is_complete = True

    def on_body(self, body: bytes) -> None:
        """Collect a part of the body."""
        self._answer.body += body

    def on_message_complete(self) -> None:
        """Hand the answer over, unless it is an interim one such as 100 Continue."""
        answer, self._answer = self._answer, Answer()
        if answer.status < HTTPStatus.OK:
            return
        self.reusable &= self._parser.should_keep_alive()
        if self._done is None or self._done.done():
            return
        if len(answer.body) > MAX_BODY_BYTES:
            self._fail(httpx.DecodingError(_TOO_LONG))
        else:
            self._done.set_result(answer)
            # Whoever still waits to send the rest of the request need not.
            self._may_write.set()


class KeepAliveTransport(httpx.AsyncBaseTransport):
    """Keeps connections per origin, the latest used first, so that a quieter client lets the others expire.

    A request with the extension ``fresh`` gets a connection of its own, which is closed afterwards.

    Args:
        tls: for ``https`` addresses.
        connect_seconds: how long connecting may take.
        most_idle: how many connections per origin may lie idle; None for any number.
        idle_seconds: how long each may; it should be less than the server's own limit.
    """

    def __init__(
        self, tls: ssl.SSLContext | None, *, connect_seconds: float, most_idle: int | None, idle_seconds: float
    ) -> None:
        self.tls = tls
        self._connect_seconds = connect_seconds
        self._most_idle = most_idle
        self._idle_seconds = idle_seconds
        self._idle: defaultdict[tuple[str, str, int], deque[Connection]] = defaultdict(deque)
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange ``request`` for a response that is already read.

        Raises:
            httpx.ConnectTimeout, httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError: as httpx does.
            httpx.DecodingError: the body is too long, or encoded in a way that was not asked for.
            RuntimeError: the transport is closed.
        """
        if self._closed:
            raise RuntimeError("The transport is closed.")
        flight = request.extensions.get("flight") or Flight()
        origin = _origin(request.url)
        fresh = bool(request.extensions.get("fresh"))
        connection = None if fresh else self._take(origin)
        if connection is None:
            flight.connected = True
            connection = await self._connect(origin)
        answer = await connection.exchange(request, flight)
        if connection.reusable and not fresh:
            self._keep(origin, connection)
        else:
            connection.abort()
        return _response(answer)

    async def aclose(self) -> None:
        """Close all idle connections; those at work are closed by whoever cancels their work."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _take(self, origin: tuple[str, str, int]) -> Connection | None:
        connections = self._idle[origin]
        self._drop_expired(connections)
        while connections:
            connection = connections.pop()
            if connection.reusable and not connection.is_closing():
                return connection
        return None

    def _keep(self, origin: tuple[str, str, int], connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        connections = self._idle[origin]
        connection.idle_since = asyncio.get_running_loop().time()
        connections.append(connection)
        self._drop_expired(connections)
        if self._most_idle is not None and len(connections) > self._most_idle:
            connections.popleft().abort()

    def _drop_expired(self, connections: deque[Connection]) -> None:
        expired = asyncio.get_running_loop().time() - self._idle_seconds
        while connections and (connections[0].idle_since <= expired or not connections[0].reusable):
            connections.popleft().abort()

    async def _connect(self, origin: tuple[str, str, int]) -> Connection:
        scheme, host, port = origin
        context = (self.tls or ssl.create_default_context()) if scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    Connection, host, port, ssl=context, happy_eyeballs_delay=0.25
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {self._connect_seconds:g} s") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme, 0)


async def _joined(head: bytes, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield head and body in as few pieces as that takes, none much longer than ``_WRITE_BYTES``.

    Each write is a call of the system, which costs more than copying a few kilobytes.
    """
    pieces, size = [head], len(head)
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size >= _WRITE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _head(request: httpx.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.LocalProtocolError("a header of the request contains a line break")
    return b"\r\n".join((*lines, b"", b""))


def _response(answer: Answer) -> httpx.Response:
    if any(name.lower() == b"content-encoding" and value.lower() != b"identity" for name, value in answer.headers):
        # It could also unfold to any size, so it must not get as far as httpx.
        raise httpx.DecodingError("it is compressed, which was not asked for")
    # A stream would be read to the same end by four generators inside each other, at three times the cost.
    return httpx.Response(answer.status, headers=answer.headers, content=bytes(answer.body))
