"""The small process that forks one sandboxed child per document, so that a child costs a fork.

Started by :class:`mineru_pipeline.documents.sandbox.Sandbox` as ``python -m``; it imports what the
children need once, never opens a document itself, and does three things: it forks a child for
every request on its control socket, kills a child whose status socket is closed by the parent, and
reports there how each child ended. ``multiprocessing``'s fork server is not used because its
children import the parent's main module again and because it is one per process, not one per owner.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from mineru_pipeline.documents.confinement import confine

_PARENT_CHECK_SECONDS = 2.0
_REQUEST_BYTES = 65536


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    status: socket.socket


class Zygote:
    """Forks, kills and reaps; single-threaded, and nothing in it waits for a child."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._parent = os.getppid()
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._wakeup, wake = socket.socketpair()
        self._wakeup.settimeout(0)
        wake.settimeout(0)
        self._wake = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(control, selectors.EVENT_READ, "control")
        self._selector.register(self._wakeup, selectors.EVENT_READ, "wakeup")

    def serve(self) -> None:
        """Work until the parent closes the control socket or is gone."""
        try:
            # A parent that forked keeps the socket open in its offspring: the pid tells the truth.
            while os.getppid() == self._parent and self._work():
                pass
        finally:
            # Children may still die while this process ends and its sockets are closed already.
            signal.set_wakeup_fd(-1)

    def _work(self) -> bool:
        for key, _ in self._selector.select(_PARENT_CHECK_SECONDS):
            if key.data == "control":
                if not self._accept():
                    return False
            elif key.data == "wakeup":
                self._reap()
            else:
                self._abandon(key.data)
        return True

    def _accept(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, _REQUEST_BYTES, 3)
        if not message:
            return False
        data, shared, status = descriptors
        try:
            self._fork(json.loads(message), data, shared, socket.socket(fileno=status))
        finally:
            os.close(data)
            os.close(shared)
        return True

    def _fork(self, request: dict[str, Any], data: int, shared: int, status: socket.socket) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            _tell(status, {"error": error.strerror or str(error)})
            status.close()
            return
        if pid == 0:
            _run_child(request, data, shared)
        child = _Child(pid, status)
        self._children[pid] = child
        self._selector.register(status, selectors.EVENT_READ, child)
        _tell(status, {"pid": pid})

    def _abandon(self, child: _Child) -> None:
        """The parent closed the status socket: it wants the child gone."""
        # It may have been reaped since the selector looked, and its pid be somebody else's by now.
        if self._children.get(child.pid) is not child:
            return
        os.kill(child.pid, signal.SIGKILL)
        self._selector.unregister(child.status)

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid)
            with contextlib.suppress(KeyError):
                self._selector.unregister(child.status)
            _tell(child.status, {"status": status, "peak_kib": usage.ru_maxrss})
            child.status.close()


def _tell(status: socket.socket, message: dict[str, Any]) -> None:
    # The parent may have closed its end; then nobody wants to know.
    with contextlib.suppress(OSError):
        status.sendall(json.dumps(message).encode() + b"\n")


def _run_child(request: dict[str, Any], data: int, shared: int) -> None:
    """Serve one document in the forked child; never returns."""
    try:
        connection, shared = confine(data, shared, int(request["memory_bytes"]))
        serve = importlib.import_module("mineru_pipeline.documents.child").serve
        serve(connection, shared, str(request["service"]), memory_bytes=int(request["memory_bytes"]))
    except BaseException:  # noqa: BLE001 - a forked copy of the zygote must never go on as the zygote
        os._exit(70)
    os._exit(0)


def _prepare(modules: list[str]) -> None:
    """Import what children use; a module's ``prepare()`` does what is safe and worth doing before a fork."""
    importlib.import_module("mineru_pipeline.documents.child")
    for name in modules:
        prepare = getattr(importlib.import_module(name), "prepare", None)
        if prepare is not None:
            prepare()


def main(arguments: list[str]) -> int:
    """Run the zygote on the control socket whose descriptor is the first argument."""
    # Ctrl-C and a polite end go to the parent, which decides; without it the zygote ends by itself.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    control = socket.socket(fileno=int(arguments[0]))
    try:
        _prepare(arguments[1:])
    except Exception as error:  # noqa: BLE001 - whatever an import raises, the parent must hear of it
        _tell(control, {"error": f"{type(error).__name__}: {error}"})
        return 1
    gc.collect()
    # Frozen objects are not touched by the collector, so children share their memory with the zygote.
    gc.freeze()
    zygote = Zygote(control)
    _tell(control, {"ready": True})
    zygote.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
