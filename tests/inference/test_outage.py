"""Outages on a clock that jumps: no request is lost to one, and none waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mineru_pipeline.errors import CircuitOpenError, OutageError, ServerError, ServerOverloadedError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.testing import ManualClock, no_waiting
from mineru_pipeline.inference.wire import ChatRequest

Make = Callable[..., ClientConfig]
Judge = Callable[[httpx.Request], bool]

PATIENT = {"backoff_min_seconds": 4.0, "backoff_max_seconds": 60.0, "outage_budget_seconds": 600.0}


class SimulatedServer(httpx.AsyncBaseTransport):
    """Answers in two seconds while it is up, refuses connections while it is down."""

    def __init__(self, clock: ManualClock, reply: dict[str, Any]) -> None:
        self.clock = clock
        self.reply = reply
        self.down = (0.0, 0.0)
        self.bad: Judge = lambda request: False
        self.bad_status = 500
        self.health_lies = False
        self.asked: list[tuple[float, str]] = []

    def is_down(self) -> bool:
        return self.down[0] <= self.clock.now < self.down[1]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append((self.clock.now, request.url.path))
        health = request.url.path == "/health"
        if self.is_down() and not (health and self.health_lies):
            raise httpx.ConnectError("refused")
        if health:
            return httpx.Response(200)
        await self.clock.sleep(2.0)
        if self.is_down():
            raise httpx.ReadError("reset")
        if self.bad(request):
            return httpx.Response(self.bad_status, json={"error": {"message": "bad", "type": "Service Unavailable"}})
        return httpx.Response(200, json=self.reply)


@pytest.fixture
def simulated(clock: ManualClock, reply_with: Any) -> SimulatedServer:
    return SimulatedServer(clock, reply_with())


def client_of(simulated: SimulatedServer, config: ClientConfig) -> VLLMClient:
    return VLLMClient(config, clock=simulated.clock, transport=simulated)


def is_poison(request: httpx.Request) -> bool:
    return b"poison" in request.content


POISON = ChatRequest([{"role": "user", "content": "poison"}])


async def batch(client: VLLMClient, requests: list[ChatRequest], at_once: int) -> list[Any]:
    gate = asyncio.Semaphore(at_once)

    async def one(request: ChatRequest) -> Any:
        async with gate:
            return await client.chat_completion(request)

    return await asyncio.gather(*(one(request) for request in requests), return_exceptions=True)


@pytest.mark.parametrize("at_once", [1, 3, 20])
@pytest.mark.parametrize("breaker", [True, False])
async def test_no_request_is_lost_to_five_minutes_of_outage(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest, at_once: int, *, breaker: bool
) -> None:
    """A server that dies in the middle of a batch and comes back later costs time, nothing else."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT, breaker={"enabled": breaker}))
    simulated.down = (simulated.clock.now + 5, simulated.clock.now + 305)
    began = simulated.clock.now
    results = await simulated.clock.run(batch(client, [hello] * 40, at_once))
    assert {getattr(result, "text", result) for result in results} == {"hello"}
    assert simulated.clock.now - began < 300 + 40 * 2 / at_once + 90


async def test_a_recovered_server_is_used_soon(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """``/health`` is asked every two seconds, so the breaker's full minute need not pass."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT, breaker={"recovery_timeout_seconds": 1e6}))
    back = simulated.clock.now + 200
    simulated.down = (simulated.clock.now, back)
    await simulated.clock.run(batch(client, [hello] * 20, 20))
    assert simulated.clock.now - back < 30
    assert 180 <= client.metrics.snapshot().outage_seconds <= 230


async def test_waiting_requests_do_not_all_knock(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """Twenty-five waiting requests ask for the health together, about once in two seconds, not each on its own."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.down = (simulated.clock.now, simulated.clock.now + 300)
    await simulated.clock.run(batch(client, [hello] * 25, 25))
    assert sum(path == "/health" for _, path in simulated.asked) < 2 * 300 / 2


@pytest.mark.parametrize("at_once", [1, 12])
async def test_a_server_that_stays_dead_ends_the_work(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest, at_once: int
) -> None:
    """After the outage budget every request gets an OutageError that says what to do."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.down = (simulated.clock.now, float("inf"))
    began = simulated.clock.now
    results = await simulated.clock.run(batch(client, [hello] * at_once, at_once))
    assert {type(result) for result in results} <= {OutageError, CircuitOpenError}
    assert "http://gpu" in str(results[0])
    assert "refused" in str(results[0])
    assert 600 <= simulated.clock.now - began < 900


async def test_after_the_budget_later_requests_do_not_wait_again(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """The budget belongs to the outage, not to each request."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.down = (simulated.clock.now, float("inf"))
    await simulated.clock.run(batch(client, [hello] * 10, 10))
    began = simulated.clock.now
    results = await simulated.clock.run(batch(client, [hello], 1))
    assert isinstance(results[0], OutageError)
    assert simulated.clock.now - began < 60


async def test_a_breaker_that_stays_open_has_its_own_name(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """A request that never got a permission ends as CircuitOpenError."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT, breaker={"recovery_timeout_seconds": 1e6}))
    simulated.down = (simulated.clock.now, float("inf"))
    results = await simulated.clock.run(batch(client, [hello] * 10, 10))
    assert {type(result) for result in results} == {CircuitOpenError}


async def test_health_that_lies_does_not_end_an_outage(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """A draining server says 200 on ``/health`` and answers nothing: work still waits, then goes on."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.health_lies = True
    simulated.down = (simulated.clock.now, simulated.clock.now + 300)
    results = await simulated.clock.run(batch(client, [hello] * 20, 20))
    assert {getattr(result, "text", result) for result in results} == {"hello"}


async def test_a_poison_request_fails_alone(simulated: SimulatedServer, config_for: Make, hello: ChatRequest) -> None:
    """While others pass, a request that always gets 500 ends with its own error, without an outage."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.bad = is_poison
    simulated.bad_status = 500
    results = await simulated.clock.run(batch(client, [hello, POISON, *[hello] * 30], 4))
    assert [n for n, result in enumerate(results) if type(result) is ServerError] == [1]
    assert sum(getattr(result, "text", "") == "hello" for result in results) == 31


async def test_a_success_before_the_server_died_proves_nothing(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """Requests in flight when the server dies wait, although others had just been answered."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT, retry_attempts=1))
    simulated.down = (simulated.clock.now + 3, simulated.clock.now + 120)
    results = await simulated.clock.run(batch(client, [hello] * 6, 2))
    assert {getattr(result, "text", result) for result in results} == {"hello"}


async def test_shed_load_is_asked_for_again_until_the_deadline(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """A full queue says nothing against a request: three refusals do not end it."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    free_again = simulated.clock.now + 200
    simulated.bad = lambda request: simulated.clock.now < free_again
    simulated.bad_status = 503
    results = await simulated.clock.run(batch(client, [hello] * 5, 5))
    assert {getattr(result, "text", result) for result in results} == {"hello"}
    assert client.metrics.snapshot().failures["overloaded"] > 3 * 5
    assert client._pool.endpoints[0].breaker.state == 0


async def test_shedding_that_singles_one_request_out_ends_at_its_deadline(
    simulated: SimulatedServer, config_for: Make
) -> None:
    """When the canary passes, the request's own error is raised after the total deadline."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.bad = is_poison
    simulated.bad_status = 503
    began = simulated.clock.now
    results = await simulated.clock.run(batch(client, [POISON], 1))
    assert type(results[0]) is ServerOverloadedError
    assert simulated.clock.now - began < 900 + 10


async def test_a_second_server_spares_the_wait(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest, reply_with: Any
) -> None:
    """With one of two servers gone for good, the batch takes no outage at all."""

    class TwoServers(SimulatedServer):
        def is_down(self) -> bool:
            return False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == "dead":
                raise httpx.ConnectError("refused")
            return await super().handle_async_request(request)

    pair = TwoServers(simulated.clock, reply_with())
    client = client_of(pair, config_for("http://dead", "http://well", **PATIENT))
    began = pair.clock.now
    results = await pair.clock.run(batch(client, [hello] * 40, 8))
    assert {getattr(result, "endpoint", result) for result in results} == {"http://well"}
    assert pair.clock.now - began < 60


async def test_in_test_mode_an_outage_is_told_at_once(
    simulated: SimulatedServer, config_for: Make, hello: ChatRequest
) -> None:
    """No test of another room has to wait for a dead server."""
    client = client_of(simulated, config_for("http://gpu", **PATIENT))
    simulated.down = (simulated.clock.now, float("inf"))
    began = simulated.clock.now
    with no_waiting(attempts=3):
        results = await simulated.clock.run(batch(client, [hello], 1))
    assert isinstance(results[0], OutageError)
    assert simulated.clock.now == began
