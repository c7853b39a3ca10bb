"""Batches whose run failed are tried again, those that never had a run are started, and nothing else is."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mineru_pipeline import settings
from mineru_pipeline.documents.manifest import BatchManifest, write_manifest
from mineru_pipeline.documents.refs import DocumentRef
from mineru_pipeline.launch import JOB, PARTITIONS, TAG_COMMAND
from mineru_pipeline.parsing.backoff import RUNS
from resources.documents import PipelineSettings, open_store
from sensors import backfills, batches
from sensors.batches import GRACE_SECONDS
from sensors.messages import TAG_SOURCE

FAILED, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def loaded(tmp_path: Path) -> settings.LoadedSettings:
    return settings.load(environ={}, overrides={"data_dir": tmp_path})


def run(
    instance: dg.DagsterInstance,
    batch: str,
    status: dg.DagsterRunStatus = FAILED,
    *,
    by_command: bool = False,
    job: str = JOB,
) -> str:
    """Add a run of the batch; its id."""
    run_id = str(uuid.uuid4())
    instance.add_dynamic_partitions(PARTITIONS, [batch])
    tags = {"dagster/partition": batch, **({TAG_COMMAND: "run"} if by_command else {TAG_SOURCE: "t[0] 0-3"})}
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status, tags=tags))
    return run_id


def fix(loaded: settings.LoadedSettings, batch: str, origin: str = "minio", *, seconds_ago: float = 0) -> None:
    """Write a manifest, as long ago as that."""
    ref = DocumentRef("s3://bucket/a.pdf", None, None, None, "2026-01-01T00:00:00Z", origin)
    write_manifest(open_store(loaded.settings), BatchManifest(batch, "default", (ref,)))
    then = time.time() - seconds_ago
    os.utime(loaded.settings.store_root / "manifests" / f"{batch}.jsonl", (then, then))


def evaluated(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings, *, later: float = 10_000, after: str = ""
) -> dg.SensorResult:
    return batches.evaluate(instance, loaded, open_store(loaded.settings), after, time.time() + later)


def requested(instance: dg.DagsterInstance, loaded: settings.LoadedSettings, *, later: float = 10_000) -> list[str]:
    return [request.run_key or "" for request in evaluated(instance, loaded, later=later).run_requests or ()]


def test_a_failed_batch_is_tried_again_after_a_pause(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings
) -> None:
    """Under a new run key, with its partition, and not before its time."""
    first = run(instance, "b")
    assert requested(instance, loaded, later=RUNS.first_pause / 2) == []
    (request,) = evaluated(instance, loaded, later=RUNS.first_pause + 5).run_requests or ()
    assert (request.run_key, request.partition_key) == (f"b after {first}", "b")
    assert request.tags[TAG_SOURCE] == "t[0] 0-3"
    assert request.run_config["resources"]["settings"]["config"]["store_root"] == loaded.settings.store_address
    second = run(instance, "b")
    assert requested(instance, loaded) == [f"b after {second}"]


def test_no_run_key_comes_twice(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """Dagster would pass the request over: not after an old run was deleted, nor where runs are beyond counting."""
    runs = [run(instance, "b") for _ in range(3)]
    before = requested(instance, loaded)
    run(instance, "b")
    instance.delete_run(runs[0])
    assert set(requested(instance, loaded)).isdisjoint(before)
    for _ in range(RUNS.most_attempts + 2):
        run(instance, "c", dg.DagsterRunStatus.SUCCESS)
    seen = [tuple(requested(instance, loaded)) for _ in range(3) if run(instance, "c")]
    assert len(set(seen)) == 3


def test_a_batch_with_a_table_is_left_alone(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """What its checks say is another question."""
    run(instance, "b")
    instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition="b"))
    assert requested(instance, loaded) == []


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ],
)
def test_a_batch_under_way_is_left_alone(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings, status: dg.DagsterRunStatus
) -> None:
    """Whether somebody re-executed it by hand or Dagster did."""
    run(instance, "b")
    run(instance, "b", status)
    assert requested(instance, loaded) == []


def test_a_success_without_a_table_is_not_the_end(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings
) -> None:
    """Somebody ran the intake of the batch alone; only what has just succeeded may have its table since."""
    run(instance, "b")
    intake = run(instance, "b", dg.DagsterRunStatus.SUCCESS)
    assert requested(instance, loaded, later=GRACE_SECONDS / 2) == []
    assert requested(instance, loaded, later=GRACE_SECONDS + 5) == [f"b after {intake}"]


def test_a_run_of_the_command_is_left_alone(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """Whoever started it repeats it."""
    run(instance, "b", by_command=True)
    assert requested(instance, loaded) == []


def test_a_cancelled_batch_is_left_alone(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """Somebody did not want it."""
    run(instance, "b")
    run(instance, "b", CANCELED)
    assert requested(instance, loaded) == []


def test_every_batch_has_its_turn(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """An evaluation looks at so many, the next one at those after them, and then it begins anew."""
    for number in range(batches.LOOKED_AT + 3):
        run(instance, f"b{number:03}")
    first = evaluated(instance, loaded)
    assert len(first.run_requests or ()) == batches.LOOKED_AT
    second = evaluated(instance, loaded, after=first.cursor or "")
    assert [request.partition_key for request in second.run_requests or ()] == ["b050", "b051", "b052"]
    assert second.cursor == ""


def test_a_failed_run_of_any_job_counts(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """A backfill in the UI runs under a job of Dagster's own, and nobody repeats it either."""
    failed = run(instance, "b", job="__ASSET_JOB")
    assert requested(instance, loaded) == [f"b after {failed}"]


def test_a_batch_that_never_had_a_run_gets_one(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """Once its manifest is so old that nobody is about to start it; with its own first run key."""
    instance.add_dynamic_partitions(PARTITIONS, ["b"])
    fix(loaded, "b")
    assert requested(instance, loaded, later=GRACE_SECONDS / 2) == []
    assert requested(instance, loaded, later=GRACE_SECONDS + 5) == ["b after none"]


def test_what_was_missing_lets_fresh_documents_pass_and_passes_backfills(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings
) -> None:
    """The first run of a reconciled batch, and every further one, has a priority between the two."""
    for batch, origin in (("fresh", "kafka"), ("missing", "reconciliation")):
        fix(loaded, batch, origin)
        instance.add_dynamic_partitions(PARTITIONS, [batch])

    def priorities() -> dict[str | None, str | None]:
        requests = evaluated(instance, loaded).run_requests or ()
        return {request.partition_key: request.tags.get("dagster/priority") for request in requests}

    assert priorities() == {"fresh": None, "missing": "-5"}
    for batch, priority in priorities().items():
        tags = {"dagster/partition": str(batch)} | ({"dagster/priority": priority} if priority else {})
        instance.add_run(dg.DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()), status=FAILED, tags=tags))
    assert priorities() == {"fresh": None, "missing": "-5"}
    assert int(backfills.PRIORITY) < int(batches.PRIORITY_OF_MISSING) < 0


def test_a_manifest_alone_asks_for_nothing(instance: dg.DagsterInstance, loaded: settings.LoadedSettings) -> None:
    """The command fixes all its batches before it comes to their partitions."""
    fix(loaded, "b")
    assert requested(instance, loaded) == []


@pytest.mark.parametrize("origin", ["folder", None])
def test_partitions_that_are_not_ours_get_no_run(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings, origin: str | None
) -> None:
    """Neither those of folders, which are the command's, nor those whose manifest is in another store."""
    instance.add_dynamic_partitions(PARTITIONS, ["b"])
    if origin is not None:
        fix(loaded, "b", origin)
    assert requested(instance, loaded) == []


def test_a_damaged_manifest_gets_a_run_to_fail_on(
    instance: dg.DagsterInstance, loaded: settings.LoadedSettings
) -> None:
    """There somebody is told, and the other batches are not held up."""
    instance.add_dynamic_partitions(PARTITIONS, ["a", "b"])
    fix(loaded, "b")
    open_store(loaded.settings).put("manifests/a.jsonl", b"garbage")
    assert requested(instance, loaded) == ["a after none", "b after none"]


def test_nothing_to_do_says_how_many_wait(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The tick tells people something."""
    run(instance, "b")
    resource = PipelineSettings(store_root=str(tmp_path / "store"))
    with dg.build_sensor_context(instance=instance, resources={"settings": resource}) as context:
        result = batches.unfinished_batches(context)
    assert isinstance(result, dg.SensorResult)
    assert "1 batches without a table" in str(result.skip_reason)
