"""Starts the dev server for a benchmark, with real OCR or simulated, and reads what it counted."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from mineru_pipeline.devserver.process import ServerOptions

_START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Simulated:
    """What ``GET /simulation`` tells; counts and integrals since the server started."""

    seconds: float
    slots: int
    running: int
    waiting: int
    running_seconds: float
    waiting_seconds: float
    slot_seconds: float
    started: int
    finished: int
    shed: int
    aborted: int
    cpu_seconds: float
    #: Requests that got a slot, by the name that a client has in its address.
    started_by_client: dict[str, int]
    #: Those that were answered.
    finished_by_client: dict[str, int]


@dataclass(frozen=True, slots=True)
class Server:
    """A running dev server."""

    base_url: str
    model: str

    def url_of(self, client: str) -> str:
        """The address at which the simulated server counts the requests of ``client`` on their own."""
        return f"{self.base_url}/as/{client}"

    def simulation(self) -> Simulated:
        """Return what it counted until now."""
        found = _get(f"{self.base_url}/simulation")
        whole = {name: found[name] for name in Simulated.__slots__ if not name.endswith("_by_client")}
        started, finished = (
            {client: int(counts[event]) for client, counts in found["by_client"].items()}
            for event in ("started", "finished")
        )
        return Simulated(**whole, started_by_client=started, finished_by_client=finished)


@contextmanager
def dev_server(options: ServerOptions) -> Iterator[Server]:
    """Start a dev server on a free port, and stop it in the end."""
    with tempfile.TemporaryDirectory(prefix="bench-server-") as folder:
        ready, log = Path(folder, "url"), Path(folder, "log")
        command = [sys.executable, "-m", "mineru_pipeline.devserver", *options.arguments()]
        command += ["--ready-file", str(ready), "--exit-with-parent", str(os.getpid())]
        with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
            try:
                yield _wait_until_ready(process, ready, log)
            finally:
                process.terminate()


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> Server:
    deadline = time.monotonic() + _START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The dev server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
    url = ready.read_text().strip()
    return Server(url, str(_get(f"{url}/v1/models")["data"][0]["id"]))


def _get(url: str) -> dict[str, Any]:
    with httpx.Client(trust_env=False, timeout=30) as client:
        found = client.get(url).raise_for_status().json()
    assert isinstance(found, dict)
    return found
