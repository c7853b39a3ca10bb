"""The one retry budget: how often, for how long and with which pauses a request is sent again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from mineru_pipeline.errors import (
    AbortedAnswerError,
    InferenceError,
    RequestTimeoutError,
    ServerError,
    ServerOverloadedError,
    TruncatedAnswerError,
)
from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.deadline import Deadline
from mineru_pipeline.inference.endpoints import Endpoint
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.patience import Patience
from mineru_pipeline.inference.testing import current_caps
from mineru_pipeline.inference.wire import Body

#: Retries that each first attempt pays for.
RETRY_RATIO = 0.2
#: Retries a second that are always possible, so that work goes on however bad the ratio.
RETRY_RESERVE_PER_SECOND = 10.0
#: What the bucket holds at first: a worker may start just when the server restarts.
RETRY_TOKENS_AT_START = 100.0
#: What it can hold: the retries of all that is in flight at a large server when it restarts.
RETRY_TOKENS_AT_MOST = 1000.0
#: So often a request is forgiven that its answer did not come while the server answered nobody.
MOST_OUTLIVED = 3
#: Latest answers and requests that failed whose share of failures scales the pauses.
RECENT = 20


class RetryTokens:
    """A token bucket that keeps retries a share of the requests, so that an outage is not amplified.

    The numbers are those of Finagle's RetryBudget, 20% and 10 a second
    (https://finagle.github.io/blog/2016/02/08/retry-budgets/); what was paid in does not expire but
    is capped, as in gRPC's retry throttling (https://github.com/grpc/proposal/blob/master/A6-client-retries.md).
    Unlike both it refuses nothing: who finds it empty queues, in order, for the reserve of the
    seconds to come, because a refused retry would be lost content.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._updated_at = clock.monotonic()
        self._tokens = RETRY_TOKENS_AT_START

    def deposit(self) -> None:
        """Book a first attempt."""
        self._add(RETRY_RATIO)

    def withdraw(self) -> float:
        """Take one token, be it a future one, and return the seconds until it is there."""
        now = self._clock.monotonic()
        self._add(max(0.0, now - self._updated_at) * RETRY_RESERVE_PER_SECOND)
        self._updated_at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / RETRY_RESERVE_PER_SECOND)

    def _add(self, tokens: float) -> None:
        self._tokens = min(RETRY_TOKENS_AT_MOST, self._tokens + tokens)


@dataclass(slots=True)
class Call:
    """One logical request on its way: what it has used of its budget."""

    body: Body
    request_id: str
    #: What is asked for; requests of a kind take alike long.
    kind: str = "other"
    #: Requests sent, over all fresh starts.
    sent: int = 0
    #: Whether its attempts are given more time than usual.
    is_patient: bool = False
    #: Failed attempts since the last fresh start; shed load is not among them.
    failures: int = 0
    #: Whether any attempt has failed at all.
    has_failed: bool = False
    #: Whether one of them ended by time-out.
    is_late: bool = False
    #: Seconds spent on attempts and pauses since the last fresh start.
    spent: float = 0.0
    endpoint: Endpoint | None = None
    #: How many successes anybody had had when the latest attempt failed.
    successes_at_failure: int = 0
    fresh_starts: int = 0
    #: How often the server recovered from a silence while an attempt waited in vain.
    outlived: int = 0
    #: Whether a connection was already lost under it before any byte of an answer.
    was_reset: bool = False

    def start_anew(self) -> None:
        """Give the budget back after an outage, which was not this request's fault."""
        self.fresh_starts += 1
        self.failures = 0
        self.is_late = False
        self.spent = 0.0


class RetryBudget:
    """Attempts, total deadline, back-off, read time-out and the share of retries, in one place.

    The pause before attempt ``n + 1`` is drawn evenly from ``[min, min(max, min * 2**n)]``: full
    jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) above a floor, if nothing gets
    through. A pause is there for a server in trouble, so it is multiplied by the share of the latest requests
    that failed: the one failure among twenty good answers is tried again within half a second.
    It is longer where the server's ``Retry-After`` asks for more, up to ``max``, and where too many
    retries are under way. A time-out ends a request while others are answered: whether it is lost, long or
    in a loop its caller can find out, by asking again with more patience or differently; such a second request
    takes a token like a retry. Shed load is asked for again until the deadline, because it says nothing against
    the request.
    """

    def __init__(self, config: ClientConfig, clock: Clock, metrics: ClientMetrics) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._tokens = RetryTokens(clock)
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self.patience = Patience(config.timeout_seconds, metrics.read_timeout)

    def attempts(self, call: Call) -> AsyncRetrying:
        """Return tenacity's loop for ``call``; at its end the last error is raised as it is."""

        async def pause(seconds: float) -> None:
            call.spent += seconds
            await self._clock.sleep(seconds)

        if not call.is_patient:
            self._tokens.deposit()
        return AsyncRetrying(
            retry=retry_if_exception(_is_retryable),
            wait=lambda state: 0.0 if self._is_spent(call, 0.0) else self.pause_before_next(state),
            stop=lambda state: self._is_spent(call, state.upcoming_sleep),
            before_sleep=lambda state: self._metrics.retried(state.attempt_number, state.upcoming_sleep),
            sleep=pause,
            reraise=True,
        )

    def pause_before_first(self, call: Call) -> float:
        """Return the seconds until ``call`` may be sent at all: a second request waits for its token."""
        return self._tokens.withdraw() if call.is_patient and current_caps() is None else 0.0

    def pause_before_next(self, state: RetryCallState) -> float:
        """Return the pause after ``state.attempt_number`` attempts, in seconds; 0 in test mode."""
        if current_caps() is not None:
            return 0.0
        low, high = self._config.backoff_min_seconds, self._config.backoff_max_seconds
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RequestTimeoutError | AbortedAnswerError):
            # It has waited, or a server answered that is alive: if that is about to end, the next attempt will tell.
            return self._tokens.withdraw()
        drawn = self._clock.uniform(low, min(high, low * 2.0 ** min(state.attempt_number, 30)))
        asked_for = error.retry_after_seconds if isinstance(error, ServerError) else 0.0
        return max(drawn * self._failed_share(), min(asked_for, high), self._tokens.withdraw())

    def time_left(self, call: Call, *, is_probe: bool = False) -> float:
        """Return how long the next attempt may take, in seconds; as a probe, no longer than a first one."""
        patience = self.patience.limit(call.kind, is_patient=call.is_patient and not is_probe)
        return min(patience, self._config.total_deadline_seconds - call.spent)

    def deadline(self, call: Call, endpoint: Endpoint, *, is_probe: bool = False) -> Deadline:
        """Return when the next attempt, which begins now, has to be answered; it follows what others take."""
        deadline = Deadline(self.time_left(call, is_probe=is_probe))
        deadline.is_probe = is_probe
        self.patience.attend(deadline, endpoint.url, call.kind)
        return deadline

    def book_answer(self, call: Call, seconds: float) -> None:
        """Learn from a whole answer how long its kind takes."""
        self._recent.append(False)
        self.patience.observe(call.kind, seconds)

    def book(self, call: Call, error: InferenceError, seconds: float, deadline: Deadline | None = None) -> None:
        """Count a failed attempt that took ``seconds`` against the budget, unless an outage took its answer."""
        if not call.has_failed:
            # Once: a request that always fails would, at the end of a batch, look like a server that always does.
            self._recent.append(True)
            call.has_failed = True
        is_timeout = isinstance(error, RequestTimeoutError)
        if is_timeout and deadline is not None and deadline.is_outlived and call.outlived < MOST_OUTLIVED:
            call.outlived += 1
            return
        if (is_timeout and not call.is_patient) or isinstance(error, TruncatedAnswerError):
            # One request that hangs however often it is asked for is one observation.
            self.patience.observe(call.kind, seconds, is_timeout=is_timeout)
        # As a probe it had less time than it might need, and the server had not been well.
        call.is_late |= is_timeout and not (deadline is not None and deadline.is_probe)
        if not isinstance(error, ServerOverloadedError) or current_caps() is not None:
            call.failures += 1

    def _is_spent(self, call: Call, upcoming_pause: float) -> bool:
        caps = current_caps()
        most = self._config.retry_attempts if caps is None else min(caps.attempts, self._config.retry_attempts)
        return (
            call.failures >= most or call.is_late or call.spent + upcoming_pause >= self._config.total_deadline_seconds
        )

    def _failed_share(self) -> float:
        """Share (0–1) of the latest attempts that failed; 1 while nothing is known."""
        return sum(self._recent) / len(self._recent) if self._recent else 1.0


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, InferenceError) and error.retryable
