"""The circuit breaker against a reference model."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mineru_pipeline.inference.breaker import CircuitBreaker, Permission
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


@dataclass
class Call:
    """A call as the reference model knows it."""

    permission: Permission
    epoch: int
    began: float
    #: Seconds after which another may take its place as a probe.
    expires_after: float
    done: bool = False
    #: Whether its place as a probe went to another.
    replaced: bool = False


class BreakerMachine(RuleBasedStateMachine):
    """The reference model: it keeps all calls ever made and derives everything from them.

    It is written from resilience4j's description, with lists where the breaker has a window, and
    shares nothing with the breaker but the numbers of ``CONFIG``, which it repeats.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.breaker = CircuitBreaker(CONFIG, self.clock)
        self.calls: list[Call] = []
        self.state = "closed"
        self.epoch = 0
        self.since = self.clock.now
        #: ``(failed, slow)`` of every call that counted since the last change of state.
        self.verdicts: list[tuple[bool, bool]] = []

    def _enter(self, state: str) -> None:
        self.state, self.epoch, self.since, self.verdicts = state, self.epoch + 1, self.clock.now, []

    def _may_call(self) -> bool:
        if self.state == "half-open":
            return sum(self._holds_a_place(call) for call in self.calls) + len(self.verdicts) < 2
        return self.state == "closed" or not 0 <= self.clock.now - self.since < 60

    def _holds_a_place(self, call: Call) -> bool:
        running = call.epoch == self.epoch and not call.done and not call.replaced
        return running and 0 <= self.clock.now - call.began < call.expires_after

    @rule(seconds=st.sampled_from([1.0, 10.0, 20.0, 30.0, 40.0, 60.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-7200.0, -5.0, 7200.0]))
    def clock_jumps(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def call_begins(self) -> None:
        permitted = self._may_call()
        permission = self.breaker.try_acquire_permission()
        assert (permission is not None) == permitted
        if permission is not None:
            if self.state == "open":
                self._enter("half-open")
            for call in self.calls:
                call.replaced = not self._holds_a_place(call)
            earlier = sum(call.epoch == self.epoch for call in self.calls)
            self.calls.append(Call(permission, self.epoch, self.clock.now, 30 * 2.0 ** (earlier // 2)))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), verdict=st.sampled_from([True, False, None]))
    def call_ends(self, data: st.DataObject, verdict: bool | None) -> None:
        call = data.draw(st.sampled_from(self.calls))
        {True: call.permission.on_success, False: call.permission.on_error, None: call.permission.release}[verdict]()
        counts = not call.done and call.epoch == self.epoch and verdict is not None
        call.done = True
        if counts:
            self.verdicts.append((not verdict, self.clock.now - call.began >= 40))
            self._judge()

    @rule(pattern=st.text("gb", min_size=1, max_size=12))
    def quick_calls(self, pattern: str) -> None:
        for letter in pattern:
            if not self._may_call():
                return
            self.call_begins()
            call = self.calls[-1]
            call.done = True
            call.permission.on_success() if letter == "g" else call.permission.on_error()
            self.verdicts.append((letter == "b", False))
            self._judge()

    def _judge(self) -> None:
        latest = self.verdicts[-8:]
        failed, slow = (sum(verdict[n] for verdict in latest) for n in (0, 1))
        if self.state == "half-open":
            if failed or (len(latest) >= 2 and slow >= 0.8 * len(latest)):
                self._enter("open")
            elif len(latest) >= 2:
                self._enter("closed")
        elif (failed >= 3 and 2 * failed >= len(latest)) or (len(latest) >= 3 and 10 * slow >= 8 * len(latest)):
            self._enter("open")

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
    """Whatever the order of calls, reports, losses, time and jumps of the clock, breaker and model agree."""

    settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
