"""A circuit breaker for one server and model: it stops calls to a server that keeps failing, then probes it.

The words and the semantics are resilience4j's COUNT_BASED ones
(https://resilience4j.readme.io/docs/circuitbreaker): a call first acquires a permission, and
afterwards reports success or error, or releases the permission unused.

No kept library has them for asyncio. Looked at in their released code: pybreaker 1.4.1 (2025; its
asynchronous calls need tornado), aiobreaker 1.2.0 (2021), circuitbreaker 2.1.3 (2025), purgatory
3.0.1 and hyx 0.0.2 all count failures in a row, so that one success in between hides a server that
fails half of its calls; lasier 0.3.0 knows a percentage, kept in an external cache. None has a
sliding window with a slow-call rate, and none lets another probe through where one never reports.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import NamedTuple

from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.config import BreakerConfig

_log = logging.getLogger(__name__)


class BreakerState(IntEnum):
    """The three states; the numbers are what the metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class _Outcome(NamedTuple):
    failed: bool
    slow: bool


class Permission:
    """Leave to make one call; exactly one of its reports takes effect, later ones are ignored."""

    __slots__ = ("_breaker", "_generation", "_spent", "expires_after", "issued_at")

    def __init__(self, breaker: CircuitBreaker, generation: int, issued_at: float, expires_after: float) -> None:
        self._breaker = breaker
        self._generation = generation
        self._spent = False
        self.issued_at = issued_at
        #: Seconds for which it keeps its place as a probe.
        self.expires_after = expires_after

    def on_success(self) -> None:
        """Report that the server did its part; how long it took is known from the permission's age."""
        if self._take_effect():
            self._breaker._record(self, failed=False)  # noqa: SLF001 - the two classes are one mechanism

    def on_error(self) -> None:
        """Report a failure that says something about the server's health."""
        if self._take_effect():
            self._breaker._record(self, failed=True)  # noqa: SLF001 - as above

    def release(self) -> None:
        """Give the permission back without a verdict: cancelled, shed, or our own mistake."""
        self._take_effect()

    def _take_effect(self) -> bool:
        if self._spent:
            return False
        self._spent = True
        return self._breaker._give_back(self, self._generation)  # noqa: SLF001 - as above


class CircuitBreaker:
    """Opens when too many of the latest calls failed or were slow; half-open, it lets a few probes through.

    Closed, it keeps the latest ``sliding_window_size`` outcomes and opens as soon as at least
    ``minimum_number_of_calls`` are known of which ``failure_rate_threshold`` failed (and these are
    ``failure_threshold`` calls or more), or ``slow_call_rate_threshold`` were slow.

    A report counts only in the state in which its permission was issued: a call that began before
    the breaker opened says nothing about a server that has been restarted since. Probes that report
    nothing expire, so that a lost task cannot keep the breaker half-open for ever; a late report of
    an expired probe still counts, because it is evidence all the same. A clock that ran backwards
    ends every wait at once: a probe too early costs one request, a probe too late could cost hours.
    """

    def __init__(
        self,
        config: BreakerConfig,
        clock: Clock,
        on_state: Callable[[BreakerState], None] | None = None,
        name: str = "the server",
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._name = name
        self._state = BreakerState.CLOSED
        self._generation = 0
        #: Permissions given since the last change of state.
        self._issued = 0
        self._window: deque[_Outcome] = deque(maxlen=config.window_in_force)
        self._opened_at = 0.0
        self._probes: set[Permission] = set()

    @property
    def state(self) -> BreakerState:
        """The present state; an open breaker whose time is over turns half-open on the next call."""
        return self._state

    @property
    def failure_rate(self) -> float:
        """Share of the calls in the window that failed (0–1); 0 while there are none."""
        return sum(call.failed for call in self._window) / max(1, len(self._window))

    @property
    def slow_call_rate(self) -> float:
        """Share of the calls in the window that were slow (0–1); 0 while there are none."""
        return sum(call.slow for call in self._window) / max(1, len(self._window))

    def is_call_permitted(self) -> bool:
        """Whether a permission would be given now; changes nothing."""
        if self._state is BreakerState.CLOSED:
            return True
        if self._state is BreakerState.OPEN:
            return self._is_over(self._opened_at, self._config.recovery_timeout_seconds)
        return self._free_probes() > 0

    def try_acquire_permission(self) -> Permission | None:
        """Return a permission, or None while calls are not permitted."""
        if not self.is_call_permitted():
            return None
        if self._state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)
        # Each round of probes is given twice the time of the one before: a slow server gets few of them.
        rounds = self._issued // self._config.permitted_number_of_calls_in_half_open_state
        expires_after = self._config.probe_expiry_seconds * 2.0 ** min(rounds, 30)
        self._issued += 1
        permission = Permission(self, self._generation, self._clock.monotonic(), expires_after)
        if self._state is BreakerState.HALF_OPEN:
            self._probes = {probe for probe in self._probes if not self._is_expired(probe)}
            self._probes.add(permission)
        return permission

    def transition_to_half_open(self) -> None:
        """Permit probes ahead of time, because the server says that it is well again."""
        if self._state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)

    def _give_back(self, permission: Permission, generation: int) -> bool:
        self._probes.discard(permission)
        return self._config.enabled and generation == self._generation

    def _record(self, permission: Permission, *, failed: bool) -> None:
        slow = self._clock.monotonic() - permission.issued_at >= self._config.slow_call_duration_threshold_seconds
        self._window.append(_Outcome(failed, slow))
        if self._must_open():
            _log.warning(
                "circuit breaker of %s opens: of its last %d calls %.0f%% failed and %.0f%% were slow",
                self._name,
                len(self._window),
                100 * self.failure_rate,
                100 * self.slow_call_rate,
            )
            self._enter(BreakerState.OPEN)
        elif self._state is BreakerState.HALF_OPEN and len(self._window) >= self._config.success_threshold:
            self._enter(BreakerState.CLOSED)

    def _must_open(self) -> bool:
        config, calls = self._config, len(self._window)
        failures = sum(call.failed for call in self._window)
        if self._state is BreakerState.HALF_OPEN:
            # Probes are few: one that fails leaves too few to reach ``success_threshold``.
            return failures > 0 or (calls >= config.success_threshold and self._is_slow())
        too_many = failures >= config.failure_threshold and self.failure_rate >= config.failure_rate_threshold
        return too_many or (calls >= config.minimum_number_of_calls and self._is_slow())

    def _is_slow(self) -> bool:
        return self.slow_call_rate >= self._config.slow_call_rate_threshold

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
        self._issued = 0
        self._window.clear()
        self._probes.clear()
        if state is BreakerState.OPEN:
            self._opened_at = self._clock.monotonic()
        if self._on_state is not None:
            self._on_state(state)

    def _is_over(self, since: float, seconds: float) -> bool:
        elapsed = self._clock.monotonic() - since
        return elapsed >= seconds or elapsed < 0

    def _is_expired(self, probe: Permission) -> bool:
        return self._is_over(probe.issued_at, probe.expires_after)

    def _free_probes(self) -> int:
        running = sum(not self._is_expired(probe) for probe in self._probes)
        return self._config.permitted_number_of_calls_in_half_open_state - len(self._window) - running


class CircuitBreakerRegistry:
    """One breaker for each endpoint and revision of the model.

    What an old revision did says nothing about the one that replaced it, so a change of revision
    starts with a fresh breaker; an endpoint that comes back under the same revision finds its own.

    Args:
        config: of every breaker.
        clock: of every breaker.
        on_state: told endpoint, model revision and state, also of a breaker that is new.
    """

    def __init__(
        self, config: BreakerConfig, clock: Clock, on_state: Callable[[str, str, BreakerState], None] | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._breakers: dict[tuple[str, str], CircuitBreaker] = {}

    def circuit_breaker(self, endpoint: str, model_revision: str = "") -> CircuitBreaker:
        """Return the breaker of ``endpoint`` under ``model_revision``, made on first use."""
        key = (endpoint, model_revision)
        if key not in self._breakers:
            name = f"{endpoint} (model revision {model_revision})" if model_revision else endpoint
            show = self._on_state and partial(self._on_state, *key)
            self._breakers[key] = CircuitBreaker(self._config, self._clock, show, name)
            if show is not None:
                show(BreakerState.CLOSED)
        return self._breakers[key]
