"""How long an attempt may take before it is given up as hung: learnt from what answers of its kind took.

A fixed time-out must be long enough for the slowest table on the busiest server, so a hung request
costs that long, several times. Here the limit follows the observed latency, as TCP's retransmission
time-out does (https://www.rfc-editor.org/rfc/rfc6298): a multiple of what is usual, three times as much
for what was not answered in time before, within a floor and a cap.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from mineru_pipeline.inference.deadline import Deadline

#: Latest observations that are kept of each kind of request.
WINDOW = 100
#: Fewer than these say little about a kind.
ENOUGH = 10
#: Share of the answers that are quicker than the quantile. Not 0.99: one request in fifty that
#: always hangs would then *be* the quantile, and make every other hang cost the cap.
QUANTILE = 0.95
#: Multiple of the quantile.
FACTOR = 3.0
#: How many times as long a request may take that was not answered in time before. It is nine times what 19 of 20
#: answers of its kind need: a table of ten thousand tokens among those of a thousand.
SECOND_CHANCE = 3.0
#: Seconds below which nothing is called hung: a preempted request, a paragraph among the lines of a form.
FLOOR_SECONDS = 1.5
#: Seconds of a first attempt while nothing is known: a server that has just been started compiles,
#: loads and warms its caches on the first requests.
START_SECONDS = 60.0
#: Multiple of the most patient known kind's limit, for a kind of which little is known.
UNKNOWN_FACTOR = 4.0
#: A limit that has fallen to this share of what it was is applied to the attempts under way.
FALLEN = 0.9


class _Observation(NamedTuple):
    seconds: float
    #: Given up after so many seconds, so it would have taken longer.
    is_timeout: bool


class _Attempt(NamedTuple):
    endpoint: str
    kind: str


class Patience:
    """Learns the read time-out of each kind of request; all times in seconds.

    A time-out is an observation too, of *at least* its length. If a server becomes slower for all,
    more than one in twenty requests is cut off, the quantile reaches the limit itself, and the limit
    grows by ``FACTOR`` until answers pass again. If single requests hang, it stays where it is.

    An attempt that began when little was known had more time than it should have had. As soon as more
    is known it is given what a second chance would be given: the first answers are the quick ones,
    so what they teach is not yet enough to cut off the others.

    What times out in an outage says nothing of how long answers take, and is forgotten when the outage is
    noticed and again when it is over. What was sent before its end may be lost: it is then waited for no longer
    than for a first attempt that began now, for in the end the answers of a server that was only slow come
    close together.

    Args:
        cap: longest limit that is ever given.
        on_change: told kind and limit of a first attempt whenever that may have changed.
    """

    def __init__(self, cap: float, on_change: Callable[[str, float], None] | None = None) -> None:
        self._cap = cap
        self._on_change = on_change
        self._observed: dict[str, deque[_Observation]] = {}
        self._learnt: dict[str, float] = {}
        self._attended: WeakKeyDictionary[Deadline, _Attempt] = WeakKeyDictionary()
        self._applied: dict[str, float] = {}

    def limit(self, kind: str, *, is_patient: bool = False) -> float:
        """Return how long an attempt may take; ``is_patient``: it was not answered in time before."""
        first = max(FLOOR_SECONDS, self._learnt[kind] if kind in self._learnt else self._guess(kind))
        return min(self._cap, first * (SECOND_CHANCE if is_patient else 1.0))

    def attend(self, deadline: Deadline, endpoint: str, kind: str) -> None:
        """Bring ``deadline``, of an attempt at ``endpoint``, nearer when more is known of how long it should take."""
        self._attended[deadline] = _Attempt(endpoint, kind)

    def forget_timeouts(self) -> None:
        """Know only what answers took."""
        for kind, seen in self._observed.items():
            self._observed[kind] = deque((one for one in seen if not one.is_timeout), maxlen=WINDOW)
            self._learn(kind)

    def silence_ended(self, endpoint: str, seconds: float = math.inf) -> None:
        """Take note that ``endpoint`` answers again, after answering nothing at all for so many seconds.

        Whatever should have been answered in that time may be lost.
        """
        for deadline, attempt in self._attended.items():
            limit = self.limit(attempt.kind)
            if attempt.endpoint == endpoint and seconds > limit:
                deadline.is_outlived = True
                deadline.leave(limit)

    def observe(self, kind: str, seconds: float, *, is_timeout: bool = False) -> None:
        """Learn from an answer that took ``seconds``, or from an attempt given up after them."""
        self._observed.setdefault(kind, deque(maxlen=WINDOW)).append(_Observation(max(0.0, seconds), is_timeout))
        self._learn(kind)
        self._apply(kind)

    def _learn(self, kind: str) -> None:
        took = sorted(one.seconds for one in self._observed[kind])
        self._learnt.pop(kind, None)
        if len(took) >= ENOUGH:
            # Nearest rank (https://en.wikipedia.org/wiki/Percentile): no value is invented.
            self._learnt[kind] = FACTOR * took[math.ceil(QUANTILE * len(took)) - 1]
        if self._on_change is not None:
            self._on_change(kind, self.limit(kind))

    def _apply(self, kind: str) -> None:
        limit = self.limit(kind)
        self._applied[kind] = max(limit, self._applied.get(kind, self._cap))
        if limit <= FALLEN * self._applied[kind]:
            self._applied[kind] = limit
            # Of every kind: one of which nothing is known follows the others.
            for deadline, attempt in self._attended.items():
                deadline.shorten(self.limit(attempt.kind, is_patient=True))

    def _guess(self, kind: str) -> float:
        """What is known of other kinds, and of this one by a few: the latter at least leaves room for its longest."""
        longest = max((one.seconds for one in self._observed.get(kind, ())), default=0.0)
        others = (self._learnt.get(other, self._by_few(other)) for other in self._observed if other != kind)
        known = max((max(FLOOR_SECONDS, other) for other in others), default=math.inf)
        return max(min(START_SECONDS, UNKNOWN_FACTOR * known, self._by_few(kind)), FACTOR * longest)

    def _by_few(self, kind: str) -> float:
        """Ten answers are worth their multiple, one only ten times as much."""
        seen = self._observed.get(kind, ())
        longest = max((one.seconds for one in seen), default=0.0)
        return max(FLOOR_SECONDS, FACTOR * longest) * ENOUGH / len(seen) if seen else math.inf
