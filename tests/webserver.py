"""The processes that ``mineru-pipeline dev`` starts: webserver, daemon and code server, asked over GraphQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx


class Webserver:
    """The Dagster webserver and daemon that ``mineru-pipeline dev`` starts, asked over GraphQL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=body, timeout=60, trust_env=False).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def wait_for(self, condition: Callable[[], bool], seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.3)

    def is_up(self) -> bool:
        try:
            return "version" in self.ask("{version}")
        except httpx.TransportError:
            return False

    def runs(self) -> list[dict[str, Any]]:
        data = self.ask("{runsOrError{... on Runs{results{runId status}}}}")
        found: list[dict[str, Any]] = data["runsOrError"]["results"]
        return found


@contextmanager
def serving(tmp_path: Path, environ: dict[str, str]) -> Iterator[Webserver]:
    """``mineru-pipeline dev``, in a process group of its own so that all of it can be ended."""
    with (tmp_path / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mineru_pipeline.cli", "dev"],
            env=environ, stdout=log, stderr=log, start_new_session=True, cwd="/",
        )  # fmt: skip
    server = Webserver(f"http://127.0.0.1:{environ['MINERU_PIPELINE__DAGSTER__WEBSERVER_PORT']}")
    try:
        server.wait_for(server.is_up)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with suppress(ProcessLookupError):
            # Runs survive a code server that was killed.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
