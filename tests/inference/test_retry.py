"""Pauses are drawn from the promised range, each attempt knows its time, and retries stay a share of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tenacity import AsyncRetrying, RetryCallState

from mineru_pipeline.errors import (
    AbortedAnswerError,
    InferenceError,
    RequestTimeoutError,
    ServerError,
    ServerOverloadedError,
)
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.deadline import Deadline
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.retry import (
    MOST_OUTLIVED,
    RETRY_RATIO,
    RETRY_RESERVE_PER_SECOND,
    RETRY_TOKENS_AT_MOST,
    RETRY_TOKENS_AT_START,
    Call,
    RetryBudget,
    RetryTokens,
)
from mineru_pipeline.inference.testing import ManualClock, no_waiting

Make = Callable[..., ClientConfig]


def budget_of(config: ClientConfig) -> RetryBudget:
    return RetryBudget(config, ManualClock(), ClientMetrics())


def after(attempts: int, error: InferenceError | None = None) -> RetryCallState:
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.attempt_number = attempts
    if error is not None:
        state.set_exception((type(error), error, None))
    return state


@pytest.mark.parametrize(("attempts", "most"), [(1, 8.0), (2, 16.0), (3, 32.0), (4, 60.0), (400, 60.0)])
def test_pauses_grow_and_are_jittered(config_for: Make, attempts: int, most: float) -> None:
    """Between 4 s and twice as much each time, never above 60 s, and hardly ever the same."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    pauses = [budget.pause_before_next(after(attempts)) for _ in range(90)]
    assert 4.0 <= min(pauses) < 4.0 + 0.1 * most
    assert 0.9 * most < max(pauses) <= most
    assert len(set(pauses)) > 80


@pytest.mark.parametrize(("good", "bad", "share"), [(19, 1, 0.05), (95, 5, 0.25), (3, 1, 0.25), (0, 7, 1.0)])
def test_a_lone_failure_is_tried_again_soon(config_for: Make, good: int, bad: int, share: float) -> None:
    """A pause is for a server in trouble: it shrinks with the share of the latest twenty attempts that failed."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    for _ in range(good):
        budget.book_answer(Call(b"", "r"), 1.0)
    for _ in range(bad):
        budget.book(Call(b"", "r"), ServerError("broken"), 1.0)
    pauses = [budget.pause_before_next(after(1)) for _ in range(50)]
    assert 4.0 * share <= min(pauses) <= max(pauses) <= 8.0 * share


def test_one_request_that_always_fails_makes_no_server_in_trouble(config_for: Make) -> None:
    """However often it is tried, it counts as one of the latest twenty."""
    budget, poison = (
        budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0)),
        Call(b"", "r"),
    )
    for _ in range(19):
        budget.book_answer(Call(b"", "r"), 1.0)
    for _ in range(30):
        budget.book(poison, ServerError("broken"), 1.0)
    assert max(budget.pause_before_next(after(1)) for _ in range(50)) <= 8.0 * 0.05


@pytest.mark.parametrize(("asked_for", "least", "most"), [(0.0, 4.0, 8.0), (20.0, 20.0, 20.0), (3600.0, 60.0, 60.0)])
def test_retry_after_is_the_least_pause(config_for: Make, asked_for: float, least: float, most: float) -> None:
    """A server that says when to come back is believed, up to the longest pause."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    error = ServerOverloadedError("full")
    error.retry_after_seconds = asked_for
    assert least <= budget.pause_before_next(after(1, error)) <= most


@pytest.mark.parametrize("error", [RequestTimeoutError("late"), AbortedAnswerError("stopped in the middle")])
def test_who_has_waited_or_was_answered_need_not_pause(config_for: Make, error: InferenceError) -> None:
    """A time-out has been a pause, and who aborts an answer is alive; a server that is not tells so at once."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    assert budget.pause_before_next(after(1, error)) == 0


def drained(clock: ManualClock) -> RetryTokens:
    tokens = RetryTokens(clock)
    while tokens.withdraw() == 0:
        pass
    return tokens


def test_retries_are_a_share_of_the_requests(clock: ManualClock) -> None:
    """While time stands still, five first attempts pay for one retry that need not wait."""
    tokens = drained(clock)
    tokens.deposit()
    for _ in range(9):
        for _ in range(5):
            tokens.deposit()
        waits = [tokens.withdraw(), tokens.withdraw()]
        # The second of the two lives on credit, which the deposits after it pay back.
        assert waits[0] < waits[1]
        for _ in range(5):
            tokens.deposit()


def test_without_tokens_a_retry_waits_for_its_turn(clock: ManualClock) -> None:
    """Nobody is refused: ten a second go on, in order, and those who come later wait longer."""
    tokens = drained(clock)
    waits = [tokens.withdraw() for _ in range(100)]
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] == pytest.approx(99 / RETRY_RESERVE_PER_SECOND)
    assert waits[0] <= 2 / RETRY_RESERVE_PER_SECOND


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_jump_of_the_clock_neither_floods_nor_starves(clock: ManualClock, jump: float) -> None:
    """Two hours forwards fill the bucket and no more; two hours backwards take nothing away."""
    tokens = drained(clock)
    clock.now += jump
    waits = [tokens.withdraw() for _ in range(int(RETRY_TOKENS_AT_MOST) + 50)]
    assert (waits.count(0.0) > 0) == (jump > 0)
    assert waits[-1] > 0
    clock.now += 3600
    assert tokens.withdraw() == 0


@pytest.mark.parametrize("error", [ServerError("broken"), ServerOverloadedError("full")])
async def test_a_dead_server_is_not_asked_much_more_often_than_it_would_be_without_retries(
    config_for: Make, clock: ManualClock, error: ServerError
) -> None:
    """Of a thousand requests that all fail at once, retries are a fifth, the start and the reserve; none is dropped."""
    config = config_for("http://gpu", total_deadline_seconds=900.0)
    budget = RetryBudget(config, clock, ClientMetrics())
    sent_in_a_second = 0

    async def attempt(call: Call) -> None:
        nonlocal sent_in_a_second
        call.sent += 1
        sent_in_a_second += clock.now < began + 1
        budget.book(call, error, 0.0)
        call.failures = max(call.failures, call.sent)
        raise error

    began = clock.now
    calls = [Call(b"", "r") for _ in range(1000)]
    work = asyncio.gather(*(budget.attempts(call)(attempt, call) for call in calls), return_exceptions=True)

    async def all_calls() -> list[Any]:
        return await work

    results = await clock.run(all_calls())
    assert {type(result) for result in results} == {type(error)}
    assert {call.sent for call in calls} == {3}
    retries = sent_in_a_second - 1000
    assert RETRY_RATIO * 1000 < retries <= RETRY_RATIO * 1000 + RETRY_TOKENS_AT_START + RETRY_RESERVE_PER_SECOND


def test_a_second_request_takes_a_token_like_a_retry(config_for: Make) -> None:
    """Asking again what was not answered in time amplifies an outage as a retry does; first requests pay for it."""
    budget = budget_of(config_for("http://gpu"))
    second = Call(b"", "r", is_patient=True)
    waits = [budget.pause_before_first(second) for _ in range(int(RETRY_TOKENS_AT_START) + 2)]
    assert waits[0] == 0.0 < waits[-1]
    assert budget.pause_before_first(Call(b"", "r")) == 0.0
    for _ in range(20):
        budget.attempts(second)
    assert budget.pause_before_first(second) > waits[-1]
    for _ in range(20):
        budget.attempts(Call(b"", "r"))
    assert budget.pause_before_first(second) <= waits[-1]


async def test_an_answer_lost_in_an_outage_is_forgiven_three_times(config_for: Make) -> None:
    """It costs no attempt, unless it happens again and again: then the request may be the cause."""
    budget, call, deadline = budget_of(config_for("http://gpu")), Call(b"", "r"), Deadline(1.0)
    deadline.is_outlived = True
    for _ in range(MOST_OUTLIVED):
        budget.book(call, ServerError("broken"), 1.0, deadline)
        budget.book(call, RequestTimeoutError("late"), 1.0, deadline)
    assert (call.failures, call.is_late, call.fresh_starts) == (3, False, 0)
    budget.book(call, RequestTimeoutError("late"), 1.0, deadline)
    assert (call.failures, call.is_late) == (4, True)


async def test_a_probe_that_is_not_answered_ends_no_request(config_for: Make) -> None:
    """The server had not been well, and a patient request had less time than it might need."""
    budget, call, deadline = budget_of(config_for("http://gpu")), Call(b"", "r", is_patient=True), Deadline(1.0)
    deadline.is_probe = True
    budget.book(call, RequestTimeoutError("late"), 1.0, deadline)
    assert (call.failures, call.is_late) == (1, False)


def test_in_test_mode_there_are_no_pauses(config_for: Make) -> None:
    """Outside it there are again."""
    budget = budget_of(config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0))
    with no_waiting():
        assert budget.pause_before_next(after(3)) == 0
    assert budget.pause_before_next(after(3)) >= 4


def test_an_attempt_gets_no_more_than_is_left(config_for: Make) -> None:
    """The last attempt is cut short by the total deadline."""
    budget = budget_of(config_for("http://gpu"))
    assert budget.time_left(Call(b"", "r")) == 60
    assert budget.time_left(Call(b"", "r", is_patient=True)) == 180
    assert budget.time_left(Call(b"", "r", is_patient=True), is_probe=True) == 60
    assert budget.time_left(Call(b"", "r", is_patient=True, spent=880.0)) == 20


def test_shed_load_costs_no_attempt(config_for: Make) -> None:
    """It is not the request's fault, except in test mode, where nothing may go on for long."""
    budget, call = budget_of(config_for("http://gpu")), Call(b"", "r")
    budget.book(call, ServerOverloadedError("full"), 1.0)
    assert call.failures == 0
    budget.book(call, ServerError("broken"), 1.0)
    assert call.failures == 1
    with no_waiting():
        budget.book(call, ServerOverloadedError("full"), 1.0)
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
