"""A service for the sandbox's tests that does what hostile documents do to a renderer."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mineru_pipeline.documents.child import Answer, Outbox
from mineru_pipeline.errors import RejectedDocumentError, RenderFailedError


class HostileService:
    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.calls = 0

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        self.calls += 1
        answer: Answer = getattr(self, operation)(*blobs, **values)
        return answer

    def echo(self, *blobs: bytearray, **values: Any) -> Answer:
        return values | {"calls": self.calls}, blobs

    def in_place(self, size: int) -> Answer:
        view = self.outbox.reserve(size)
        view[:] = b"\x07" * size
        return {}, [view]

    def sleep(self) -> Answer:
        time.sleep(3600)
        return {}, ()

    def spin(self) -> Answer:
        while True:
            pass

    def segfault(self) -> Answer:
        ctypes.string_at(0)
        return {}, ()

    def abort(self) -> Answer:
        os.abort()

    def leave(self) -> Answer:
        os._exit(9)

    def allocate(self, size: int) -> Answer:
        return {"size": len(bytearray(size))}, ()

    def map_and_die(self, size: int) -> Answer:
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        if not libc.malloc(ctypes.c_size_t(size)):
            os.abort()
        return {}, ()

    def burn_processor_time(self) -> Answer:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
        return self.spin()

    def kill_itself(self) -> Answer:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}, ()

    def fail(self) -> Answer:
        raise RenderFailedError("PDFium says no.")

    def stumble(self) -> Answer:
        raise ValueError("something odd")

    def reject(self) -> Answer:
        raise RejectedDocumentError("encrypted", "It has a password.")

    def belongings(self) -> Answer:
        files = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")[:-1]]  # noqa: PTH115, PTH208
        limits = {name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_CORE", "RLIMIT_FSIZE")}
        return {"files": files, "environment": dict(os.environ), "limits": limits}, ()

    def write_file(self, path: str) -> Answer:
        Path(path).write_bytes(b"x" * 100)
        return {}, ()

    def shorten_the_shared_file(self) -> Answer:
        os.ftruncate(4, 0)
        return {}, []

    def lie(self, text: str) -> Answer:
        socket.socket(fileno=os.dup(3)).sendall(bytes.fromhex(text))
        time.sleep(3600)
        return {}, ()
