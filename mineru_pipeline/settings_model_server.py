"""The settings of the model servers and of the client that asks them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, HttpUrl, SecretStr, TypeAdapter, field_validator, model_validator

from mineru_pipeline.settings_types import Count, Pause, Seconds, Section


class VLLMServerSettings(Section):
    """Where the model is served and which one it is."""

    enabled: bool = Field(
        default=True, description="Off: make no model request; only finished extractions are assembled."
    )
    base_url: str | tuple[str, ...] | None = Field(
        None, description="One URL, or one for each replica. Unset: the CPU dev server is started for the run."
    )
    model: str = Field("opendatalab/MinerU2.5-Pro-2605-1.2B", min_length=1, description="Model name as served.")
    model_revision: str | None = Field(None, description="Revision of the weights; part of the extraction revision.")
    api_key: SecretStr | None = Field(None, description="Bearer token of the server.")
    health_check_interval_seconds: Seconds = Field(30, description="How often a running batch asks /health.")
    connection_timeout_seconds: Seconds = Field(10, description="Limit on opening a connection.")

    @field_validator("base_url", mode="before")
    @classmethod
    def _check_urls(cls, value: object) -> object:
        if value is None:
            return None
        urls = [value] if isinstance(value, str) else value
        if not isinstance(urls, list | tuple) or not urls:
            raise ValueError("expected a URL or a list of URLs")
        for url in urls:
            parsed = TypeAdapter(HttpUrl).validate_python(url)
            if parsed.username or parsed.password:
                raise ValueError("put the credential into vllm_server.api_key, not into the URL")
            if parsed.query or parsed.fragment:
                raise ValueError("a base URL has neither query nor fragment")
        cleaned = tuple(str(url).rstrip("/").removesuffix("/v1") for url in urls)
        return cleaned[0] if isinstance(value, str) else cleaned

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The replicas' base URLs; empty when the dev server is to be started."""
        if self.base_url is None:
            return ()
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url


class CircuitBreakerSettings(Section):
    """When to stop sending to an endpoint, and when to try again."""

    enabled: bool = Field(default=True, description="Off: nothing is counted, and nothing opens.")
    failure_threshold: Count = Field(5, description="Failures that open it, if half of the latest calls failed.")
    recovery_timeout_seconds: Seconds = Field(60, description="Open for this long before probes are let through.")
    success_threshold: Count = Field(2, description="Successful probes that close it again.")


class LimiterSettings(Section):
    """Bounds of the requests that one worker has in flight at one server; in between they follow the server."""

    minimum: Count = Field(1, description="Requests that are always permitted.")
    maximum: Count = Field(1024, description="Requests that are never exceeded.")

    @model_validator(mode="after")
    def _check_order(self) -> LimiterSettings:
        if self.minimum > self.maximum:
            raise ValueError("minimum is larger than maximum")
        return self


class HttpClientSettings(Section):
    """How requests are sent, retried and given up."""

    connection_pool_size: Count | None = Field(None, description="Null follows the demand; a number caps it.")
    keepalive_connections: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Idle connections kept open; null follows the pool."
    )
    keepalive_expiry_seconds: Annotated[float, Field(ge=0, lt=5)] = Field(
        4, description="Idle time before a connection is dropped; vLLM drops it after 5 s."
    )
    timeout_seconds: Seconds = Field(300, description="Most for one attempt; mostly less, learnt from the answers.")
    retry_attempts: Count = Field(3, description="Attempts for one request; two where it is not answered in time.")
    backoff_min_seconds: Pause = Field(
        4, description="Shortest pause before a retry, where nothing gets through; less where others do."
    )
    backoff_max_seconds: Pause = Field(60, description="Longest pause before a retry.")
    total_deadline_seconds: Seconds = Field(900, description="Limit on one request with all its attempts.")
    outage_budget_seconds: Seconds = Field(600, description="How long work waits for a dead server.")
    limiter: LimiterSettings = LimiterSettings()  # type: ignore[call-arg]  # all defaulted
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()  # type: ignore[call-arg]  # all defaulted

    @model_validator(mode="after")
    def _check_backoff(self) -> HttpClientSettings:
        if self.backoff_min_seconds > self.backoff_max_seconds:
            raise ValueError("backoff_min_seconds is larger than backoff_max_seconds")
        return self
