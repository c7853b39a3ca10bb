"""How long an attempt may take before it is given up as hung: learnt from what answers of its kind took.

A fixed time-out must be long enough for the slowest table on the busiest server, so a hung request
costs that long, several times. Here the limit follows the observed latency, as TCP's retransmission
time-out does (https://www.rfc-editor.org/rfc/rfc6298): a multiple of what is usual, doubled with
every time-out of the same request, within a floor and a cap.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

#: Latest observations that are kept of each kind of request.
WINDOW = 100
#: Fewer than these say little about a kind.
ENOUGH = 10
#: Share of the answers that are quicker than the quantile. Not 0.99: one request in fifty that
#: always hangs would then *be* the quantile, and make every other hang cost the cap.
QUANTILE = 0.95
#: Multiple of the quantile. The third attempt has four times as long: together twelve times what
#: 19 of 20 answers need, which is more than the longest table that fits the model's context.
FACTOR = 3.0
#: Seconds below which nothing is called hung: a garbage collection, a preempted request.
FLOOR_SECONDS = 3.0
#: Seconds of a first attempt while nothing is known: a server that has just been started compiles,
#: loads and warms its caches on the first requests.
START_SECONDS = 60.0
#: Multiple of the most patient known kind's limit, for a kind of which little is known.
UNKNOWN_FACTOR = 4.0


class Patience:
    """Learns the read time-out of each kind of request; all times in seconds.

    A time-out is an observation too, of *at least* its length. If a server becomes slower for all,
    more than one in twenty requests is cut off, the quantile reaches the limit itself, and the limit
    grows by ``FACTOR`` until answers pass again. If single requests hang, it stays where it is: all
    time-outs of a request are one observation, which its answer replaces if there is one at last.

    Args:
        cap: longest limit that is ever given.
        on_change: told kind and limit of a first attempt whenever an observation was made.
    """

    def __init__(self, cap: float, on_change: Callable[[str, float], None] | None = None) -> None:
        self._cap = cap
        self._on_change = on_change
        self._observed: dict[str, deque[float]] = {}
        self._learnt: dict[str, float] = {}

    def limit(self, kind: str, timeouts: int = 0) -> float:
        """Return how long the next attempt may take, after ``timeouts`` time-outs of the same request."""
        base = self._learnt[kind] if kind in self._learnt else self._guess(kind)
        return min(self._cap, base * 2.0 ** min(timeouts, 30))

    def observe(self, kind: str, seconds: float, *, instead_of: float | None = None) -> None:
        """Learn from an answer that took ``seconds``, or from an attempt given up after them.

        ``instead_of`` is what was observed of the same request before.
        """
        seen = self._observed.setdefault(kind, deque(maxlen=WINDOW))
        if instead_of is not None and instead_of in seen:
            seen.remove(instead_of)
        seen.append(max(0.0, seconds))
        if len(seen) >= ENOUGH:
            # Nearest rank (https://en.wikipedia.org/wiki/Percentile): no value is invented.
            quantile = sorted(seen)[math.ceil(QUANTILE * len(seen)) - 1]
            self._learnt[kind] = max(FLOOR_SECONDS, FACTOR * quantile)
        if self._on_change is not None:
            self._on_change(kind, self.limit(kind))

    def _guess(self, kind: str) -> float:
        known = max(self._learnt.values(), default=math.inf)
        seen = self._observed.get(kind, ())
        longest = max(seen, default=0.0)
        # Ten answers are worth their multiple, one only ten times as much.
        few = max(FLOOR_SECONDS, FACTOR * longest) * ENOUGH / len(seen) if seen else math.inf
        return max(min(START_SECONDS, UNKNOWN_FACTOR * known, few), FACTOR * longest)
