"""The load of a server, from its metrics or from the latency of our own requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.exchange import Exchange
from mineru_pipeline.inference.load import MIN_SAMPLES, LatencyLoad, ServerLoad, parse_load, read_load

TEXT = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="some/model"} 37.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="some/model"} 5.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="some/model",reason="capacity"} 4.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="some/model"} 0.4375
"""


def test_the_three_gauges_are_found_among_others() -> None:
    """Comments, and names that only begin alike, are not taken for them."""
    assert parse_load(TEXT) == ServerLoad(37.0, 5.0, 0.4375)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000), st.floats(0, 1)), min_size=1, max_size=4))
def test_engines_of_one_server_add_up(engines: list[tuple[int, int, float]]) -> None:
    """Whatever the official client library writes is read, summed over engines; the fullest cache counts."""
    registry = CollectorRegistry()
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
    gauges = [Gauge(name, "text", ["model_name", "engine"], registry=registry) for name in names]
    for number, values in enumerate(engines):
        for gauge, value in zip(gauges, values, strict=True):
            gauge.labels('odd } "name" 7', str(number)).set(value)
    running, waiting, usage = zip(*engines, strict=True)
    assert parse_load(generate_latest(registry)) == ServerLoad(sum(running), sum(waiting), max(usage))


def test_without_labels_and_usage_the_rest_is_enough() -> None:
    """Labels are optional in the format, and a server may have no cache."""
    assert parse_load(b"vllm:num_requests_running 3\nvllm:num_requests_waiting 1e0 1700000000000") == ServerLoad(3, 1)


@pytest.mark.parametrize(
    "text",
    [b"", b"<html>", b"\xff\x00", b"vllm:num_requests_running 3\n", TEXT.replace(b"} 5.0", b"} many"),
     TEXT.replace(b"} 5.0", b"} NaN"), TEXT.replace(b"} 5.0", b"} +Inf"), TEXT.replace(b"} 5.0", b"} -1"),
     b"vllm:num_requests_running{\nvllm:num_requests_waiting\n"],
)  # fmt: skip
def test_what_does_not_tell_the_load_is_none(text: bytes) -> None:
    """A page without the names, or with values that are no numbers, says nothing, and does not fail."""
    assert parse_load(text) is None


async def test_a_server_without_metrics_is_none(
    server: Any, config_for: Callable[..., ClientConfig], answer: Any, dead_url: str
) -> None:
    """404 and a refused connection are no errors here."""
    exchange = Exchange(config_for(server.url))
    assert await read_load(exchange, server.url) is None
    assert await read_load(exchange, dead_url) is None
    server.metrics = answer(200, TEXT)
    assert await read_load(exchange, server.url) == ServerLoad(37.0, 5.0, 0.4375)
    await exchange.aclose()


def test_a_guess_waits_for_enough_answers() -> None:
    """Before that there is none, and each guess starts a new sample."""
    load = LatencyLoad()
    for _ in range(MIN_SAMPLES - 1):
        load.note("text", 1.0)
    assert load.guess(4) is None
    load.note("text", 1.0)
    assert load.guess(4) == ServerLoad(4, 0)
    assert load.guess(4) is None


def test_answers_that_take_three_times_as_long_have_waited() -> None:
    """Half as long again passes as chance; what is beyond is the share that waits."""
    load = LatencyLoad()
    for seconds in (1.0, 3.0):
        for _ in range(MIN_SAMPLES):
            load.note("text", seconds)
        found = load.guess(12)
    assert found is not None
    assert found.running == pytest.approx(6.0, rel=0.01)
    assert found.running + found.waiting == 12


def test_a_slow_kind_is_not_taken_for_a_queue() -> None:
    """Layouts take longer than lines; each is compared with its own kind."""
    load = LatencyLoad()
    for kinds in (["text"], ["layout"], ["layout", "text"]):
        for _ in range(MIN_SAMPLES):
            for kind in kinds:
                load.note(kind, 9.0 if kind == "layout" else 1.0)
        assert load.guess(8) == ServerLoad(8, 0)
