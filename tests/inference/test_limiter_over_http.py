"""The limiter against the simulated server, over real HTTP and with the server's own sums as the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import SIMULATED_MODEL, ModelServer, start_server, stop_server

from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.limiter import START
from mineru_pipeline.inference.wire import ChatRequest

SLOTS = 24


@pytest.fixture
def busy_server(tmp_path: Path) -> Iterator[ModelServer]:
    """A simulated server of some slots and a bounded queue."""
    options = ("--slots", str(SLOTS), "--simulate-latency", "0.2", "--max-num-queued-reqs", str(3 * SLOTS))
    server = start_server(tmp_path, *options)
    yield server
    stop_server(server)


def counts(server: ModelServer) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/simulation").json()
    return found


async def test_workers_share_a_server_that_they_only_know_by_its_metrics(
    busy_server: ModelServer, hello: ChatRequest
) -> None:
    """Two clients with far more requests than it has slots grow to fill it; it sheds nothing and its queue is short."""
    clients = [
        VLLMClient(ClientConfig(base_urls=(f"{busy_server.url}/as/{name}",), model=SIMULATED_MODEL))
        for name in ("one", "two")
    ]
    jobs = [client.chat_completion(hello) for _ in range(400) for client in clients]
    before = counts(busy_server)
    answers = await asyncio.gather(*jobs)
    after = counts(busy_server)
    limits = [client._pool.endpoints[0].limiter.limit for client in clients]
    for client in clients:
        await client.aclose()
    assert len(answers) == 800
    assert after["shed"] == before["shed"]
    assert sum(limits) > 2 * START
    assert after["waiting_seconds"] - before["waiting_seconds"] < after["running_seconds"] - before["running_seconds"]
