"""What ``mineru-pipeline dev`` works on in tests: an instance, a store with batches, and a model server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from conftest import ModelServer, pdf, start_server, stop_server

from bench.ports import free_port
from mineru_pipeline import launch
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.settings import Settings, load
from mineru_pipeline.storage import FilesystemStore
from resources.parsing import revisions_of

Environment = Callable[[ModelServer], dict[str, str]]
OLD = ["20260101T000000Z-000000000001", "20260102T000000Z-000000000002", "20260103T000000Z-000000000003"]


@dataclass(frozen=True)
class Site:
    """An instance and a store with batches, and the environment of the processes that work on them."""

    folder: Path
    environ: dict[str, str]
    settings: Settings
    instance: dg.DagsterInstance

    @property
    def store(self) -> FilesystemStore:
        return FilesystemStore(self.settings.store_root)

    def fix(self, *batches: str) -> None:
        """Write manifests that nobody is about to start any more, and add their partitions."""
        for batch in batches:
            file = self.folder / f"{batch}.pdf"
            file.write_bytes(pdf(*(f"{batch} page {number}" for number in range(4))))
            ref = DocumentRef(file.as_uri(), None, None, None, "2026-01-01T00:00:00Z", "kafka")
            write_manifest(self.store, BatchManifest(batch, "default", (ref,)))
            os.utime(self.settings.store_root / "manifests" / f"{batch}.jsonl", (0, 0))
        self.instance.add_dynamic_partitions(launch.PARTITIONS, list(batches))

    def runs(self, batch: str | None = None) -> list[dg.DagsterRun]:
        """The runs of a batch, or all of them, the oldest first."""
        tags = {} if batch is None else {"dagster/partition": batch}
        return list(self.instance.get_runs(dg.RunsFilter(tags=tags)))[::-1]

    def working(self) -> list[dg.DagsterRun]:
        """Runs that hold the slot of the pool."""
        holders = self.instance.event_log_storage.get_concurrency_info("vllm").active_run_ids
        return [run for run in self.runs() if run.run_id in holders and not run.is_finished]

    def is_idle(self) -> bool:
        info = self.instance.event_log_storage.get_concurrency_info("vllm")
        runs = self.runs()
        return bool(runs) and all(run.is_finished for run in runs) and not info.claimed_slots and not info.pending_steps

    def started(self, run: dg.DagsterRun) -> float:
        record = self.instance.get_run_record_by_id(run.run_id)
        assert record is not None
        assert record.start_time is not None
        return record.start_time

    def states(self, batch: str) -> list[str]:
        revision = revisions_of(self.settings).parser
        return [row.state for row in ledger.read(self.store, ledger.PARSED_DOCUMENTS, revision, batch, ParsedRow)]

    def status(self, run: dg.DagsterRun) -> dg.DagsterRunStatus:
        now = self.instance.get_run_by_id(run.run_id)
        assert now is not None
        return now.status

    def succeeded(self, batch: str) -> bool:
        return any(run.status == dg.DagsterRunStatus.SUCCESS for run in self.runs(batch))


@contextmanager
def dev_site(folder: Path, environment: Environment) -> Iterator[Site]:
    """A site whose model is slow enough that a run can be met at its work."""
    model = start_server(folder, "--simulate-latency", "0.4")
    environ = environment(model) | {
        "MINERU_PIPELINE__DAGSTER__WEBSERVER_PORT": str(free_port()),
        # The schedule must not join in when its time comes round in the middle of a test.
        "MINERU_PIPELINE__BACKFILLS__MOST_RUNS": "0",
    }
    settings = load(environ={name: value for name, value in environ.items() if name.startswith("MINERU_")}).settings
    try:
        with launch.open_instance(settings) as instance:
            yield Site(folder, environ, settings, instance)
    finally:
        stop_server(model)
