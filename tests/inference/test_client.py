"""The client on real sockets: whole answers, retries, bounds, and what each error becomes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from mineru_pipeline.errors import (
    AbortedAnswerError,
    ClientSideError,
    InferenceError,
    ModelServerError,
    NotACompletionError,
    RequestTimeoutError,
    TruncatedAnswerError,
)
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.wire import ChatRequest

Make = Callable[..., ClientConfig]


async def test_a_request_is_answered(server: Any, config_for: Make, hello: ChatRequest) -> None:
    """The answer says who gave it, and the request carried the model's name."""
    async with VLLMClient(config_for(server.url + "/v1")) as client:
        answer = await client.chat_completion(hello, request_id="doc-7/page 3")
    assert (answer.text, answer.endpoint, answer.request_id) == ("hello", server.url, "doc-7_page_3-1")
    assert server.chats[0].json() == {"model": "some/model", "messages": [{"role": "user", "content": "hi"}]}
    assert server.chats[0].headers["x-request-id"] == "doc-7_page_3-1"


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(lambda answer, error: answer(500, error("InternalServerError")), id="500"),
        pytest.param(lambda answer, error: answer(408, ""), id="408"),
        pytest.param(lambda answer, error: answer(429, ""), id="429"),
        pytest.param(lambda answer, error: answer(503, error("Service Unavailable")), id="queue full"),
        pytest.param(lambda answer, error: answer(promise_more_bytes=9), id="half a body"),
    ],
)
async def test_what_may_pass_is_sent_again(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, error_body: Any, first: Any
) -> None:
    """A second attempt under an id of its own brings the answer."""
    server.queue = [first(answer, error_body)]
    async with VLLMClient(config_for(server.url)) as client:
        got = await client.chat_completion(hello, request_id="r")
    assert got.text == "hello"
    assert [request.headers["x-request-id"] for request in server.chats] == ["r-1", "r-2"]


async def test_an_aborted_answer_is_sent_again(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, reply_with: Any
) -> None:
    """``abort`` comes from a server that is stopped in the middle: the text is never taken for whole."""
    server.queue = [answer(body=reply_with("hel", "abort"))]
    async with VLLMClient(config_for(server.url)) as client:
        assert (await client.chat_completion(hello)).text == "hello"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ClientSideError), (413, ClientSideError), (422, ClientSideError)],
)
async def test_our_own_mistakes_are_not_sent_again(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, status: int, error: type[InferenceError]
) -> None:
    """They fail at once, and however many there are, the breaker stays closed."""
    server.script = lambda request: answer(status, {"error": {"message": "too long"}})
    async with VLLMClient(config_for(server.url)) as client:
        for _ in range(7):
            with pytest.raises(error, match="too long"):
                await client.chat_completion(hello)
        assert len(server.chats) == 7
        assert (await client.health_check())[0].breaker == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "vllm_server.api_key"), (403, "vllm_server.api_key"), (404, "vllm_server.model")],
)
async def test_a_wrong_key_or_model_is_no_matter_of_one_request(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, status: int, words: str
) -> None:
    """The run must stop and say which setting to change, instead of losing block after block."""
    server.script = lambda request: answer(status, {"error": "Unauthorized hush-hush"})
    async with VLLMClient(config_for(server.url, api_key="hush-hush")) as client:
        with pytest.raises(ModelServerError, match=words) as caught:
            await client.chat_completion(hello)
    assert "hush" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ClientSideError)
    assert "hush" not in str(caught.value.__cause__)


async def test_a_truncated_answer_is_not_whole(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, reply_with: Any
) -> None:
    """The caller gets the error with the text, at once, and decides."""
    server.queue = [answer(body=reply_with("half", "length"))]
    async with VLLMClient(config_for(server.url)) as client:
        with pytest.raises(TruncatedAnswerError) as caught:
            await client.chat_completion(hello)
    assert caught.value.text == "half"


async def test_garbage_is_not_an_answer(server: Any, config_for: Make, hello: ChatRequest, answer: Any) -> None:
    """A 200 that is no completion is asked for again, and is an error if nothing better comes while others pass."""
    server.script = lambda request: answer(body="<html>") if b'"hi"' in request.body else answer()
    async with VLLMClient(config_for(server.url)) as client:
        with pytest.raises(NotACompletionError):
            await client.chat_completion(hello)
        assert client.metrics.snapshot().failures == {"not-a-completion": client.config.retry_attempts}


async def test_a_hang_costs_its_time_limit_and_no_more(
    server: Any, config_for: Make, hello: ChatRequest, hang: Any
) -> None:
    """While others are answered, a hung request is given up: whether and how to ask again is its caller's matter."""
    server.queue = [hang()]
    async with VLLMClient(config_for(server.url, timeout_seconds=0.5)) as client:
        with pytest.raises(RequestTimeoutError):
            await client.chat_completion(hello)
    assert client.metrics.snapshot().failures == {"timeout": 1}


async def test_the_total_deadline_bounds_the_attempts(
    server: Any, config_for: Make, hello: ChatRequest, hang: Any, answer: Any
) -> None:
    """Fifty attempts are allowed, but time is up after two at most: the last error is raised."""
    server.script = lambda request: hang() if b'"hi"' in request.body else answer()
    config = config_for(server.url, timeout_seconds=0.5, total_deadline_seconds=0.6, retry_attempts=50)
    async with VLLMClient(config) as client:
        with pytest.raises(RequestTimeoutError):
            await client.chat_completion(hello)
    assert client.metrics.snapshot().requests <= 2


async def test_load_is_spread(server: Any, other_server: Any, config_for: Make, hello: ChatRequest) -> None:
    """Two servers share simultaneous requests evenly."""
    async with VLLMClient(config_for(server.url, other_server.url)) as client:
        await asyncio.gather(*(client.chat_completion(hello) for _ in range(10)))
    assert (len(server.chats), len(other_server.chats)) == (5, 5)


async def test_the_pool_size_caps_what_is_in_flight(server: Any, config_for: Make, hello: ChatRequest) -> None:
    """``connection_pool_size`` 3 means that no more than three connections are ever opened."""
    async with VLLMClient(config_for(server.url, connection_pool_size=3)) as client:
        await asyncio.gather(*(client.chat_completion(hello) for _ in range(30)))
    assert server.connections == 3


async def test_the_limiter_starts_and_stays_within_its_bounds(
    server: Any, config_for: Make, hello: ChatRequest, hang: Any
) -> None:
    """With a minimum of six, six requests are on the wire before the server has said anything of itself."""
    server.script = lambda request: hang()
    async with VLLMClient(config_for(server.url, limiter_minimum=6, limiter_maximum=6)) as client:
        tasks = [asyncio.create_task(client.chat_completion(hello)) for _ in range(20)]
        await server.wait_until(lambda: len(server.chats) == 6)
        assert client._pool.endpoints[0].in_flight == 6
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_without_a_cap_the_pool_follows_the_servers_queue(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, hang: Any, clock: Any
) -> None:
    """While its metrics show that nothing waits, more and more is sent, until thirty requests are on the wire."""
    server.script = lambda request: hang()
    server.metrics = answer(body="vllm:num_requests_running 30\nvllm:num_requests_waiting 0\n")
    async with VLLMClient(config_for(server.url), clock=clock) as client:
        tasks = [asyncio.create_task(client.chat_completion(hello)) for _ in range(30)]
        await server.wait_until(lambda: clock.advance(0.1) or len(server.chats) == 30)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert len({chat.connection for chat in server.chats}) == 30


async def test_a_cancelled_request_leaves_no_trace(
    server: Any, config_for: Make, hello: ChatRequest, hang: Any
) -> None:
    """Slot, load, gauge and breaker are as before, and the next request passes."""
    server.queue = [hang()]
    async with VLLMClient(config_for(server.url, connection_pool_size=1)) as client:
        task = asyncio.create_task(client.chat_completion(hello))
        await server.wait_until(lambda: server.chats)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client._pool.endpoints[0].in_flight == 0
        assert client.metrics.snapshot().in_flight == 0
        assert (await client.chat_completion(hello)).text == "hello"


async def test_failures_are_logged_with_their_id(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning for each failed attempt, a debug line for the success, and no key in either."""
    server.queue = [answer(500, "boom hush-hush")]
    with caplog.at_level(logging.DEBUG, logger="mineru_pipeline"):
        async with VLLMClient(config_for(server.url, api_key="hush-hush")) as client:
            await client.chat_completion(hello, request_id="r")
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert lines[0][0] == "WARNING"
    assert "r-1 failed" in lines[0][1]
    assert "boom" in lines[0][1]
    assert any(level == "DEBUG" and "r-2: answered" in text for level, text in lines)
    assert "hush" not in caplog.text


async def test_closing_twice_is_harmless(server: Any, config_for: Make) -> None:
    """Cleanup code need not keep count."""
    client = VLLMClient(config_for(server.url))
    await client.aclose()
    await client.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await client.models()


async def test_the_last_error_is_the_one_that_is_raised(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, reset: Any, reply_with: Any
) -> None:
    """After a second reset and a 500 an abort ends the attempts: the abort is reported."""
    server.queue = [reset(), reset(), answer(500, ""), answer(body=reply_with("hal", "abort"))]
    async with VLLMClient(config_for(server.url)) as client:
        with pytest.raises(AbortedAnswerError):
            await client.chat_completion(hello)
    assert client.metrics.snapshot().failures == {"transport": 1, "server": 1, "aborted": 1}


@pytest.mark.parametrize(("kept", "connections"), [(None, 1), (0, 3)])
async def test_idle_connections_are_kept_as_configured(
    server: Any, config_for: Make, hello: ChatRequest, kept: int | None, connections: int
) -> None:
    """By default requests in a row share a connection; with none kept, each opens its own."""
    async with VLLMClient(config_for(server.url, keepalive_connections=kept)) as client:
        for _ in range(3):
            await client.chat_completion(hello)
    assert server.connections == connections


async def test_a_silent_server_is_waited_for_as_long_as_configured(server: Any, config_for: Make, hang: Any) -> None:
    """``connection_timeout_seconds`` bounds the questions that need no model: the impatient client gives up first."""
    server.models = hang()
    async with (
        VLLMClient(config_for(server.url, connection_timeout_seconds=0.05)) as impatient,
        VLLMClient(config_for(server.url, connection_timeout_seconds=60.0)) as patient,
    ):
        waiting = asyncio.create_task(patient.models())
        with pytest.raises(RequestTimeoutError):
            await impatient.models()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
