"""The frozen values that tell the inference client where its servers are and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from mineru_pipeline.errors import SettingsError

#: vLLM's HTTP server closes idle connections after this many seconds.
SERVER_KEEPALIVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """When a circuit breaker opens, probes and closes; one breaker for each endpoint."""

    enabled: bool = True
    #: Failures in a row that open the breaker.
    failure_threshold: int = 5
    #: Longest time in the open state before probes are permitted.
    recovery_timeout_seconds: float = 60.0
    #: Successful probes that close it again; also the number of probes permitted at once.
    success_threshold: int = 2
    #: A probe that reported nothing for this long gives its place to another.
    probe_expiry_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.failure_threshold < 1 or self.success_threshold < 1:
            raise SettingsError("circuit_breaker: failure_threshold and success_threshold must be 1 or more.")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Everything :class:`~mineru_pipeline.inference.client.VLLMClient` needs to know; times are in seconds.

    Raises:
        SettingsError: if there is no endpoint, or a number makes no sense.
    """

    base_urls: tuple[str, ...]
    model: str
    api_key: str | None = field(default=None, repr=False)
    #: Most requests in flight at once over all endpoints; ``None`` follows the demand.
    connection_pool_size: int | None = None
    #: Most idle connections that are kept; ``None`` keeps them all until they expire.
    keepalive_connections: int | None = None
    keepalive_expiry_seconds: float = 4.0
    #: Longest time one attempt may take, from its first byte sent to its last byte received.
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
        if not 0 <= self.backoff_min_seconds <= self.backoff_max_seconds:
            raise SettingsError("http_client: backoff_min_seconds must lie between 0 and backoff_max_seconds.")
