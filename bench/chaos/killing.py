"""When which process is killed: drawn from the seed, spread over the work, and done as soon as its moment has come."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg
import psutil

from bench.chaos.services import CODE_SERVER, DAEMON, Services
from mineru_pipeline import launch

RUN = "run"
_KINDS = (DAEMON, CODE_SERVER, RUN)
#: The last one comes while there is still work to be disturbed.
_LAST_SHARE = 0.92
_MOST_DELAY = 6.0
#: So often a run is killed that is at work, if there is one, and not one that starts or waits for its turn.
_BUSY_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Moment:
    """A kill that is to come."""

    kind: str
    #: Share of the pages that the model must have been asked about, and seconds after that.
    share: float
    delay: float


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that was done, at a time in seconds since 1970."""

    kind: str
    pid: int
    at: float


def draw(count: int, seed: int) -> list[Moment]:
    """Return the moments in their order; the three kinds take turns, in another order each time around."""
    dice = random.Random(f"{seed}/kills")
    shares = sorted(dice.uniform(0, _LAST_SHARE) for _ in range(count))
    kinds = [kind for _ in range(count) for kind in dice.sample(_KINDS, len(_KINDS))]
    return [
        Moment(kind, share, dice.uniform(0, _MOST_DELAY)) for kind, share in zip(kinds[:count], shares, strict=True)
    ]


@dataclass(slots=True)
class Killer:
    """Does what was drawn, one at a time."""

    moments: deque[Moment]
    services: Services
    instance: dg.DagsterInstance
    dice: random.Random
    done: list[Kill] = field(default_factory=list)
    _due: float | None = None

    def act(self, share: float, *, all_over: bool = False) -> Kill | None:
        """Kill if a moment has come, now that the model has been asked about this share of the pages.

        Once all is over no run is left that could be killed, and the daemon takes its place.
        """
        if not self.moments or share < self.moments[0].share:
            return None
        moment, now = self.moments[0], time.monotonic()
        self._due = now + moment.delay if self._due is None else self._due
        if now < self._due:
            return None
        kind = DAEMON if moment.kind == RUN and all_over else moment.kind
        pid = self._kill_run() if kind == RUN else self.services.by_name[kind].kill()
        if pid is None:
            # It is gone just now, from an earlier kill; its moment comes when it is back.
            return None
        self.moments.popleft()
        self._due = None
        self.done.append(Kill(kind, pid, time.time()))
        return self.done[-1]

    def _kill_run(self) -> int | None:
        runs = sorted({*claimed_runs(self.instance), *self.services.starting_runs()})
        if not runs:
            return None
        busy = [pid for pid in runs if _has_children(pid)]
        pid = self.dice.choice(busy if busy and self.dice.random() < _BUSY_SHARE else runs)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return pid


def claimed_runs(instance: dg.DagsterInstance) -> Sequence[int]:
    """Process ids of the runs that say which process executes them, and that are alive."""
    filters = dg.RunsFilter(statuses=launch.UNFINISHED)
    runs = [run for run in instance.get_runs(filters) if run.tags.get(launch.TAG_RUN) == run.run_id]
    found = [int(run.tags[launch.TAG_PID]) for run in runs if not launch.is_dead(run.run_id, run.tags)]
    return [pid for pid in found if psutil.pid_exists(pid)]


def _has_children(pid: int) -> bool:
    """Whether a run renders or probes: it does both in children."""
    try:
        return bool(psutil.Process(pid).children())
    except psutil.Error:
        return False
