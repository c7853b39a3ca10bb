"""The managed server: started, healthy, stopped, and never orphaned."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from mineru_pipeline.devserver import SIMULATED_MODEL_ID
from mineru_pipeline.devserver.process import ManagedServer, ServerOptions
from mineru_pipeline.errors import ModelServerError

SIMULATED = ServerOptions(simulate=True)

PARENT = """
import asyncio, sys
from pathlib import Path
from mineru_pipeline.devserver.process import ManagedServer, ServerOptions

async def main():
    async with ManagedServer(Path(sys.argv[1]), ServerOptions(simulate=True)) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_runs_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    """Inside the context the server answers at base_url; afterwards its process does not exist."""
    async with ManagedServer(tmp_path / "log" / "server.log", SIMULATED) as server:
        pid = server.pid
        async with httpx.AsyncClient(trust_env=False) as client:
            models = (await client.get(f"{server.base_url}/v1/models")).json()
    assert models["data"][0]["id"] == SIMULATED_MODEL_ID
    assert not psutil.pid_exists(pid)
    assert server.base_url == ""


async def test_the_key_reaches_the_server_but_not_its_command_line(tmp_path: Path) -> None:
    """An API key guards /v1, and neither the arguments nor the environment of the process show it."""
    options = ServerOptions(simulate=True, api_key="s3cret-key")
    async with ManagedServer(tmp_path / "log", options) as server:
        process = psutil.Process(server.pid)
        shown = " ".join(process.cmdline()) + str(process.environ())
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False) as client:
            without = await client.get("/v1/models")
            with_key = await client.get("/v1/models", headers={"Authorization": "Bearer s3cret-key"})
    assert "s3cret-key" not in shown + repr(options)
    assert (without.status_code, with_key.status_code) == (401, 200)


async def test_a_server_that_dies_at_start_is_named_with_its_log(tmp_path: Path) -> None:
    """When the port is taken, the error shows the server's own last words."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = ServerOptions(simulate=True, port=taken.getsockname()[1])
        with pytest.raises(ModelServerError, match="cannot listen on"):
            async with ManagedServer(tmp_path / "log", options):
                pass


async def test_a_server_that_is_never_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    """The wait for health is bounded, and what was started is stopped."""
    before = {child.pid for child in psutil.Process().children()}
    server = ManagedServer(tmp_path / "log", SIMULATED, startup_timeout=0.0)
    with pytest.raises(ModelServerError, match="not ready"):
        async with server:
            pass
    assert server.pid == 0
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """A stopped (SIGSTOP) process cannot handle SIGTERM and is ended all the same."""
    async with ManagedServer(tmp_path / "log", SIMULATED, stop_timeout=0.2) as server:
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
    assert not psutil.pid_exists(pid)


async def test_the_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    """Kill -9 of the process that started the server leaves no orphan."""
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 it takes no time
    assert parent.stdout is not None
    server = psutil.Process(int(await asyncio.to_thread(parent.stdout.readline)))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(1000):
        if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
            break
        await asyncio.sleep(0.02)
    else:
        server.kill()
        pytest.fail("the server outlived its parent")


def test_the_command_writes_its_url_and_ends_on_sigterm(tmp_path: Path) -> None:
    """The command prints the URL once it listens, and SIGTERM ends it without an error."""
    command = [sys.executable, "-m", "mineru_pipeline.devserver", "--simulate", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert httpx.get(line.split()[-1] + "/health", trust_env=False).status_code == 200
        process.terminate()
        assert process.wait(20) in (0, -signal.SIGTERM)


async def test_a_faults_file_disturbs_the_server_of_the_command(tmp_path: Path) -> None:
    """On the event loop that the command takes, too, an outage refuses, comes back on its port, and can be final."""
    plan = tmp_path / "faults.yaml"
    plan.write_text("rules: [{fault: refused, seconds: 2, match: {times: 1}}, {fault: engine-dead}]")
    async with ManagedServer(tmp_path / "log", ServerOptions(simulate=True, faults=plan)) as server:
        process = psutil.Process(server.pid)
        async with httpx.AsyncClient(base_url=server.base_url, trust_env=False, timeout=30) as client:
            body = {"messages": [{"role": "user", "content": "x"}]}
            with pytest.raises(httpx.ReadError):
                await client.post("/v1/chat/completions", json=body)
            with pytest.raises(httpx.ConnectError):
                await client.get("/health")
            while not await _answers(client):  # noqa: ASYNC110 the server is another process
                await asyncio.sleep(0.02)
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 500
        await asyncio.to_thread(process.wait, 30)


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ServerOptions(simulate=True, faults=Path("missing.yaml")), "missing.yaml cannot be read"),
        (ServerOptions(faults=Path("missing.yaml")), "add --simulate"),
    ],
)
async def test_faults_that_cannot_be_had_end_the_start(tmp_path: Path, options: ServerOptions, message: str) -> None:
    """A missing file, and faults of a server that is not simulated, are refused in words."""
    with pytest.raises(ModelServerError, match=message):
        async with ManagedServer(tmp_path / "log", options):
            pass
