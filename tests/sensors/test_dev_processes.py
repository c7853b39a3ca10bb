"""With all processes of ``mineru-pipeline dev``: killed runs are made up for, and others go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dev_site import OLD, Environment, Site, dev_site
from webserver import serving

from mineru_pipeline import launch

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def site(tmp_path: Path, environment: Environment) -> Iterator[Site]:
    with dev_site(tmp_path, environment) as site:
        yield site


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
        web.wait_for(lambda: site.status(victim) == dg.DagsterRunStatus.FAILURE)
        web.wait_for(lambda: all(site.succeeded(batch) for batch in OLD[:2]), seconds=300)
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
        web.wait_for(lambda: all(site.succeeded(batch) for batch in OLD[:2]), seconds=300)
        assert site.status(worker) == dg.DagsterRunStatus.SUCCESS
