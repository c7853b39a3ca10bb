"""Offers a server more work than it can take for a while, and tells what it did in the steady part of that time."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.drivers import Driver, Pass
from bench.servers import Server, Simulated

_SAMPLE_SECONDS = 0.5
#: A window that is shorter says nothing; then the whole run is described.
_LEAST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A parser, the name by which the server counts its requests, and its work."""

    name: str
    driver: Driver
    files: Sequence[Path]
    #: A fixed number of requests in flight.
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The steady part of a run."""

    seconds: float
    #: Share of the slots that were busy.
    of_capacity: float
    #: Mean number of waiting requests over mean number of running ones.
    waiting_over_running: float
    shed: int
    #: Requests answered per second.
    requests_per_second: float
    #: Requests answered to the slowest worker over those to the fastest.
    slowest_over_fastest: float
    #: Requests answered, by worker.
    answered: tuple[int, ...]
    #: Requests that the server turned away before the window.
    shed_before: int = 0
    #: Documents that had ended when the window did, by state.
    documents: Mapping[str, int] = field(default_factory=dict)
    #: Whether some worker had nothing left to do before the time was over.
    ran_out: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the figures, rounded."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def observe(server: Server, workers: Sequence[Worker], start_seconds: float, seconds: float) -> Window:
    """Let all workers work at once, and describe the ``seconds`` that follow the first ``start_seconds``.

    It starts when every worker has sent its first page; before that, ours asks for the layout of a
    known page. They should have more work than they can do; it ends early when one of them has none
    left. The drivers are of no use afterwards: they are stopped where they are.
    """
    names = [worker.name for worker in workers]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-steady-")))
        pool = stack.enter_context(ThreadPoolExecutor(len(workers)))
        for worker in workers:
            stack.callback(worker.driver.kill)
        for worker in workers:
            worker.driver.start(worker.files, folder / worker.name, worker.in_flight)
        ends = [pool.submit(worker.driver.finish) for worker in workers]
        samples = _samples(server, ends, names, start_seconds + seconds)
        documents = _states(folder)
        for end in ends:
            if end.done():
                # A parser that died is no parser that had nothing left to do.
                end.result()
    begin = next((s for s in samples if s.seconds - samples[0].seconds >= start_seconds), samples[-1])
    if samples[-1].seconds - begin.seconds < _LEAST_SECONDS:
        begin = samples[0]
    ran_out = samples[-1].seconds - samples[0].seconds < start_seconds + seconds - 1
    return between(begin, samples[-1], names, since=samples[0], documents=documents, ran_out=ran_out)


def between(
    begin: Simulated,
    end: Simulated,
    clients: Sequence[str],
    *,
    since: Simulated | None = None,
    documents: Mapping[str, int] | None = None,
    ran_out: bool = False,
) -> Window:
    """Return what happened from ``begin`` to ``end``, in a run that started at ``since``."""
    seconds = end.seconds - begin.seconds
    running = end.running_seconds - begin.running_seconds
    answered = tuple(end.finished_by_client.get(name, 0) - begin.finished_by_client.get(name, 0) for name in clients)
    return Window(
        seconds=seconds,
        of_capacity=running / (end.slot_seconds - begin.slot_seconds),
        waiting_over_running=(end.waiting_seconds - begin.waiting_seconds) / running if running else 0.0,
        shed=end.shed - begin.shed,
        requests_per_second=sum(answered) / seconds,
        slowest_over_fastest=min(answered) / max(answered) if max(answered) else 0.0,
        answered=answered,
        shed_before=begin.shed - (since or begin).shed,
        documents=documents or {},
        ran_out=ran_out,
    )


def _samples(server: Server, ends: Sequence[Future[Pass]], names: Sequence[str], seconds: float) -> list[Simulated]:
    """Return samples of so many seconds, from the moment at which every worker has two requests there."""
    before = now = server.simulation()
    samples: list[Simulated] = []
    while not any(end.done() for end in ends):
        if samples or all(_begun(before, now, name) for name in names):
            samples.append(now)
            if now.seconds - samples[0].seconds >= seconds:
                break
        time.sleep(_SAMPLE_SECONDS)
        now = server.simulation()
    return [*samples, now] if samples else [before, now]


def _begun(before: Simulated, now: Simulated, name: str) -> bool:
    return now.started_by_client.get(name, 0) - before.started_by_client.get(name, 0) > 1


def _states(folder: Path) -> dict[str, int]:
    """What the workers' drivers say has become of their documents, in all."""
    states: Counter[str] = Counter()
    for path in folder.glob("*.states.json"):
        states.update(json.loads(path.read_text()))
    return dict(states)
