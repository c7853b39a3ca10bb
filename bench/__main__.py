"""The benchmark against the peer: ``python -m bench [--only cpu,rss]`` measures, prints and keeps the figures."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import about, peer, table
from bench.context import Context, born_digital
from mineru_pipeline.settings import project_root

#: In the order in which they run; each is a module with a function ``run``.
PARTS = ("conformance", "cpu", "throughput", "workers8", "rss")
DEFAULT_PEER = Path("~/.cache/mineru-pipeline-bench/peer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts asked for, and write what is known after each."""
    options = _options(arguments)
    # Otherwise the parsers and servers that were started would outlive a polite end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = _console(stderr=True)
    python = peer.prepare(options.peer.expanduser().absolute())
    results = _read(options.out) | {"about": about.describe(options.pdfs, options.repetitions, options.scale, python)}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        context = Context(
            files=born_digital(options.pdfs),
            peer=python,
            folder=Path(folder),
            repetitions=options.repetitions,
            scale=options.scale,
            say=lambda words: console.print(f"[dim]{time.strftime('%H:%M:%S')}[/]   {words}", highlight=False),
        )
        for part in options.only:
            console.print(f"[bold]{part}[/]: {(import_module(f'bench.{part}').__doc__ or '').partition(': ')[2]}")
            started = time.monotonic()
            found = import_module(f"bench.{part}").run(context)
            results = merged(results, part, found, time.monotonic() - started)
            options.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    _console().print(table.of(results))
    return 0


def merged(results: Mapping[str, Any], part: str, found: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return ``results`` with what a part found: figures at the top, the peer's in ``peer``, raw ones in ``parts``."""
    raw = {"seconds": round(seconds, 1), "measured": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "raw": found["raw"]}
    figures = {name: value for name, value in found.items() if name not in {"raw", "peer"}}
    return {
        **results,
        **figures,
        "peer": {**results.get("peer", {}), **found.get("peer", {})},
        "parts": {**results.get("parts", {}), part: raw},
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--only", type=_parts, default=PARTS, metavar="PARTS", help=f"some of {','.join(PARTS)}")
    parser.add_argument(
        "--pdfs", type=Path, default=project_root() / "samples", help="folder of PDFs (default: samples)"
    )
    parser.add_argument(
        "--peer", type=Path, default=DEFAULT_PEER, help=f"the peer's environment (default: {DEFAULT_PEER})"
    )
    parser.add_argument("--out", type=Path, default=project_root() / "bench" / "results.json")
    parser.add_argument("--repetitions", type=int, default=5, help="passes of the part cpu (default: 5)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="less than 1 for a quick trial; its figures mean little"
    )
    return parser.parse_args(arguments)


def _console(*, stderr: bool = False) -> Console:
    """Where there is no terminal to measure, lines are as wide as they need to be."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=160)


def _parts(text: str) -> tuple[str, ...]:
    asked = text.split(",")
    if unknown := set(asked) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in asked)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
