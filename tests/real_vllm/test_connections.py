"""When a real vLLM server closes a connection, and that it costs our client nothing."""

from __future__ import annotations

import time

import httpx
from real_vllm_client import ask, data_url, exactly, giant_png, witness
from real_vllm_server import KEY, RawConnection, RealServer

from mineru_pipeline.errors import TruncatedAnswerError
from mineru_pipeline.inference.config import SERVER_KEEPALIVE_SECONDS


def test_idle_connections_are_closed_after_the_keep_alive(server: RealServer) -> None:
    """Not before the five seconds that our own limit stays below; and without a word."""
    started = time.monotonic()
    with RawConnection(server.url) as connection:
        assert connection.request("GET", "/health").status == httpx.codes.OK
        connection.wait_for_end()
    # Seen from before the request, so that a slow machine can only make it longer.
    assert time.monotonic() - started >= SERVER_KEEPALIVE_SECONDS


async def test_a_connection_that_lay_idle_is_never_lost_under_a_request(server: RealServer) -> None:
    """Ours are given up before the server closes them: after the pause there is no reset, and no failure."""
    async with witness(server) as seen:
        assert isinstance(await seen.failure(exactly(4)), TruncatedAnswerError)
        with RawConnection(server.url) as later:
            later.request("GET", "/health")
            later.wait_for_end()
        assert isinstance(await seen.failure(exactly(4)), TruncatedAnswerError)
    assert (set(seen.metrics.snapshot().failures), seen.metrics.sample("client_resets_total")) == ({"truncated"}, 0)


def test_after_an_unhandled_error_the_connection_is_closed_unannounced(server: RealServer) -> None:
    """The 500 promises a connection that may be used again; whoever does so is reset."""
    body = bytes(ask(data_url(giant_png())).encode(server.model(KEY)))
    with RawConnection(server.url) as connection:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        reply = connection.request("POST", "/v1/chat/completions", body, headers)
        assert reply.status == httpx.codes.INTERNAL_SERVER_ERROR
        assert reply.getheader("Connection", "keep-alive") == "keep-alive"
        connection.wait_for_end()
