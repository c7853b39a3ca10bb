"""What several rooms' tests share: a simulated model server, an S3 server, small PDFs, and a clean environment."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from kafka_server import KafkaServer, some_kafka
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas
from s3_server import S3Server, s3_servers

SIMULATED_MODEL = "mineru-pipeline/simulated-1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In parallel, files with long tests, which say so by a time-out of their own, come first, then the large ones.

    A long test that is started last would end the run alone.
    """
    if not hasattr(config, "workerinput"):
        return
    allowed: dict[Path, float] = {}
    tests = Counter(item.path for item in items)
    for item in items:
        mark = item.get_closest_marker("timeout")
        allowed[item.path] = max(allowed.get(item.path, 0), mark.args[0] if mark else 0)
    items.sort(key=lambda item: (-allowed[item.path], -tests[item.path], item.path))


@dataclass(frozen=True)
class ModelServer:
    """A running server; its requests can be counted."""

    url: str
    process: subprocess.Popen[bytes]

    def answered(self) -> int:
        """Chat completions answered so far, by the server's own count."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False).text
        lines = [line for line in text.splitlines() if line.startswith("vllm:request_success_total{")]
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


def start_server(folder: Path, *options: str) -> ModelServer:
    """Start the simulated server in a process of its own and wait for its address."""
    ready = folder / "url"
    command = [sys.executable, "-m", "mineru_pipeline.devserver", "--simulate", "--port", "0"]
    command += ["--ready-file", str(ready), "--exit-with-parent", str(os.getpid()), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert process.poll() is None, "the simulated server ended at once"
        assert time.monotonic() < deadline, "the simulated server did not start"
        time.sleep(0.02)
    return ModelServer(ready.read_text().strip(), process)


def stop_server(server: ModelServer) -> None:
    server.process.terminate()
    server.process.wait(timeout=20)


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """A simulated server that answers at once."""
    server = start_server(tmp_path_factory.mktemp("server"))
    yield server
    stop_server(server)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, started for the first test that asks for it."""
    with s3_servers(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[str]:
    """An empty bucket on it, for one test."""
    with s3.bucket() as name:
        yield name


@pytest.fixture
def slow_server(tmp_path: Path) -> Iterator[ModelServer]:
    """A simulated server slow enough to be interrupted in the middle of a document."""
    server = start_server(tmp_path, "--simulate-latency", "0.15")
    yield server
    stop_server(server)


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with one line of text on each page."""
    buffer = io.BytesIO()
    drawing = canvas.Canvas(buffer, pagesize=A4, invariant=1, encrypt=password)
    for text in pages:
        drawing.drawString(72, 700, text)
        drawing.showPage()
    drawing.save()
    return buffer.getvalue()


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[ModelServer | str], dict[str, str]]:
    """The environment of a command whose data lies in a folder of its own and whose back-off is short."""

    def build(server: ModelServer | str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINERU_PIPELINE")}
        return {
            **inherited,
            "MINERU_PIPELINE__DATA_DIR": str(tmp_path / "data"),
            "MINERU_PIPELINE__VLLM_SERVER__BASE_URL": server if isinstance(server, str) else server.url,
            "MINERU_PIPELINE__VLLM_SERVER__MODEL": SIMULATED_MODEL,
            "MINERU_PIPELINE__HTTP_CLIENT__BACKOFF_MIN_SECONDS": "0",
            "MINERU_PIPELINE__HTTP_CLIENT__BACKOFF_MAX_SECONDS": "0.1",
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }

    return build


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A broker that all tests share, each with topics of its own."""
    with some_kafka() as server:
        yield server
