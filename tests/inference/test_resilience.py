"""Breaker, retries and read time-out as a client has them, on real sockets."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mineru_pipeline.errors import TransportError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.patience import FLOOR_SECONDS, START_SECONDS
from mineru_pipeline.inference.retry import Call
from mineru_pipeline.inference.testing import ManualClock, no_waiting
from mineru_pipeline.inference.wire import ChatRequest

Make = Callable[..., ClientConfig]


def resets(client: VLLMClient) -> float | None:
    return client.metrics.registry.get_sample_value("mineru_vllm_client_resets_total")


async def test_a_lost_connection_costs_nothing(server: Any, config_for: Make, hello: ChatRequest, reset: Any) -> None:
    """A reset before any byte of an answer: the same attempt again at once, no failure, no retry, no pause."""
    server.queue = [reset()]
    config = config_for(server.url, retry_attempts=1, backoff_min_seconds=4.0, backoff_max_seconds=4.0)
    async with VLLMClient(config, clock=ManualClock()) as client:
        assert (await client.chat_completion(hello, request_id="r")).text == "hello"
    snapshot = client.metrics.snapshot()
    assert [request.headers["x-request-id"] for request in server.chats] == ["r-1", "r-1"]
    assert (snapshot.requests, snapshot.retries, snapshot.failures, resets(client)) == (1, 0, {}, 1)
    assert client._pool.endpoints[0].breaker.failure_rate == 0


async def test_it_costs_nothing_only_once(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, reset: Any
) -> None:
    """A server that resets every connection is a failing server: one free try for each request, then failures."""
    server.script = lambda request: reset() if b'"hi"' in request.body else answer()
    async with VLLMClient(config_for(server.url, retry_attempts=2)) as client:
        with pytest.raises(TransportError):
            await client.chat_completion(hello)
    assert sum(b'"hi"' in request.body for request in server.chats) == 3
    assert (client.metrics.snapshot().failures, resets(client)) == ({"transport": 2}, 1)


async def test_half_an_answer_is_no_free_try(server: Any, config_for: Make, hello: ChatRequest, answer: Any) -> None:
    """Once an answer has begun, the request has cost GPU time: that is a failure."""
    server.queue = [answer(promise_more_bytes=9)]
    async with VLLMClient(config_for(server.url)) as client:
        await client.chat_completion(hello)
    assert (client.metrics.snapshot().failures, resets(client)) == ({"transport": 1}, 0)


async def test_a_refused_connection_is_no_free_try(dead_url: str, config_for: Make, hello: ChatRequest) -> None:
    """Nothing was sent, so nothing was lost: a server that is not there is a failure at once."""
    with no_waiting():
        async with VLLMClient(config_for(dead_url)) as client:
            await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
    assert (client.metrics.snapshot().failures, resets(client)) == ({"transport": 1}, 0)


@pytest.mark.parametrize(
    ("status", "headers", "least"),
    [
        (429, {"Retry-After": "30"}, 30.0),
        (503, {"Retry-After": "Sun, 06 Nov 1994 12:00:25 GMT", "Date": "Sun, 06 Nov 1994 12:00:00 GMT"}, 25.0),
        (503, {"Retry-After": "86400"}, 60.0),
        (503, {}, 4.0),
    ],
)
async def test_a_server_says_when_to_come_back(
    config_for: Make, clock: ManualClock, hello: ChatRequest, reply_with: Any, status: int, headers: Any, least: float
) -> None:
    """``Retry-After`` is the least pause, in either form, and the longest pause is ours."""
    replies = [httpx.Response(status, headers=headers), httpx.Response(200, json=reply_with())]
    asked: list[float] = []

    def serve(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/chat/completions"):
            return httpx.Response(404)
        asked.append(clock.now)
        return replies.pop(0)

    config = config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0)
    client = VLLMClient(config, clock=clock, transport=httpx.MockTransport(serve))
    assert (await clock.run(client.chat_completion(hello))).text == "hello"
    assert least <= asked[1] - asked[0] <= max(least, 8.0)


async def test_a_client_learns_its_patience(server: Any, config_for: Make, hello: ChatRequest) -> None:
    """The limit falls with every quick answer, from the start value to the floor."""
    async with VLLMClient(config_for(server.url)) as client:
        limits = []
        for _ in range(11):
            limits.append(client._retries.time_left(Call(b"", "r", hello.kind)))
            await client.chat_completion(hello)
    expected = [START_SECONDS, *(10 * FLOOR_SECONDS / answers for answers in range(1, 11))]
    assert limits == pytest.approx(expected)
    value = client.metrics.registry.get_sample_value
    assert value("mineru_vllm_read_timeout_seconds", {"kind": "other"}) == FLOOR_SECONDS


async def test_what_hung_in_an_outage_is_sent_again_when_the_server_answers(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, hang: Any, clock: ManualClock
) -> None:
    """From then on it has the time of a first attempt, and passing it is no fault of the request's."""
    stuck = [True]
    server.script = lambda request: hang() if stuck and request.json().get("stuck") else answer()
    config = config_for(server.url, breaker={"failure_threshold": 1}, retry_attempts=1)
    async with VLLMClient(config) as client:
        for _ in range(10):
            await client.chat_completion(hello)
        patience = client._retries.patience
        request = ChatRequest(hello.messages, {"stuck": True})
        lost = asyncio.create_task(client.chat_completion(request))
        await server.wait_until(lambda: len(server.chats) == 11)
        (deadline,) = patience._attended
        assert deadline.seconds == FLOOR_SECONDS
        # As if it had been given much more.
        deadline.seconds = 3600.0
        deadline._set()
        breaker = client._pool.endpoints[0].breaker
        while breaker.state == 0:
            breaker.try_acquire_permission().on_error()
        stuck.clear()
        breaker.transition_to_half_open()
        for _ in range(2):
            await client.chat_completion(hello)
        assert (await lost).text == "hello"
    assert breaker.state == 0
    assert client.metrics.snapshot().failures == {"timeout": 1}


def is_work(request: Any) -> bool:
    """Whether it is a request of the test, not the canary that follows a failure."""
    return b'"hi"' in request.body


async def test_a_server_that_fails_every_other_time_opens_the_breaker(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Successes in between do not hide it: the fifth failure, of nine calls, is enough."""
    verdicts = itertools.cycle([500, 200])
    server.script = lambda request: answer(next(verdicts) if is_work(request) else 400)
    async with VLLMClient(config_for(server.url, retry_attempts=1)) as client:
        for _ in range(8):
            await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
        assert "opens" not in caplog.text
        await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
    assert f"{server.url} opens: of its last 9 calls 56% failed" in caplog.text


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429])
async def test_what_says_nothing_of_the_server_counts_neither_way(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, status: int
) -> None:
    """Our own mistakes and shed load are no failures, and no successes that would hide failures."""
    server.script = lambda request: answer(status if is_work(request) else 400, "")
    with no_waiting():
        async with VLLMClient(config_for(server.url)) as client:
            for _ in range(8):
                await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
            assert len(client._pool.endpoints[0].breaker._window) == 0
            assert sum(client.metrics.snapshot().failures.values()) == 8


async def test_another_model_revision_has_another_breaker(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any
) -> None:
    """The state shows under endpoint and revision."""
    server.script = lambda request: answer(500, "")
    config = config_for(server.url, model_revision="r7", breaker={"failure_threshold": 1})
    with no_waiting():
        async with VLLMClient(config) as client:
            await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
    labels = {"endpoint": server.url, "model_revision": "r7"}
    assert client.metrics.registry.get_sample_value("mineru_vllm_circuit_breaker_state", labels) == 2
