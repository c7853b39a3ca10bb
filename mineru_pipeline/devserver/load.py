"""What a server did since it started: how many requests ran and waited for how long, in all and by client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

#: More clients than this are counted together, so that invented names cannot fill the memory.
_MAX_CLIENTS = 1000
_EVENTS = ("started", "finished", "shed", "aborted")


class Load:
    """The number of running and waiting requests and its integrals over time, in request-seconds."""

    def __init__(self, slots: int, now: Callable[[], float] = time.monotonic) -> None:
        self.slots = slots
        self.running = 0
        self.waiting = 0
        self._now = now
        self._began = self._last = now()
        self._running_seconds = 0.0
        self._waiting_seconds = 0.0
        self._saturated_seconds = 0.0
        self._slot_seconds = 0.0
        self._by_client: dict[str, Counter[str]] = {}

    def change(self, *, running: int = 0, waiting: int = 0) -> None:
        """Add to the numbers of running and waiting requests."""
        self._advance()
        self.running += running
        self.waiting += waiting

    def resize(self, slots: int) -> None:
        """Go on with another number of slots."""
        self._advance()
        self.slots = slots

    def count(self, client: str, event: str) -> None:
        """Count one request of ``client`` as started, finished, shed or aborted."""
        known = client in self._by_client or len(self._by_client) < _MAX_CLIENTS
        self._by_client.setdefault(client if known else "others", Counter())[event] += 1

    def snapshot(self) -> dict[str, Any]:
        """All figures since the start; the difference of two snapshots describes the time between them.

        ``running_seconds / slot_seconds`` is the share of the capacity that was used, and
        ``waiting_seconds / running_seconds`` the mean queue as a share of what ran. ``saturated_seconds`` counts the
        time in which no slot was free or somebody waited; ``cpu_seconds`` is this process's own processor time.
        """
        self._advance()
        total = sum(self._by_client.values(), Counter[str]())
        return {
            "seconds": self._last - self._began,
            "slots": self.slots,
            "slot_seconds": self._slot_seconds,
            "running": self.running,
            "waiting": self.waiting,
            "running_seconds": self._running_seconds,
            "waiting_seconds": self._waiting_seconds,
            "saturated_seconds": self._saturated_seconds,
            **_figures(total),
            "cpu_seconds": time.process_time(),
            "by_client": {
                client: {event: found[event] for event in _EVENTS} for client, found in self._by_client.items()
            },
        }

    def _advance(self) -> None:
        now = self._now()
        passed, self._last = now - self._last, now
        self._running_seconds += passed * self.running
        self._waiting_seconds += passed * self.waiting
        self._slot_seconds += passed * self.slots
        if self.waiting or self.running >= self.slots:
            self._saturated_seconds += passed


def _figures(counts: Counter[str]) -> dict[str, int]:
    return {event: counts[event] for event in _EVENTS}
