"""The frozen values that tell the inference client where its servers are and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from mineru_pipeline.errors import SettingsError

#: vLLM's HTTP server closes idle connections after this many seconds.
SERVER_KEEPALIVE_SECONDS = 5.0
#: Bounds of the requests that one worker has in flight at one server.
MINIMUM = 1
MAXIMUM = 1024


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """When a circuit breaker opens, probes and closes; one breaker for each endpoint and model revision.

    The names are resilience4j's; rates are shares from 0 to 1.
    """

    enabled: bool = True
    #: Failures that open the breaker, if they are ``failure_rate_threshold`` of the window, too.
    failure_threshold: int = 5
    #: Longest time in the open state before probes are permitted (``wait_duration_in_open_state``).
    recovery_timeout_seconds: float = 60.0
    #: Successful probes that close it again.
    success_threshold: int = 2
    failure_rate_threshold: float = 0.5
    #: Higher than for failures: half of a batch's calls may be long tables, four of five may not.
    slow_call_rate_threshold: float = 0.8
    #: Half of the longest time that an attempt may take by default: whoever is slower is about to be
    #: cut off, while a table that fills its page stays below on any server that is well.
    slow_call_duration_threshold_seconds: float = 150.0
    #: Latest calls that are judged. Short, so that a server that fails after thousands of good
    #: answers is noticed after ten; a mistake costs no more than the next good /health.
    sliding_window_size: int = 20
    #: A probe that reported nothing for this long gives its place to another, which is given twice as long: a server
    #: that had stopped answering goes on with new requests, seldom with old ones.
    probe_expiry_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.failure_threshold < 1 or self.success_threshold < 1:
            raise SettingsError("circuit_breaker: failure_threshold and success_threshold must be 1 or more.")

    @property
    def minimum_number_of_calls(self) -> int:
        """Calls in the window before it is judged: fewer cannot hold ``failure_threshold`` failures."""
        return self.failure_threshold

    @property
    def permitted_number_of_calls_in_half_open_state(self) -> int:
        """Probes at once: as many as must succeed, so a single failure settles it."""
        return self.success_threshold

    @property
    def window_in_force(self) -> int:
        """``sliding_window_size``, or more where thresholds are so high that it could not hold them."""
        return max(self.sliding_window_size, 2 * self.failure_threshold, self.success_threshold)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Everything :class:`~mineru_pipeline.inference.client.VLLMClient` needs to know; times are in seconds.

    Raises:
        SettingsError: if there is no endpoint, or a number makes no sense.
    """

    base_urls: tuple[str, ...]
    model: str
    #: Revision of the weights; a change of it starts with fresh circuit breakers.
    model_revision: str | None = None
    api_key: str | None = field(default=None, repr=False)
    #: Most requests in flight at once over all endpoints; ``None`` follows the demand.
    connection_pool_size: int | None = None
    #: Fewest and most requests in flight at one endpoint; in between they follow the server.
    limiter_minimum: int = MINIMUM
    limiter_maximum: int = MAXIMUM
    #: Most idle connections that are kept; ``None`` keeps them all until they expire.
    keepalive_connections: int | None = None
    keepalive_expiry_seconds: float = 4.0
    #: Longest time one attempt may take, from connecting to its last byte received; what it may take in
    #: fact is learnt (:mod:`mineru_pipeline.inference.patience`).
    timeout_seconds: float = 300.0
    connection_timeout_seconds: float = 10.0
    retry_attempts: int = 3
    backoff_min_seconds: float = 4.0
    backoff_max_seconds: float = 60.0
    #: Longest time one request with all its attempts and pauses may take, waiting in an outage aside.
    total_deadline_seconds: float = 900.0
    #: How long nothing at all may get through before the work is given up.
    outage_budget_seconds: float = 600.0
    #: How often a server is asked for its health during an outage.
    outage_poll_seconds: float = 2.0
    #: How often it is asked otherwise.
    health_check_interval_seconds: float = 30.0
    breaker: BreakerConfig = BreakerConfig()

    def __post_init__(self) -> None:
        if not self.base_urls:
            raise SettingsError("vllm_server.base_url: at least one model server is needed.")
        if not 0 <= self.keepalive_expiry_seconds < SERVER_KEEPALIVE_SECONDS:
            raise SettingsError(
                f"http_client.keepalive_expiry_seconds is {self.keepalive_expiry_seconds}: it must be below "
                f"{SERVER_KEEPALIVE_SECONDS:g}, after which vLLM closes idle connections itself."
            )
        if self.retry_attempts < 1:
            raise SettingsError(f"http_client.retry_attempts is {self.retry_attempts}: it must be 1 or more.")
        if not 1 <= self.limiter_minimum <= self.limiter_maximum:
            raise SettingsError("http_client.limiter: minimum must lie between 1 and maximum.")
        if not 0 <= self.backoff_min_seconds <= self.backoff_max_seconds:
            raise SettingsError("http_client: backoff_min_seconds must lie between 0 and backoff_max_seconds.")
