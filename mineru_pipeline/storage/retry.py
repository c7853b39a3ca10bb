"""The one place that decides how long a call to an unwell store is repeated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mineru_pipeline.errors import StoreError

T = TypeVar("T")

#: The pause before the second attempt is at most this; each further one may be twice as long.
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0


class Clock(Protocol):
    """Time in seconds from an arbitrary start, sleep, and the randomness of jitter."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between ``low`` and ``high``."""
        ...


class SystemClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311 - spreads retries in time, guards no secret

    def monotonic(self) -> float:
        """Return the machine's monotonic time in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``."""
        time.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between ``low`` and ``high``."""
        return self._random.uniform(low, high)


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats what failed retryably, with full jitter, until ``seconds`` are spent.

    Bounded by time and not by a number of attempts, because what it must outlast, the restart of a
    server, takes time however often one asks. The pauses are those of
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    seconds: float
    clock: Clock = field(default_factory=SystemClock)

    def repeat(self, operation: Callable[[int], T]) -> T:
        """Return what ``operation`` returns; it is called with the number of the attempt, from 1.

        Raises:
            StoreError: the first that is not retryable, or the last when the patience is spent.
        """
        deadline, attempt = self.clock.monotonic() + self.seconds, 1
        while True:
            try:
                return operation(attempt)
            except StoreError as error:
                most = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 30))
                pause = self.clock.uniform(0.0, most)
                if not error.retryable or self.clock.monotonic() + pause >= deadline:
                    raise
            self.clock.sleep(pause)
            attempt += 1
