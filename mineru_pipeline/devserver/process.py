"""Starts the dev server as a subprocess, waits until it answers, and stops it; never leaves an orphan."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from mineru_pipeline.errors import ModelServerError

_POLL_SECONDS = 0.05
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to start the server: its options on the command line, of the same names; ``None`` leaves one out."""

    host: str = "127.0.0.1"
    port: int = 0
    simulate: bool = False
    simulate_latency: float | None = None
    slots: int | None = None
    prefill_rate: float | None = None
    decode_rate: float | None = None
    kv_cache_tokens: int | None = None
    seed: int | None = None
    faults: Path | None = None
    api_key: str | None = field(default=None, repr=False)
    max_num_queued_reqs: int | None = None
    workers: int | None = None

    def arguments(self) -> list[str]:
        """Command-line arguments; the key is left out, since anyone may read a process's arguments."""
        given = {name: getattr(self, name) for name in self.__slots__ if name not in {"simulate", "api_key"}}
        options = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given.items() if value is not None]
        return [part for pair in options for part in pair] + (["--simulate"] if self.simulate else [])


class ManagedServer:
    """An async context manager around one server process.

    Entering starts it and waits for ``/health``; leaving stops it by SIGTERM, then SIGKILL. The server also
    watches this process and ends when it is gone. Raises :class:`ModelServerError`, with the end of the log,
    when the server dies or is not ready within ``startup_timeout`` seconds.
    """

    def __init__(
        self,
        log_path: Path,
        options: ServerOptions | None = None,
        *,
        startup_timeout: float = 60.0,
        stop_timeout: float = 5.0,
    ) -> None:
        self._log_path = log_path
        self._options = options or ServerOptions()
        self._startup_timeout = startup_timeout
        self._stop_timeout = stop_timeout
        self._process: asyncio.subprocess.Process | None = None
        self._url = ""
        self._log_start = 0

    @property
    def base_url(self) -> str:
        """``http://host:port`` of the running server, without ``/v1``."""
        return self._url

    @property
    def pid(self) -> int:
        """Process id of the server, 0 when none runs."""
        return self._process.pid if self._process else 0

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        with tempfile.TemporaryDirectory(prefix="devserver-") as folder:
            ready_file = Path(folder) / "url"
            await self._spawn(ready_file)
            deadline = time.monotonic() + self._startup_timeout
            while not (ready_file.exists() and await _healthy(self._read_url(ready_file))):
                self._check_alive()
                if time.monotonic() > deadline:
                    raise ModelServerError(
                        f"The dev server was not ready in {self._startup_timeout:g} s.{self._tail()}"
                    )
                await asyncio.sleep(_POLL_SECONDS)

    async def _spawn(self, ready_file: Path) -> None:
        command = [sys.executable, "-m", "mineru_pipeline.devserver", *self._options.arguments()]
        command += ["--ready-file", str(ready_file), "--exit-with-parent", str(os.getpid())]
        if self._options.api_key:
            # In a file only we can read: arguments and environment of a process are easier to come by.
            key_file = ready_file.with_name("key")
            key_file.touch(mode=0o600)
            key_file.write_text(self._options.api_key)
            command += ["--api-key-file", str(key_file)]
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for the pipeline, which then stops the server in its own order.
                start_new_session=True,
            )

    def _read_url(self, ready_file: Path) -> str:
        self._url = ready_file.read_text().strip()
        return self._url

    def _check_alive(self) -> None:
        if self._process is not None and self._process.returncode is not None:
            raise ModelServerError(f"The dev server ended with code {self._process.returncode}.{self._tail()}")

    def _tail(self) -> str:
        own = self._log_path.read_bytes()[self._log_start :]
        lines = own.decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return f" Last lines of {self._log_path}:\n" + "\n".join(lines) if lines else ""

    async def _stop(self) -> None:
        process = self._process
        self._process = None
        self._url = ""
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), self._stop_timeout)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _healthy(url: str) -> bool:
    """Whether ``GET /health`` is answered with 200."""
    import httpx  # kept out of the import of the package: clients that manage no server need none of it

    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        try:
            return (await client.get(f"{url}/health")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
