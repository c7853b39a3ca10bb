"""Runs Dagster's processes of the Compose file on this machine, without Docker, and has a document parsed by them.

Commands, variables and Dagster's configuration are those of ``deploy/compose``; only addresses are others. PostgreSQL
must be there (``--postgres``); SeaweedFS stands in for MinIO, Tansu for Kafka, and the simulated server for the model.

For example: ``python -m bench.compose_trial --postgres 127.0.0.1:5432``
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.seaweed import seaweed
from bench.servers import dev_server
from bench.tansu import own_kafka
from mineru_pipeline.devserver.process import ServerOptions
from mineru_pipeline.settings import project_root

ROOT = project_root()
COMPOSE = ROOT / "deploy" / "compose"
BUCKETS = ("documents", "inbox", "dagster-logs")
_WAIT_SECONDS = 240.0
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::[-?]([^}]*))?\}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def services(values: dict[str, str]) -> dict[str, Any]:
    """The services with their variables filled in."""
    text = _VARIABLE.sub(lambda match: values.get(match[1], match[2] or ""), (COMPOSE / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


@contextmanager
def process(
    name: str, service: dict[str, Any], places: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """One service as a process of this environment, with other addresses; ended by its id."""
    command = [_moved(word, places) for word in service["command"]]
    # What is filled in with nothing is empty, not missing.
    environ = {key: _moved(str(value or ""), places) for key, value in service["environment"].items()}
    environ |= {"DAGSTER_HOME": str(folder / "home"), "DAGSTER_DISABLE_TELEMETRY": "1", "HOME": str(folder)}
    environ |= {
        "MINERU_PIPELINE__DAGSTER__HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    with (folder / f"{name}.log").open("wb") as log:
        started = subprocess.Popen(command, env=environ, cwd=folder, stdout=log, stderr=log)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _moved(text: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        text = text.replace(place, here)
    return text


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen")
        time.sleep(0.5)


def run_command(service: dict[str, Any], places: dict[str, str], folder: Path, *words: str) -> int:
    """Give a command as the service ``cli`` would."""
    print("$ mineru-pipeline", *words, flush=True)
    with process("cli", service | {"command": ["mineru-pipeline", *words]}, places, folder) as started:
        code = started.wait(_WAIT_SECONDS)
    print((folder / "cli.log").read_text())
    return code


def trial(postgres: str, folder: Path, stack: ExitStack) -> None:
    """Start everything, announce a document, and wait until it is parsed."""
    (folder / "s3").mkdir()
    s3 = stack.enter_context(seaweed(folder / "s3"))
    kafka = stack.enter_context(own_kafka())
    for bucket in BUCKETS:
        s3.client.make_bucket(bucket)
    s3.client.fput_object("inbox", "article.pdf", str(ROOT / "samples" / "01-two-column-article.pdf"))
    code, web = free_port(), free_port()
    model = stack.enter_context(dev_server(ServerOptions(simulate=True)))
    host, _, port = postgres.partition(":")
    places = {
        "http://minio:9000": s3.endpoint,
        "kafka:9092": kafka.servers,
        "http://model:8000": model.base_url,
        "http://webserver:3000": f"http://127.0.0.1:{web}",
        "--port=3000": f"--port={web}",
        "--port=4000": f"--port={code}",
        "--host=0.0.0.0": "--host=127.0.0.1",
        "/opt/dagster/home": str(folder / "home"),
        "/tmp/mineru-pipeline": str(folder / "data"),
    }
    every = services(
        {"MINIO_PIPELINE_SECRET": s3.secret_key, "MODEL_NAME": model.model, "POSTGRES_PASSWORD": "postgres"}
    )
    for service in every.values():
        environ = service.get("environment", {})
        for name, value in (
            ("DAGSTER_PG_HOST", host), ("DAGSTER_PG_PORT", port), ("AWS_ACCESS_KEY_ID", s3.access_key),
            ("MINERU_PIPELINE__MINIO__ACCESS_KEY", s3.access_key), ("MINERU_PIPELINE__METRICS__PORT", "0"),
        ):  # fmt: skip
            if name in environ:
                environ[name] = value
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    for name in re.findall(r"mineru\.[a-z.-]+", every["kafka-setup"]["command"][0]):
        admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])[name].result(30)
    (folder / "home").mkdir()
    shutil.copy(COMPOSE / "dagster.yaml", folder / "home")
    workspace = (COMPOSE / "workspace.yaml").read_text()
    workspace = workspace.replace("host: code-location", "host: 127.0.0.1").replace("port: 4000", f"port: {code}")
    (folder / "home" / "workspace.yaml").write_text(workspace)
    with process("migrate", every["migrate"], places, folder) as migration:
        if migration.wait(_WAIT_SECONDS):
            raise SystemExit((folder / "migrate.log").read_text())
    for name in ("code-location", "webserver", "daemon"):
        stack.enter_context(process(name, every[name], places, folder))
    cli = every["cli"]
    health = every["code-location"]["healthcheck"]["test"][1:]
    until(lambda: not _ends_with(health, cli, places, folder), "the health of the code location")
    until(lambda: not _ends_with(every["daemon"]["healthcheck"]["test"][1:], cli, places, folder), "the daemon's life")
    if run_command(cli, places, folder, *(_moved(word, places) for word in cli["command"])):
        raise SystemExit("the doctor finds something unwell")
    if run_command(cli, places, folder, "submit", "s3://inbox/article.pdf"):
        raise SystemExit("it could not be announced")
    until(lambda: bool(_results(s3.client)), "the result")
    print("parsed:", *_results(s3.client))
    until(lambda: bool(kafka.received("mineru.documents.results", partition=0) or _anywhere(kafka)), "the announcement")
    logs = [found.object_name for found in s3.client.list_objects("dagster-logs", recursive=True)]
    print(f"told on Kafka; {len(logs)} logs of runs in the bucket")


def _ends_with(command: list[str], cli: dict[str, Any], places: dict[str, str], folder: Path) -> int:
    with process("health", cli | {"command": command}, places, folder) as started:
        return started.wait(_WAIT_SECONDS)


def _results(client: Any) -> list[str]:
    listed = (found.object_name for found in client.list_objects("documents", prefix="parsed/", recursive=True))
    return [name for name in listed if name.endswith("result.json")]


def _anywhere(kafka: Any) -> list[bytes]:
    return [each for partition in (1, 2) for each in kafka.received("mineru.documents.results", partition=partition)]


def main() -> None:
    """Try it, and leave nothing behind but what is in the database."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--postgres", required=True, metavar="HOST:PORT", help="user and database dagster, any password"
    )
    given = parser.parse_args()
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        try:
            trial(given.postgres, folder, stack)
        except SystemExit:
            for log in sorted(folder.glob("*.log")):
                print(f"---- {log.name}", log.read_text()[-3000:], sep="\n")
            raise


if __name__ == "__main__":
    main()
