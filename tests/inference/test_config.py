"""The configuration refuses what cannot work, and hides its secret."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.config import ClientConfig

Make = Callable[..., ClientConfig]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keepalive_expiry_seconds": 5.0}, "keepalive"),
        ({"retry_attempts": 0}, "retry_attempts"),
        ({"limiter_minimum": 5, "limiter_maximum": 4}, "limiter"),
        ({"backoff_min_seconds": 9.0, "backoff_max_seconds": 3.0}, "backoff"),
    ],
)
def test_numbers_that_cannot_work_are_refused(config_for: Make, changes: dict[str, float], words: str) -> None:
    """The error names the setting."""
    with pytest.raises(SettingsError, match=words):
        config_for("http://host", **changes)


def test_no_endpoint_is_refused(config_for: Make) -> None:
    """A client without a server is a mistake in the settings."""
    with pytest.raises(SettingsError, match="base_url"):
        config_for()


def test_the_key_is_not_shown(config_for: Make) -> None:
    """``repr`` of the configuration may be logged."""
    assert "hush" not in repr(config_for("http://host", api_key="hush"))
