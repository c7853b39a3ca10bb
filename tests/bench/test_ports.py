"""Claims about ports for servers that run side by side."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from bench.ports import free_port, free_ports

OTHER = "import sys; from bench import ports; print(ports._claimed(int(sys.argv[1])))"


def claimed_by_another_process(port: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", OTHER, str(port)], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_ports_are_different_and_nobody_listens_on_them() -> None:
    """One can listen on all of them at once."""
    ports = free_ports(20)
    assert len({*ports}) == 20
    servers = [socket.create_server(("127.0.0.1", port)) for port in ports]
    for server in servers:
        server.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the names that ports are claimed by are Linux's")
def test_a_port_belongs_to_whoever_got_it_although_nobody_listens() -> None:
    """Another process cannot claim it, and can once its owner is gone."""
    ours = free_port()
    assert claimed_by_another_process(ours) == "False"
    theirs = next(port for port in range(19_000, 20_000) if claimed_by_another_process(port) == "True")
    assert claimed_by_another_process(theirs) == "True"
