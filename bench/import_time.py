"""How long a worker takes to import the engine and build its client: ``python bench/import_time.py [RUNS]``.

Each run is an interpreter of its own; the figure excludes the interpreter's own start.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

CODE = """
import time; started = time.perf_counter()
import mineru_pipeline.parsing.engine
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.transport import MinerUTransport, build_mineru_client
build_mineru_client(MinerUTransport(VLLMClient(ClientConfig(("http://127.0.0.1:9",), "model"))))
print(time.perf_counter() - started)
"""


def main() -> None:
    """Print minimum, median and maximum in seconds."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    seconds = [
        float(subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout)
        for _ in range(runs)
    ]
    print(f"min {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s, max {max(seconds):.2f} s, {runs} runs")


if __name__ == "__main__":
    main()
