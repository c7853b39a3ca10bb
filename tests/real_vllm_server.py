"""Starts a real vLLM server with the command that ``MINERU_PIPELINE_TEST_VLLM`` names."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

COMMAND = os.environ.get("MINERU_PIPELINE_TEST_VLLM", "")
KEY = "a-key-for-this-test"
START_SECONDS = 400


@dataclass(frozen=True)
class RealServer:
    """A running server: where it is, what it serves, and its processes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.get(self.url + path, headers=headers, trust_env=False, timeout=10)

    def answers(self) -> bool:
        try:
            return self.get("/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def model(self, key: str | None = None) -> str:
        return str(self.get("/v1/models", key).json()["data"][0]["id"])

    def context(self, key: str | None = None) -> int:
        return int(self.get("/v1/models", key).json()["data"][0]["max_model_len"])

    def engine_core(self) -> psutil.Process:
        """The process of the engine, which holds the model; the HTTP side is its parent."""
        (engine,) = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "EngineCore" in child.name() or "EngineCore" in " ".join(child.cmdline())
        ]
        return engine


Start = Callable[..., RealServer]


@contextmanager
def servers(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*flags: str, wait: bool = True) -> RealServer:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = folder / f"vllm-{len(started)}.log"
        with log.open("wb") as output:
            # A session of its own, so that no process of the server outlives the test.
            process = subprocess.Popen(
                [*shlex.split(COMMAND), str(port), *flags], stdout=output, stderr=output, start_new_session=True
            )
        started.append(process)
        server = RealServer(f"http://127.0.0.1:{port}", process, log)
        deadline = time.monotonic() + START_SECONDS
        while wait and not server.answers():
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, "the server did not become ready"
            time.sleep(0.5)
        return server

    try:
        yield start
    finally:
        for process in started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait(timeout=30)
