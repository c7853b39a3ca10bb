"""Starts a real vLLM server with the command that ``MINERU_PIPELINE_TEST_VLLM`` names."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import psutil

from bench.ports import free_port

COMMAND = os.environ.get("MINERU_PIPELINE_TEST_VLLM", "")
KEY = "a-key-for-this-test"
START_SECONDS = 400
#: What the command says about ``--max-num-seqs``.
SLOTS = 4
#: Requests that the shared server takes on, running and waiting: more than our limiter ever sends to so few slots.
QUEUE = 24
#: So that a request can be found in the log.
_FLAGS = ("--enable-request-id-headers", "--enable-log-requests")


@dataclass(frozen=True)
class RealServer:
    """A running server: where it is, what it serves, and its processes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.get(self.url + path, headers=headers, trust_env=False, timeout=10)

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.post(self.url + path, json=body, headers=headers, trust_env=False, timeout=10)

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

    def kill(self) -> None:
        """End all its processes at once."""
        _kill(self.process)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the engine stand still: what is asked meanwhile is taken on or refused, but never answered."""
        engine = self.engine_core()
        engine.suspend()
        try:
            yield
        finally:
            # It may have been killed meanwhile.
            with suppress(psutil.NoSuchProcess):
                engine.resume()

    def has_seen(self, request_id: str) -> bool:
        """Whether the request has reached the server, as its log says."""
        return request_id in self.log.read_text(errors="replace")


class RawConnection:
    """One connection that hides nothing: no retry, no second connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Return the response, with its body read."""
        self._connection.request(method, path, body, headers or {})
        response = self._connection.getresponse()
        response.read()
        return response

    def wait_for_end(self) -> None:
        """Return when the server has closed the connection; it must not have said so before."""
        assert self._connection.sock is not None, "the response announced that the connection ends"
        try:
            assert self._connection.sock.recv(1) == b""
        except ConnectionResetError:
            return


Start = Callable[..., RealServer]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


@contextmanager
def servers(folder: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*flags: str, wait: bool = True, url: str | None = None) -> RealServer:
        port = free_port() if url is None else urlsplit(url).port
        log = folder / f"vllm-{len(started)}.log"
        with log.open("wb") as output:
            # A session of its own, so that no process of the server outlives the test.
            process = subprocess.Popen(
                [*shlex.split(COMMAND), str(port), *_FLAGS, *flags],
                stdout=output,
                stderr=output,
                start_new_session=True,
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
            _kill(process)
