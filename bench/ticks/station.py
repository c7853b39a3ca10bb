"""The two sensors of the intake on real servers, evaluated as Dagster's daemon does, one tick at a time."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from bench.seaweed import Seaweed
from bench.tansu import KafkaServer, own_kafka
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.documents.manifest import BatchManifest, read_manifest
from mineru_pipeline.settings import LoadedSettings, load
from mineru_pipeline.storage import ObjectStore
from resources.documents import DocumentStore, PipelineSettings
from resources.messages import MessageFeed
from sensors.buckets import evaluate as evaluate_watched
from sensors.messages import announced_documents

STORE, DOCUMENTS, PREFIX = "store", "documents", "mineru"
_UPLOADS = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """One evaluation: batches it requests, in order, the cursor after it, and how long it took."""

    batches: tuple[str, ...]
    cursor: str | None
    seconds: float


@dataclass(frozen=True)
class Station:
    """Running servers, and settings that name them."""

    folder: Path
    s3: Seaweed
    kafka: KafkaServer
    #: Topic names and other settings by section.
    tree: dict[str, dict[str, Any]]

    @property
    def loaded(self) -> LoadedSettings:
        """The settings, from their file alone."""
        file = self.folder / "settings.yaml"
        file.write_text(yaml.safe_dump({"data_dir": str(self.folder / "data"), **self.tree}))
        return load(file, environ={})

    @property
    def store(self) -> ObjectStore:
        """The pipeline's store, seen past it."""
        return self.s3.server.store(STORE, PREFIX)

    def changed(self, **sections: dict[str, Any]) -> Station:
        """The same with other settings."""
        tree = {name: {**self.tree.get(name, {}), **sections.get(name, {})} for name in {*self.tree, *sections}}
        return replace(self, tree=tree)

    def announced(self, cursor: str | None) -> Tick:
        """Evaluate the sensor of announced documents; raises ``dagster.Failure`` as it does."""
        settings = PipelineSettings(config_file=str(self.loaded.config_file))
        feed = MessageFeed(settings=settings, store=DocumentStore(settings=settings))
        with dg.build_sensor_context(
            cursor=cursor,
            instance=dg.DagsterInstance.ephemeral(),
            definitions=build_definitions(),
            resources={"feed": feed},
        ) as context:
            began = time.monotonic()
            return _tick(announced_documents(context), cursor, time.monotonic() - began)

    def watched(self, cursor: str | None) -> Tick:
        """Evaluate the sensor of watched buckets; raises ``dagster.Failure`` as it does."""
        with dg.build_sensor_context(cursor=cursor, instance=dg.DagsterInstance.ephemeral()) as context:
            began = time.monotonic()
            return _tick(evaluate_watched(context, self.loaded), cursor, time.monotonic() - began)

    def manifests(self, batches: Iterable[str]) -> list[BatchManifest]:
        """The batches, as they are in the store."""
        return [read_manifest(self.store, batch) for batch in batches]

    def put(self, keys: Sequence[str], data: bytes) -> dict[str, str]:
        """Store these bytes under all keys, some at once; the ETag of each."""
        client = self.s3.server.client

        def one(key: str) -> tuple[str, str]:
            return key, str(client.put_object(DOCUMENTS, key, io.BytesIO(data), len(data)).etag)

        with ThreadPoolExecutor(_UPLOADS) as pool:
            return dict(pool.map(one, keys))


def _tick(result: object, cursor: str | None, seconds: float) -> Tick:
    if not isinstance(result, dg.SensorResult):
        return Tick((), cursor, seconds)
    return Tick(tuple(str(each.partition_key) for each in result.run_requests or ()), result.cursor, seconds)


@contextmanager
def station(folder: Path, partitions: int) -> Iterator[Station]:
    """Start both servers; the broker keeps its logs in a server of its own, so that either can be killed."""
    programs = {name: folder / name for name in ("s3", "logs")}
    for path in programs.values():
        path.mkdir(parents=True)
    s3, logs = (Seaweed(path) for path in programs.values())
    try:
        s3.start()
        logs.start()
        for bucket in (STORE, DOCUMENTS):
            s3.server.client.make_bucket(bucket)
        with own_kafka(kept=logs.server) as kafka:
            yield Station(folder, s3, kafka, _tree(s3, kafka, partitions))
    finally:
        s3.close()
        logs.close()


def _tree(s3: Seaweed, kafka: KafkaServer, partitions: int) -> dict[str, dict[str, Any]]:
    server = s3.server
    return {
        "storage": {"backend": "minio", "bucket": STORE, "prefix": PREFIX},
        # A tick that finds its server gone shall say so soon; the sensor of watched buckets has its own patience.
        "minio": {
            "endpoint": server.endpoint,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "retry_budget_seconds": 2,
        },
        "intake": {"buckets": [DOCUMENTS], "watch": [f"{DOCUMENTS}/in/"]},
        "kafka": {
            "bootstrap_servers": kafka.servers,
            "requests_topic": kafka.topic(partitions),
            "notifications_topic": kafka.topic(partitions),
            "dead_letter_topic": kafka.topic(),
            "timeout_seconds": 3,
        },
    }
