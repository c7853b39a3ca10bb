"""The servers a client may ask, each with its breaker and its limiter, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.breaker import CircuitBreaker
from mineru_pipeline.inference.limiter import Limiter
from mineru_pipeline.inference.load import LatencyLoad, ServerLoad


def normalise_base_url(url: str) -> str:
    """Return ``scheme://host[:port][/prefix]``: no trailing slash, no ``/v1``.

    Raises:
        SettingsError: if it is not an http(s) address, or holds a user, password or query. It quotes
            no more than the host, because the rest may be secret.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise SettingsError("vllm_server.base_url is not an address such as http://gpu-host:8000.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError("vllm_server.base_url is not an address such as http://gpu-host:8000.")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"vllm_server.base_url of host {parts.hostname} must not hold a user, a password, a query or a fragment: "
            "put the key into vllm_server.api_key."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"


@dataclass(eq=False, slots=True)
class Endpoint:
    """One server; ``url`` is also its label in metrics and never holds a secret."""

    url: str
    breaker: CircuitBreaker
    limiter: Limiter
    latency: LatencyLoad = field(default_factory=LatencyLoad)
    in_flight: int = 0
    #: Whether the limit was reached since the latest reading of the server's load.
    was_full: bool = False
    #: When it last gave a whole answer or, if it had nothing to do, was given something (seconds of the clock).
    heard_at: float = 0.0
    #: What its latest health check said.
    healthy: bool = True
    #: It said that the key or the model is none of its own; cleared by a health check.
    refuses: bool = False

    def has_room(self) -> bool:
        """Whether one more request may be sent."""
        return self.in_flight < self.limiter.limit

    def take(self, now: float) -> None:
        """Count one more request in flight."""
        if self.in_flight == 0:
            self.heard_at = now
        self.in_flight += 1
        self.was_full |= not self.has_room()

    def learn(self, load: ServerLoad) -> None:
        """Let the limiter know what the server says of itself."""
        self.limiter.on_load(load, self.in_flight, is_used=self.was_full)
        self.was_full = not self.has_room()


class EndpointPool:
    """All endpoints, in the order of the settings."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.endpoints = endpoints

    def permitted(self) -> list[Endpoint]:
        """Those whose breaker permits a call; of these the healthy ones, if there are any."""
        permitted = [one for one in self.endpoints if one.breaker.is_call_permitted() and not one.refuses]
        return [endpoint for endpoint in permitted if endpoint.healthy] or permitted

    def choose(self, avoid: Endpoint | None = None) -> Endpoint | None:
        """Return the permitted endpoint that has most of its limit left, or None if none has anything left.

        ``avoid`` is returned only if it is the only one.
        """
        free = [endpoint for endpoint in self.permitted() if endpoint.has_room()]
        return min(free, key=lambda one: (one is avoid, one.in_flight / one.limiter.limit), default=None)

    def __str__(self) -> str:
        return ", ".join(endpoint.url for endpoint in self.endpoints)
