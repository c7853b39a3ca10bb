"""The sensor that starts the run of an announced batch again when it ended without a table."""

import time
from collections.abc import Sequence
from itertools import islice

import dagster as dg

from mineru_pipeline.launch import JOB, PARSED_ASSET, PARTITIONS
from sensors.messages import TAG_SOURCE

#: Seconds until the next attempt: soon, for most outages are short, and then ever more rarely.
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
#: A little more than a day. What has failed that often waits for somebody to look at it.
MOST_ATTEMPTS = 30
#: Batches that one evaluation looks at; the next one looks at those after them.
LOOKED_AT = 50

_FINISHED_BADLY = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def retry_at(runs: Sequence[tuple[dg.DagsterRunStatus, float]]) -> float | None:
    """When to try a batch again, in seconds since 1970; None for never.

    Args:
        runs: status and time of the last change of each of its runs, the newest first.
    """
    if not runs or any(status not in _FINISHED_BADLY for status, _ in runs):
        return None
    status, ended = runs[0]
    # Whoever cancelled it did not want it; what was cancelled before a failure is past.
    if status == dg.DagsterRunStatus.CANCELED or len(runs) >= MOST_ATTEMPTS:
        return None
    return ended + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (len(runs) - 1))


@dg.sensor(job_name=JOB, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def unfinished_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Starts announced batches again whose run failed before their table was written, as in an outage."""
    return evaluate(context.instance, context.cursor or "", time.time())


def evaluate(instance: dg.DagsterInstance, after: str, now: float) -> dg.SensorResult:
    """The runs to request at the time ``now``, and where the next evaluation goes on.

    Args:
        instance: where the runs are.
        after: the last batch that was looked at.
        now: seconds since 1970.
    """
    done = instance.get_materialized_partitions(dg.AssetKey(PARSED_ASSET))
    unfinished = sorted(set(instance.get_dynamic_partitions(PARTITIONS)) - done)
    keys = list(islice((key for key in unfinished if key > after), LOOKED_AT))
    requests = [request for key in keys if (request := _retry(instance, key, now)) is not None]
    return dg.SensorResult(
        run_requests=requests or None,
        skip_reason=None
        if requests
        else dg.SkipReason(f"{len(unfinished)} batches without a table, none due for a retry"),
        # Once around, from the start.
        cursor=keys[-1] if len(keys) == LOOKED_AT else "",
    )


def _retry(instance: dg.DagsterInstance, batch: str, now: float) -> dg.RunRequest | None:
    records = instance.get_run_records(
        dg.RunsFilter(job_name=JOB, tags={"dagster/partition": batch}), limit=MOST_ATTEMPTS, order_by="id"
    )
    # A run of the command is the command's to repeat.
    announced = next((tags[TAG_SOURCE] for tags in (r.dagster_run.tags for r in records) if TAG_SOURCE in tags), None)
    due = retry_at([(record.dagster_run.status, record.update_timestamp.timestamp()) for record in records])
    if announced is None or due is None or now < due:
        return None
    return dg.RunRequest(
        run_key=f"{batch} attempt {len(records) + 1}", partition_key=batch, tags={TAG_SOURCE: announced}
    )
