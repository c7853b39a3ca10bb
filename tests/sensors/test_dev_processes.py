"""With all processes of ``mineru-pipeline dev``: killed runs are made up for, and backfills stand last in line."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from conftest import ModelServer, pdf, start_server, stop_server
from webserver import Webserver, free_port, serving

from mineru_pipeline import launch
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.parsing import ledger
from mineru_pipeline.parsing.ledger import ParsedRow
from mineru_pipeline.settings import Settings, load
from mineru_pipeline.storage import FilesystemStore
from resources.parsing import revisions_of
from sensors import backfills

Environment = Callable[[ModelServer], dict[str, str]]
SELECTOR = {"repositoryLocationName": launch.LOCATION, "repositoryName": launch.REPOSITORY}
OLD = ["20260101T000000Z-000000000001", "20260102T000000Z-000000000002", "20260103T000000Z-000000000003"]
FRESH = "20260109T000000Z-000000000009"
pytestmark = pytest.mark.timeout(600)


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


def settings_of(environ: dict[str, str]) -> Settings:
    return load(environ={name: value for name, value in environ.items() if name.startswith("MINERU_")}).settings


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelServer]:
    """Slow enough that a run can be met at its work."""
    server = start_server(tmp_path, "--simulate-latency", "0.4")
    yield server
    stop_server(server)


@pytest.fixture
def site(tmp_path: Path, model: ModelServer, environment: Environment) -> Iterator[Site]:
    environ = environment(model) | {
        "MINERU_PIPELINE__DAGSTER__WEBSERVER_PORT": free_port(),
        # The schedule must not join in when its time comes round in the middle of a test.
        "MINERU_PIPELINE__BACKFILLS__MOST_RUNS": "0",
    }
    settings = settings_of(environ)
    with launch.open_instance(settings) as instance:
        yield Site(tmp_path, environ, settings, instance)


def kill_the_run(run: dg.DagsterRun) -> None:
    os.kill(int(run.tags[launch.TAG_PID]), signal.SIGKILL)


def kill_the_code_server_with_it(run: dg.DagsterRun) -> None:
    """As when the container of both goes: first those who would notice."""
    process = psutil.Process(int(run.tags[launch.TAG_PID]))
    for parent in process.parents():
        if {"grpc", "code-server"} & set(parent.cmdline()):
            parent.kill()
    process.kill()


@pytest.mark.parametrize("kill", [kill_the_run, kill_the_code_server_with_it])
def test_a_killed_run_is_failed_its_slot_freed_and_its_batch_finished(
    site: Site, kill: Callable[[dg.DagsterRun], None]
) -> None:
    """Nobody does anything about it, and each batch, which nobody had started either, ends with its table."""
    site.fix(*OLD[:2])
    with serving(site.folder, site.environ) as web:
        web.wait_for(lambda: bool(site.working()))
        victim = site.working()[0]
        kill(victim)
        web.wait_for(lambda: status(site, victim) == dg.DagsterRunStatus.FAILURE)
        web.wait_for(lambda: all(succeeded(site, batch) for batch in OLD[:2]), seconds=300)
        web.wait_for(site.is_idle)
    assert [site.states(batch) for batch in OLD[:2]] == [["parsed"], ["parsed"]]
    assert len(site.runs(victim.tags["dagster/partition"])) > 1


def test_runs_outlive_the_code_server(site: Site) -> None:
    """A code server that is killed alone costs no run that is under way; what is queued runs under the next one."""
    site.fix(*OLD[:2])
    with serving(site.folder, site.environ) as web:
        web.wait_for(lambda: bool(site.working()))
        (worker,) = site.working()
        for parent in psutil.Process(int(worker.tags[launch.TAG_PID])).parents():
            if {"grpc", "code-server"} & set(parent.cmdline()):
                parent.kill()
        web.wait_for(lambda: all(succeeded(site, batch) for batch in OLD[:2]), seconds=300)
        assert status(site, worker) == dg.DagsterRunStatus.SUCCESS


def test_a_backfill_by_hand_is_a_run_a_batch_and_fresh_documents_pass_it(site: Site) -> None:
    """Each of its runs has one batch, one at a time has the pool, and a run that comes later does not wait for all."""
    site.fix(*OLD, FRESH)
    # Nothing but what is asked for here.
    for batch in (*OLD, FRESH):
        site.instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition=batch))
    with serving(site.folder, site.environ) as web:
        asked = {
            "assetSelection": [{"path": ["source_documents"]}, {"path": ["parsed_documents"]}],
            "partitionNames": OLD,
        }
        answer = web.ask(
            "mutation($p: LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){__typename}}", p=asked
        )
        assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess"
        web.wait_for(lambda: len(site.runs()) == len(OLD))
        fresh = launched(web, FRESH, {})
        seen: list[int] = []

        def all_ended() -> bool:
            seen.append(len(site.working()))
            return len(site.runs()) == len(OLD) + 1 and site.is_idle()

        web.wait_for(all_ended, seconds=300)
    backfilled = [run for run in site.runs() if run.run_id != fresh]
    assert sorted(run.tags["dagster/partition"] for run in backfilled) == OLD
    assert {run.status for run in site.runs()} == {dg.DagsterRunStatus.SUCCESS}
    assert max(seen) == 1
    assert [site.states(batch) for batch in OLD] == [["parsed"]] * len(OLD)
    (passing,) = site.runs(FRESH)
    assert site.started(passing) < max(site.started(run) for run in backfilled)


def test_what_the_schedule_requests_lets_fresh_documents_pass(site: Site) -> None:
    """With one run at a time and no limits on tags: but for the one at work, all start after a fresh one."""
    site.fix(*OLD, FRESH)
    home = site.settings.dagster_home / "dagster.yaml"
    text = home.read_text().replace("max_concurrent_runs: 2", "max_concurrent_runs: 1")
    home.write_text(text.split("    # Backfills, requested")[0] + text.split("limit: 1}\n")[-1])
    for batch in (*OLD, FRESH):
        site.instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition=batch))
    for batch in OLD:
        site.store.put(f"tables/parsed_documents/revision=earlier/batch={batch}/part-0.parquet", b"")
    site.store.put(
        f"tables/parsed_documents/revision={revisions_of(site.settings).parser}/batch={FRESH}/part-0.parquet", b""
    )
    loaded = load(
        environ={}, overrides={"data_dir": site.settings.data_dir, **model_of(site), "backfills.most_runs": 3}
    )
    requests = backfills.evaluate(site.instance, loaded, site.store, time.time())
    assert isinstance(requests, list)
    assert [request.partition_key for request in requests] == OLD
    with serving(site.folder, site.environ) as web:
        for request in requests:
            launched(web, request.partition_key or "", dict(request.tags))
        launched(web, FRESH, {})
        web.wait_for(lambda: all(succeeded(site, batch) for batch in (*OLD, FRESH)), seconds=300)
    (passing,) = site.runs(FRESH)
    backfilled = [run for batch in OLD for run in site.runs(batch)]
    assert site.started(passing) < max(site.started(run) for run in backfilled)
    assert sum(site.started(run) < site.started(passing) for run in backfilled) <= 1


def launched(web: Webserver, batch: str, tags: dict[str, str]) -> str:
    """Put a run of the job into the queue, as the daemon does for a request."""
    params: dict[str, Any] = {
        "selector": {**SELECTOR, "jobName": launch.JOB},
        "runConfigData": {},
        "executionMetadata": {
            "tags": [{"key": key, "value": value} for key, value in (tags | {"dagster/partition": batch}).items()]
        },
    }
    answer = web.ask(
        "mutation($p: ExecutionParams!){launchRun(executionParams:$p){__typename "
        "... on LaunchRunSuccess{run{runId}} ... on PythonError{message}}}",
        p=params,
    )["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def model_of(site: Site) -> dict[str, Any]:
    server = site.settings.vllm_server
    return {"vllm_server.base_url": server.base_url, "vllm_server.model": server.model}


def status(site: Site, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    now = site.instance.get_run_by_id(run.run_id)
    assert now is not None
    return now.status


def succeeded(site: Site, batch: str) -> bool:
    return any(run.status == dg.DagsterRunStatus.SUCCESS for run in site.runs(batch))
