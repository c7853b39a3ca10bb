"""Addresses are brought into one form, and the least loaded healthy server is chosen."""

from __future__ import annotations

import pytest

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.breaker import CircuitBreaker
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.endpoints import Endpoint, EndpointPool, normalise_base_url
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


def pool_of(count: int) -> EndpointPool:
    clock = ManualClock()
    config = BreakerConfig(failure_threshold=1)
    return EndpointPool(tuple(Endpoint(f"http://{n}", CircuitBreaker(config, clock)) for n in range(count)))


def break_down(endpoint: Endpoint) -> None:
    permission = endpoint.breaker.try_acquire_permission()
    assert permission is not None
    permission.on_error()


def test_the_least_loaded_is_chosen() -> None:
    """Work goes where the fewest requests are."""
    pool = pool_of(2)
    first, second = pool.endpoints
    with first.assigned():
        assert pool.choose() is second
    assert pool.choose() is first


def test_a_retry_goes_elsewhere_if_it_can() -> None:
    """The endpoint that failed is taken only if there is no other."""
    pool = pool_of(2)
    first, second = pool.endpoints
    with second.assigned():
        assert pool.choose(avoid=first) is second
    break_down(second)
    assert pool.choose(avoid=first) is first


def test_an_ailing_server_comes_after_the_healthy_ones() -> None:
    """A failed health check moves work away before requests fail."""
    pool = pool_of(2)
    first, second = pool.endpoints
    first.healthy = False
    with second.assigned():
        assert pool.choose() is second


def test_with_all_breakers_open_there_is_no_choice() -> None:
    """None means: wait."""
    pool = pool_of(2)
    for endpoint in pool.endpoints:
        break_down(endpoint)
    assert pool.choose() is None
