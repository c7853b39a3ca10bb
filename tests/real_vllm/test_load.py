"""What a real vLLM server says of its load, and how our limiter follows it."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Self

from real_vllm_client import (
    Verdict,
    WitnessLimiter,
    ask,
    data_url,
    exactly,
    full,
    giant_png,
    kept_busy,
    patient_witness,
    post,
    witness,
)
from real_vllm_server import KEY, SLOTS, RealServer

from mineru_pipeline.errors import TruncatedAnswerError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.exchange import Exchange
from mineru_pipeline.inference.load import read_load
from mineru_pipeline.inference.metrics import ClientMetrics

HISTOGRAMS = (
    "vllm:e2e_request_latency_seconds",
    "vllm:time_to_first_token_seconds",
    "vllm:request_queue_time_seconds",
    "vllm:request_prefill_time_seconds",
    "vllm:request_decode_time_seconds",
    "vllm:request_prompt_tokens",
    "vllm:request_generation_tokens",
    "http_request_duration_seconds",
)
SINGLE_SERIES = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:num_preemptions_total",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:mm_cache_queries_total",
    "vllm:mm_cache_hits_total",
)
BY_LABEL = {
    "vllm:request_success_total": "finished_reason",
    "vllm:admission_rejections_total": "reason",
    "http_requests_total": "status",
}
INVENTED = (
    "vllm_request_duration_seconds",
    "vllm_gpu_memory_usage_bytes",
    "vllm_request_errors_total",
    "vllm_requests_total",
    "vllm_gpu_oom_total",
)


def labels(metrics: str, name: str) -> list[set[str]]:
    """The names of the labels of each series of ``name``."""
    found = re.findall(rf"^{re.escape(name)}\{{(.*)\}} \S+$", metrics, re.MULTILINE)
    return [set(re.findall(r'(\w+)="', series)) for series in found]


async def test_the_metrics_have_the_names_that_dashboards_use(server: RealServer) -> None:
    """They exist with the labels that are asked for, and the names of older plans do not."""
    for request in (ask(), ask(max_tokens=0), ask(data_url(giant_png()))):
        await post(server, request)
    metrics = server.get("/metrics").text
    ours = {"model_name", "engine"}
    for name in HISTOGRAMS:
        wanted = {"le"} | (ours if name.startswith("vllm:") else {"handler", "method"})
        assert wanted in labels(metrics, f"{name}_bucket"), name
    for name in SINGLE_SERIES:
        assert labels(metrics, name) == [ours], name
    for name, label in BY_LABEL.items():
        assert any(label in series for series in labels(metrics, name)), name
    statuses = re.findall(
        r'^http_requests_total\{handler="/v1/chat/completions".*status="(.*)"\}', metrics, re.MULTILINE
    )
    assert {"2xx", "4xx", "5xx"} <= set(statuses)
    assert not [name for name in INVENTED if name in metrics]


async def test_the_limiter_can_read_the_load(server: RealServer) -> None:
    """Through our own connections and parser: what runs, what waits, and how full the cache is."""
    wanted = (SLOTS, 2)
    async with witness(server) as seen, kept_busy(server, sum(wanted)):
        exchange = Exchange(seen.client.config)
        load = await read_load(exchange, server.url)
        while load is None or (load.running, load.waiting) != wanted or not load.kv_cache_usage:
            load = await read_load(exchange, server.url)
        await exchange.aclose()
    assert load.kv_cache_usage <= 1.0


async def test_a_full_queue_is_shed_load(server: RealServer) -> None:
    """503 of the type "Service Unavailable" slows the limiter down and is nothing against the server."""
    async with full(server) as refusals, witness(server) as seen:
        for reply in refusals:
            assert (reply.status_code, reply.json()["error"]["type"]) == (503, "Service Unavailable")
            assert "Retry-After" not in reply.headers
        await seen.failure(exactly(4))
        assert seen.metrics.verdicts == [Verdict("overloaded", 503, retryable=True, breaker="nothing")]
        assert seen.is_closed()
    ((before, after),) = seen.limiter.cuts
    assert after < before


async def test_shed_work_is_done_when_there_is_room(server: RealServer) -> None:
    """Shed load costs no attempt: with a single one to spend, the client asks until the queue has a place."""
    async with patient_witness(server, retry_attempts=1, backoff_min_seconds=0.1, backoff_max_seconds=0.5) as seen:
        async with full(server):
            work = asyncio.create_task(seen.failure(exactly(4)))
            await seen.metrics.failed_once.wait()
        assert isinstance(await work, TruncatedAnswerError)
        assert seen.is_closed()
    assert set(seen.metrics.snapshot().failures) == {"overloaded", "truncated"}


async def test_a_burst_keeps_the_queue_short_and_the_slots_full(server: RealServer) -> None:
    """Of far more work than the server takes on, it gets what it can use: nothing is shed, and little waits."""
    limiter, metrics = WitnessLimiter(), ClientMetrics()
    config = ClientConfig((server.url,), server.model(KEY), api_key=KEY)
    # Of many lengths, so that they do not all end in the same step.
    requests = [exactly(400 + number * 211 % 800) for number in range(15 * SLOTS)]
    before, started = ServerSums.of(server), time.monotonic()
    async with VLLMClient(config, limiter=limiter, metrics=metrics) as client:
        ends = await asyncio.gather(*map(client.chat_completion, requests), return_exceptions=True)
    after, seconds = ServerSums.of(server), time.monotonic() - started
    assert {type(end) for end in ends} == {TruncatedAnswerError}
    assert (after.rejected, limiter.cuts) == (before.rejected, [])
    # It is the server that judges, by its sums: samples of its gauges would depend on the machine's other work.
    # Sent all at once, the requests would wait seven times as long as they run.
    assert after.waiting_seconds - before.waiting_seconds < 2 * (after.running_seconds - before.running_seconds)
    in_flight = metrics.registry.get_sample_value("mineru_vllm_request_duration_seconds_sum", {"outcome": "truncated"})
    assert in_flight is not None
    assert in_flight / seconds >= SLOTS
    assert limiter.readings


@dataclass(frozen=True)
class ServerSums:
    """What the server has summed up since its start, over all requests."""

    rejected: float
    waiting_seconds: float
    running_seconds: float

    @classmethod
    def of(cls, server: RealServer) -> Self:
        metrics = server.get("/metrics").text

        def total(name: str) -> float:
            return sum(map(float, re.findall(rf"^{name}\{{.*\}} (\S+)$", metrics, re.MULTILINE)))

        return cls(
            total("vllm:admission_rejections_total"),
            total("vllm:request_queue_time_seconds_sum"),
            total("vllm:request_prefill_time_seconds_sum") + total("vllm:request_decode_time_seconds_sum"),
        )
