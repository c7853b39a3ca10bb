"""Runs whose process is gone are noticed, and nobody else's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.test_utils import create_run_for_test

from mineru_pipeline import launch, pools
from mineru_pipeline.settings import load
from sensors.runs import dead_runs


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = load(environ={"MINERU_PIPELINE__DATA_DIR": str(tmp_path)}).settings
    with launch.open_instance(settings) as instance:
        yield instance


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def started(instance: dg.DagsterInstance, pid: int | None = None, **tags: str) -> str:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    instance.add_run_tags(run.run_id, launch.process_tags(run.run_id, pid) | tags)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_whose_process_was_killed_is_failed_and_its_slot_freed(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    """The slot of a pool at its limit comes back as soon as somebody looks."""
    run_id = started(instance, process.pid)
    instance.event_log_storage.set_concurrency_slots("vllm", 1)
    instance.event_log_storage.claim_concurrency_slot("vllm", run_id, "parsed_documents")
    assert launch.fail_dead_runs(instance) == []
    process.kill()
    process.wait()
    assert launch.fail_dead_runs(instance) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_info("vllm").active_slot_count == 0


def test_a_run_that_died_while_it_was_cancelled_is_cancelled(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    """Somebody did not want it: marked as failed, its batch would be started again by Dagster and by the sensor."""
    run_id = started(instance, process.pid)
    found = instance.get_run_by_id(run_id)
    assert found is not None
    instance.report_run_canceling(found)
    process.kill()
    process.wait()
    assert launch.fail_dead_runs(instance) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.CANCELED


def test_slots_of_a_run_that_dagster_failed_itself_are_freed(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    """Even the slot that is given, after its death, to a step of it that was waiting."""
    storage = instance.event_log_storage
    storage.set_concurrency_slots("vllm", 1)
    dying, living = started(instance, process.pid), started(instance)
    storage.claim_concurrency_slot("vllm", living, "parsed_documents")
    storage.claim_concurrency_slot("vllm", dying, "parsed_documents")
    process.kill()
    process.wait()
    found = instance.get_run_by_id(dying)
    assert found is not None
    instance.report_run_failed(found)
    storage.free_concurrency_slots_for_run(living)
    assert storage.get_concurrency_info("vllm").assigned_run_ids == {dying}
    assert pools.free_slots_of_the_dead(instance) == [dying]
    assert storage.get_concurrency_info("vllm").assigned_run_ids == set()


def test_a_step_that_was_passed_over_gets_the_free_slot(instance: dg.DagsterInstance) -> None:
    """It joined the queue just after the slot was handed on; the next in line is the one with the highest priority."""
    storage = instance.event_log_storage
    storage.set_concurrency_slots("vllm", 1)
    assert isinstance(storage, SqlEventLogStorage)
    for run_id, priority in (("old", -10), ("fresh", 0)):
        storage.add_pending_step("vllm", run_id, "parsed_documents", priority, should_assign=False)
    assert not storage.check_concurrency_claim("vllm", "fresh", "parsed_documents").is_assigned
    assert pools.wake_waiting_steps(instance) == ["vllm"]
    assert storage.get_concurrency_info("vllm").assigned_run_ids == {"fresh"}
    assert pools.wake_waiting_steps(instance) == []


def test_slots_of_living_processes_are_left_alone(instance: dg.DagsterInstance) -> None:
    """A process that still winds up may still be at the model server."""
    run_id = started(instance)
    instance.event_log_storage.set_concurrency_slots("vllm", 1)
    instance.event_log_storage.claim_concurrency_slot("vllm", run_id, "parsed_documents")
    found = instance.get_run_by_id(run_id)
    assert found is not None
    instance.report_run_failed(found)
    assert pools.free_slots_of_the_dead(instance) == []
    assert instance.event_log_storage.get_concurrency_info("vllm").active_slot_count == 1


def test_a_zombie_is_dead(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> None:
    """A killed process that its parent has not buried yet executes nothing."""
    run_id = started(instance, process.pid)
    process.kill()
    while launch.psutil.Process(process.pid).status() != launch.psutil.STATUS_ZOMBIE:
        pass
    assert launch.fail_dead_runs(instance) == [run_id]


def test_a_recycled_pid_is_not_the_old_process(instance: dg.DagsterInstance) -> None:
    """A living process with the right number but another start time is somebody else."""
    run_id = started(instance, **{launch.TAG_STARTED: "1.0"})
    assert launch.fail_dead_runs(instance) == [run_id]


@pytest.mark.parametrize(
    "tags",
    [
        {launch.TAG_HOST: "another-host", launch.TAG_STARTED: "1.0"},
        {launch.TAG_RUN: "the parent of a re-execution", launch.TAG_STARTED: "1.0"},
    ],
    ids=["other host", "inherited tags"],
)
def test_runs_that_cannot_be_judged_are_left_alone(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    """A run of another host, and one that only inherited its parent's tags, keep their state."""
    run_id = started(instance, **tags)
    assert launch.fail_dead_runs(instance) == []
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("job", [launch.JOB, "__ASSET_JOB"])
def test_a_run_that_nobody_claimed_for_long_is_dead(instance: dg.DagsterInstance, job: str) -> None:
    """Killed between its start and its claim, together with the code server, it leaves no other trace."""
    selection = frozenset({dg.AssetKey("parsed_documents")}) if job != launch.JOB else None
    run = create_run_for_test(instance, job_name=job, status=dg.DagsterRunStatus.STARTED, asset_selection=selection)
    assert launch.fail_dead_runs(instance) == []
    later = time.time() + launch.CLAIM_SECONDS + 60
    assert launch.fail_dead_runs(instance, later) == [run.run_id]
    assert status(instance, run.run_id) == dg.DagsterRunStatus.FAILURE


def test_runs_of_other_assets_need_no_claim(instance: dg.DagsterInstance) -> None:
    """Only runs of batches claim; what else may run for hours is not ours to judge."""
    selection = frozenset({dg.AssetKey("another")})
    create_run_for_test(instance, job_name="__ASSET_JOB", status=dg.DagsterRunStatus.STARTED, asset_selection=selection)
    assert launch.fail_dead_runs(instance, time.time() + 100_000) == []


def test_living_finished_and_unclaimed_runs_are_left_alone(instance: dg.DagsterInstance) -> None:
    """Only unfinished runs with a dead process are touched."""
    living = started(instance)
    unclaimed = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED).run_id
    assert launch.fail_dead_runs(instance) == []
    assert {status(instance, run) for run in (living, unclaimed)} == {dg.DagsterRunStatus.STARTED}


def test_the_sensor_says_what_it_did(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> None:
    """The daemon's sensor marks the run and names it in its skip reason."""
    run_id = started(instance, process.pid)
    process.kill()
    process.wait()
    result = dead_runs(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SkipReason)
    assert run_id in (result.skip_message or "")
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_an_instance_is_made_without_telemetry_and_with_guarded_pools(tmp_path: Path) -> None:
    """The home that is made on first use never phones home, and a cancelled run cannot block a pool."""
    settings = load(environ={"MINERU_PIPELINE__DAGSTER__HOME": str(tmp_path / "home")}).settings
    with launch.open_instance(settings) as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 300
        assert instance.run_retries_enabled


def test_a_code_server_that_is_away_fails_no_run_of_the_queue(tmp_path: Path) -> None:
    """Ten minutes of it are waited for; the limits of pools and runs stay what they are."""
    settings = load(environ={"MINERU_PIPELINE__DAGSTER__HOME": str(tmp_path / "home")}).settings
    with launch.open_instance(settings) as instance:
        found = instance.get_concurrency_config()
    assert found.run_queue_config is not None
    queue = found.run_queue_config
    assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay == 600
    assert (queue.max_concurrent_runs, found.pool_config.default_pool_limit) == (2, 1)


def test_a_changed_instance_file_is_kept(tmp_path: Path) -> None:
    """Whoever adapts dagster.yaml finds it as they left it."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    settings = load(environ={"MINERU_PIPELINE__DAGSTER__HOME": str(tmp_path)}).settings
    launch.open_instance(settings).dispose()
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"
