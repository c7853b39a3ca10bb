"""What ticks of the intake's sensors cost, and what they do when something is odd or away.

::

    python bench/intake_ticks.py

The S3 server and the broker are real, the sensors are evaluated as Dagster's daemon does, and no run is started. Parts:
``waiting`` (a tick over 10,000 waiting messages), ``same_second`` (objects of the same second, some overwritten),
``store_down`` and ``broker_down`` (killed and started again), ``keys`` (spaces, percent signs, ``..``, 900 characters).
Prints one JSON object. Exit code: 1 if something was lost, taken twice, or not as it should be.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.ticks import keys, outages, same_second, waiting
from bench.ticks.station import station

_MOST_SECONDS = 10


def measure(folder: Path, messages: int, objects: int, partitions: int) -> dict[str, Any]:
    """Every part, on servers of its own."""
    parts = {
        "waiting": lambda place: waiting.measure(place, messages, partitions),
        "same_second": lambda place: same_second.measure(place, objects),
        "store_down": lambda place: outages.store(place, 50),
        "broker_down": lambda place: outages.broker(place, 50),
        "keys": keys.measure,
    }
    found = {}
    for name, part in parts.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        with station(folder / name, partitions) as place:
            found[name] = part(place)
    return found


def broken(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is not as it should be."""
    bad = [f"{part}: {name}" for part, figures in found.items() for name in ("lost", "twice") if figures.get(name)]
    wanted = {
        "waiting": ("within_bounds", "same_batches_again"),
        "store_down": ("fails_with_a_message", "resumed"),
        "broker_down": ("fails_with_a_message", "resumed"),
    }
    bad += [f"{part}: not {name}" for part, names in wanted.items() for name in names if not found[part][name]]
    bad += [f"keys: {name}" for name in ("wrong", "outside_of_prefix") if found["keys"][name]]
    return bad + ["waiting: too slow"] * (found["waiting"]["seconds"] > _MOST_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000, help="messages that wait")
    parser.add_argument("--objects", type=int, default=1000, help="objects of the same second")
    parser.add_argument("--partitions", type=int, default=3, help="of each of the two topics that are read")
    given = parser.parse_args(arguments)
    # Otherwise the servers that were started would outlive a polite end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="ticks-") as folder:
        found = measure(Path(folder), given.messages, given.objects, given.partitions)
    bad = broken(found)
    print(json.dumps({**found, "broken": bad}, ensure_ascii=False))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
