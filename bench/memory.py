"""Runs a command and measures the memory of its whole process tree: ``python bench/memory.py [options] -- COMMAND…``.

The dev server's share is left out with ``--exclude mineru_pipeline.devserver``. Exit code: the
command's own, or 1 when ``--limit-mb`` is given and the peak is above it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

_MB = 1024 * 1024
WORKER, ZYGOTE, RENDER_CHILD = "worker", "render zygote", "render child"
#: The first pattern that occurs in a child's command line names its role.
ROLES: Mapping[str, str] = {
    "mineru_pipeline.documents.zygote": ZYGOTE,
    "mineru_pipeline.devserver": "dev server",
    "multiprocessing.forkserver": "fork server",
    "multiprocessing.resource_tracker": "resource tracker",
    "dagster api grpc": "code server",
    "dagster-webserver": "web server",
    "dagster": "other Dagster process",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory of one process at one moment, in bytes; ``pss`` is None where the system does not tell it."""

    pid: int
    role: str
    rss: int
    pss: int | None = None


@dataclass(slots=True)
class Peaks:
    """The highest sums seen so far, in bytes."""

    rss: int = 0
    pss: int | None = None
    processes: int = 0
    samples: int = 0
    rss_by_role: dict[str, int] = field(default_factory=dict)
    #: What made up the highest total, by role: the parts of one moment, which add up to ``rss``.
    at_peak: dict[str, int] = field(default_factory=dict)

    def add(self, readings: Sequence[Reading]) -> None:
        """Take the readings of one moment into account."""
        by_role: dict[str, int] = {}
        for reading in readings:
            by_role[reading.role] = by_role.get(reading.role, 0) + reading.rss
        for role, rss in by_role.items():
            self.rss_by_role[role] = max(rss, self.rss_by_role.get(role, 0))
        total = sum(by_role.values())
        if total > self.rss:
            self.rss, self.at_peak = total, by_role
        shares = [reading.pss for reading in readings if reading.pss is not None]
        if shares and len(shares) == len(readings):
            self.pss = max(sum(shares), self.pss or 0)
        self.processes = max(self.processes, len(readings))
        self.samples += 1


class ProcessTree:
    """A process and all that descend from it, also those whose own parent has ended meanwhile."""

    def __init__(self, root: psutil.Process, excluded: Sequence[str] = ()) -> None:
        self._root = root
        self._excluded = tuple(excluded)
        #: Every member ever seen that may still live, with the role of its parent.
        self._parents: dict[psutil.Process, str] = {}

    def read(self, *, with_pss: bool = False) -> list[Reading]:
        """Read the memory of every member now; processes that vanish meanwhile are skipped.

        A process whose command line contains one of ``excluded`` is left out together with its children.
        """
        readings: list[Reading] = []
        pending = [self._root, *self._parents]
        met = set(pending)
        while pending:
            process = pending.pop()
            try:
                # Asked every time: between fork and exec a child still shows its parent's command line.
                role = self._role(process)
                if role is None:
                    continue
                children = [child for child in process.children() if child not in met]
                rss = process.memory_info().rss
                readings.append(Reading(process.pid, role, rss, _pss(process) if with_pss else None))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                # It ended between being listed and being read, or is a zombie: it has no memory any more.
                self._parents.pop(process, None)
                continue
            self._parents.update(dict.fromkeys(children, role))
            met.update(children)
            pending.extend(children)
        return readings

    def _role(self, process: psutil.Process) -> str | None:
        if process == self._root:
            return WORKER
        command_line = " ".join(process.cmdline())
        if not command_line:
            # It is about to end, or between two programs: it has no memory, and nobody can tell what it is for.
            return None
        if any(pattern in command_line for pattern in self._excluded):
            return None
        return role_of(command_line, self._parents[process])


def role_of(command_line: str, parent_role: str) -> str:
    """Name what a child is for, by its command line; a child forked by the zygote has the zygote's."""
    role = next((role for pattern, role in ROLES.items() if pattern in command_line), "other child")
    return RENDER_CHILD if role == parent_role == ZYGOTE else role


def _pss(process: psutil.Process) -> int | None:
    pss = getattr(process.memory_full_info(), "pss", None)
    return int(pss) if pss is not None else None


def measure(
    command: Sequence[str],
    *,
    excluded: Sequence[str] = (),
    interval: float = 0.05,
    pss_every: int = 10,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, Peaks]:
    """Run ``command`` to its end and return its exit code and the peaks of its tree.

    RSS is read every ``interval`` seconds. PSS, which counts shared pages once, costs the kernel a
    walk over all pages, so it is read only at every ``pss_every``-th sample (0: never).
    """
    peaks = Peaks()
    with subprocess.Popen(list(command)) as running:
        tree = ProcessTree(psutil.Process(running.pid), excluded)
        while running.poll() is None:
            with_pss = pss_every > 0 and peaks.samples % pss_every == 0
            readings = tree.read(with_pss=with_pss)
            if readings:
                peaks.add(readings)
            sleep(interval)
    return running.returncode, peaks


def as_json(code: int, seconds: float, peaks: Peaks) -> dict[str, Any]:
    """Return the measurement as one object, memory in MB of 1,048,576 bytes."""
    return {
        "exit_code": code,
        "seconds": round(seconds, 1),
        "samples": peaks.samples,
        "max_processes": peaks.processes,
        "peak_rss_mb": round(peaks.rss / _MB, 1),
        "peak_pss_mb": None if peaks.pss is None else round(peaks.pss / _MB, 1),
        "peak_rss_mb_by_role": {role: round(rss / _MB, 1) for role, rss in sorted(peaks.rss_by_role.items())},
        "rss_mb_at_peak": {role: round(rss / _MB, 1) for role, rss in sorted(peaks.at_peak.items())},
    }


def show(measured: Mapping[str, Any]) -> None:
    """Print the measurement as a table."""
    print(f"{'role':<20}{'own peak MB':>14}{'at total peak MB':>18}")
    for role, peak in measured["peak_rss_mb_by_role"].items():
        print(f"{role:<20}{peak:>14}{measured['rss_mb_at_peak'].get(role, 0.0):>18}")
    print(f"{'total RSS':<20}{'':>14}{measured['peak_rss_mb']:>18}")
    print(f"{'total PSS':<20}{'':>14}{measured['peak_pss_mb'] if measured['peak_pss_mb'] is not None else '-':>18}")
    print(
        "{samples} samples in {seconds} s, at most {max_processes} processes, exit code {exit_code}".format(**measured)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command behind ``--`` and print what its tree needed at most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument(
        "--exclude", action="append", default=[], help="leave out processes with this in their command line"
    )
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between samples (default: 0.05)")
    parser.add_argument(
        "--pss-every", type=int, default=10, help="read PSS at every n-th sample, 0 never (default: 10)"
    )
    parser.add_argument("--limit-mb", type=float, help="exit with 1 when the peak RSS is above this")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("command", nargs="+", help="the command and its arguments, behind --")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    code, peaks = measure(
        options.command, excluded=options.exclude, interval=options.interval, pss_every=options.pss_every
    )
    measured = as_json(code, time.monotonic() - started, peaks)
    show(measured)
    if options.json:
        print(json.dumps(measured))
    too_much = options.limit_mb is not None and measured["peak_rss_mb"] > options.limit_mb
    return code or int(too_much)


if __name__ == "__main__":
    sys.exit(main())
