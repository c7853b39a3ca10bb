"""Ports for servers that must be told where to listen, for tests and benchmarks that run side by side."""

from __future__ import annotations

import random
import socket
import sys

#: Below those that systems give out by themselves, to whoever connects or asks for any port.
_RANGE = range(20_000, 32_768)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different, and no other process gets from here while this one lives.

    A port that is only looked up may be another's before the server starts, or while it is down between two starts.

    Raises:
        RuntimeError: there are not so many.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        if len(found) == count:
            return found
        if _is_free(port) and _claimed(port):
            found.append(port)
    raise RuntimeError(f"there are no {count} free ports from {_RANGE.start} to {_RANGE.stop - 1}")


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that ended just now keep nobody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claimed(port: int) -> bool:
    """Claim the port until this process ends, by a name that only one socket of the machine can have."""
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0mineru-pipeline/port/{port}")
    except OSError:
        claim.close()
        return False
    # Left open; the system closes it with the process.
    claim.detach()
    return True
