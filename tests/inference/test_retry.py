"""Pauses between attempts are drawn from the promised range, and each attempt knows its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tenacity import AsyncRetrying, RetryCallState

from mineru_pipeline.errors import ServerError, ServerOverloadedError
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.retry import Call, RetryBudget
from mineru_pipeline.inference.testing import ManualClock, no_waiting

Make = Callable[..., ClientConfig]


def budget_of(config: ClientConfig) -> RetryBudget:
    return RetryBudget(config, ManualClock(), ClientMetrics())


def after(attempts: int) -> RetryCallState:
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = attempts
    return state


@pytest.mark.parametrize(("attempts", "most"), [(1, 8.0), (2, 16.0), (3, 32.0), (4, 60.0), (400, 60.0)])
def test_pauses_grow_and_are_jittered(config_for: Make, attempts: int, most: float) -> None:
    """Between 4 s and twice as much each time, never above 60 s, and hardly ever the same."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    pauses = [budget.pause_before_next(after(attempts)) for _ in range(200)]
    assert 4.0 <= min(pauses) < 4.0 + 0.1 * most
    assert 0.9 * most < max(pauses) <= most
    assert len(set(pauses)) > 100


def test_in_test_mode_there_are_no_pauses(config_for: Make) -> None:
    """Outside it there are again."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    with no_waiting():
        assert budget.pause_before_next(after(3)) == 0
    assert budget.pause_before_next(after(3)) >= 4


def test_an_attempt_gets_no_more_than_is_left(config_for: Make) -> None:
    """The last attempt is cut short by the total deadline."""
    budget = budget_of(config_for("http://gpu"))
    assert budget.time_left(Call(b"", "r")) == 300
    assert budget.time_left(Call(b"", "r", spent=880.0)) == 20


def test_shed_load_costs_no_attempt(config_for: Make) -> None:
    """It is not the request's fault, except in test mode, where nothing may go on for long."""
    budget, call = budget_of(config_for("http://gpu")), Call(b"", "r")
    budget.book(call, ServerOverloadedError("full"))
    assert call.failures == 0
    budget.book(call, ServerError("broken"))
    assert call.failures == 1
    with no_waiting():
        budget.book(call, ServerOverloadedError("full"))
    assert call.failures == 2


@pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (2, 2), (9, 3)])
async def test_attempts_are_capped(
    server: Any, config_for: Make, hello: Any, answer: Any, attempts: int, expected: int
) -> None:
    """``retry_attempts`` is the number of attempts in all, and test mode can only lower it."""
    from mineru_pipeline.inference.client import VLLMClient

    server.script = lambda request: answer(500, "") if b'"hi"' in request.body else answer()
    with no_waiting(attempts=attempts):
        async with VLLMClient(config_for(server.url, retry_attempts=3)) as client:
            with pytest.raises(ServerError):
                await client.chat_completion(hello)
    assert client.metrics.snapshot().requests == expected
