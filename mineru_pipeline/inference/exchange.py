"""One HTTP exchange with a model server: connections, time limits, and transport failures by name."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from mineru_pipeline.errors import InferenceError, InvalidAnswerError, RequestTimeoutError, TransportError
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.wire import Reply

_log = logging.getLogger(__name__)

#: Nothing that a model server has to say is longer; what answers more is something else.
MAX_BODY_BYTES = 64 * 2**20
#: How a connection looks that the server closed while it lay idle in the pool.
_CLOSED_UNDER_US = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


@dataclass(slots=True)
class _Flight:
    """How far one exchange got, told by httpcore's trace events."""

    connected: bool = False
    sent: bool = False
    answered: bool = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        del info
        self.connected |= event == "connection.connect_tcp.started"
        self.sent |= event == "http11.send_request_headers.started"
        self.answered |= event == "http11.receive_response_headers.complete"

    def died_on_reused_connection(self) -> bool:
        return self.sent and not self.connected and not self.answered


class Exchange:
    """Sends bytes and brings a :class:`~mineru_pipeline.inference.wire.Reply` back; retries nothing.

    The one exception costs nobody anything: a request that dies on a *reused* connection before any
    byte of an answer is sent again at once on a fresh one. vLLM resets the connection after an
    unhandled error, and closes idle ones after five seconds; both are only noticed by the next
    request, which did no harm.

    ``transport`` replaces the network in tests.
    """

    def __init__(self, config: ClientConfig, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._secret = config.api_key or ""
        self._connect_seconds = config.connection_timeout_seconds
        tls = _tls_context() if any(url.startswith("https") for url in config.base_urls) else False
        kept = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=config.keepalive_connections,
            keepalive_expiry=config.keepalive_expiry_seconds,
        )
        self._pooled = _open_client(config, kept, tls, transport)
        # Health checks and second tries must not wait for, nor inherit, a pooled connection.
        self._fresh = _open_client(config, httpx.Limits(max_keepalive_connections=0), tls, transport)

    async def post(self, endpoint: str, path: str, body: bytes, *, request_id: str, seconds: float) -> Reply:
        """POST JSON and return the reply, whatever its status, within ``seconds``.

        Raises:
            RequestTimeoutError: if connecting or answering takes too long.
            TransportError: if the connection is refused or breaks, or the name does not resolve.
            InvalidAnswerError: if the reply cannot be decoded or is absurdly long.
        """
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        flight = _Flight()
        async with self._translated(endpoint, request_id, seconds):
            try:
                request = self._pooled.build_request(
                    "POST", endpoint + path, content=body, headers=headers, extensions={"trace": flight.trace}
                )
                return await self._receive(self._pooled, request, endpoint, request_id)
            except _CLOSED_UNDER_US as error:
                if not flight.died_on_reused_connection():
                    raise
                _log.debug("request %s: idle connection to %s was gone (%r), sent again", request_id, endpoint, error)
                request = self._fresh.build_request("POST", endpoint + path, content=body, headers=headers)
                return await self._receive(self._fresh, request, endpoint, request_id)

    async def get(self, endpoint: str, path: str, *, seconds: float) -> Reply:
        """GET on a fresh connection within ``seconds``; raises as :meth:`post` does."""
        async with self._translated(endpoint, path, seconds):
            request = self._fresh.build_request("GET", endpoint + path)
            return await self._receive(self._fresh, request, endpoint, path)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pooled.aclose()
        await self._fresh.aclose()

    async def _receive(
        self, client: httpx.AsyncClient, request: httpx.Request, endpoint: str, request_id: str
    ) -> Reply:
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    message = f"The model server {endpoint} sent more than {MAX_BODY_BYTES} bytes; is it one?"
                    raise InvalidAnswerError(message, endpoint=endpoint, request_id=request_id)
            return Reply(endpoint, request_id, response.status_code, bytes(body), self._secret)
        finally:
            await response.aclose()

    @asynccontextmanager
    async def _translated(self, endpoint: str, request_id: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except (httpx.TimeoutException, TimeoutError) as error:
            limit = self._connect_seconds if isinstance(error, httpx.ConnectTimeout) else seconds
            what = "accept the connection" if isinstance(error, httpx.ConnectTimeout) else "answer"
            message = f"The model server {endpoint} did not {what} within {limit:g} s (request {request_id})."
            raise RequestTimeoutError(message, endpoint=endpoint, request_id=request_id) from error
        except httpx.TransportError as error:
            raise self._transport_error(endpoint, request_id, error) from error
        except httpx.DecodingError as error:
            message = f"The model server {endpoint} sent a body that cannot be decoded: {error}"
            raise InvalidAnswerError(message, endpoint=endpoint, request_id=request_id) from error

    def _transport_error(self, endpoint: str, request_id: str, error: Exception) -> InferenceError:
        cause = _root_cause(error)
        message = f"The connection to the model server {endpoint} failed: {cause} (request {request_id})."
        return TransportError(message, endpoint=endpoint, request_id=request_id)


def _open_client(
    config: ClientConfig,
    limits: httpx.Limits,
    tls: ssl.SSLContext | bool,  # noqa: FBT001 - httpx's own convention
    transport: httpx.AsyncBaseTransport | None,
) -> httpx.AsyncClient:
    headers = {"User-Agent": "mineru-pipeline"}
    if config.api_key:
        headers["Authorization"] = f"Bearer {config.api_key}"
    # trust_env off: a stray HTTP_PROXY must not send page images through a proxy.
    return httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(None, connect=config.connection_timeout_seconds),
        transport=transport or httpx.AsyncHTTPTransport(verify=tls, limits=limits, retries=0, trust_env=False),
        trust_env=False,
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
