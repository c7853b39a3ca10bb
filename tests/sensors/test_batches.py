"""Announced batches whose run failed are tried again, and nothing else is."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest

from mineru_pipeline.launch import JOB, PARTITIONS
from sensors import batches
from sensors.batches import FIRST_PAUSE, LONGEST_PAUSE, MOST_ATTEMPTS, retry_at
from sensors.messages import TAG_SOURCE

FAILED, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def run(
    instance: dg.DagsterInstance, batch: str, status: dg.DagsterRunStatus = FAILED, *, announced: bool = True
) -> None:
    instance.add_dynamic_partitions(PARTITIONS, [batch])
    tags = {"dagster/partition": batch, **({TAG_SOURCE: "t[0] 0-3"} if announced else {})}
    instance.add_run(dg.DagsterRun(job_name=JOB, run_id=str(uuid.uuid4()), status=status, tags=tags))


def requested(instance: dg.DagsterInstance, *, later: float = 10_000, after: str = "") -> list[str]:
    result = batches.evaluate(instance, after, time.time() + later)
    return [request.run_key or "" for request in result.run_requests or ()]


def test_a_failed_batch_is_tried_again_after_a_pause(instance: dg.DagsterInstance) -> None:
    """Under a new run key, with its partition, and not before its time."""
    run(instance, "b")
    assert requested(instance, later=FIRST_PAUSE / 2) == []
    (request,) = batches.evaluate(instance, "", time.time() + FIRST_PAUSE + 5).run_requests or ()
    assert (request.run_key, request.partition_key) == ("b attempt 2", "b")
    assert request.tags[TAG_SOURCE] == "t[0] 0-3"
    run(instance, "b")
    assert requested(instance) == ["b attempt 3"]


def test_a_batch_with_a_table_is_left_alone(instance: dg.DagsterInstance) -> None:
    """What its checks say is another question."""
    run(instance, "b")
    instance.report_runless_asset_event(dg.AssetMaterialization("parsed_documents", partition="b"))
    assert requested(instance) == []


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.SUCCESS,
    ],
)
def test_a_batch_under_way_is_left_alone(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    """Whether somebody re-executed it by hand or Dagster did."""
    run(instance, "b")
    run(instance, "b", status)
    assert requested(instance) == []


def test_a_run_of_the_command_is_left_alone(instance: dg.DagsterInstance) -> None:
    """Whoever started it repeats it."""
    run(instance, "b", announced=False)
    assert requested(instance) == []


def test_a_cancelled_batch_is_left_alone(instance: dg.DagsterInstance) -> None:
    """Somebody did not want it."""
    run(instance, "b")
    run(instance, "b", CANCELED)
    assert requested(instance) == []


def test_pauses_grow_and_end() -> None:
    """Twice as long each time, up to an hour, and after a day's worth of failures never again."""
    due = [retry_at([(FAILED, 1000.0)] * count) for count in range(1, MOST_ATTEMPTS + 1)]
    pauses = [None if at is None else at - 1000 for at in due]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-2:] == [LONGEST_PAUSE, None]
    assert sum(pause or 0 for pause in pauses) > 24 * 3600
    assert retry_at([]) is None


def test_every_batch_has_its_turn(instance: dg.DagsterInstance) -> None:
    """An evaluation looks at so many, the next one at those after them, and then it begins anew."""
    for number in range(batches.LOOKED_AT + 3):
        run(instance, f"b{number:03}")
    first = batches.evaluate(instance, "", time.time() + 10_000)
    assert len(first.run_requests or ()) == batches.LOOKED_AT
    second = batches.evaluate(instance, first.cursor or "", time.time() + 10_000)
    assert [request.partition_key for request in second.run_requests or ()] == ["b050", "b051", "b052"]
    assert second.cursor == ""


def test_nothing_to_do_says_how_many_wait(instance: dg.DagsterInstance) -> None:
    """The tick tells people something."""
    run(instance, "b")
    with dg.build_sensor_context(instance=instance) as context:
        result = batches.unfinished_batches(context)
    assert isinstance(result, dg.SensorResult)
    assert "1 batches without a table" in str(result.skip_reason)
