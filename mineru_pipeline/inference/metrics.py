"""What the client counts: Prometheus metrics for operators, and a snapshot for the run's own record."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mineru_pipeline.errors import InferenceError
from mineru_pipeline.inference.breaker import BreakerState
from mineru_pipeline.inference.wire import Usage

#: From a cached short line to a page-long table on a busy server, in seconds.
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
#: Retries beyond this share one label, so that a long shedding does not invent series.
_LAST_RETRY_LABEL = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The client's figures so far; health checks and canaries are not among them."""

    #: Requests sent over HTTP, retries included.
    requests: int
    #: Whole answers received.
    answers: int
    retries: int
    in_flight: int
    prompt_tokens: int
    completion_tokens: int
    #: Failed attempts by ``code`` of the error.
    failures: Mapping[str, int]


class ClientMetrics:
    """The client's counters; give each client a registry of its own, or one that holds no other client's."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._tally: Tally[str] = Tally()
        self._failed: Tally[str] = Tally()
        self._requests = self._counter("client_requests", "Requests sent, retries included.")
        self._failures = self._counter("client_failures", "Attempts that brought no whole answer.", "error_type")
        self._retries = self._counter("client_retries", "Requests sent again.", "retry_number")
        self._tokens = self._counter("client_tokens", "Tokens of whole answers.", "kind")
        self._in_flight = Gauge("mineru_vllm_client_in_flight", "Requests being answered now.", registry=self.registry)
        self._breaker = Gauge(
            "mineru_vllm_circuit_breaker_state",
            "0 closed, 1 half-open, 2 open.",
            ["endpoint"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "mineru_vllm_request_duration_seconds",
            "Time of one attempt, by its outcome.",
            ["outcome"],
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mineru_vllm_{name}", text, labels, registry=self.registry)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Count a request, and hold it as in flight."""
        self._requests.inc()
        self._in_flight.inc()
        self._tally.update(requests=1, in_flight=1)
        try:
            yield
        finally:
            self._in_flight.dec()
            self._tally.update(in_flight=-1)

    def answered(self, seconds: float, usage: Usage) -> None:
        """Book a whole answer."""
        self._duration.labels("ok").observe(seconds)
        self._tokens.labels("prompt").inc(usage.prompt_tokens)
        self._tokens.labels("completion").inc(usage.completion_tokens)
        self._tally.update(answers=1, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)

    def failed(self, error: InferenceError, seconds: float | None = None) -> None:
        """Book a failed attempt; ``seconds`` is None where the time was booked already."""
        self._failures.labels(error.code).inc()
        self._failed[error.code] += 1
        if seconds is not None:
            self._duration.labels(error.code).observe(seconds)

    def retried(self, number: int) -> None:
        """Book that a request is about to be sent for the ``number + 1``-th time."""
        self._retries.labels(str(number) if number < _LAST_RETRY_LABEL else f"{_LAST_RETRY_LABEL}+").inc()
        self._tally.update(retries=1)

    def breaker_state(self, endpoint: str, state: BreakerState) -> None:
        """Show the state of the endpoint's breaker."""
        self._breaker.labels(endpoint).set(state)

    def snapshot(self) -> Snapshot:
        """Return the figures so far; costs nothing worth mentioning."""
        tally = self._tally
        return Snapshot(
            requests=tally["requests"],
            answers=tally["answers"],
            retries=tally["retries"],
            in_flight=tally["in_flight"],
            prompt_tokens=tally["prompt_tokens"],
            completion_tokens=tally["completion_tokens"],
            failures=dict(self._failed),
        )
