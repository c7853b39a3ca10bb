"""The read time-out follows what answers take: a hang costs seconds, and nothing that is only slow is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mineru_pipeline.errors import RequestTimeoutError, ServerError
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.deadline import Deadline
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.patience import FLOOR_SECONDS, START_SECONDS, Patience
from mineru_pipeline.inference.retry import Call, RetryBudget
from mineru_pipeline.inference.testing import ManualClock

Make = Callable[..., ClientConfig]


def seasoned(seconds: float, count: int = 100, cap: float = 300.0) -> Patience:
    patience = Patience(cap)
    for _ in range(count):
        patience.observe("text", seconds)
    return patience


@pytest.mark.parametrize("kind", ["text", "table"])
def test_a_cold_server_is_given_time(kind: str) -> None:
    """As long as nothing is known, nothing is cut off before the start value."""
    assert Patience(300.0).limit(kind) == START_SECONDS


@pytest.mark.parametrize(("count", "expected"), [(1, 30.0), (2, 15.0), (9, 10 / 3), (10, 3.0)])
def test_few_answers_are_trusted_by_their_number(count: int, expected: float) -> None:
    """A hang soon after the start costs seconds already, but one quick answer is no proof that all are."""
    assert seasoned(1.0, count).limit("text") == pytest.approx(expected)


@pytest.mark.parametrize(("usual", "expected"), [(0.2, FLOOR_SECONDS), (4.0, 12.0), (1000.0, 300.0)])
def test_the_limit_follows_what_is_usual(usual: float, expected: float) -> None:
    """Three times the usual, but neither below the floor nor above the cap."""
    assert seasoned(usual).limit("text") == expected


def test_kinds_are_told_apart() -> None:
    """Quick lines of text say nothing about tables."""
    patience = seasoned(0.2)
    for _ in range(10):
        patience.observe("table", 20.0)
    assert (patience.limit("text"), patience.limit("table")) == (FLOOR_SECONDS, 60.0)


@pytest.mark.parametrize(("usual", "expected"), [(0.2, 4 * FLOOR_SECONDS), (3.0, 36.0), (50.0, 60.0)])
def test_an_unknown_kind_is_given_more_than_the_known_ones(usual: float, expected: float) -> None:
    """Four times as much as they get, on a server that is warm, but no more than a cold one would be given."""
    assert seasoned(usual).limit("table") == expected


@pytest.mark.parametrize(("count", "expected"), [(1, START_SECONDS), (3, 40.0), (8, 15.0)])
def test_a_few_answers_of_one_kind_say_something_of_the_others(count: int, expected: float) -> None:
    """When layouts come quickly, no text is waited for as on a cold server."""
    assert seasoned(1.0, count).limit("table") == expected


def test_one_long_answer_is_enough_to_be_patient_with_its_kind() -> None:
    """The first tables of a batch may be long ones: what one of them took, the next ones are given thrice."""
    patience = seasoned(0.2)
    patience.observe("table", 40.0)
    assert patience.limit("table") == 120.0


@pytest.mark.parametrize(("usual", "expected"), [(2.0, 18.0), (30.0, 270.0), (90.0, 300.0), (0.25, 3 * FLOOR_SECONDS)])
def test_a_second_chance_is_three_times_as_long(usual: float, expected: float) -> None:
    """Up to the cap; above the floor, too, for a paragraph takes longer than the lines of a form."""
    assert seasoned(usual).limit("text", is_patient=True) == expected


async def test_attempts_under_way_profit_from_what_is_learnt() -> None:
    """One that was sent before anything was known gets the time of a second attempt as soon as that is known."""
    patience = Patience(300.0)
    first = {kind: Deadline(patience.limit(kind)) for kind in ("text", "table")}
    for kind, deadline in first.items():
        patience.attend(deadline, "gpu", kind)
    given = []
    for _ in range(10):
        patience.observe("text", 1.0)
        given.append(first["text"].seconds)
    assert given == sorted(given, reverse=True)
    assert first["text"].seconds == patience.limit("text", is_patient=True) == 9.0
    # Of tables nothing is known yet, but the server is quick.
    assert first["table"].seconds == patience.limit("table", is_patient=True) == 36.0


async def test_a_limit_that_grows_leaves_attempts_under_way_alone() -> None:
    """And its way back shortens only those that began in between."""
    patience = seasoned(1.0)
    early = Deadline(2.0)
    patience.attend(early, "gpu", "text")
    for _ in range(100):
        patience.observe("text", 20.0)
    late = Deadline(patience.limit("text"))
    patience.attend(late, "gpu", "text")
    for _ in range(100):
        patience.observe("text", 1.0)
    assert (early.seconds, late.seconds) == (2.0, 9.0)


def test_single_hangs_do_not_make_it_patient() -> None:
    """One request in thirty that hangs leaves the limit where it was."""
    patience = seasoned(1.0)
    for _ in range(20):
        patience.observe("text", patience.limit("text"), is_timeout=True)
        assert patience.limit("text") == 3.0
        for _ in range(29):
            patience.observe("text", 1.0)


async def test_a_silence_is_one_for_those_who_should_have_been_answered_in_it() -> None:
    """Ten seconds without any answer: a text sent before may be lost, a table may well be still under way."""
    patience = seasoned(1.0)
    for _ in range(10):
        patience.observe("table", 20.0)
    deadlines = {kind: Deadline(patience.limit(kind, is_patient=True)) for kind in ("text", "table")}
    for kind, deadline in deadlines.items():
        patience.attend(deadline, "gpu", kind)
    patience.silence_ended("gpu", 10.0)
    assert {kind: (one.seconds, one.is_outlived) for kind, one in deadlines.items()} == {
        "text": (pytest.approx(3.0, abs=0.5), True),
        "table": (180.0, False),
    }


def test_time_outs_of_an_outage_are_forgotten() -> None:
    """A server that stopped answering for a while is no slower afterwards; answers remain known."""
    patience = seasoned(1.0)
    for _ in range(20):
        patience.observe("text", 3.0, is_timeout=True)
    assert patience.limit("text") == 9.0
    patience.forget_timeouts()
    assert patience.limit("text") == 3.0


async def test_what_was_sent_before_a_recovery_is_waited_for_as_for_a_first_attempt() -> None:
    """From then on, and only at the server that recovered."""
    patience = seasoned(2.0)
    deadlines = {endpoint: Deadline(patience.limit("text", is_patient=True)) for endpoint in ("gpu-0", "gpu-1")}
    for endpoint, deadline in deadlines.items():
        patience.attend(deadline, endpoint, "text")
    patience.silence_ended("gpu-0")
    assert {endpoint: (one.seconds, one.is_outlived) for endpoint, one in deadlines.items()} == {
        "gpu-0": (pytest.approx(6.0, abs=0.5), True),
        "gpu-1": (18.0, False),
    }


def test_it_learns_from_the_latest_answers() -> None:
    """What a slow phase taught is forgotten after a hundred answers."""
    patience = seasoned(40.0)
    for _ in range(100):
        patience.observe("text", 0.5)
    assert patience.limit("text") == FLOOR_SECONDS


def test_a_clock_that_ran_backwards_teaches_nothing_absurd() -> None:
    """A negative duration counts as no time at all."""
    assert seasoned(-7200.0).limit("text") == FLOOR_SECONDS


class SlowingServer:
    """Answers each request after ``seconds`` of the clock, or cuts it off at the limit it is given."""

    def __init__(self, clock: ManualClock, budget: RetryBudget) -> None:
        self.clock = clock
        self.budget = budget
        self.seconds = 1.0

    async def ask(self, call: Call) -> str:
        call.sent += 1
        limit = self.budget.time_left(call)
        took = min(limit, self.seconds)
        await self.clock.sleep(took)
        call.spent += took
        if self.seconds > limit:
            error = RequestTimeoutError("late")
            self.budget.book(call, error, took)
            raise error
        self.budget.book_answer(call, took)
        return "answer"

    async def request(self, kind: str = "text") -> Call:
        """Ask once and, as the pipeline does, once more with patience."""
        for is_patient in (False, True):
            call = Call(b"", "r", kind=kind, is_patient=is_patient)
            try:
                await self.budget.attempts(call)(self.ask, call)
            except RequestTimeoutError:
                continue
            return call
        call.request_id = "lost"
        return call


@pytest.fixture
def slowing(config_for: Make, clock: ManualClock) -> SlowingServer:
    config = config_for("http://gpu", backoff_min_seconds=4.0, backoff_max_seconds=60.0)
    return SlowingServer(clock, RetryBudget(config, clock, ClientMetrics()))


async def test_a_hung_block_costs_seconds(slowing: SlowingServer, clock: ManualClock) -> None:
    """Both chances of a request that is never answered, on a server that answers the others within a second."""
    for _ in range(100):
        await clock.run(slowing.request())
    began, slowing.seconds = clock.now, float("inf")
    call = await clock.run(slowing.request())
    assert (call.request_id, call.sent) == ("lost", 1)
    assert clock.now - began == pytest.approx((1 + 3) * 3.0)


async def test_nothing_is_lost_when_a_server_becomes_eight_times_slower(
    slowing: SlowingServer, clock: ManualClock
) -> None:
    """The second chance is long enough, and soon the first one is again."""
    slowing.seconds = 3.0
    for _ in range(100):
        await clock.run(slowing.request())
    slowing.seconds = 24.0
    calls = [await clock.run(slowing.request()) for _ in range(40)]
    assert "lost" not in {call.request_id for call in calls}
    assert calls[0].is_patient
    assert not any(call.is_patient for call in calls[10:])


async def test_a_server_that_became_forty_times_slower_is_waited_for_in_the_end(
    slowing: SlowingServer, clock: ManualClock
) -> None:
    """More than any attempt allows: time-outs alone make it patient, in two steps of one in twenty of the latest."""
    slowing.seconds = 3.0
    for _ in range(100):
        await clock.run(slowing.request())
    slowing.seconds = 120.0
    calls = [await clock.run(slowing.request()) for _ in range(40)]
    assert 0 < sum(call.request_id == "lost" for call in calls) <= 2 * 6
    assert not any(call.is_patient for call in calls[20:])


async def test_the_limit_in_force_shows(config_for: Make, clock: ManualClock) -> None:
    """The gauge has one series a kind; failures other than time-outs teach nothing."""
    metrics = ClientMetrics()
    budget = RetryBudget(config_for("http://gpu"), clock, metrics)
    for _ in range(20):
        budget.book_answer(Call(b"", "r", kind="table"), 7.0)
        budget.book(Call(b"", "r", kind="table"), ServerError("no"), 200.0)
    value: Any = metrics.registry.get_sample_value
    assert value("mineru_vllm_read_timeout_seconds", {"kind": "table"}) == 21.0
