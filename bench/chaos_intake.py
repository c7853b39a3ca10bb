"""Announces documents and kills the pipeline while it works: is anything lost, or done twice?

::

    python bench/chaos_intake.py --documents 10000 --kills 20 --seed 1

Real are the S3 server, the broker, Dagster's daemon, code server, webserver and the runs; the model is simulated. At
random moments of the seed one of them is killed with SIGKILL, and started again as systemd would. Progress goes to
standard error; the last line on standard output is one JSON object. Exit code: 0 every invariant holds, 1 one is
broken, which is named with examples, 3 the time was up before the end.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from bench.chaos import findings, messages, plan, verdict
from bench.chaos.arena import DOCUMENTS, PREFIX, STORE, Arena, arena
from bench.chaos.findings import Asked, Batch, Findings
from bench.chaos.killing import Killer, draw
from bench.chaos.plan import Counts
from bench.chaos.services import Services
from bench.chaos.verdict import Expected, Verdict
from mineru_pipeline import launch
from mineru_pipeline.storage import layout
from resources.parsing import revisions_of

EXIT_BROKEN, EXIT_TIME = 1, 3
_TEND_SECONDS, _LOOK_SECONDS = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    documents: int
    kills: int
    seed: int
    partitions: int
    batch_size: int
    latency: float
    minutes: float


@dataclass(slots=True)
class Chaos:
    """One session: what was announced, who is at work, and how far they are."""

    options: Options
    place: Arena
    services: Services
    instance: dg.DagsterInstance
    killer: Killer
    expected: Expected
    started: float = field(default_factory=time.monotonic)
    asked: Asked = field(init=False)
    _tables: dict[str, Batch] = field(default_factory=dict)
    _all_over: bool = False

    def __post_init__(self) -> None:
        self.asked = Asked(self.place.record)

    def work(self) -> bool:
        """Keep the services up, kill as drawn, until all is done; False when the time is up before."""
        next_look = 0.0
        while time.monotonic() - self.started < self.options.minutes * 60:
            self.services.tend()
            share = len(self.asked.times()) / len(self.expected.numbers)
            if kill := self.killer.act(share, all_over=self._all_over):
                say(f"kill -9 {kill.pid} ({kill.kind}), {len(self.killer.moments)} more to come")
            if time.monotonic() >= next_look:
                if self._is_done():
                    return True
                next_look = time.monotonic() + _LOOK_SECONDS
            time.sleep(_TEND_SECONDS)
        return False

    def _is_done(self) -> bool:
        self._read_tables()
        rows = sum(len(batch.rows or ()) for batch in self._tables.values())
        unfinished = self.instance.get_runs_count(dg.RunsFilter(statuses=_NOT_OVER))
        seconds = time.monotonic() - self.started
        share = max(rows, 1) / len(self.expected.entries)
        left = f", about {seconds / share - seconds:.0f} s to go" if rows else ""
        pages = len(self.asked.times())
        say(f"{rows} rows, {pages} pages asked about, {unfinished} runs under way, {seconds:.0f} s{left}")
        self._all_over = rows >= len(self.expected.entries) and not unfinished
        if not self._all_over or self.killer.moments:
            return False
        waits = any(True for _ in self.place.store.list(layout.OUTBOX))
        return not waits and self.place.wire.lag(self.place.settings.kafka.group_id) == 0

    def _read_tables(self) -> None:
        revision = revisions_of(self.place.settings).parser
        for batch in findings.batches(self.place.store, revision, known=self._tables.keys()):
            if batch.rows is not None:
                self._tables[batch.key] = batch

    def find(self) -> Findings:
        """Read everything that the verdict needs."""
        place = self.place
        return Findings(
            batches=tuple(findings.batches(place.store, revisions_of(place.settings).parser)),
            letters=tuple(findings.letter(event) for event in place.wire.events(place.topics.letters)),
            lag=place.wire.lag(place.settings.kafka.group_id),
            asked=self.asked.times(),
            kept=place.kept.all(PREFIX),
            committed=place.committed.all(PREFIX),
            results=tuple(item.key for item in place.store.list("parsed/") if item.key.endswith(findings.RESULT)),
            told=findings.told(place.wire.events(place.topics.results)),
            hung_up=place.hung_up,
            strays=findings.strays(place.s3, STORE, PREFIX),
        )


_NOT_OVER = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    *launch.UNFINISHED,
]


def say(words: str) -> None:
    """Tell whoever waits."""
    print(f"{time.strftime('%H:%M:%S')}  {words}", file=sys.stderr, flush=True)


def announce(place: Arena, options: Options) -> Expected:
    """Store the documents and announce them; what must come of it."""
    counts = Counts(options.documents)
    say(f"storing {counts.distinct + counts.copies} PDFs")
    stored = plan.store(place.s3.server.client, DOCUMENTS, counts, options.seed)
    documents = plan.announced(stored, counts, options.seed)
    sent = messages.compose(documents, counts.poison, options.seed)
    poison = place.wire.send(sent)
    say(f"{len(documents)} documents announced in {len(sent)} messages, {len(poison)} poisoned")
    entries = tuple(document.state for document in documents)
    return Expected(entries, {each.sha256: each.number for each in stored}, poison, options.kills)


def run(folder: Path, options: Options) -> tuple[Verdict, bool]:
    """Do all of it in ``folder``; the verdict, and whether the end was reached."""
    begun = time.monotonic()
    with arena(folder, partitions=options.partitions, batch_size=options.batch_size, latency=options.latency) as place:
        expected = announce(place, options)
        with launch.open_instance(place.settings) as instance:
            services = Services(folder, place.environ)
            killer = Killer(
                deque(draw(options.kills, options.seed)), services, instance, random.Random(f"{options.seed}/choice")
            )
            chaos = Chaos(options, place, services, instance, killer, expected)
            try:
                ended = chaos.work()
            finally:
                services.close()
            worked = time.monotonic() - chaos.started
            found = verdict.judge(expected, chaos.find(), [kill.at for kill in killer.done])
    found.figures |= {"seconds": round(time.monotonic() - begun), "seconds_at_work": round(worked)}
    return found, ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run, print."""
    given = _parser().parse_args(arguments)
    # Otherwise the servers that were started would outlive a polite end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    names = ("documents", "kills", "seed", "partitions", "batch_size", "latency", "minutes")
    options = Options(**{name: getattr(given, name) for name in names})
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        found, ended = run((given.keep or Path(scratch)).absolute(), options)
    for what, examples in found.broken.items():
        say(f"BROKEN: {what}, for example: {'; '.join(examples)}")
    if not ended:
        say(f"the {options.minutes:g} minutes were up before everything was done")
    print(json.dumps({**found.figures, "ended": ended, "broken": found.broken}, ensure_ascii=False))
    if not ended:
        return EXIT_TIME
    return EXIT_BROKEN if found.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=400, help="documents to announce, repeated ones included")
    parser.add_argument("--kills", type=int, default=4, help="processes to kill")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other documents, order, kills")
    parser.add_argument("--partitions", type=int, default=3, help="of each of the two topics that are read")
    parser.add_argument("--batch-size", type=int, default=250, help="workers.batch_size")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds an answer of the model takes")
    parser.add_argument("--minutes", type=float, default=60, help="give up after this time, with an honest report")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work there, and leave logs, store and instance")
    return parser


if __name__ == "__main__":
    sys.exit(main())
