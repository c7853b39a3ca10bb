"""The port of a run: there while it lasts, gone afterwards, and never a reason to fail."""

from __future__ import annotations

import logging
import socket

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from mineru_pipeline.parsing.exporter import serving_metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry with one counter at 3."""
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    return registry


def is_free(port: int | None) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port or 0)) != 0


def test_it_serves_while_the_run_lasts(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """A free port is taken, logged, and given back."""
    caplog.set_level(logging.INFO)
    with serving_metrics(registry, "127.0.0.1", 0) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        assert "things_total 3.0" in httpx.get(url, trust_env=False).text
        assert url in caplog.text
    assert is_free(port)


def test_it_ends_with_a_failed_run_too(registry: CollectorRegistry) -> None:
    """An error passes through, and the port is free again."""
    with pytest.raises(ZeroDivisionError), serving_metrics(registry, "127.0.0.1", 0) as port:
        raise ZeroDivisionError
    assert is_free(port)


def test_a_port_that_is_taken_is_a_warning(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on without, and the line says which setting to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serving_metrics(registry, "127.0.0.1", port) as nothing:
            assert nothing is None
    assert str(port) in caplog.text
    assert "metrics.port" in caplog.text


def test_a_host_that_is_not_ours_is_a_warning(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """An address of another machine cannot be listened on; no run fails for it."""
    with serving_metrics(registry, "192.0.2.1", 0) as nothing:
        assert nothing is None
    assert "192.0.2.1" in caplog.text


def test_without_a_port_nothing_is_served(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """Off is silent."""
    caplog.set_level(logging.INFO)
    with serving_metrics(registry, "127.0.0.1", None) as nothing:
        assert nothing is None
    assert not caplog.text
