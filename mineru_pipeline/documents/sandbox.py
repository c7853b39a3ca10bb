"""The parent's side of the sandbox: children in which hostile bytes are opened, with limits on time and memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mineru_pipeline.documents import wire
from mineru_pipeline.errors import (
    RejectedDocumentError,
    RenderCrashedError,
    RenderFailedError,
    RenderTimeoutError,
    RenderUnavailableError,
)

_START_SECONDS = 120.0
_STATUS_SECONDS = 5.0
_LINE_BYTES = 65536
_MIB = 1 << 20
# Copying less than this is over sooner than handing it to a thread.
_INLINE_BYTES = 4 * _MIB


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How children are made.

    ``memory_mib`` is what one child may map beyond what it inherits (about 180 MiB of address space);
    ``max_reply_mib`` bounds what the parent takes from a child in one reply. ``preload`` names the
    modules that the zygote imports; ``search_path`` adds folders to import from. ``environment`` is
    all that the zygote sees of the environment: it needs nothing, and so no secret reaches a child.
    """

    preload: tuple[str, ...] = ()
    memory_mib: int = 1024
    max_reply_mib: int = 512
    search_path: tuple[Path, ...] = ()
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service returned."""

    values: dict[str, Any]
    blobs: tuple[bytes, ...]


class Sandbox:
    """Makes children; an async context manager, bound to the event loop it is started on.

    The zygote starts with the first child, or with :meth:`start`, and is replaced should it die.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._birth = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The zygote's process id; its children are its child processes."""
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the zygote and wait until it is ready; raises :class:`RenderUnavailableError` when it cannot start."""
        async with self._starting:
            if self._process is not None and self._process.poll() is None:
                return
            await self.close()
            self._control, self._process = _launch(self.config)
            try:
                await self._wait_until_ready(self._control)
            except BaseException:
                await self.close()
                raise

    async def _wait_until_ready(self, control: socket.socket) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                raw = await asyncio.get_running_loop().sock_recv(control, _LINE_BYTES)
        except (TimeoutError, OSError) as error:
            raise RenderUnavailableError(f"The render helper did not start within {_START_SECONDS:.0f} s.") from error
        message = json.loads(raw or b'{"error": "it ended at once; its own message is on standard error"}')
        if "error" in message:
            raise RenderUnavailableError(f"The render helper cannot start: {message['error']}.")

    async def close(self) -> None:
        """End the zygote and with it every child."""
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            control.close()
        if process is not None:
            await asyncio.shield(asyncio.to_thread(_end, process))

    async def spawn(self, service: str) -> SandboxChild:
        """Fork a child that runs the service ``module:Class``; raises :class:`RenderUnavailableError`."""
        try:
            return await self._spawn(service)
        except RenderUnavailableError:
            # The zygote may have been killed this moment; starting over replaces it.
            return await self._spawn(service)

    async def _spawn(self, service: str) -> SandboxChild:
        # One birth at a time, as the zygote forks anyway: else a crowd could overfill its socket.
        async with self._birth:
            await self.start()
            data, their_data = _pair()
            status, their_status = _pair()
            shared = _shared_file(self.config.max_reply_mib * _MIB)
            child = SandboxChild(data, shared, status, self.config)
            request = json.dumps({"service": service, "memory_bytes": self.config.memory_mib * _MIB}).encode()
            try:
                with their_data, their_status:
                    assert self._control is not None
                    descriptors = [their_data.fileno(), shared, their_status.fileno()]
                    socket.send_fds(self._control, [request], descriptors)
                await child.wait_until_born()
            except OSError as error:
                child.close()
                raise RenderUnavailableError(f"The render helper took no request: {error}.") from error
            except BaseException:
                child.close()
                raise
        return child


class SandboxChild:
    """One child: requests one after the other; closing it kills it."""

    def __init__(self, data: socket.socket, shared: int, status: socket.socket, config: SandboxConfig) -> None:
        self._data = data
        self._shared = shared
        self._status = status
        self._config = config
        self._unread_status = b""
        self._turn = asyncio.Lock()
        self.pid = 0

    @property
    def alive(self) -> bool:
        """Whether requests can still be sent; False once the child was closed or has died."""
        return self._data.fileno() >= 0

    def close(self) -> None:
        """Kill the child: the zygote does so when the status socket closes, so no pid can be mistaken."""
        if self.alive:
            os.close(self._shared)
        self._data.close()
        self._status.close()

    async def wait_until_born(self) -> None:
        """Wait for the child's process id; raises :class:`RenderUnavailableError` when the system cannot fork."""
        message = await self._next_status(_START_SECONDS)
        if "pid" not in message:
            raise RenderUnavailableError(
                f"No render child could be started: {message.get('error', 'the helper is gone')}."
            )
        self.pid = int(message["pid"])

    async def request(
        self,
        operation: str,
        values: Mapping[str, Any] | None = None,
        blobs: Sequence[bytes] = (),
        *,
        seconds: float,
    ) -> Reply:
        """Let the service do one thing within ``seconds`` of wall clock.

        Raises :class:`RenderTimeoutError` and :class:`RenderCrashedError` (the child is dead),
        :class:`RenderFailedError` and :class:`RejectedDocumentError` (the child is well). A cancelled
        request kills the child, for nobody could tell which answer its next one is.
        """
        async with self._turn:
            if not self.alive:
                raise RenderCrashedError("The render child is gone already.")
            started = time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    await self._send({"operation": operation, "values": values or {}, "seconds": seconds}, blobs)
                    body, answer = await self._receive()
            except TimeoutError as error:
                raise self._late(operation, seconds) from error
            except (OSError, EOFError) as error:
                raise RenderCrashedError(await self._epitaph(operation)) from error
            except wire.WireError as error:
                self.close()
                raise RenderCrashedError(f"{operation}: the child answered nonsense and was killed. {error}") from error
            except BaseException:
                self.close()
                raise
            # A timer only fires where somebody waits: a reply that lay ready counts as late all the same.
            if time.monotonic() - started > seconds:
                raise self._late(operation, seconds)
        return self._result(operation, body, answer)

    def _late(self, operation: str, seconds: float) -> RenderTimeoutError:
        self.close()
        return RenderTimeoutError(f"{operation} took longer than {seconds:g} s; the child was killed.")

    async def _send(self, body: Mapping[str, Any], blobs: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._data, wire.pack_header(body, [len(blob) for blob in blobs]))
        for blob in blobs:
            await loop.sock_sendall(self._data, blob)

    async def _receive(self) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        length = wire.header_length(await self._read(wire.LENGTH.size))
        body, sizes = wire.parse_header(await self._read(length), self._config.max_reply_mib * _MIB)
        if sum(sizes) < _INLINE_BYTES:
            return body, _blobs(self._shared, sizes)
        return body, await asyncio.to_thread(_blobs, self._shared, sizes)

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            count = await loop.sock_recv_into(self._data, view)
            if count == 0:
                raise EOFError
            view = view[count:]
        return bytes(buffer)

    def _result(self, operation: str, body: dict[str, Any], blobs: tuple[bytes, ...]) -> Reply:
        if "memory" in body:
            self.close()
            raise RenderCrashedError(f"{operation} needs more than the memory limit of {self._config.memory_mib} MiB.")
        if "rejected" in body:
            raise RejectedDocumentError(str(body.get("reason")), str(body["rejected"]))
        if "failed" in body:
            raise RenderFailedError(str(body["failed"]))
        done = body.get("done")
        if not isinstance(done, dict):
            self.close()
            raise RenderCrashedError(f"{operation}: the child answered nonsense and was killed.")
        return Reply(done, blobs)

    async def _epitaph(self, operation: str) -> str:
        try:
            death = await self._next_status(_STATUS_SECONDS)
        finally:
            self.close()
        return f"{operation}: {_cause_of_death(death, self._config.memory_mib)}"

    async def _next_status(self, seconds: float) -> dict[str, Any]:
        """Return the zygote's next line about this child; empty when the zygote is gone or silent."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(seconds):
                while b"\n" not in self._unread_status:
                    received = await loop.sock_recv(self._status, _LINE_BYTES)
                    if not received:
                        return {}
                    self._unread_status += received
        line, _, self._unread_status = self._unread_status.partition(b"\n")
        message: dict[str, Any] = json.loads(line or b"{}")
        return message


def _cause_of_death(death: Mapping[str, Any], memory_mib: int) -> str:
    if "status" not in death:
        return "the render helper was ended from outside."
    status = int(death["status"])
    peak = int(death["peak_kib"]) // 1024
    if not os.WIFSIGNALED(status):
        return f"the child ended by itself with exit code {os.waitstatus_to_exitcode(status)}."
    name = signal.Signals(os.WTERMSIG(status)).name
    if name == "SIGKILL":
        return f"the child was killed from outside at {peak} MiB, most likely because the machine ran out of memory."
    if name == "SIGXCPU":
        return "the child used up its processor time."
    return f"the child crashed ({name}) at {peak} MiB; its memory limit is {memory_mib} MiB."


def _shared_file(size: int) -> int:
    """Return a descriptor of ``size`` bytes of memory, of which only what is written is ever occupied."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("mineru-pipeline-render")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, size)
    return descriptor


def _blobs(shared: int, sizes: Sequence[int]) -> tuple[bytes, ...]:
    """Copy the blobs of a reply; raises :class:`WireError` should the child have cut the file short."""
    offsets = itertools.accumulate(sizes, initial=0)
    blobs = tuple(os.pread(shared, size, offset) for size, offset in zip(sizes, offsets, strict=False))
    if [len(blob) for blob in blobs] != list(sizes):
        raise wire.WireError("The shared memory is shorter than announced.")
    return blobs


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    return ours, theirs


def _launch(config: SandboxConfig) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = _pair()
    path = [str(folder) for folder in config.search_path] + [str(Path(entry).resolve()) for entry in sys.path]
    environment = {
        # Threads would make forking unsafe, and their buffers count against the memory limit.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # Libraries that iterate over sets must make the same bytes every time.
        "PYTHONHASHSEED": "0",
        # Pixels lie in fresh memory, which the system hands out faster in huge pages; other C libraries ignore it.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "PYTHONPATH": os.pathsep.join(path),
        **(config.environment or {}),
    }
    command = [sys.executable, "-P", "-m", "mineru_pipeline.documents.zygote", str(theirs.fileno()), *config.preload]
    with theirs:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours, process


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for the zygote, which ends when its control socket closes; kill it if it does not."""
    try:
        process.wait(_STATUS_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
