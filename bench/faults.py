"""Every fault of the simulated server in a batch of documents: ``python -m bench.faults [--only FAULT] [--json FILE]``.

For each fault a server of its own disturbs one run over the same files with the default settings. Wanted: every
document ends in a final state, only blocks whose requests were struck are degraded, no disturbed answer is taken for
whole, and the run takes at most 1.2 times the undisturbed time and the outage together. Where no document could
succeed, the run stops with a message, and running again on a healthy server finishes it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.fault_batch import Damage, Run, compare, run, write_pdfs
from bench.servers import Server, dev_server
from mineru_pipeline.devserver.process import ServerOptions

#: Most that a disturbed run may take, as a multiple of undisturbed time and outage together.
LIMIT = 1.2
#: Seconds for which the faults of the whole server last.
OUTAGE = 6.0
# So many faults share an undisturbed run to be compared with.
_BASELINE_EVERY = 4
# The first requests belong to the question whether the model works at all, whose answer decides over the run.
_PAST_PROOF = [5, None]


@dataclass(frozen=True, slots=True)
class Case:
    """One fault: its rule, how long the server is no use, and whether the run may stop and be resumed."""

    name: str
    rule: dict[str, Any]
    outage: float = 0.0
    stops: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def _once(fault: str, **parameters: Any) -> Case:
    """A fault of the whole server, triggered in the middle of the batch."""
    rule = {"fault": fault, "match": {"requests": [100, None], "times": 1}, "seconds": OUTAGE, **parameters}
    return Case(fault, rule, outage=OUTAGE)


def _window(fault: str, **parameters: Any) -> Case:
    """Every request of some seconds in the middle of the batch is struck."""
    rule = {"fault": fault, "match": {"requests": _PAST_PROOF, "seconds": [12, 12 + OUTAGE]}, **parameters}
    return Case(f"{fault} for {OUTAGE:g} s", rule, outage=OUTAGE)


def _some(fault: str, share: float, **parameters: Any) -> Case:
    """A share of all requests; a retry gets through."""
    rule = {"fault": fault, "match": {"requests": _PAST_PROOF, "share": share}, **parameters}
    return Case(f"{fault} in {share:.1%} of requests", rule)


def _poison(fault: str, share: float = 0.02, kind: str | None = None, **parameters: Any) -> Case:
    """A share of all contents, however often they are asked for."""
    rule = {
        "fault": fault,
        "match": {"requests": _PAST_PROOF, "content_share": share, "kind": kind},
        **parameters,
    }
    return Case(f"{fault} in {share:.1%} of {kind or 'content'}s", rule)


def _stop(fault: str, **settings: Any) -> Case:
    """A fault after which no request can succeed."""
    match = {"requests": [100, None], "times": 1 if fault == "engine-dead" else None}
    return Case(f"{fault} for good", {"fault": fault, "match": match}, stops=True, settings=settings)


CASES = (
    *(_once(fault) for fault in ("refused", "restart", "engine-dead", "shutdown-draining")),
    *(_window(fault) for fault in ("error-500", "error-503", "queue-full", "reset", "hang")),
    _window("too-many-requests", retry_after=1),
    # Not by the clock: how long an answer takes must be known before one is missed.
    Case("hang 20 times in a row", {"fault": "hang", "match": {"requests": [200, None], "times": 20}}, outage=OUTAGE),
    _some("error-500", 0.02),
    _some("reset", 0.05),
    _some("reset-after-500", 0.02),
    _some("cut", 0.02),
    _some("not-json", 0.02),
    _some("not-a-completion", 0.02),
    _some("abort", 0.02),
    _some("truncated", 0.02),
    _some("slow", 0.01),
    _some("hang", 0.005),
    _poison("error-500"),
    _poison("hang", 0.002, "text"),
    *(_poison(fault) for fault in ("truncated", "loop", "abort", "empty-answer")),
    *(_poison(fault, 0.04, "layout") for fault in ("garbage", "empty-layout", "truncated", "loop", "error-500")),
    *(_poison(fault) for fault in ("prompt-too-long", "bad-image", "absurd-image", "unreachable-image")),
    _stop("unauthorized"),
    _stop("unknown-model"),
    _stop("engine-dead", http_client__outage_budget_seconds=10),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table."""

    name: str
    seconds: float
    #: Of the undisturbed time and the outage together.
    ratio: float
    states: dict[str, int]
    stopped: str
    damage: Damage
    #: Requests that finishing a stopped run took, and those of an undisturbed one.
    resumed_requests: int | None
    failures: tuple[str, ...]


def judge(case: Case, undisturbed: Run, seconds: float, disturbed: Run, resumed: Run | None = None) -> Result:
    """Say what of the wanted did not come true; ``seconds`` is the time of an undisturbed run."""
    last = resumed or disturbed
    damage = compare(undisturbed, last)
    ratio = disturbed.seconds / (seconds + case.outage)
    wanted = {
        "documents are neither parsed nor degraded": damage.unfinished == 0,
        "blocks are missing": damage.missing == 0,
        "untouched blocks are degraded": damage.degraded_untouched == 0,
        "disturbed answers are taken for whole": damage.wrong == 0,
        f"longer than {LIMIT} x": case.stops or ratio <= LIMIT,
        "did not stop": not case.stops or bool(disturbed.stopped),
        "stopped": case.stops or not disturbed.stopped,
        "resuming began anew": resumed is None or resumed.requests < undisturbed.requests,
    }
    failures = tuple(words for words, is_so in wanted.items() if not is_so)
    again = resumed.requests if resumed else None
    return Result(case.name, disturbed.seconds, ratio, dict(last.states), disturbed.stopped, damage, again, failures)


@dataclass(frozen=True, slots=True)
class Trial:
    """Files, server and folder for the runs."""

    files: Sequence[Path]
    folder: Path
    options: ServerOptions

    def undisturbed(self, name: str) -> Run:
        """One run on a server without faults."""
        with dev_server(self.options) as server:
            return run(self.files, self.folder / name, server)

    def disturbed(self, case: Case) -> tuple[Run, Run | None]:
        """One run with the fault and, if it stopped, another to finish it."""
        place = self.folder / case.name.replace(" ", "-").replace(",", "").replace("%", "").replace(".", "-")
        with self._faulty(case) as server:
            disturbed = run(self.files, place, server, **case.settings)
        resumed = None
        if disturbed.stopped:
            with dev_server(self.options) as server:
                resumed = run(self.files, place, server)
        return disturbed, resumed

    @contextmanager
    def _faulty(self, case: Case) -> Iterator[Server]:
        plan = self.folder / "faults.json"
        plan.write_text(json.dumps({"rules": [case.rule]}))
        options = {name: getattr(self.options, name) for name in ServerOptions.__slots__}
        with dev_server(ServerOptions(**{**options, "faults": plan})) as server:
            yield server


def table_of(results: Sequence[Result], requests: int, seconds: Sequence[float], documents: int) -> Table:
    """The results for people."""
    spread = f"{min(seconds):.1f} to {max(seconds):.1f} s"
    title = f"{documents} documents; undisturbed in {spread} with {requests} requests"
    table = Table(
        "fault", "states", "touched", "degraded", "untouched degraded", "wrong", "time", "verdict", title=title
    )
    for each in results:
        states = " ".join(f"{state} {count}" for state, count in sorted(each.states.items()))
        if each.resumed_requests is not None:
            states = f"stopped, then with {each.resumed_requests} requests {states}"
        damage = each.damage
        causes = ", ".join(f"{cause} {count}" for cause, count in damage.causes.items())
        verdict = "; ".join(each.failures) or "ok"
        table.add_row(
            each.name, states, str(damage.touched), causes or "0", str(damage.degraded_untouched), str(damage.wrong),
            f"{each.seconds:.1f} s, {each.ratio:.2f} x", verdict,
        )  # fmt: skip
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return how many faults did not end as wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name begins with one of these, separated by commas")
    parser.add_argument("--documents", type=int, default=50)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.3, help="seconds an answer takes")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args(arguments)
    console = Console(stderr=True)
    # Every struck request is logged; here they are the point, and counted.
    logging.getLogger("mineru_pipeline").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="bench-faults-") as folder:
        source = Path(folder) / "pdfs"
        source.mkdir()
        files = write_pdfs(source, given.documents)
        options = ServerOptions(simulate=True, slots=given.slots, simulate_latency=given.latency)
        trial = Trial(files, Path(folder), options)
        trial.undisturbed("warm-up")
        undisturbed, seconds, results = trial.undisturbed("undisturbed"), [], []
        if set(undisturbed.states) != {"parsed"}:
            raise SystemExit(f"without any fault the batch ended as {dict(undisturbed.states)} {undisturbed.stopped}")
        cases = [case for case in CASES if case.name.startswith(tuple(given.only.split(",")))]
        for number, case in enumerate(cases):
            if number % _BASELINE_EVERY == 0:
                # The machine may be faster or slower than a quarter of an hour ago.
                seconds.append(trial.undisturbed(f"undisturbed-{number}").seconds)
                console.print(f"undisturbed: {seconds[-1]:.1f} s")
            results.append(judge(case, undisturbed, seconds[-1], *trial.disturbed(case)))
            console.print(f"{case.name}: {results[-1].ratio:.2f} x, {'; '.join(results[-1].failures) or 'ok'}")
    Console(width=200).print(table_of(results, undisturbed.requests, seconds, given.documents))
    if given.json:
        figures = {"undisturbed_seconds": seconds, "faults": [asdict(each) for each in results]}
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return sum(bool(each.failures) for each in results)


if __name__ == "__main__":
    sys.exit(main())
