"""What the client counts: Prometheus metrics for operators, and a snapshot for the run's own record.

All names, their labels and what to do about them stand in ``docs/metrics.md``.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

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
    #: Where the limiter of each endpoint stands.
    limits: Mapping[str, float]
    #: Seconds that requests waited for a slot, summed over all of them.
    slot_wait_seconds: float
    #: Seconds in which nothing got through while work waited.
    outage_seconds: float


class ClientMetrics:
    """The client's counters; give each client a registry of its own, or one that holds no other client's.

    Series are looked up once and kept, because ``labels()`` would cost more than the counting.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._tally: Tally[str] = Tally()
        self._failed: Tally[str] = Tally()
        self._limits: dict[str, float] = {}
        self._slot_waited = self._outage_lasted = 0.0
        self._requests = self._counter("client_requests", "Requests sent, retries included.")
        self._failures = cache(self._counter("client_failures", "Attempts without whole answer.", "error_type").labels)
        self._retries = cache(self._counter("client_retries", "Requests sent again.", "retry_number").labels)
        self._resets = self._counter("client_resets", "Connections lost before any answer, resent at once.")
        tokens = self._counter("client_tokens", "Tokens of whole answers.", "kind")
        self._prompt_tokens, self._completion_tokens = tokens.labels("prompt"), tokens.labels("completion")
        self._in_flight = self._gauge("client_in_flight", "Requests being answered now.")
        self._breaker = self._gauge(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open.", "endpoint", "model_revision"
        )
        self._limit = cache(self._gauge("limiter_limit", "Requests that may be in flight.", "endpoint").labels)
        self._held = cache(self._gauge("limiter_in_flight", "Slots that are held now.", "endpoint").labels)
        self._waiting = cache(self._gauge("limiter_waiting", "Requests that wait for a slot.", "endpoint").labels)
        self._slot_wait = self._counter("slot_wait_seconds", "Time that requests waited for a slot.")
        self._retry_wait = self._counter("retry_wait_seconds", "Time that requests paused before a retry.")
        self._outage = self._counter("outage_seconds", "Time in which nothing got through while work waited.")
        self._read_timeout = cache(self._gauge("read_timeout_seconds", "Limit on a first attempt.", "kind").labels)
        self._duration = cache(
            Histogram(
                "mineru_vllm_request_duration_seconds",
                "Time of one attempt, by its outcome.",
                ["outcome"],
                buckets=DURATION_BUCKETS,
                registry=self.registry,
            ).labels
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mineru_vllm_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"mineru_vllm_{name}", text, labels, registry=self.registry)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Count a request, and hold it as in flight."""
        self._requests.inc()
        self._in_flight.inc()
        self._tally["requests"] += 1
        self._tally["in_flight"] += 1
        try:
            yield
        finally:
            self._in_flight.dec()
            self._tally["in_flight"] -= 1

    def answered(self, seconds: float, usage: Usage) -> None:
        """Book a whole answer."""
        self._duration("ok").observe(seconds)
        self._prompt_tokens.inc(usage.prompt_tokens)
        self._completion_tokens.inc(usage.completion_tokens)
        self._tally["answers"] += 1
        self._tally["prompt_tokens"] += usage.prompt_tokens
        self._tally["completion_tokens"] += usage.completion_tokens

    def failed(self, error: InferenceError, seconds: float | None = None) -> None:
        """Book a failed attempt; ``seconds`` is None where the time was booked already."""
        self._failures(error.code).inc()
        self._failed[error.code] += 1
        if seconds is not None:
            self._duration(error.code).observe(seconds)

    def retried(self, number: int, pause_seconds: float = 0.0) -> None:
        """Book that a request will be sent for the ``number + 1``-th time, after a pause."""
        self._retries(str(number) if number < _LAST_RETRY_LABEL else f"{_LAST_RETRY_LABEL}+").inc()
        self._retry_wait.inc(pause_seconds)
        self._tally["retries"] += 1

    def reset(self) -> None:
        """Book a connection that was lost before any byte of an answer; the request is resent at once."""
        self._resets.inc()

    def breaker_state(self, endpoint: str, model_revision: str, state: BreakerState) -> None:
        """Show the state of the endpoint's breaker for a revision of the model."""
        self._breaker.labels(endpoint, model_revision).set(state)

    def limiter(self, endpoint: str, *, limit: float, in_flight: int, waiting: int) -> None:
        """Show where the limiter of ``endpoint`` stands: requests allowed, held and waiting."""
        self._limit(endpoint).set(limit)
        self._held(endpoint).set(in_flight)
        self._waiting(endpoint).set(waiting)
        self._limits[endpoint] = limit

    def waited_for_slot(self, seconds: float) -> None:
        """Book the time that one request waited for a slot."""
        self._slot_wait.inc(max(0.0, seconds))
        self._slot_waited += max(0.0, seconds)

    def outage_lasted(self, seconds: float) -> None:
        """Book a stretch of an outage; stretches add up to its length."""
        self._outage.inc(seconds)
        self._outage_lasted += seconds

    def read_timeout(self, kind: str, seconds: float) -> None:
        """Show how long a first attempt at a request of this kind may take now."""
        self._read_timeout(kind).set(seconds)

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
            limits=dict(self._limits),
            slot_wait_seconds=round(self._slot_waited, 3),
            outage_seconds=round(self._outage_lasted, 3),
        )
