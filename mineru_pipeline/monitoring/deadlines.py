"""Judges the promise that a document has its result within an hour of its arrival.

A document keeps it if its batch has a table in time and it did not fail. It breaks it at the moment its hour is over,
not when its result comes at last: in an outage no results come, and that is when somebody must know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PROMISE_SECONDS: Final = 3600.0
IN_TIME, LATE, FAILED = "in-time", "late", "failed"
VERDICTS: Final = (IN_TIME, LATE, FAILED)
#: From the best that can be hoped for to a weekend, in seconds; the promise is one of them.
BUCKETS: Final = (60.0, 300.0, 900.0, 1800.0, PROMISE_SECONDS, 7200.0, 21600.0, 86400.0, 259200.0)


@dataclass(slots=True)
class _Waiting:
    """A batch without a table: when each entry arrived, and which are late already."""

    arrivals: Sequence[float]
    late: set[int]


@dataclass(slots=True)
class Deadlines:
    """Counts verdicts since ``since``; what was decided before, an earlier process has counted.

    All times are in seconds since 1970.
    """

    since: float
    verdicts: Counter[str] = field(default_factory=Counter)
    #: Results by the first bucket that holds their time from arrival; the last one has no bound.
    seconds: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    sum_seconds: float = 0.0
    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    def knows(self, batch: str) -> bool:
        """Whether the batch waits."""
        return batch in self._waiting

    @property
    def waiting(self) -> Mapping[str, int]:
        """The batches that wait, and how many entries each has."""
        return {batch: len(each.arrivals) for batch, each in self._waiting.items()}

    @property
    def oldest(self) -> float | None:
        """When the entry arrived that waits longest; None where none waits."""
        return min((min(each.arrivals) for each in self._waiting.values() if each.arrivals), default=None)

    def arrived(self, batch: str, arrivals: Sequence[float]) -> None:
        """Begin to wait for a batch."""
        over = {n for n, at in enumerate(arrivals) if at + PROMISE_SECONDS <= self.since}
        self._waiting[batch] = _Waiting(tuple(arrivals), over)

    def ended(self, batch: str, at: float, failed: Sequence[bool]) -> None:
        """Book that a batch got its table at a time; ``failed`` says of each entry, in order, whether it failed."""
        waited = self._waiting.pop(batch)
        for number, (arrival, has_failed) in enumerate(zip(waited.arrivals, failed, strict=False)):
            seconds = max(0.0, at - arrival)
            self.seconds[sum(seconds > bound for bound in BUCKETS)] += 1
            self.sum_seconds += seconds
            if number in waited.late:
                continue
            late = LATE if seconds > PROMISE_SECONDS else IN_TIME
            self.verdicts[FAILED if has_failed else late] += 1

    def forget(self, batch: str) -> None:
        """Wait no more for a batch whose manifest is gone."""
        del self._waiting[batch]

    def look(self, now: float) -> None:
        """Book what has become late by now."""
        for each in self._waiting.values():
            late = {n for n, at in enumerate(each.arrivals) if at + PROMISE_SECONDS < now} - each.late
            if late:
                self.verdicts[LATE] += len(late)
            each.late |= late
