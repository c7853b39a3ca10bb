"""One HTTP exchange with a model server: connections, time limits, and transport failures by name."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache

import httpx

from mineru_pipeline.errors import InferenceError, InvalidAnswerError, RequestTimeoutError, TransportError
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.connections import Flight, KeepAliveTransport
from mineru_pipeline.inference.deadline import Deadline
from mineru_pipeline.inference.retry_after import retry_after_seconds
from mineru_pipeline.inference.wire import Body, Reply

_log = logging.getLogger(__name__)

#: How a connection looks that the server closed while it lay idle.
_CLOSED_UNDER_US = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


class _Stream(httpx.AsyncByteStream):
    """A body that is made piece by piece while it is sent."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Exchange:
    """Sends bytes and brings a :class:`~mineru_pipeline.inference.wire.Reply` back; retries nothing.

    The one exception costs nobody anything: a request that dies on a *reused* connection before any
    byte of an answer is sent again at once on a fresh one. vLLM resets the connection after an
    unhandled error, and closes idle ones after five seconds; both are only noticed by the next
    request, which did no harm.

    Args:
        config: key and time limits.
        transport: replaces the network in tests.
        on_resend: called when a request is sent again so.
    """

    def __init__(
        self,
        config: ClientConfig,
        transport: httpx.AsyncBaseTransport | None = None,
        on_resend: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_resend = on_resend
        self._secret = config.api_key or ""
        self._connect_seconds = config.connection_timeout_seconds
        # No compression: answers are short, and what unfolds to any size cannot be bounded.
        self._headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "mineru-pipeline"}
        if config.api_key:
            self._headers["Authorization"] = f"Bearer {config.api_key}"
        self._transport = transport or _open_transport(config)

    async def post(self, endpoint: str, path: str, body: Body | bytes, *, request_id: str, deadline: Deadline) -> Reply:
        """POST JSON and return the reply, whatever its status, before ``deadline``.

        Raises:
            RequestTimeoutError: if answering takes too long.
            TransportError: if no connection is accepted in time, it breaks, or the name does not resolve.
            InvalidAnswerError: if the reply cannot be decoded or is absurdly long.
        """
        url, flight = _url(endpoint + path), Flight()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "X-Request-Id": request_id}
        async with self._translated(endpoint, request_id, deadline, flight):
            try:
                return await self._receive(
                    _request("POST", url, self._headers | headers, body, flight), endpoint, request_id
                )
            except _CLOSED_UNDER_US as error:
                if flight.connected or not _is_unanswered(flight):
                    raise
                _log.debug("request %s: idle connection to %s was gone (%r), sent again", request_id, endpoint, error)
                self._on_resend()
                # What happens from here on is told of the second flight alone.
                flight.sent = False
                again = _request("POST", url, self._headers | headers, body, flight, fresh=True)
                return await self._receive(again, endpoint, request_id)

    async def get(self, endpoint: str, path: str, *, seconds: float, fresh: bool = True) -> Reply:
        """GET on a connection of its own, or on a kept one, within ``seconds``; raises as :meth:`post` does."""
        flight = Flight()
        async with self._translated(endpoint, path, Deadline(seconds), flight):
            request = _request("GET", _url(endpoint + path), self._headers, b"", flight, fresh=fresh)
            return await self._receive(request, endpoint, path)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _receive(self, request: httpx.Request, endpoint: str, request_id: str) -> Reply:
        response = await self._transport.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        asked_for = response.headers.get("Retry-After")
        pause = retry_after_seconds(asked_for, response.headers.get("Date")) if asked_for else 0.0
        return Reply(endpoint, request_id, response.status_code, body, self._secret, pause)

    @asynccontextmanager
    async def _translated(
        self, endpoint: str, request_id: str, deadline: Deadline, flight: Flight
    ) -> AsyncIterator[None]:
        try:
            async with deadline.kept():
                yield
        except httpx.ConnectTimeout as error:
            message = f"The model server {endpoint} did not accept the connection within {self._connect_seconds:g} s"
            raise TransportError(
                f"{message} (request {request_id}).", endpoint=endpoint, request_id=request_id
            ) from error
        except (httpx.TimeoutException, TimeoutError) as error:
            message = (
                f"The model server {endpoint} did not answer within {deadline.seconds:.3g} s (request {request_id})."
            )
            raise RequestTimeoutError(message, endpoint=endpoint, request_id=request_id) from error
        except httpx.TransportError as error:
            raise self._transport_error(endpoint, request_id, error, flight) from error
        except httpx.DecodingError as error:
            message = f"The model server {endpoint} sent a body that cannot be decoded: {error}"
            raise InvalidAnswerError(message, endpoint=endpoint, request_id=request_id) from error

    def _transport_error(self, endpoint: str, request_id: str, error: Exception, flight: Flight) -> InferenceError:
        cause = _root_cause(error)
        message = f"The connection to the model server {endpoint} failed: {cause} (request {request_id})."
        found = TransportError(message, endpoint=endpoint, request_id=request_id)
        found.unanswered = _is_unanswered(flight)
        return found


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """Take ``address`` apart, which costs as much as sending a small request to it."""
    return httpx.URL(address)


def _request(
    method: str,
    url: httpx.URL,
    headers: dict[str, str],
    body: Body | bytes,
    flight: Flight,
    *,
    fresh: bool = False,
) -> httpx.Request:
    headers = {"Host": url.netloc.decode("ascii"), **headers}
    pieces = (body,) if isinstance(body, bytes) else body
    extensions = {"flight": flight, "fresh": fresh}
    return httpx.Request(method, url, headers=headers, stream=_Stream(pieces), extensions=extensions)


def _is_unanswered(flight: Flight) -> bool:
    return flight.sent and not flight.answered


def _open_transport(config: ClientConfig) -> KeepAliveTransport:
    # It reads no proxy from the environment: a stray HTTP_PROXY must not get the pages.
    return KeepAliveTransport(
        _tls_context() if any(url.startswith("https") for url in config.base_urls) else None,
        connect_seconds=config.connection_timeout_seconds,
        most_idle=config.keepalive_connections,
        idle_seconds=config.keepalive_expiry_seconds,
    )


def _tls_context() -> ssl.SSLContext:
    """Trust the system's certificate authorities, where a company adds its own, and certifi's."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def _root_cause(error: BaseException) -> str:
    """Return the operating system's words where there are any: httpx only says that all attempts failed."""
    words = str(error) or type(error).__name__
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            # asyncio puts an address where the system's words belong; name lookups number from -1 down.
            words = os.strerror(seen.errno) if seen.errno and seen.errno > 0 else seen.strerror
        seen = seen.__cause__ or seen.__context__
    return words
