"""The circuit breaker, by example."""

from __future__ import annotations

import pytest

from mineru_pipeline.errors import SettingsError
from mineru_pipeline.inference.breaker import BreakerState, CircuitBreaker, CircuitBreakerRegistry, Permission
from mineru_pipeline.inference.config import BreakerConfig
from mineru_pipeline.inference.testing import ManualClock

CONFIG = BreakerConfig(
    failure_threshold=3,
    recovery_timeout_seconds=60,
    success_threshold=2,
    slow_call_duration_threshold_seconds=40,
    sliding_window_size=8,
    probe_expiry_seconds=30,
)


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


def report(breaker: CircuitBreaker, pattern: str) -> None:
    """Report one call after the other: ``g`` is good, ``b`` is bad."""
    for verdict in pattern:
        permission = acquire(breaker)
        permission.on_success() if verdict == "g" else permission.on_error()


def test_failures_open_it(clock: ManualClock) -> None:
    """After ``failure_threshold`` failures without a success no call is permitted."""
    breaker = open_breaker(clock)
    assert breaker.state is BreakerState.OPEN
    assert breaker.try_acquire_permission() is None


@pytest.mark.parametrize(
    ("pattern", "opens"),
    [
        ("bb", False),  # half of the window and more, but fewer than failure_threshold
        ("gggbbb", True),  # three failures, and just half of what is known
        ("ggggbbb", False),  # three failures, but less than half
        ("ggb" * 6, False),  # a third, for as long as it likes
        ("g" * 100 + "bbb", False),  # the window is full of good calls
        ("g" * 100 + "bbbb", True),  # four of the latest eight
        ("gbgbgb", True),  # no three in a row, yet every other call fails
    ],
)
def test_it_opens_at_enough_failures_that_are_half_of_the_window(
    clock: ManualClock, pattern: str, *, opens: bool
) -> None:
    """Both thresholds must be met, over the latest calls alone; a success in between hides nothing."""
    breaker = CircuitBreaker(CONFIG, clock)
    report(breaker, pattern)
    assert (breaker.state is BreakerState.OPEN) == opens


def test_a_window_can_hold_what_the_threshold_asks_for(clock: ManualClock) -> None:
    """A threshold above the window's size widens the window instead of disabling the breaker."""
    breaker = CircuitBreaker(BreakerConfig(failure_threshold=30), clock)
    report(breaker, "g" * 60 + "b" * 29)
    assert breaker.state is BreakerState.CLOSED
    report(breaker, "b")
    assert breaker.state is BreakerState.OPEN


def slow_call(breaker: CircuitBreaker, clock: ManualClock, seconds: float = 40) -> None:
    permission = acquire(breaker)
    clock.advance(seconds)
    permission.on_success()


def test_slow_calls_open_it(clock: ManualClock) -> None:
    """Answers that come at last, but each after the slow-call duration, are a server in trouble."""
    breaker = CircuitBreaker(CONFIG, clock)
    slow_call(breaker, clock)
    slow_call(breaker, clock)
    assert breaker.state is BreakerState.CLOSED
    slow_call(breaker, clock)
    assert breaker.state is BreakerState.OPEN


def test_a_share_of_long_tables_is_normal(clock: ManualClock) -> None:
    """Three slow answers in four, and all that are just below the duration, keep it closed."""
    breaker = CircuitBreaker(CONFIG, clock)
    for _ in range(20):
        report(breaker, "g")
        for seconds in (40, 40, 40, 39.9):
            slow_call(breaker, clock, seconds)
    assert breaker.state is BreakerState.CLOSED


def test_probes_that_are_all_slow_open_it_again(clock: ManualClock) -> None:
    """A server that is still overloaded is left alone for longer; one fast probe would do."""
    breaker = half_open_breaker(clock)
    slow_call(breaker, clock)
    slow_call(breaker, clock)
    assert breaker.state is BreakerState.OPEN
    breaker.transition_to_half_open()
    slow_call(breaker, clock)
    report(breaker, "g")
    assert breaker.state is BreakerState.CLOSED


def test_a_new_model_revision_starts_fresh(clock: ManualClock) -> None:
    """The breaker belongs to endpoint and revision, and who asks again gets the same one."""
    seen: list[tuple[str, str, BreakerState]] = []
    registry = CircuitBreakerRegistry(CONFIG, clock, lambda *change: seen.append(change))
    old = registry.circuit_breaker("http://gpu", "r1")
    report(old, "bbb")
    assert registry.circuit_breaker("http://gpu", "r1") is old
    assert registry.circuit_breaker("http://gpu", "r2").state is BreakerState.CLOSED
    assert registry.circuit_breaker("http://other", "r1").state is BreakerState.CLOSED
    assert seen[:2] == [("http://gpu", "r1", BreakerState.CLOSED), ("http://gpu", "r1", BreakerState.OPEN)]


def test_why_it_opened_is_logged(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """The line names the server and the shares that were too high."""
    breaker = CircuitBreakerRegistry(CONFIG, clock).circuit_breaker("http://gpu", "r1")
    report(breaker, "gbbb")
    assert "http://gpu (model revision r1) opens: of its last 4 calls 75% failed and 0% were slow" in caplog.text


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_jump_of_the_clock_does_not_keep_it_shut(clock: ManualClock, jump: float) -> None:
    """Two hours forwards or backwards in any state, and calls are permitted again at once."""
    breaker = open_breaker(clock)
    clock.now += jump
    probes = [acquire(breaker), acquire(breaker)]
    assert breaker.try_acquire_permission() is None
    clock.now -= jump
    report(breaker, "gg")
    assert breaker.state is BreakerState.CLOSED
    assert probes


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


def test_a_probe_of_an_earlier_half_open_state_holds_no_place(clock: ManualClock) -> None:
    """When the other probe has failed, the next round has all its places, although one has not reported yet."""
    breaker = half_open_breaker(clock)
    forgotten = acquire(breaker)
    acquire(breaker).on_error()
    breaker.transition_to_half_open()
    fresh = [acquire(breaker), acquire(breaker)]
    assert not breaker.is_call_permitted()
    forgotten.on_success()
    assert breaker.state is BreakerState.HALF_OPEN
    assert fresh


def test_a_slow_server_gets_few_probes(clock: ManualClock) -> None:
    """Those that take the places of silent ones are given twice the time each round: eight in fifteen minutes."""
    breaker = CircuitBreaker(CONFIG, clock)
    for _ in range(3):
        acquire(breaker).on_error()
    breaker.transition_to_half_open()
    probes = 0
    for _ in range(900):
        probes += breaker.try_acquire_permission() is not None
        clock.advance(1)
    assert probes == 10


def test_an_expired_probe_does_not_come_back_when_the_clock_does(clock: ManualClock) -> None:
    """Whose place went to another stays without one, even if by a new time it would be young again."""
    breaker = half_open_breaker(clock)
    lost = [acquire(breaker), acquire(breaker)]
    clock.now += 7200
    fresh = acquire(breaker)
    clock.now -= 7200
    assert breaker.is_call_permitted()
    assert fresh
    assert lost


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
