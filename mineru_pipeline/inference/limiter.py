"""How many requests one worker may have in flight at one server: the port, the adaptive adapter and a fixed one."""

from __future__ import annotations

import math
from typing import Protocol

from mineru_pipeline.inference.clock import Clock
from mineru_pipeline.inference.config import MAXIMUM, MINIMUM
from mineru_pipeline.inference.load import ServerLoad

#: Where a limit starts, and starts anew after a rest.
START = 4
#: The queue that is wanted on the server, in requests: from ``a + b * running`` (every slot that falls
#: free finds a request) to ``c + d * running`` (nobody waits long).
SHORTEST_QUEUE = (1.0, 0.03)
LONGEST_QUEUE = (3.0, 0.15)
#: Growth at each reading, for every worker alike: this share of what runs, and no less than this.
GROWTH = 0.01
LEAST_GROWTH = 0.25
#: The share that a worker gives up at each reading while the queue is as long as it may be.
RETREAT = 0.1
#: What is left of the limit after the server shed load.
AFTER_SHEDDING = 0.75
#: From here on the cache decides how many run, and a part of the queue has been thrown out of it; so the queue
#: is kept shorter. It is not kept empty: servers without such a cache may show the share of busy slots instead.
FULL_CACHE = 0.95
SHARE_WITH_FULL_CACHE = 0.75
#: With more of our own in flight than so many times what the server knows of, they are stuck before it.
STUCK = 2
STUCK_AT_LEAST = 8
_LONG_EMPTY = 30


class Limiter(Protocol):
    """The limit for one endpoint; told what the server says of itself, and what became of requests."""

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        ...

    def on_load(self, load: ServerLoad, in_flight: int, *, is_used: bool) -> None:
        """Learn from a reading; ``is_used`` says whether the limit was reached since the one before."""
        ...

    def on_overload(self, sent_at: float) -> None:
        """Learn that the server shed a request that was sent at ``sent_at`` (seconds of the clock)."""
        ...

    def restart(self) -> None:
        """Forget what was learned: nothing has been in flight for a while."""
        ...


class FixedLimiter:
    """Always ``limit``, whatever the server says; to measure the adaptive one against."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def on_load(self, load: ServerLoad, in_flight: int, *, is_used: bool) -> None:
        """Stay."""

    def on_overload(self, sent_at: float) -> None:
        """Stay."""

    def restart(self) -> None:
        """Stay."""


class AdaptiveLimiter:
    """Keeps a short queue on the server, together with any number of workers that do not know of each other.

    All workers read the same figures. Each adds the same step and gives up the same share of its own
    limit, the more the longer the queue; only equal limits are at rest under that, wherever they began
    (additive increase, multiplicative decrease: Chiu & Jain 1989, https://doi.org/10.1016/0169-7552(89)90019-6;
    in this continuous form, with the queue as the price: Kelly, Maulloo & Tan 1998,
    https://doi.org/10.1057/palgrave.jors.2600523). While nothing waits on the server, the step doubles
    from reading to reading, up to doubling the limit, which is also how it starts (slow start, RFC 5681).
    A queue beyond the longest is cut to its middle at once. Shed load costs a quarter, once for all
    requests that were already under way.
    """

    def __init__(self, clock: Clock, *, minimum: int = MINIMUM, maximum: int = MAXIMUM) -> None:
        self._clock = clock
        self._minimum = minimum
        self._maximum = maximum
        self._cut_at = float("-inf")
        self._dither = 0.5
        self.restart()

    @property
    def limit(self) -> int:
        """The whole number in use: the fraction decides how often it is rounded up."""
        return max(self._minimum, min(self._maximum, math.floor(self._exact + self._dither)))

    def restart(self) -> None:
        """Begin with few, and double."""
        self._exact = float(max(self._minimum, min(self._maximum, START)))
        self._empty_readings = _LONG_EMPTY

    def on_load(self, load: ServerLoad, in_flight: int, *, is_used: bool) -> None:
        """See :class:`Limiter`."""
        is_draining = in_flight > self.limit
        # Equal whole numbers for all would step up and down together.
        self._dither = self._clock.uniform(0.0, 1.0)
        if load.waiting > 0:
            self._empty_readings = 0
        if is_draining:
            return
        if load.waiting > 0:
            self._follow_queue(load, is_used=is_used)
        elif is_used and in_flight <= STUCK * load.running + STUCK_AT_LEAST:
            self._empty_readings += 1
            step = _step(load) * 2.0 ** max(0, self._empty_readings - 2)
            self._set(self._exact + min(self._exact, step))

    def on_overload(self, sent_at: float) -> None:
        """See :class:`Limiter`."""
        if sent_at > self._cut_at:
            self._cut(AFTER_SHEDDING)

    def _follow_queue(self, load: ServerLoad, *, is_used: bool) -> None:
        shortest, longest = (a + b * load.running for a, b in (SHORTEST_QUEUE, LONGEST_QUEUE))
        if load.kv_cache_usage > FULL_CACHE:
            longest = shortest + SHARE_WITH_FULL_CACHE * (longest - shortest)
        if load.waiting > longest:
            wanted = load.running + (shortest + longest) / 2
            self._cut(min(1.0 - RETREAT, wanted / (load.running + load.waiting)))
            return
        price = max(0.0, load.waiting - shortest) / (longest - shortest)
        growth = _step(load) * (1.0 - price) if is_used else 0.0
        self._set(self._exact + growth - RETREAT * price * self._exact)

    def _cut(self, share: float) -> None:
        self._cut_at = self._clock.monotonic()
        self._empty_readings = 0
        self._set(self._exact * share)

    def _set(self, exact: float) -> None:
        self._exact = max(float(self._minimum), min(float(self._maximum), exact))


def _step(load: ServerLoad) -> float:
    return max(LEAST_GROWTH, GROWTH * load.running)
