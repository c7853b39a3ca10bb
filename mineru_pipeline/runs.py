"""What the Dagster instance knows of the runs of batches, read without changing anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mineru_pipeline import launch
from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.settings import Settings

MOST_RUNS = 20
TAG_PARTITION = "dagster/partition"
RUNNING, FAILED = "running", "failed"
_ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, *launch.UNFINISHED]


@dataclass(frozen=True, slots=True)
class RunView:
    """One run of a batch; times are ISO 8601 in UTC, None for what has not happened."""

    run_id: str
    #: Dagster's own word in lower case, such as ``success`` or ``failure``.
    status: str
    created: str
    started: str | None
    ended: str | None


@contextmanager
def looking(settings: Settings) -> Iterator[dg.DagsterInstance | None]:
    """The instance of the settings; None where there is none yet, for looking makes nothing.

    Raises:
        DagsterInstanceError: there is one, and it cannot be used.
    """
    if not (settings.dagster_home / "dagster.yaml").exists():
        yield None
        return
    instance = launch.open_instance(settings)
    try:
        yield instance
    finally:
        instance.dispose()


def runs_of(instance: dg.DagsterInstance, batch: str) -> list[RunView]:
    """Return the latest runs of a batch, the newest first, at most ``MOST_RUNS``."""
    filters = dg.RunsFilter(job_name=launch.JOB, tags={TAG_PARTITION: batch})
    return [
        RunView(
            run_id=record.dagster_run.run_id,
            status=record.dagster_run.status.value.lower(),
            created=utc_text(record.create_timestamp.replace(tzinfo=record.create_timestamp.tzinfo or UTC)),
            started=_moment(record.start_time),
            ended=_moment(record.end_time),
        )
        for record in instance.get_run_records(filters, limit=MOST_RUNS)
    ]


def unsettled(instance: dg.DagsterInstance, most: int) -> tuple[dict[str, str], bool]:
    """Return for each batch with a run under way ``running``, for others with a bad end ``failed``; and whether cut.

    Of either kind only the ``most`` newest runs are looked at.
    """
    bad = instance.get_runs(dg.RunsFilter(job_name=launch.JOB, statuses=_ENDED_BADLY), limit=most)
    under_way = instance.get_runs(dg.RunsFilter(job_name=launch.JOB, statuses=_UNDER_WAY), limit=most)
    found = [(run.tags.get(TAG_PARTITION, ""), FAILED) for run in bad]
    found += [(run.tags.get(TAG_PARTITION, ""), RUNNING) for run in under_way]
    return dict(found), most in {len(bad), len(under_way)}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else utc_text(datetime.fromtimestamp(seconds, UTC))
