"""Settings to start from, a document to take through under changed ones, and which setting reaches which field."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
from conftest import pdf

from mineru_pipeline import settings
from mineru_pipeline.commands.run import write_manifests
from mineru_pipeline.documents.intake import SourceRow
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.parsing.progress import ignore_progress
from mineru_pipeline.settings import LoadedSettings
from mineru_pipeline.storage import ObjectStore
from resources import parsing
from resources.documents import open_store


@dataclass(frozen=True)
class Result:
    """One document taken through intake and engine."""

    source: SourceRow
    row: ParsedRow
    store: ObjectStore
    metrics: ClientMetrics


@dataclass(frozen=True)
class Bench:
    """Settings to start from, and a document to take through."""

    folder: Path
    base: dict[str, Any]

    def load(self, **changes: Any) -> LoadedSettings:
        overrides = {**self.base, **{name.replace("__", "."): value for name, value in changes.items()}}
        return settings.load(environ={}, overrides=overrides)

    def parse(self, data: bytes = b"", **changes: Any) -> Result:
        (self.folder / "a.pdf").write_bytes(data or pdf("hello"))
        loaded = self.load(**changes)
        found, store = loaded.settings, open_store(loaded.settings)
        (manifest,) = write_manifests([self.folder / "a.pdf"], loaded, store)
        return asyncio.run(through(found, store, manifest.batch))


async def through(found: settings.Settings, store: ObjectStore, batch: str) -> Result:
    (source,) = await parsing.examine(found, store, batch)
    ledger.write(store, ledger.SOURCE_DOCUMENTS, parsing.revisions_of(found).parser, batch, [source], SourceRow)
    metrics = ClientMetrics()
    (row,) = (await parsing.parse(found, store, batch, ignore_progress, metrics)).rows
    return Result(source, row, store, metrics)


CONNECTION = {
    "minio.region": ("region", "eu-1"),
    "minio.ca_file": ("ca_file", Path(certifi.where())),
    "minio.connection_timeout_seconds": ("connection_timeout_seconds", 3.0),
    "minio.timeout_seconds": ("timeout_seconds", 7.0),
    "minio.retry_budget_seconds": ("patience_seconds", 0.5),
}
CLIENT = {
    "vllm_server.connection_timeout_seconds": ("connection_timeout_seconds", 3.0),
    "vllm_server.health_check_interval_seconds": ("health_check_interval_seconds", 7.0),
    "http_client.connection_pool_size": ("connection_pool_size", 5),
    "http_client.keepalive_connections": ("keepalive_connections", 2),
    "http_client.keepalive_expiry_seconds": ("keepalive_expiry_seconds", 1.0),
    "http_client.timeout_seconds": ("timeout_seconds", 11.0),
    "http_client.retry_attempts": ("retry_attempts", 9),
    "http_client.backoff_min_seconds": ("backoff_min_seconds", 0.5),
    "http_client.backoff_max_seconds": ("backoff_max_seconds", 99.0),
    "http_client.total_deadline_seconds": ("total_deadline_seconds", 77.0),
    "http_client.outage_budget_seconds": ("outage_budget_seconds", 66.0),
    "http_client.limiter.minimum": ("limiter_minimum", 3),
    "http_client.limiter.maximum": ("limiter_maximum", 40),
    "http_client.circuit_breaker.enabled": ("enabled", False),
    "http_client.circuit_breaker.failure_threshold": ("failure_threshold", 8),
    "http_client.circuit_breaker.recovery_timeout_seconds": ("recovery_timeout_seconds", 44.0),
    "http_client.circuit_breaker.success_threshold": ("success_threshold", 4),
}
