"""Ends the server when the process that started it is gone, even by ``kill -9``."""

from __future__ import annotations

import os
import signal
import threading
import time

_POLL_SECONDS = 0.25
_GRACE_SECONDS = 3.0


def follow(parent_pid: int) -> None:
    """Watch ``parent_pid`` from a daemon thread; once this process has another parent, end it.

    PR_SET_PDEATHSIG would not do: it fires when the *thread* that started us ends, and callers start
    servers from threads that come and go.
    """
    threading.Thread(target=_watch, args=(parent_pid,), name="lifeline", daemon=True).start()


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
