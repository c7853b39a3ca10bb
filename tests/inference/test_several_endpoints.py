"""Several servers in virtual time: each has its own limit and breaker, and the work is where they are well."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.testing import ManualClock
from mineru_pipeline.inference.wire import ChatRequest

Make = Callable[..., ClientConfig]


class Replica:
    """A server of some slots with a queue and vLLM's metrics, down from ``down[0]`` to ``down[1]``."""

    def __init__(self, clock: ManualClock, slots: int) -> None:
        self.clock = clock
        self.slots = slots
        self.down = (0.0, 0.0)
        self.running = self.most_inside = 0
        self.queue: deque[asyncio.Event] = deque()
        self.answered: list[float] = []
        self.asked: Counter[str] = Counter()

    def check(self) -> None:
        if self.down[0] <= self.clock.now < self.down[1]:
            raise httpx.ConnectError("refused")

    async def handle(self, path: str, reply: dict[str, Any]) -> httpx.Response:
        self.asked[path] += 1
        self.check()
        if path == "/health":
            return httpx.Response(200)
        if path == "/metrics":
            text = f"vllm:num_requests_running {self.running}\nvllm:num_requests_waiting {len(self.queue)}\n"
            return httpx.Response(200, text=text)
        return await self._chat(reply)

    async def _chat(self, reply: dict[str, Any]) -> httpx.Response:
        turn = asyncio.Event()
        self.queue.append(turn)
        self._start()
        self.most_inside = max(self.most_inside, self.running + len(self.queue))
        await turn.wait()
        try:
            await self.clock.sleep(2.0)
        finally:
            self.running -= 1
            self._start()
        self.check()
        self.answered.append(self.clock.now)
        return httpx.Response(200, json=reply)

    def _start(self) -> None:
        while self.queue and self.running < self.slots:
            self.running += 1
            self.queue.popleft().set()


class Replicas(httpx.AsyncBaseTransport):
    """Several servers, told apart by their host's name."""

    def __init__(self, reply: dict[str, Any], **hosts: Replica) -> None:
        self.reply = reply
        self.hosts = hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.hosts[request.url.host].handle(request.url.path, self.reply)


@pytest.fixture
def small(clock: ManualClock) -> Replica:
    return Replica(clock, 4)


@pytest.fixture
def large(clock: ManualClock) -> Replica:
    return Replica(clock, 24)


@pytest.fixture
def replicas(small: Replica, large: Replica, reply_with: Any) -> Replicas:
    return Replicas(reply_with(), small=small, large=large)


@pytest.fixture
def config(config_for: Make) -> ClientConfig:
    return config_for("http://small", "http://large", backoff_min_seconds=4.0, backoff_max_seconds=60.0)


async def ask_all(client: VLLMClient, request: ChatRequest, count: int) -> list[Any]:
    async with client:
        jobs = (client.chat_completion(request) for _ in range(count))
        return await asyncio.gather(*jobs, return_exceptions=True)


async def test_each_server_gets_as_much_as_it_can_do(
    replicas: Replicas, small: Replica, large: Replica, config: ClientConfig, hello: ChatRequest, clock: ManualClock
) -> None:
    """A server of four slots and one of twenty-four are both kept full, and neither has a long queue."""
    began = clock.now
    client = VLLMClient(config, clock=clock, transport=replicas)
    results = await clock.run(ask_all(client, hello, 1400))
    assert {getattr(result, "text", result) for result in results} == {"hello"}
    assert clock.now - began < 1.15 * 1400 * 2 / 28
    assert len(large.answered) / len(small.answered) == pytest.approx(6, rel=0.15)
    assert small.most_inside <= 4 + 8
    assert large.most_inside <= 24 + 24


async def test_work_moves_to_the_server_that_is_well_and_returns_soon(
    replicas: Replicas, small: Replica, large: Replica, config: ClientConfig, hello: ChatRequest, clock: ManualClock
) -> None:
    """While one of two is down for a minute the other does the work; the first is used again within seconds."""
    began = clock.now
    large.down = (began + 20, began + 80)
    client = VLLMClient(config, clock=clock, transport=replicas)
    results = await clock.run(ask_all(client, hello, 1400))
    assert {getattr(result, "text", result) for result in results} == {"hello"}
    assert not [at for at in large.answered if began + 22 < at < began + 80]
    assert min(at for at in large.answered if at > began + 80) < began + 90
    # Full again: in the last seconds before the work runs out, it does most of it.
    assert sum(began + 95 < at < began + 105 for at in large.answered) > 0.8 * 24 * 10 / 2
    assert sum(began + 25 < at < began + 75 for at in small.answered) > 0.9 * 4 * 50 / 2


async def test_a_server_with_an_open_breaker_is_asked_every_two_seconds(
    replicas: Replicas, large: Replica, config: ClientConfig, hello: ChatRequest, clock: ManualClock
) -> None:
    """Although the other server has no trouble, and no request waits in an outage."""
    large.down = (clock.now, clock.now + 100)
    client = VLLMClient(config, clock=clock, transport=replicas)
    await clock.run(ask_all(client, hello, 200))
    assert 40 <= large.asked["/health"] <= 65


async def test_a_batch_outlives_five_minutes_without_any_server(
    replicas: Replicas, small: Replica, large: Replica, config: ClientConfig, hello: ChatRequest, clock: ManualClock
) -> None:
    """Both restart at once: nothing is lost, and afterwards both are full again."""
    began = clock.now
    small.down = large.down = (began + 20, began + 320)
    client = VLLMClient(config, clock=clock, transport=replicas)
    results = await clock.run(ask_all(client, hello, 1400))
    assert {getattr(result, "text", result) for result in results} == {"hello"}
    assert clock.now - began < 1.2 * (1400 * 2 / 28 + 300)


async def test_the_metrics_show_where_the_limiters_stand(
    replicas: Replicas, config: ClientConfig, hello: ChatRequest, clock: ManualClock
) -> None:
    """Limit, in flight and waiting are gauges of each server, and back to nothing at the end."""
    client = VLLMClient(config, clock=clock, transport=replicas)
    registry = client.metrics.registry

    def gauge(name: str, host: str) -> float:
        value = registry.get_sample_value(f"mineru_vllm_limiter_{name}", {"endpoint": f"http://{host}"})
        assert value is not None
        return value

    async def look() -> dict[str, float]:
        await clock.sleep(20.0)
        return {name: gauge(name, "large") for name in ("limit", "in_flight", "waiting")}

    async with client:
        jobs = asyncio.gather(*(client.chat_completion(hello) for _ in range(700)))
        seen = await clock.run(look())
        await clock.run(jobs)
        await clock.run(clock.sleep(5.0))
    assert 22 < seen["in_flight"] <= seen["limit"] < 40
    assert seen["waiting"] > 200
    assert gauge("in_flight", "large") == gauge("waiting", "large") == 0
