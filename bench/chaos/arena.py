"""The servers that the pipeline works with, all real but the model, and the settings that lead it there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from bench.chaos.broker import Topics, Wire
from bench.chaos.findings import CHECKPOINT, RESULT, Writes
from bench.ports import free_port
from bench.seaweed import Seaweed
from bench.tansu import own_kafka
from mineru_pipeline.devserver.identity import SIMULATED_MODEL_ID
from mineru_pipeline.settings import ENV_PREFIX, Settings, load
from mineru_pipeline.storage import ObjectStore

STORE, DOCUMENTS = "store", "documents"
#: All that the pipeline writes must lie below it.
PREFIX = "mineru/chaos"
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Arena:
    """Running servers with their buckets and topics."""

    folder: Path
    s3: Seaweed
    #: The S3 server's own word on when pages were kept and results committed.
    kept: Writes
    committed: Writes
    wire: Wire
    topics: Topics
    model: str
    #: What the model server was asked, line by line.
    record: Path
    environ: dict[str, str]

    @property
    def settings(self) -> Settings:
        """As the processes of the pipeline read them."""
        return load(
            environ={name: value for name, value in self.environ.items() if name.startswith(ENV_PREFIX)}
        ).settings

    @property
    def hung_up(self) -> int:
        """Requests to the model server whose client did not wait for the answer."""
        return int(
            httpx.get(f"{self.model}/simulation", trust_env=False, timeout=30).raise_for_status().json()["aborted"]
        )

    @property
    def store(self) -> ObjectStore:
        """The pipeline's store."""
        return self.s3.server.store(STORE, PREFIX)


@contextmanager
def arena(folder: Path, *, partitions: int, batch_size: int, latency: float) -> Iterator[Arena]:
    """Start S3 server, broker and model server; all end with the block."""
    with ExitStack() as stack:
        s3 = _seaweed(folder / "s3", stack)
        kafka = stack.enter_context(own_kafka())
        topics = Topics()
        wire = Wire(kafka.servers, topics, partitions)
        wire.create()
        record = folder / "asked.jsonl"
        model = stack.enter_context(_model(record, latency))
        environ = _environ(folder, s3, kafka.servers, topics) | {
            "MINERU_PIPELINE__VLLM_SERVER__BASE_URL": model,
            "MINERU_PIPELINE__WORKERS__BATCH_SIZE": str(batch_size),
        }
        kept, committed = (_writes(s3, name, folder, stack) for name in (CHECKPOINT, RESULT))
        yield Arena(folder, s3, kept, committed, wire, topics, model, record, environ)


def _seaweed(folder: Path, stack: ExitStack) -> Seaweed:
    folder.mkdir(parents=True)
    program = Seaweed(folder)
    stack.callback(program.close)
    program.start()
    client = program.server.client
    client.make_bucket(STORE)
    client.make_bucket(DOCUMENTS)
    client.set_bucket_versioning(DOCUMENTS, VersioningConfig(ENABLED))
    return program


def _writes(program: Seaweed, name: str, folder: Path, stack: ExitStack) -> Writes:
    writes = Writes(program, STORE, name, folder / f"written-{name}.log")
    stack.callback(writes.close)
    return writes


@contextmanager
def _model(record: Path, latency: float) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "bench.chaos.model", "--record", str(record), "--port", str(port)]
    command += ["--latency", str(latency), "--exit-with-parent", str(os.getpid())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the model server did not start")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _environ(folder: Path, s3: Seaweed, brokers: str, topics: Topics) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX[:-2])}
    data = folder / "data"
    return {
        **inherited,
        **s3.server.environment(STORE, PREFIX),
        "DAGSTER_HOME": str(data / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MINERU_PIPELINE__DATA_DIR": str(data),
        "MINERU_PIPELINE__INTAKE__BUCKETS": f'["{DOCUMENTS}"]',
        # Of the bucket only what is announced counts, whatever the time of day.
        "MINERU_PIPELINE__INTAKE__RECONCILE": "watched",
        "MINERU_PIPELINE__VLLM_SERVER__MODEL": SIMULATED_MODEL_ID,
        "MINERU_PIPELINE__KAFKA__BOOTSTRAP_SERVERS": brokers,
        "MINERU_PIPELINE__KAFKA__REQUESTS_TOPIC": topics.requests,
        "MINERU_PIPELINE__KAFKA__NOTIFICATIONS_TOPIC": topics.notifications,
        "MINERU_PIPELINE__KAFKA__DEAD_LETTER_TOPIC": topics.letters,
        "MINERU_PIPELINE__KAFKA__RESULTS_TOPIC": topics.results,
    }
