"""The one retry budget: how often, for how long and with which pauses a request is sent again."""

from __future__ import annotations

from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from mineru_pipeline.errors import InferenceError, ServerOverloadedError
from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.endpoints import Endpoint
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.testing import current_caps


@dataclass(slots=True)
class Call:
    """One logical request on its way: what it has used of its budget."""

    body: bytes
    request_id: str
    #: Requests sent, over all fresh starts.
    sent: int = 0
    #: Failed attempts since the last fresh start; shed load is not among them.
    failures: int = 0
    #: Seconds spent on attempts and pauses since the last fresh start.
    spent: float = 0.0
    endpoint: Endpoint | None = None
    #: How many successes anybody had had when the latest attempt failed.
    successes_at_failure: int = 0
    fresh_starts: int = 0

    def start_anew(self) -> None:
        """Give the budget back after an outage, which was not this request's fault."""
        self.fresh_starts += 1
        self.failures = 0
        self.spent = 0.0


class RetryBudget:
    """Attempts, total deadline and back-off, in one place.

    The pause before attempt ``n + 1`` is drawn evenly from ``[min, min(max, min * 2**n)]``: full
    jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) above a floor.
    Shed load is asked for again until the deadline, because it says nothing against the request.
    """

    def __init__(self, config: ClientConfig, clock: Clock, metrics: ClientMetrics) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics

    def attempts(self, call: Call) -> AsyncRetrying:
        """Return tenacity's loop for ``call``; at its end the last error is raised as it is."""

        async def pause(seconds: float) -> None:
            call.spent += seconds
            await self._clock.sleep(seconds)

        return AsyncRetrying(
            retry=retry_if_exception(_is_retryable),
            wait=self.pause_before_next,
            stop=lambda state: self._is_spent(call, state.upcoming_sleep),
            before_sleep=lambda state: self._metrics.retried(state.attempt_number),
            sleep=pause,
            reraise=True,
        )

    def pause_before_next(self, state: RetryCallState) -> float:
        """Return the pause after ``state.attempt_number`` attempts, in seconds; 0 in test mode."""
        if current_caps() is not None:
            return 0.0
        low, high = self._config.backoff_min_seconds, self._config.backoff_max_seconds
        return self._clock.uniform(low, min(high, low * 2.0 ** min(state.attempt_number, 30)))

    def time_left(self, call: Call) -> float:
        """Return how long the next attempt may take, in seconds."""
        return min(self._config.timeout_seconds, self._config.total_deadline_seconds - call.spent)

    def book(self, call: Call, error: InferenceError) -> None:
        """Count a failed attempt against the budget."""
        if not isinstance(error, ServerOverloadedError) or current_caps() is not None:
            call.failures += 1

    def _is_spent(self, call: Call, upcoming_pause: float) -> bool:
        caps = current_caps()
        most = self._config.retry_attempts if caps is None else min(caps.attempts, self._config.retry_attempts)
        return call.failures >= most or call.spent + upcoming_pause >= self._config.total_deadline_seconds


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, InferenceError) and error.retryable
