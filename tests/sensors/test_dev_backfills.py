"""With all processes of ``mineru-pipeline dev``: backfills stand last in line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dev_site import OLD, Environment, Site, dev_site
from webserver import Webserver, serving

from mineru_pipeline import launch
from mineru_pipeline.settings import load
from resources.parsing import revisions_of
from sensors import backfills

SELECTOR = {"repositoryLocationName": launch.LOCATION, "repositoryName": launch.REPOSITORY}
FRESH = "20260109T000000Z-000000000009"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def site(tmp_path: Path, environment: Environment) -> Iterator[Site]:
    with dev_site(tmp_path, environment) as site:
        yield site


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
        web.wait_for(lambda: all(site.succeeded(batch) for batch in (*OLD, FRESH)), seconds=300)
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
