"""Starts a warm parser, ours or the peer's, lets it parse files, and measures the CPU of its whole process tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil

from bench import peer
from bench.servers import Server
from mineru_pipeline.settings import ENV_PREFIX

_TAIL_BYTES = 3000
_GOODBYE_SECONDS = 5.0


class DriverError(RuntimeError):
    """A parser died, or said something that is no answer."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over some files: times in seconds; ``documents`` in the order of the files."""

    seconds: float
    cpu_seconds: float
    pages: int
    documents: tuple[Mapping[str, str], ...]

    @property
    def cpu_per_page(self) -> float:
        """CPU seconds a page, of all processes."""
        return self.cpu_seconds / max(self.pages, 1)

    @property
    def failed(self) -> list[str]:
        """What the documents that brought no result say."""
        return [document["message"] for document in self.documents if not document["content_list"]]

    def whole(self) -> Pass:
        """Return this pass; raises :class:`DriverError` if any document is not fully parsed, so that figures lie."""
        broken = [f"{document['state']}: {document['message']}" for document in self.documents]
        broken = [words for words in broken if not words.startswith("parsed")]
        if broken:
            raise DriverError(f"{len(broken)} of {len(self.documents)} documents, the first {broken[0]}")
        return self


class Driver:
    """A parser in processes of its own; a context manager that ends them all.

    Args:
        name: ``ours`` or ``peer``, for messages.
        command: what to start; it speaks the protocol of ``our_driver.py``.
        environment: of the process.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix=f"bench-{name}-")  # noqa: SIM115 - closed with the driver
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=None if environment is None else dict(environment),
        )
        self._tree = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the parser's first process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until everything is imported."""
        self._answer()

    def start(self, files: Sequence[Path], out: Path, in_flight: int | None = None) -> None:
        """Ask for ``files``; :meth:`finish` brings the result. ``in_flight`` fixes our requests in flight."""
        self._before = tree_cpu_seconds(self._tree)
        stdin = self._process.stdin
        assert stdin is not None
        asked = {"files": [str(path.absolute()) for path in files], "out": str(out), "in_flight": in_flight}
        with suppress(BrokenPipeError):
            stdin.write(json.dumps(asked) + "\n")
            stdin.flush()

    def finish(self) -> Pass:
        """Wait for what :meth:`start` asked for; raises :class:`DriverError` if the parser died."""
        answer = self._answer()
        used = tree_cpu_seconds(self._tree) - self._before
        return Pass(answer["seconds"], used, answer["pages"], tuple(answer["documents"]))

    def parse(self, files: Sequence[Path]) -> Pass:
        """Parse ``files`` into a folder that is thrown away."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            self.start(files, Path(folder, "out"))
            return self.finish()

    def close(self) -> None:
        """End the parser: politely by the end of its input, then by force; may be called twice."""
        with suppress(OSError, subprocess.TimeoutExpired, ValueError):
            self._process.communicate(timeout=_GOODBYE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the parser and all that descends from it at once, whatever it is doing; may be called twice."""
        for member in _members(self._tree):
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            raise DriverError(f"The parser {self.name!r} gave no answer.\n{self._tail()}") from None
        assert isinstance(answer, dict)
        return answer

    def _tail(self) -> str:
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, end - _TAIL_BYTES))
        return self._log.read().decode(errors="replace")


def ours(server: Server, client: str = "ours") -> Driver:
    """Our engine with default settings; ``client`` names it to the simulated server."""
    # No settings of whoever runs the benchmark: it measures the defaults.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    where = ["--base-url", server.url_of(client) if client else server.base_url, "--model", server.model]
    return Driver("ours", [sys.executable, "-m", "bench.our_driver", *where], clean)


def theirs(server: Server, python: Path, client: str = "peer") -> Driver:
    """The peer at its defaults, in its own environment."""
    command = [str(python), str(peer.DRIVER), "--base-url", server.base_url, "--client", client]
    return Driver("peer", command, peer.environment())


def tree_cpu_seconds(root: psutil.Process) -> float:
    """CPU of ``root`` and its descendants, the ones that have ended and were waited for included."""
    total = 0.0
    for process in _members(root):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _members(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
