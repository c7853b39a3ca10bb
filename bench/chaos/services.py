"""The product's own processes, each as a service that is started again when it is gone, as systemd or Kubernetes do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.ports import free_ports
from mineru_pipeline import launch
from mineru_pipeline.settings import project_root

CODE_SERVER, DAEMON, WEBSERVER = "code server", "daemon", "webserver"
#: As systemd's RestartSec.
_PAUSE = 1.0
_BIN = Path(sys.executable).parent
#: What a run's process is called before it has said in its tags that it executes a run.
_SPAWNED = "spawn_main"


@dataclass(slots=True)
class Service:
    """One process and how to start it."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    gone_since: float | None = None
    #: Every process group it has had: runs that outlive a code server are in its group.
    groups: list[int] = field(default_factory=list)

    def tend(self) -> None:
        """Start it if it does not run and has not for a moment."""
        if self.process is not None and self.process.poll() is None:
            return
        now = time.monotonic()
        if self.process is not None and self.gone_since is None:
            self.gone_since = now
        if self.gone_since is None or now - self.gone_since >= _PAUSE:
            self._start()

    def _start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.environ,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=project_root(),
                start_new_session=True,
            )
        self.gone_since = None
        self.starts += 1
        self.groups.append(self.process.pid)

    def kill(self) -> int | None:
        """``kill -9`` by its process id, which is returned; None where it does not run."""
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.kill()
        self.process.wait(timeout=30)
        return self.process.pid


class Services:
    """Code server, daemon and webserver on one Dagster instance, and the processes of the runs they start."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        code, web = free_ports(2)
        workspace = folder / "workspace.yaml"
        workspace.write_text(
            f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code}, location_name: {launch.LOCATION}}}\n"
        )
        logs = folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        serve = ["api", "grpc", "-m", launch.MODULE, "-a", launch.ATTRIBUTE, "--host", "127.0.0.1", "--port", str(code)]
        serve += ["--location-name", launch.LOCATION]
        commands = {
            CODE_SERVER: [str(_BIN / "dagster"), *serve],
            DAEMON: [str(_BIN / "dagster-daemon"), "run", "--workspace", str(workspace)],
            WEBSERVER: [
                *(str(_BIN / "dagster-webserver"), "--workspace", str(workspace)),
                *("--host", "127.0.0.1", "--port", str(web)),
            ],
        }
        self.url = f"http://127.0.0.1:{web}"
        self.by_name = {
            name: Service(name, command, environ, logs / f"{name.replace(' ', '-')}.log")
            for name, command in commands.items()
        }

    def tend(self) -> None:
        """Start whatever is gone."""
        for service in self.by_name.values():
            service.tend()

    def starting_runs(self) -> list[int]:
        """Process ids of runs that the code server has just started."""
        process = self.by_name[CODE_SERVER].process
        if process is None:
            return []
        try:
            children = psutil.Process(process.pid).children()
            return [child.pid for child in children if any(_SPAWNED in word for word in child.cmdline())]
        except psutil.Error:
            return []

    def close(self) -> None:
        """Kill everything that was started, runs included."""
        for service in self.by_name.values():
            for group in service.groups:
                try:
                    os.killpg(group, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if service.process is not None:
                service.process.wait(timeout=30)
