"""Connections on real sockets: what breaks, what is sent again, and what never leaks."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mineru_pipeline.errors import InvalidAnswerError, RequestTimeoutError, TransportError
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.connections import MAX_BODY_BYTES, KeepAliveTransport
from mineru_pipeline.inference.deadline import Deadline
from mineru_pipeline.inference.exchange import Exchange
from mineru_pipeline.inference.wire import PICTURE, ChatRequest

Make = Callable[..., ClientConfig]
PATH = "/v1/chat/completions"


async def post(exchange: Exchange, url: str, seconds: float = 5.0) -> int:
    reply = await exchange.post(url, PATH, b"{}", request_id="r-1", deadline=Deadline(seconds))
    return reply.status


async def test_connections_are_kept(server: Any, config_for: Make) -> None:
    """Requests one after the other share one connection, and carry key and request id."""
    exchange = Exchange(config_for(server.url, api_key="hush"))
    assert [await post(exchange, server.url) for _ in range(3)] == [200, 200, 200]
    assert server.connections == 1
    assert server.chats[0].headers["authorization"] == "Bearer hush"
    assert server.chats[0].headers["x-request-id"] == "r-1"
    await exchange.aclose()


async def test_without_a_key_none_is_sent(server: Any, config_for: Make) -> None:
    """No empty Authorization header either."""
    exchange = Exchange(config_for(server.url))
    await post(exchange, server.url)
    assert "authorization" not in server.chats[0].headers
    await exchange.aclose()


async def test_a_reset_on_a_reused_connection_is_sent_again_at_once(
    server: Any, config_for: Make, answer: Any, reset: Any
) -> None:
    """A vLLM server resets the connection after a 500: the next request goes through, on a fresh connection."""
    server.queue = [answer(500, "oops"), reset(), answer()]
    exchange = Exchange(config_for(server.url))
    assert await post(exchange, server.url) == 500
    assert await post(exchange, server.url) == 200
    assert [request.connection for request in server.chats] == [0, 0, 1]
    await exchange.aclose()


async def test_a_connection_closed_while_idle_is_replaced(server: Any, config_for: Make, answer: Any) -> None:
    """A server that went away between two requests costs the second one nothing."""
    server.queue = [answer(reset_afterwards=True)]
    exchange = Exchange(config_for(server.url))
    assert await post(exchange, server.url) == 200
    assert await post(exchange, server.url) == 200
    await exchange.aclose()


async def test_a_reset_on_a_fresh_connection_is_a_failure(server: Any, config_for: Make, reset: Any) -> None:
    """It was no idle connection that went stale, so it is the caller's to judge."""
    server.queue = [reset()]
    exchange = Exchange(config_for(server.url))
    with pytest.raises(TransportError):
        await post(exchange, server.url)
    assert len(server.chats) == 1
    await exchange.aclose()


async def test_a_second_reset_is_a_failure(server: Any, config_for: Make, answer: Any, reset: Any) -> None:
    """There is one free try, not a loop."""
    server.queue = [answer(), reset(), reset()]
    exchange = Exchange(config_for(server.url))
    await post(exchange, server.url)
    with pytest.raises(TransportError):
        await post(exchange, server.url)
    assert len(server.chats) == 3
    await exchange.aclose()


async def test_half_a_body_is_a_failure_and_not_sent_again(server: Any, config_for: Make, answer: Any) -> None:
    """Once bytes of an answer have come, the request may have cost GPU time."""
    server.queue = [answer(), answer(promise_more_bytes=1000)]
    exchange = Exchange(config_for(server.url))
    await post(exchange, server.url)
    with pytest.raises(TransportError):
        await post(exchange, server.url)
    assert len(server.chats) == 2
    await exchange.aclose()


async def test_a_hang_ends_in_time(server: Any, config_for: Make, hang: Any) -> None:
    """The time limit holds for the whole exchange and names itself."""
    server.queue = [hang()]
    exchange = Exchange(config_for(server.url))
    with pytest.raises(RequestTimeoutError, match=r"within 0\.05 s"):
        await post(exchange, server.url, seconds=0.05)
    await exchange.aclose()


async def test_a_refused_connection_is_named(dead_url: str, config_for: Make) -> None:
    """The message holds the address and the system's words."""
    exchange = Exchange(config_for(dead_url))
    with pytest.raises(TransportError, match=r"Connection refused") as caught:
        await post(exchange, dead_url)
    assert dead_url in str(caught.value)
    await exchange.aclose()


async def test_an_unknown_host_is_a_transport_failure(config_for: Make) -> None:
    """Names that do not resolve may resolve later; the message holds the resolver's words."""

    def unresolved(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("failed") from socket.gaierror(-2, "Name or service not known")

    exchange = Exchange(config_for("http://gone"), httpx.MockTransport(unresolved))
    with pytest.raises(TransportError, match="http://gone failed: Name or service not known"):
        await post(exchange, "http://gone")
    await exchange.aclose()


async def test_an_endless_body_is_cut_off(server: Any, config_for: Make, answer: Any) -> None:
    """What sends more than any model server has to say does not fill the memory."""
    server.queue = [answer(body=b"x" * (MAX_BODY_BYTES + 1))]
    exchange = Exchange(config_for(server.url))
    with pytest.raises(InvalidAnswerError, match="bytes"):
        await post(exchange, server.url, seconds=30)
    await exchange.aclose()


async def test_no_proxy_comes_between(server: Any, config_for: Make) -> None:
    """Only settings decide where pages go: the address that is connected to is the server's own."""
    exchange = Exchange(config_for(server.url))
    await post(exchange, server.url)
    assert server.chats[0].headers["host"] == server.url.removeprefix("http://")
    assert server.chats[0].path == PATH
    await exchange.aclose()


async def test_https_trusts_the_usual_authorities(config_for: Make) -> None:
    """A context for TLS is made for https addresses and verifies."""
    exchange = Exchange(config_for("https://gpu.invalid"))
    transport = exchange._transport
    assert isinstance(transport, KeepAliveTransport)
    assert transport.tls is not None
    assert transport.tls.check_hostname
    assert transport.tls.get_ca_certs()
    await exchange.aclose()


async def test_a_body_that_is_made_while_it_is_sent_arrives_whole(server: Any, config_for: Make) -> None:
    """Pictures travel as base64 of any length, and the length that was announced is right."""
    exchange = Exchange(config_for(server.url))
    for size in (0, 1, 2, 3, 48 * 1024, 200_001):
        picture = bytes(index % 251 for index in range(size))
        request = ChatRequest([{"content": PICTURE}], pictures=[picture])
        await exchange.post(server.url, PATH, request.encode("m"), request_id="r", deadline=Deadline(30))
        sent = server.chats[-1].json()
        assert base64.b64decode(sent["messages"][0]["content"], validate=True) == picture
    await exchange.aclose()
