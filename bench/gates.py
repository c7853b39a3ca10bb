"""Error rates and power of the quality gates: ``python -m bench.gates`` simulates, prints and keeps the figures.

What it writes is in ``bench/gates.json``, and docs/quality.md quotes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import gate_report, gate_trials
from bench.gate_scenarios import SCENARIOS, pages
from mineru_pipeline.quality.gates.drift import Detector
from mineru_pipeline.quality.gates.policy import PAGES, POLICIES
from mineru_pipeline.settings import project_root

SIZES = (30, 72, 90, 150)
#: How much worse the candidate is, in per cent.
WORSE = (0, 2, 4, 5, 7, 10)
DELAYS: dict[str, gate_trials.Live] = {
    "agreement 0.5 deviations lower": gate_trials.live(0.5),
    "agreement 1 deviation lower": gate_trials.live(1.0),
    "agreement 2 deviations lower": gate_trials.live(2.0),
    "truncation in 10 % of documents instead of 2 %": gate_trials.truncating(0.10),
    "truncation in 30 % of documents instead of 2 %": gate_trials.truncating(0.30),
}

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate every part, print its table, write all figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.gates", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--seeds", type=int, default=4_000, help="simulated comparisons for each figure")
    parser.add_argument("--runs", type=int, default=200, help="simulated streams for each figure of drift")
    parser.add_argument("--only", action="append", choices=("corpus", "sequential", "overall", "drift"))
    parser.add_argument("--markdown", action="store_true", help="print the tables of docs/quality.md from --out")
    parser.add_argument("--out", type=Path, default=project_root() / "bench" / "gates.json")
    options = parser.parse_args(arguments)
    if options.markdown:
        print("\n\n".join(gate_report.tables(json.loads(options.out.read_text()))))
        return 0
    console = Console(width=160)
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "corpus": lambda: corpus(options.seeds),
        "sequential": lambda: sequential(options.seeds),
        "overall": lambda: overall(max(1, options.seeds // 8)),
        "drift": lambda: drift(options.runs),
    }
    results = json.loads(options.out.read_text()) if options.only and options.out.exists() else {}
    for name in options.only or parts:
        rows = list(parts[name]())
        console.print(_table(name, rows))
        results |= {name: rows, "seeds": options.seeds, "runs": options.runs}
    options.out.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    return 0


def corpus(seeds: int) -> Iterator[Row]:
    """One look at a corpus, one family."""
    for documents in SIZES:
        for worse in WORSE:
            for name, draw in SCENARIOS.items():
                found = gate_trials.on_corpus(draw, 1 - worse / 100, documents=documents, seeds=seeds)
                yield _row(found, documents=documents, scores=name, worse=worse)
            found = gate_trials.on_corpus(pages, worse / 100, documents=documents, seeds=seeds // 4, policy=PAGES)
            yield _row(found, documents=documents, scores="pages", worse=worse)


def sequential(seeds: int) -> Iterator[Row]:
    """Looking after every document, one family."""
    for worse in WORSE:
        for name, draw in SCENARIOS.items():
            yield _row(gate_trials.on_stream(draw, 1 - worse / 100, seeds=seeds), scores=name, worse=worse)
        yield _row(gate_trials.on_stream(pages, worse / 100, seeds=seeds, policy=PAGES), scores="pages", worse=worse)


def overall(seeds: int) -> Iterator[Row]:
    """One look at the corpus, all families together: all of them worse, or the text alone."""
    for worse in WORSE:
        for name, draw in SCENARIOS.items():
            for which, families in (("all families", tuple(POLICIES)), ("text", ("text",))):
                if worse or which == "text":
                    losses = dict.fromkeys(families, worse / 100)
                    found = gate_trials.overall(draw, losses, documents=gate_report.CORPUS, seeds=seeds)
                    yield _row(found, scores=name, worse=worse, which=which if worse else "none")


def drift(runs: int) -> Iterator[Row]:
    """Documents to a false and to a right warning."""
    for every, horizon in ((500, 5_000), (10_000, 10_000)):
        detector = Detector(every=every)
        first = gate_trials.documents_to_warning(
            detector, gate_trials.live(0.0), runs=runs, horizon=horizon, changed=False
        )
        yield _drift_row("nothing", every, first, horizon)
    for name, draw in DELAYS.items():
        detector = Detector()
        first = gate_trials.documents_to_warning(detector, draw, runs=runs, horizon=3_000, changed=True)
        yield _drift_row(name, detector.every, first, 3_000)


def _drift_row(change: str, every: int, first: Any, horizon: int) -> Row:
    return {
        "change": change,
        "every": every,
        "horizon": horizon,
        "warned": round(float((first <= horizon).mean()), 4),
        "median": float(np.median(first)),
        "90th percentile": round(float(np.quantile(first, 0.9)), 1),
        # Of runs without a warning only the horizon counts, so the true mean is no smaller.
        "mean, at least": round(float(np.minimum(first, horizon).mean()), 1),
    }


def _row(found: gate_trials.Shares, **about: object) -> Row:
    figures = {name: value for name, value in asdict(found).items() if value is not None}
    return {**about, **{name: round(value, 4) for name, value in figures.items()}}


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(title=title, box=None, header_style="bold")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(name, justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        table.add_row(*(f"{row[name]}" if name in row else "" for name in names))
    return table


if __name__ == "__main__":
    sys.exit(main())
