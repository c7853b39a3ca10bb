"""The client and servers that are dead, ailing, or refuse it: what is an outage, and what is one request alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mineru_pipeline.errors import (
    ModelServerError,
    OutageError,
    ServerError,
    TransportError,
)
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.testing import ManualClock, no_waiting
from mineru_pipeline.inference.wire import ChatRequest

Make = Callable[..., ClientConfig]


@pytest.mark.parametrize("page", [(302, ""), (200, "<html>Back soon</html>")])
async def test_a_proxys_page_in_place_of_the_server_is_an_outage(
    config_for: Make, hello: ChatRequest, server: Any, answer: Any, page: tuple[int, str]
) -> None:
    """As long as nothing but a redirect or a web page comes, work waits; afterwards it is done."""
    clock = ManualClock()
    server.script = lambda request: answer(*page) if clock.now < 1060 else answer()
    config = config_for(server.url, backoff_min_seconds=1.0, backoff_max_seconds=1.0)
    async with VLLMClient(config, clock=clock) as client:
        work = asyncio.create_task(client.chat_completion(hello))
        while not work.done():
            await asyncio.sleep(0.002)
            clock.advance(1.0)
        assert (await work).text == "hello"
        assert clock.now >= 1060


async def test_one_server_that_refuses_us_is_left_to_the_others(
    config_for: Make, hello: ChatRequest, server: Any, other_server: Any, answer: Any, error_body: Any
) -> None:
    """In a roll-out one replica may not know the model yet: its work is done elsewhere, and nothing is lost."""
    server.script = lambda request: answer(404, error_body("NotFoundError"))
    async with VLLMClient(config_for(server.url, other_server.url)) as client:
        answers = await asyncio.gather(*(client.chat_completion(hello) for _ in range(20)))
        assert {one.endpoint for one in answers} == {other_server.url}
        other_server.script = server.script
        with pytest.raises(ModelServerError, match=r"vllm_server\.model"):
            await client.chat_completion(hello)


async def test_one_bad_request_fails_alone(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any, error_body: Any
) -> None:
    """A request that always gets 500 ends as ServerError after its attempts; the others are answered."""

    def script(request: Any) -> Any:
        return answer(500, error_body("InternalServerError")) if b"poison" in request.body else answer()

    server.script = script
    poison = ChatRequest([{"role": "user", "content": "poison"}])
    async with VLLMClient(config_for(server.url)) as client:
        results = await asyncio.gather(
            *(client.chat_completion(poison if n == 5 else hello) for n in range(12)), return_exceptions=True
        )
    assert [n for n, result in enumerate(results) if isinstance(result, ServerError)] == [5]
    assert sum(b"poison" in request.body for request in server.chats) == 3


async def test_a_bad_request_that_is_alone_is_told_from_an_outage(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any
) -> None:
    """With nobody else to succeed, a canary shows that the server is well."""
    server.script = lambda request: answer(500, "") if b'"hi"' in request.body else answer()
    async with VLLMClient(config_for(server.url)) as client:
        with pytest.raises(ServerError):
            await client.chat_completion(hello)
    assert server.chats[-1].headers["x-request-id"].startswith("canary-")
    assert b"image/png" in server.chats[-1].body


async def test_many_bad_requests_at_once_all_end(
    server: Any, config_for: Make, hello: ChatRequest, answer: Any
) -> None:
    """They open the breaker, yet each gets its own verdict: the canary passes."""
    server.script = lambda request: answer(500, "") if b'"hi"' in request.body else answer()
    config = config_for(server.url, outage_poll_seconds=0.01)
    async with VLLMClient(config) as client:
        results = await asyncio.gather(*(client.chat_completion(hello) for _ in range(8)), return_exceptions=True)
    assert {type(result) for result in results} == {ServerError}


async def test_work_moves_to_the_healthy_server(
    server: Any, dead_url: str, config_for: Make, hello: ChatRequest
) -> None:
    """With one of two servers dead, every request is answered by the other."""
    async with VLLMClient(config_for(dead_url, server.url)) as client:
        answers = await asyncio.gather(*(client.chat_completion(hello) for _ in range(20)))
        assert {answer.endpoint for answer in answers} == {server.url}
        assert [health.healthy for health in await client.health_check()] == [False, True]


async def test_a_dead_server_is_an_outage(dead_url: str, config_for: Make, hello: ChatRequest) -> None:
    """The error names the address, the last failure and what to do."""
    with no_waiting(attempts=2):
        async with VLLMClient(config_for(dead_url)) as client:
            with pytest.raises(OutageError, match="refused") as caught:
                await client.chat_completion(hello)
    assert dead_url in str(caught.value)
    assert "run the same command again" in str(caught.value)


async def test_the_background_check_notices_an_ailing_server(server: Any, config_for: Make, clock: Any) -> None:
    """Every ``health_check_interval_seconds`` the servers are asked, without any request."""
    server.health = 503
    async with VLLMClient(config_for(server.url, health_check_interval_seconds=30.0), clock=clock) as client:
        await asyncio.sleep(0)
        clock.advance(29)
        await asyncio.sleep(0.01)
        assert not server.received
        clock.advance(1)
        await server.wait_until(lambda: not client._pool.endpoints[0].healthy)
    assert [request.path for request in server.received] == ["/health"]


async def test_a_request_that_kills_every_server_is_given_up(
    config_for: Make, hello: ChatRequest, server: Any, answer: Any, reset: Any
) -> None:
    """Recoveries are not granted for ever to a request that meets an outage each time it is sent."""
    state = {"down": 0}

    def script(request: Any) -> Any:
        if b'"hi"' in request.body:
            state["down"] = 2
            return reset()
        state["down"] -= 1
        return reset() if state["down"] >= 0 else answer()

    server.script = script
    config = config_for(server.url, outage_poll_seconds=0.001, breaker={"enabled": False})
    async with VLLMClient(config) as client:
        with pytest.raises(TransportError):
            await client.chat_completion(hello)
    assert client.metrics.snapshot().requests == 4 * 3


async def test_a_health_check_shortens_an_open_breakers_time(
    server: Any, config_for: Make, hello: ChatRequest, clock: Any
) -> None:
    """The background check permits probes as soon as the server is well, before the recovery timeout."""
    async with VLLMClient(config_for(server.url), clock=clock) as client:
        breaker = client._pool.endpoints[0].breaker
        while breaker.is_call_permitted():
            breaker.try_acquire_permission().on_error()  # type: ignore[union-attr]  # permitted
        await asyncio.sleep(0)
        clock.advance(30)
        await server.wait_until(breaker.is_call_permitted)
        assert (await client.chat_completion(hello)).text == "hello"
