"""Addresses are brought into one form, and the healthy server with most room is chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.breaker import CircuitBreaker
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool, normalise_base_url
from mineru_pipeline.inference.limiter import FixedLimiter
from mineru_pipeline.inference.load import ServerLoad
from mineru_pipeline.inference.testing import ManualClock


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://gpu:8000", "http://gpu:8000"),
        ("http://gpu:8000/", "http://gpu:8000"),
        ("http://gpu:8000/v1", "http://gpu:8000"),
        (" https://GPU/models/a/v1/ ", "https://gpu/models/a"),
        ("http://[::1]:30000/v1", "http://[::1]:30000"),
    ],
)
def test_the_usual_spellings_mean_the_same(given: str, expected: str) -> None:
    """Trailing slashes and ``/v1`` make no difference."""
    assert normalise_base_url(given) == expected


@pytest.mark.parametrize("given", ["gpu:8000", "ftp://gpu", "http://", "", "http://gpu:port", "file:///etc/passwd"])
def test_what_is_no_http_address_is_refused(given: str) -> None:
    """The error names the setting."""
    with pytest.raises(SettingsError, match="base_url"):
        normalise_base_url(given)


@pytest.mark.parametrize("given", ["http://me:hush@gpu:8000", "http://gpu/?token=hush", "http://gpu/#hush"])
def test_secrets_in_an_address_are_refused_without_being_quoted(given: str) -> None:
    """A label made of the address can thus never hold a credential."""
    with pytest.raises(SettingsError, match="api_key") as caught:
        normalise_base_url(given)
    assert "hush" not in str(caught.value)


def pool_of(count: int, limit: int = 10) -> EndpointPool:
    clock = ManualClock()
    config = BreakerConfig(failure_threshold=1)
    return EndpointPool(
        tuple(
            Endpoint(f"http://{number}", CircuitBreaker(config, clock), FixedLimiter(limit)) for number in range(count)
        )
    )


def break_down(endpoint: Endpoint) -> None:
    permission = endpoint.breaker.try_acquire_permission()
    assert permission is not None
    permission.on_error()


def test_the_one_with_most_of_its_limit_left_is_chosen() -> None:
    """Ten of a hundred in flight are less than two of ten."""
    pool = pool_of(2)
    large, small = pool.endpoints
    large.limiter = FixedLimiter(100)
    large.in_flight, small.in_flight = 10, 2
    assert pool.choose() is large
    large.in_flight = 30
    assert pool.choose() is small


def test_who_has_no_room_is_not_chosen() -> None:
    """With all limits reached there is no choice."""
    pool = pool_of(2, limit=1)
    first, second = pool.endpoints
    first.take(0.0)
    assert pool.choose() is second
    second.take(0.0)
    assert pool.choose() is None


def test_a_retry_goes_elsewhere_if_it_can() -> None:
    """The endpoint that failed is taken only if there is no other with room."""
    pool = pool_of(2)
    first, second = pool.endpoints
    second.take(0.0)
    assert pool.choose(avoid=first) is second
    break_down(second)
    assert pool.choose(avoid=first) is first


def test_an_ailing_server_is_left_alone_while_another_is_well() -> None:
    """A failed health check moves work away before requests fail, even if it has to wait for the other."""
    pool = pool_of(2, limit=1)
    first, second = pool.endpoints
    first.healthy = False
    assert pool.choose() is second
    second.take(0.0)
    assert pool.choose() is None
    break_down(second)
    assert pool.choose() is first


def test_with_all_breakers_open_none_is_permitted() -> None:
    """Then work waits."""
    pool = pool_of(2)
    for endpoint in pool.endpoints:
        break_down(endpoint)
    assert pool.permitted() == []
    assert pool.choose() is None


@dataclass
class Recording(FixedLimiter):
    """Notes what it is told about its use."""

    limit: int = 2
    told: list[tuple[int, bool]] = field(default_factory=list)

    def on_load(self, load: ServerLoad, in_flight: int, *, is_used: bool) -> None:
        self.told.append((in_flight, is_used))


def test_a_limiter_hears_whether_its_limit_was_reached_since_the_last_reading() -> None:
    """A limit that was reached for a moment counts as used, once."""
    (endpoint,) = pool_of(1).endpoints
    endpoint.limiter = limiter = Recording()
    load = ServerLoad(1, 0)
    endpoint.take(0.0)
    endpoint.learn(load)
    endpoint.take(0.0)
    endpoint.in_flight -= 1
    endpoint.learn(load)
    endpoint.learn(load)
    assert limiter.told == [(1, False), (1, True), (1, False)]
