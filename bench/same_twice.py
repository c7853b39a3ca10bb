"""Shows that the same input gives the same scores and the same report: ``python -m bench.same_twice [--sample N]``.

The corpus, or the first N documents of each stratum, is parsed twice by the development server, the second time
without anything of the first: another measurement asks the model for everything again. The scores of every document,
their summary and the JSON report must then be equal, byte by byte. Exit code: 0 they are; 1 they are not, and the
files that differ are named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("mineru-pipeline")


def run(store: Path, environ: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """Run a subcommand of ``mineru-pipeline baseline`` and return what it answers."""
    command = [str(COMMAND), "baseline", *arguments, "--json", "--out", str(store)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, env=dict(environ))
    if done.returncode not in {0, 1}:
        sys.exit(done.returncode)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def files_of(store: Path, measured: Mapping[str, Any]) -> dict[str, bytes]:
    """The scores and reports of a measurement, by their places in its folder; its dates are in none of them."""
    folder = store / measured["folder"]
    kept = (path for path in sorted(folder.rglob("*.json")) if path.parent != folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


def compare(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> list[str]:
    """The files that are not the same in both."""
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.same_twice", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--sample", type=int, default=1, help="documents of each stratum; 0 takes all (default: 1)")
    options = parser.parse_args(arguments)
    sample = ["--sample", str(options.sample)] if options.sample else []
    with tempfile.TemporaryDirectory() as temporary:
        environ = {"PATH": "/usr/bin:/bin", "HOME": temporary, "MINERU_PIPELINE__DATA_DIR": temporary}
        store, found = Path(temporary) / "store", []
        for _ in range(2):
            measured = run(store, environ, "measure", *sample)
            run(store, environ, "report", "--measurement", measured["name"])
            found.append(files_of(store, measured))
    differing = compare(*found)
    print(json.dumps({"files": len(found[0]), "bytes": sum(map(len, found[0].values())), "differing": differing}))
    return 1 if differing or not found[0] else 0


if __name__ == "__main__":
    sys.exit(main())
