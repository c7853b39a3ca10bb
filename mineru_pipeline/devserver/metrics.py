"""The Prometheus metrics of the server, under the names and labels that vLLM uses."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LABELS = ("model_name", "engine")
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """What one finished request adds to the metrics: seconds and token counts."""

    queue_seconds: float
    run_seconds: float
    decode_seconds: float
    prompt_tokens: int
    generated_tokens: int
    finish_reason: str


@dataclass(slots=True)
class ServerMetrics:
    """All metrics of one server, in a registry of their own; engine is always ``0``."""

    model_name: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _histograms: dict[str, Histogram] = field(init=False)
    _gauges: dict[str, Gauge] = field(init=False)
    _counters: dict[str, Counter] = field(init=False)
    _success: Counter = field(init=False)
    _rejections: Counter = field(init=False)
    _http_requests: Counter = field(init=False)
    _http_seconds: Histogram = field(init=False)

    def __post_init__(self) -> None:
        self._histograms = {
            name: Histogram(f"vllm:{name}", text, _LABELS, registry=self.registry, buckets=buckets)
            for name, text, buckets in (
                ("e2e_request_latency_seconds", "Seconds from arrival to answer.", _SECONDS),
                ("time_to_first_token_seconds", "Seconds to the first token.", _SECONDS),
                ("request_queue_time_seconds", "Seconds spent waiting.", _SECONDS),
                ("request_prefill_time_seconds", "Seconds of prefill; all of an OCR's work.", _SECONDS),
                ("request_decode_time_seconds", "Seconds of decoding; an OCR spends none.", _SECONDS),
                ("request_prompt_tokens", "Prompt tokens a request.", _TOKENS),
                ("request_generation_tokens", "Generated tokens a request.", _TOKENS),
            )
        }
        self._gauges = {
            name: Gauge(f"vllm:{name}", text, _LABELS, registry=self.registry)
            for name, text in (
                ("num_requests_running", "Requests being answered."),
                ("num_requests_waiting", "Requests waiting for a worker."),
                ("kv_cache_usage_perc", "KV cache in use, 0 to 1; busy workers where there is none."),
            )
        }
        self._counters = {
            name: Counter(f"vllm:{name}", text, _LABELS, registry=self.registry)
            for name, text in (
                ("num_preemptions", "Always 0 here."),
                ("prompt_tokens", "Prompt tokens."),
                ("generation_tokens", "Generated tokens."),
                ("mm_cache_queries", "Always 0 here: there is no cache of images."),
                ("mm_cache_hits", "Always 0 here: there is no cache of images."),
            )
        }
        self._success = Counter(
            "vllm:request_success", "Finished requests.", (*_LABELS, "finished_reason"), registry=self.registry
        )
        self._rejections = Counter(
            "vllm:admission_rejections", "Requests turned away.", (*_LABELS, "reason"), registry=self.registry
        )
        self._http_requests = Counter(
            "http_requests", "HTTP requests.", ("handler", "method", "status"), registry=self.registry
        )
        self._http_seconds = Histogram(
            "http_request_duration_seconds", "HTTP seconds.", ("handler", "method"), registry=self.registry
        )
        for metric in (*self._histograms.values(), *self._gauges.values(), *self._counters.values()):
            metric.labels(self.model_name, "0")
        for reason in ("stop", "length", "abort"):
            self._success.labels(self.model_name, "0", reason)
        self._rejections.labels(self.model_name, "0", "queue_full")

    def set_load(self, running: int, waiting: int, kv_usage: float) -> None:
        """Show how many requests run and wait, and the share of the KV cache in use."""
        for name, value in (
            ("num_requests_running", running),
            ("num_requests_waiting", waiting),
            ("kv_cache_usage_perc", kv_usage),
        ):
            self._gauges[name].labels(self.model_name, "0").set(value)

    def rejected(self) -> None:
        """Count a request that found the queue full."""
        self._rejections.labels(self.model_name, "0", "queue_full").inc()

    def finished(self, figures: RequestFigures) -> None:
        """Count a request that was answered."""
        total = figures.queue_seconds + figures.run_seconds
        for name, value in (
            ("e2e_request_latency_seconds", total),
            ("time_to_first_token_seconds", total - figures.decode_seconds),
            ("request_queue_time_seconds", figures.queue_seconds),
            ("request_prefill_time_seconds", figures.run_seconds - figures.decode_seconds),
            ("request_decode_time_seconds", figures.decode_seconds),
            ("request_prompt_tokens", figures.prompt_tokens),
            ("request_generation_tokens", figures.generated_tokens),
        ):
            self._histograms[name].labels(self.model_name, "0").observe(value)
        self._counters["prompt_tokens"].labels(self.model_name, "0").inc(figures.prompt_tokens)
        self._counters["generation_tokens"].labels(self.model_name, "0").inc(figures.generated_tokens)
        self._success.labels(self.model_name, "0", figures.finish_reason).inc()

    def http(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Count one HTTP exchange."""
        self._http_requests.labels(handler, method, f"{status // 100}xx").inc()
        self._http_seconds.labels(handler, method).observe(seconds)

    def render(self) -> bytes:
        """The text of ``/metrics``."""
        return generate_latest(self.registry)
