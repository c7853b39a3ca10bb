"""A circuit breaker for one endpoint: it stops calls to a server that keeps failing, then probes it.

The words are resilience4j's (https://resilience4j.readme.io/docs/circuitbreaker): a call first
acquires a permission, and afterwards reports success or error or releases the permission unused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.config import BreakerConfig


class BreakerState(IntEnum):
    """The three states; the numbers are what the metric shows."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Permission:
    """Leave to make one call; exactly one of its reports takes effect, later ones are ignored."""

    __slots__ = ("_breaker", "_generation", "_spent", "issued_at")

    def __init__(self, breaker: CircuitBreaker, generation: int, issued_at: float) -> None:
        self._breaker = breaker
        self._generation = generation
        self._spent = False
        self.issued_at = issued_at

    def on_success(self) -> None:
        """Report that the server did its part."""
        if self._take_effect():
            self._breaker._record_success()  # noqa: SLF001 - the two classes are one mechanism

    def on_error(self) -> None:
        """Report a failure that says something about the server's health."""
        if self._take_effect():
            self._breaker._record_error()  # noqa: SLF001 - as above

    def release(self) -> None:
        """Give the permission back without a verdict: cancelled, shed, or our own mistake."""
        self._take_effect()

    def _take_effect(self) -> bool:
        if self._spent:
            return False
        self._spent = True
        return self._breaker._give_back(self, self._generation)  # noqa: SLF001 - as above


class CircuitBreaker:
    """Opens after ``failure_threshold`` failures in a row; half-open, it lets a few probes through.

    A report counts only in the state in which its permission was issued: a call that began before
    the breaker opened says nothing about a server that has been restarted since. Probes that report
    nothing expire, so that a lost task cannot keep the breaker half-open for ever; a late report of
    an expired probe still counts, because it is evidence all the same.
    """

    def __init__(
        self, config: BreakerConfig, clock: Clock, on_state: Callable[[BreakerState], None] | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._state = BreakerState.CLOSED
        self._generation = 0
        self._failures = 0
        self._successes = 0
        self._opened_at = 0.0
        self._probes: set[Permission] = set()

    @property
    def state(self) -> BreakerState:
        """The present state; an open breaker whose time is over turns half-open on the next call."""
        return self._state

    def is_call_permitted(self) -> bool:
        """Whether a permission would be given now; changes nothing."""
        if self._state is BreakerState.CLOSED:
            return True
        if self._state is BreakerState.OPEN:
            return self._recovery_is_due()
        return self._free_probes() > 0

    def try_acquire_permission(self) -> Permission | None:
        """Return a permission, or None while calls are not permitted."""
        if not self.is_call_permitted():
            return None
        if self._state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)
        permission = Permission(self, self._generation, self._clock.monotonic())
        if self._state is BreakerState.HALF_OPEN:
            self._drop_expired()
            self._probes.add(permission)
        return permission

    def transition_to_half_open(self) -> None:
        """Permit probes ahead of time, because the server says that it is well again."""
        if self._state is BreakerState.OPEN:
            self._enter(BreakerState.HALF_OPEN)

    def _give_back(self, permission: Permission, generation: int) -> bool:
        self._probes.discard(permission)
        return self._config.enabled and generation == self._generation

    def _record_success(self) -> None:
        self._failures = 0
        if self._state is BreakerState.HALF_OPEN:
            self._successes += 1
            if self._successes >= self._config.success_threshold:
                self._enter(BreakerState.CLOSED)

    def _record_error(self) -> None:
        self._failures += 1
        if self._state is BreakerState.HALF_OPEN or self._failures >= self._config.failure_threshold:
            self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
        self._failures = self._successes = 0
        self._probes.clear()
        if state is BreakerState.OPEN:
            self._opened_at = self._clock.monotonic()
        if self._on_state is not None:
            self._on_state(state)

    def _recovery_is_due(self) -> bool:
        return self._clock.monotonic() - self._opened_at >= self._config.recovery_timeout_seconds

    def _is_expired(self, probe: Permission) -> bool:
        return self._clock.monotonic() - probe.issued_at >= self._config.probe_expiry_seconds

    def _free_probes(self) -> int:
        running = sum(not self._is_expired(probe) for probe in self._probes)
        return self._config.success_threshold - self._successes - running

    def _drop_expired(self) -> None:
        self._probes = {probe for probe in self._probes if not self._is_expired(probe)}
