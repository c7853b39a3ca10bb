"""The servers a client may ask, each with its breaker, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.breaker import CircuitBreaker


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
    #: Requests that are meant for it, those that wait for a slot included.
    load: int = 0
    #: What its latest health check said.
    healthy: bool = True

    @contextmanager
    def assigned(self) -> Iterator[None]:
        """Count one request as meant for this endpoint."""
        self.load += 1
        try:
            yield
        finally:
            self.load -= 1


class EndpointPool:
    """All endpoints, in the order of the settings."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.endpoints = endpoints

    def choose(self, avoid: Endpoint | None = None) -> Endpoint | None:
        """Return the least loaded endpoint whose breaker permits a call; ``avoid`` only if it is the last one."""
        permitted = [endpoint for endpoint in self.endpoints if endpoint.breaker.is_call_permitted()]
        return min(permitted, key=lambda one: (one is avoid, not one.healthy, one.load), default=None)

    def __str__(self) -> str:
        return ", ".join(endpoint.url for endpoint in self.endpoints)
