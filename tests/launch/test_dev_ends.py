"""``mineru-pipeline dev`` ends when it is told to, however it was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from webserver import Webserver

from bench.ports import free_port


@pytest.mark.timeout(300)
def test_it_ends_with_all_its_processes_where_a_shell_started_it_in_the_background(tmp_path: Path) -> None:
    """Such a shell has it ignore SIGINT, by which Dagster ends its own processes."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MINERU_PIPELINE")} | {
        "MINERU_PIPELINE__DATA_DIR": str(tmp_path / "data"),
        "MINERU_PIPELINE__DAGSTER__WEBSERVER_PORT": str(port),
    }
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "mineru_pipeline.cli", "dev"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(background, env=environ, stdout=log, stderr=log, start_new_session=True, cwd="/")
    server = Webserver(f"http://127.0.0.1:{port}")
    try:
        server.wait_for(server.is_up)
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(timeout=120)
        _, alive = psutil.wait_procs(children, timeout=60)
        assert (len(children) > 1, alive) == (True, []), (tmp_path / "log").read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
