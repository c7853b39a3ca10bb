"""Measures the start of a worker: from the start of its process to the first page that it asks the model for.

The worker is ``mineru-pipeline run`` with a document of one page and a fresh Dagster home, the model a simulated server
that answers at once. Its interpreter is this environment's; name another, such as that of an image's file tree, with
``--python``.

For example: ``python -m bench.worker_start --repeat 5 --json start.json``
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

_WAIT_SECONDS = 120.0
_LOOK_SECONDS = 0.01
_DOCUMENT = Path(__file__).resolve().parent.parent / "samples" / "03-formulas.pdf"


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds."""

    #: Until the first request about a page of the document was answered; the proof of the model comes before it.
    first_request: float
    #: Until the process had ended, with everything written.
    ended: float
    #: Processor time of the process and its children.
    processor: float


def requests_so_far(url: str) -> int:
    """Chat completions that the server has answered."""
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("vllm:request_success_total{")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


def measure(python: str, url: str, model: str, folder: Path) -> Start:
    """Start one worker and wait for its end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MINERU_PIPELINE", "PYTHON"))}
    environ |= {
        "MINERU_PIPELINE__DATA_DIR": str(folder),
        "MINERU_PIPELINE__VLLM_SERVER__BASE_URL": url,
        "MINERU_PIPELINE__VLLM_SERVER__MODEL": model,
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    before, spent = requests_so_far(url), resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [python, "-m", "mineru_pipeline.cli", "run", str(_DOCUMENT), "--json"]
    process = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # The proof that the model answers as MinerU's does is the first answer; the page's layout is the second.
    while requests_so_far(url) < before + 2:
        if process.poll() is not None or time.monotonic() > started + _WAIT_SECONDS:
            process.kill()
            raise SystemExit("the worker asked for no page")
        time.sleep(_LOOK_SECONDS)
    first = time.monotonic() - started
    if process.wait(_WAIT_SECONDS) != 0:
        raise SystemExit("the worker failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
    return Start(round(first, 2), round(time.monotonic() - started, 2), round(processor, 2))


def main() -> None:
    """Measure as the arguments say, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the worker")
    parser.add_argument("--repeat", type=int, default=5, help="starts to measure")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ready = folder / "url"
        command = [sys.executable, "-m", "mineru_pipeline.devserver", "--simulate", "--port", "0"]
        server = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.DEVNULL)
        try:
            while not ready.exists():
                time.sleep(_LOOK_SECONDS)
            url = ready.read_text().strip()
            starts = []
            for number in range(given.repeat):
                (folder / str(number)).mkdir()
                starts.append(measure(given.python, url, "mineru-pipeline/simulated-1", folder / str(number)))
                print(starts[-1])
        finally:
            server.terminate()
            server.wait()
    median = Start(
        *(statistics.median(getattr(s, key) for s in starts) for key in ("first_request", "ended", "processor"))
    )
    print("median", median)
    if given.json:
        given.json.write_text(json.dumps([asdict(start) for start in starts], indent=1))


if __name__ == "__main__":
    main()
