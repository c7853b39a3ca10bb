"""What a forked child gives up before it opens a stranger's bytes."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_OPEN_FILES = 64


def confine(data: int, shared: int, memory_bytes: int) -> tuple[socket.socket, int]:
    """Leave this process nothing but two descriptors: no files, no output, limited memory.

    ``memory_bytes`` is what it may map beyond what it has inherited. It dies with its parent, leaves
    no core, writes no files. Returns the connection and the shared file to use from now on.
    """
    _die_with_parent()
    for each in (signal.SIGCHLD, signal.SIGSEGV, signal.SIGABRT):
        signal.signal(each, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    kept = _keep_only(data, shared)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_AS, memory_use()[0] + memory_bytes)
    return socket.socket(fileno=kept[0]), kept[1]


def limit_cpu(seconds: float) -> None:
    """Let this process use ``seconds`` more of processor time, after which the kernel ends it.

    The parent's clock is what normally ends a request; this holds when the parent itself is stuck.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    allowed = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (allowed if hard < 0 else min(allowed, hard), hard))


def _die_with_parent() -> None:
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if parent == 1 or os.getppid() != parent:
        os._exit(0)


def _keep_only(*descriptors: int) -> tuple[int, ...]:
    """Move the descriptors to 3, 4, … and close everything above; the standard streams lead nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    # Copies first: a descriptor may itself be in the way.
    copies = [os.dup(descriptor) for descriptor in descriptors]
    kept = tuple(os.dup2(copy, 3 + place, inheritable=False) for place, copy in enumerate(copies))
    os.closerange(3 + len(kept), os.sysconf("SC_OPEN_MAX"))
    return kept


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def memory_use() -> tuple[int, int]:
    """Return the bytes of this process's address space, and of its memory that is its alone; zeros where unknown."""
    try:
        # Not open(): its layers touch more of the memory shared with the zygote, each page of which is then copied.
        descriptor = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return 0, 0
    try:
        mapped, resident, shared, *_ = (int(pages) for pages in os.read(descriptor, 256).split())
    finally:
        os.close(descriptor)
    return mapped * resource.getpagesize(), (resident - shared) * resource.getpagesize()
