"""What happened can be read from the registry and from the snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from mineru_pipeline.errors import ServerError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.testing import no_waiting
from mineru_pipeline.inference.wire import ChatRequest

Make = Callable[..., ClientConfig]


async def test_a_retried_request_is_counted(server: Any, config_for: Make, hello: ChatRequest, answer: Any) -> None:
    """Requests, failure, retry, durations by outcome and tokens have their stable names."""
    server.queue = [answer(500, "")]
    registry = CollectorRegistry()
    async with VLLMClient(config_for(server.url), metrics=ClientMetrics(registry)) as client:
        await client.chat_completion(hello)
    value = registry.get_sample_value
    assert value("mineru_vllm_client_requests_total") == 2
    assert value("mineru_vllm_client_failures_total", {"error_type": "server"}) == 1
    assert value("mineru_vllm_client_retries_total", {"retry_number": "1"}) == 1
    assert value("mineru_vllm_request_duration_seconds_count", {"outcome": "ok"}) == 1
    assert value("mineru_vllm_request_duration_seconds_count", {"outcome": "server"}) == 1
    assert value("mineru_vllm_client_tokens_total", {"kind": "prompt"}) == 11
    assert value("mineru_vllm_client_tokens_total", {"kind": "completion"}) == 7
    assert value("mineru_vllm_client_in_flight") == 0
    assert value("mineru_vllm_circuit_breaker_state", {"endpoint": server.url, "model_revision": ""}) == 0
    snapshot = client.metrics.snapshot()
    assert (snapshot.requests, snapshot.answers, snapshot.retries, snapshot.in_flight) == (2, 1, 1, 0)
    assert (snapshot.prompt_tokens, snapshot.completion_tokens, snapshot.failures) == (11, 7, {"server": 1})


async def test_what_is_in_flight_shows(server: Any, config_for: Make, hello: ChatRequest, hang: Any) -> None:
    """The gauge counts requests on the wire."""
    server.script = lambda request: hang()
    async with VLLMClient(config_for(server.url)) as client:
        tasks = [asyncio.create_task(client.chat_completion(hello)) for _ in range(3)]
        await server.wait_until(lambda: len(server.chats) == 3)
        assert client.metrics.registry.get_sample_value("mineru_vllm_client_in_flight") == 3
        assert client.metrics.snapshot().in_flight == 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_open_breaker_shows(dead_url: str, config_for: Make, hello: ChatRequest) -> None:
    """State 2 under the endpoint's address and the revision of its model."""
    config = config_for(dead_url, model_revision="r1", breaker={"failure_threshold": 1})
    with no_waiting():
        async with VLLMClient(config) as client:
            await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
    labels = {"endpoint": dead_url, "model_revision": "r1"}
    assert client.metrics.registry.get_sample_value("mineru_vllm_circuit_breaker_state", labels) == 2


async def test_canaries_are_not_counted(server: Any, config_for: Make, hello: ChatRequest, answer: Any) -> None:
    """The figures are those of the work."""
    server.script = lambda request: answer(500, "") if b'"hi"' in request.body else answer()
    async with VLLMClient(config_for(server.url)) as client:
        results = await asyncio.gather(client.chat_completion(hello), return_exceptions=True)
    assert isinstance(results[0], ServerError)
    assert client.metrics.snapshot().requests == 3
    assert len(server.chats) == 4


def test_late_retries_share_a_label() -> None:
    """A server that sheds for an hour does not create hundreds of series."""
    metrics = ClientMetrics()
    for number in range(1, 500):
        metrics.retried(number)
    value = metrics.registry.get_sample_value
    assert value("mineru_vllm_client_retries_total", {"retry_number": "9"}) == 1
    assert value("mineru_vllm_client_retries_total", {"retry_number": "10+"}) == 490


def test_limiters_waits_and_outages_show() -> None:
    """Where each limiter stands, and the seconds that work waited, in the registry and in the snapshot."""
    metrics = ClientMetrics()
    metrics.limiter("http://gpu", limit=12, in_flight=7, waiting=3)
    metrics.limiter("http://gpu", limit=13, in_flight=8, waiting=0)
    metrics.waited_for_slot(1.5)
    metrics.retried(1, 4.0)
    metrics.outage_lasted(2.0)
    metrics.outage_lasted(2.0)
    value = metrics.registry.get_sample_value
    endpoint = {"endpoint": "http://gpu"}
    assert value("mineru_vllm_limiter_limit", endpoint) == 13
    assert value("mineru_vllm_limiter_in_flight", endpoint) == 8
    assert value("mineru_vllm_limiter_waiting", endpoint) == 0
    assert value("mineru_vllm_slot_wait_seconds_total") == 1.5
    assert value("mineru_vllm_retry_wait_seconds_total") == 4
    assert value("mineru_vllm_outage_seconds_total") == 4
    snapshot = metrics.snapshot()
    assert (snapshot.limits, snapshot.slot_wait_seconds, snapshot.outage_seconds) == ({"http://gpu": 13}, 1.5, 4)


def test_a_clock_that_runs_backwards_breaks_no_counter() -> None:
    """Counters only grow; a negative wait is none."""
    metrics = ClientMetrics()
    metrics.waited_for_slot(-7200.0)
    assert metrics.registry.get_sample_value("mineru_vllm_slot_wait_seconds_total") == 0
