"""The circuit breaker, by example and against a reference model."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.breaker import BreakerState, CircuitBreaker, Permission
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.testing import ManualClock

CONFIG = BreakerConfig(failure_threshold=3, recovery_timeout_seconds=60, success_threshold=2, probe_expiry_seconds=30)


def acquire(breaker: CircuitBreaker) -> Permission:
    permission = breaker.try_acquire_permission()
    assert permission is not None
    return permission


def open_breaker(clock: ManualClock) -> CircuitBreaker:
    breaker = CircuitBreaker(CONFIG, clock)
    for _ in range(CONFIG.failure_threshold):
        acquire(breaker).on_error()
    return breaker


def half_open_breaker(clock: ManualClock) -> CircuitBreaker:
    breaker = open_breaker(clock)
    breaker.transition_to_half_open()
    return breaker


def test_failures_in_a_row_open_it(clock: ManualClock) -> None:
    """After ``failure_threshold`` failures without a success no call is permitted."""
    breaker = open_breaker(clock)
    assert breaker.state is BreakerState.OPEN
    assert breaker.try_acquire_permission() is None


def test_a_success_in_between_starts_the_count_anew(clock: ManualClock) -> None:
    """One bad request among good ones never opens the breaker."""
    breaker = CircuitBreaker(CONFIG, clock)
    for _ in range(20):
        acquire(breaker).on_error()
        acquire(breaker).on_success()
    assert breaker.state is BreakerState.CLOSED


def test_released_permissions_say_nothing(clock: ManualClock) -> None:
    """Shed load and our own mistakes release their permission and never open the breaker."""
    breaker = CircuitBreaker(CONFIG, clock)
    for _ in range(50):
        acquire(breaker).release()
    assert breaker.state is BreakerState.CLOSED


def test_it_turns_half_open_after_the_recovery_timeout(clock: ManualClock) -> None:
    """Until then nothing is permitted, then as many probes as it takes successes."""
    breaker = open_breaker(clock)
    clock.advance(59.9)
    assert not breaker.is_call_permitted()
    clock.advance(0.1)
    acquire(breaker)
    assert breaker.state is BreakerState.HALF_OPEN
    acquire(breaker)
    assert breaker.try_acquire_permission() is None


def test_enough_good_probes_close_it(clock: ManualClock) -> None:
    """``success_threshold`` successes are needed, not one."""
    breaker = half_open_breaker(clock)
    acquire(breaker).on_success()
    assert breaker.state is BreakerState.HALF_OPEN
    acquire(breaker).on_success()
    assert breaker.state is BreakerState.CLOSED


def test_one_bad_probe_opens_it_for_the_whole_time_again(clock: ManualClock) -> None:
    """A failed probe restarts the recovery timeout."""
    breaker = half_open_breaker(clock)
    acquire(breaker).on_error()
    clock.advance(59)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.is_call_permitted()


def test_a_silent_probe_gives_its_place_up(clock: ManualClock) -> None:
    """Tasks that vanish without a report do not keep the breaker half-open for ever."""
    breaker = half_open_breaker(clock)
    lost = [acquire(breaker), acquire(breaker)]
    assert not breaker.is_call_permitted()
    clock.advance(30)
    acquire(breaker).on_success()
    acquire(breaker).on_success()
    assert breaker.state is BreakerState.CLOSED
    assert lost


def test_a_late_report_of_an_expired_probe_still_counts(clock: ManualClock) -> None:
    """A slow server closes the breaker, too."""
    breaker = half_open_breaker(clock)
    slow = [acquire(breaker), acquire(breaker)]
    clock.advance(31)
    for probe in slow:
        probe.on_success()
    assert breaker.state is BreakerState.CLOSED


def test_a_cancelled_probe_frees_its_place_at_once(clock: ManualClock) -> None:
    """Release makes room for the next probe."""
    breaker = half_open_breaker(clock)
    acquire(breaker).release()
    acquire(breaker)
    assert breaker.is_call_permitted()


def test_calls_from_before_it_opened_do_not_count_any_more(clock: ManualClock) -> None:
    """An old failure neither reopens a half-open breaker, nor does an old success close it."""
    breaker = CircuitBreaker(CONFIG, clock)
    old = [acquire(breaker) for _ in range(4)]
    for permission in [acquire(breaker) for _ in range(3)]:
        permission.on_error()
    breaker.transition_to_half_open()
    old[0].on_error()
    assert breaker.state is BreakerState.HALF_OPEN
    for permission in old[1:]:
        permission.on_success()
    assert breaker.state is BreakerState.HALF_OPEN


def test_only_the_first_report_takes_effect(clock: ManualClock) -> None:
    """Reporting twice, or releasing after a report, changes nothing."""
    breaker = CircuitBreaker(CONFIG, clock)
    permission = acquire(breaker)
    for _ in range(10):
        permission.on_error()
        permission.release()
    assert breaker.state is BreakerState.CLOSED


def test_a_disabled_breaker_never_opens(clock: ManualClock) -> None:
    """``enabled: false`` permits every call, whatever happens."""
    breaker = CircuitBreaker(BreakerConfig(enabled=False, failure_threshold=1), clock)
    for _ in range(10):
        acquire(breaker).on_error()
    assert breaker.is_call_permitted()


def test_every_change_of_state_is_told(clock: ManualClock) -> None:
    """The listener sees open, half-open and closed in their order."""
    seen: list[BreakerState] = []
    breaker = CircuitBreaker(CONFIG, clock, seen.append)
    for _ in range(3):
        acquire(breaker).on_error()
    clock.advance(60)
    for _ in range(2):
        acquire(breaker).on_success()
    assert seen == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_thresholds_below_one_are_refused() -> None:
    """A breaker that opens after no failure is a mistake in the settings."""
    with pytest.raises(SettingsError, match="failure_threshold"):
        BreakerConfig(failure_threshold=0)


@dataclass
class Call:
    """A call as the reference model knows it."""

    permission: Permission
    epoch: int
    began: float
    done: bool = False


class BreakerMachine(RuleBasedStateMachine):
    """The reference model: it keeps all calls ever made and derives everything from them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.breaker = CircuitBreaker(CONFIG, self.clock)
        self.calls: list[Call] = []
        self.state = "closed"
        self.epoch = 0
        self.since = self.clock.now
        self.verdicts: list[bool] = []

    def _enter(self, state: str) -> None:
        self.state, self.epoch, self.since, self.verdicts = state, self.epoch + 1, self.clock.now, []

    def _may_call(self) -> bool:
        if self.state == "half-open":
            running = [
                call
                for call in self.calls
                if call.epoch == self.epoch and not call.done and self.clock.now - call.began < 30
            ]
            return len(running) + len(self.verdicts) < 2
        return self.state == "closed" or self.clock.now - self.since >= 60

    @rule(seconds=st.sampled_from([1.0, 10.0, 30.0, 60.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def call_begins(self) -> None:
        permitted = self._may_call()
        permission = self.breaker.try_acquire_permission()
        assert (permission is not None) == permitted
        if permission is not None:
            if self.state == "open":
                self._enter("half-open")
            self.calls.append(Call(permission, self.epoch, self.clock.now))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), verdict=st.sampled_from([True, False, None]))
    def call_ends(self, data: st.DataObject, verdict: bool | None) -> None:
        call = data.draw(st.sampled_from(self.calls))
        {True: call.permission.on_success, False: call.permission.on_error, None: call.permission.release}[verdict]()
        counts = not call.done and call.epoch == self.epoch and verdict is not None
        call.done = True
        if counts:
            self.verdicts.append(bool(verdict))
            self._judge()

    def _judge(self) -> None:
        failed_in_a_row = next((n for n, good in enumerate(reversed(self.verdicts)) if good), len(self.verdicts))
        if failed_in_a_row >= (3 if self.state == "closed" else 1):
            self._enter("open")
        elif self.state == "half-open" and len(self.verdicts) == 2:
            self._enter("closed")

    @rule()
    def health_is_good(self) -> None:
        self.breaker.transition_to_half_open()
        if self.state == "open":
            self._enter("half-open")

    @invariant()
    def states_agree(self) -> None:
        assert self.breaker.state.name.lower().replace("_", "-") == self.state
        assert self.breaker.is_call_permitted() == self._may_call()


class TestBreakerAgainstModel(BreakerMachine.TestCase):
    """Whatever the order of calls, reports, losses and time, breaker and reference model agree."""

    settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
