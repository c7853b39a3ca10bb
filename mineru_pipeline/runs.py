"""What the Dagster instance knows of the runs of batches, read without changing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from mineru_pipeline import launch
from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.parsing import backoff
from mineru_pipeline.settings import Settings

MOST_RUNS = 20
TAG_PARTITION = "dagster/partition"
#: On failed runs that somebody was told of: their own id, for a re-execution inherits the tags of its parent.
TAG_TOLD = "mineru_pipeline/told"
#: On the newest run of a batch that somebody wants to be started again: its own id, for the same reason.
TAG_RESTART = "mineru_pipeline/restart"
RUNNING, FAILED = "running", "failed"
#: What comes after a run that failed: another one by itself, or none because its retries are spent, somebody cancelled
#: it, or the command that started it has to be given again; or one because somebody asked for it.
RETRYING, SPENT, CANCELLED, OF_COMMAND, RESTARTED = "retrying", "spent", "cancelled", "command", "restarted"
_ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_ENDED_TICKS = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]
UNDER_WAY = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, *launch.UNFINISHED]


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
    # Of whatever job: a backfill in the UI has one of Dagster's own.
    filters = dg.RunsFilter(tags={TAG_PARTITION: batch})
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


@dataclass(frozen=True, slots=True)
class History:
    """What the latest runs of a batch say about another one; times are in seconds since 1970."""

    #: Id of the newest; "" without any.
    newest: str
    #: Runs that failed since the last success.
    failures: int
    #: When the newest last changed.
    last: float
    under_way: bool
    #: Whether the newest was cancelled: whoever did that did not want it.
    cancelled: bool
    #: Whether the newest succeeded.
    succeeded: bool
    #: Whether every run was the command's, which is repeated by whoever gave it.
    of_command: bool
    #: The tags of the newest.
    tags: Mapping[str, str]
    #: Whether somebody was told of a failure since the last success.
    told: bool
    #: Whether somebody wants another run after the newest, whatever became of that.
    restarted: bool

    def retry_at(self) -> float | None:
        """When another run may start after failures; None: never by itself. Whose batch it is, is another question."""
        if self.under_way or self.cancelled:
            return None
        return backoff.retry_at(self.failures, self.last, backoff.RUNS) if self.failures else self.last


def history(instance: dg.DagsterInstance, batch: str, *, up_to: str | None = None) -> History:
    """Look at the runs of a batch, of whatever job; with ``up_to`` at those up to this run.

    What lies before a restart counts no more: the batch is anybody's, uncancelled, and has all its attempts again.
    """
    filters = dg.RunsFilter(tags={TAG_PARTITION: batch})
    records = list(instance.get_run_records(filters, limit=backoff.RUNS.most_attempts + 1, order_by="id"))
    place = next((n for n, record in enumerate(records) if record.dagster_run.run_id == up_to), 0)
    records = records[place:]
    statuses = [record.dagster_run.status for record in records]
    marked = [_is_marked(record.dagster_run) for record in records]
    since = next(
        (n for n, status in enumerate(statuses) if status == dg.DagsterRunStatus.SUCCESS or marked[n]), len(statuses)
    )
    restarted = since == 0 and bool(records) and marked[0]
    newest = statuses[0] if statuses and not restarted else None
    streak = [record.dagster_run for record in records[:since]]
    return History(
        newest=records[0].dagster_run.run_id if records else "",
        failures=sum(status in _ENDED_BADLY for status in statuses[:since]),
        last=records[0].update_timestamp.timestamp() if records else 0.0,
        under_way=any(status in UNDER_WAY for status in statuses),
        cancelled=newest == dg.DagsterRunStatus.CANCELED,
        succeeded=newest == dg.DagsterRunStatus.SUCCESS,
        of_command=bool(records) and not restarted and all(_is_of_command(record.dagster_run) for record in records),
        tags=records[0].dagster_run.tags if records else {},
        told=any(run.tags.get(TAG_TOLD) == run.run_id for run in streak),
        restarted=restarted,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a batch stands whose newest run ended badly; times are ISO 8601 in UTC."""

    batch: str
    #: RETRYING, SPENT, CANCELLED, OF_COMMAND or RESTARTED.
    state: str
    #: Runs that failed since the last success or restart.
    failures: int
    last: str
    #: Before which it is not tried again; None where nothing comes by itself.
    next: str | None

    @property
    def waits_for_somebody(self) -> bool:
        """Whether nothing comes by itself."""
        return self.next is None

    @property
    def says(self) -> str:
        """The same for people."""
        return {
            SPENT: "none: its retries are spent",
            CANCELLED: "none: somebody cancelled it",
            OF_COMMAND: "when the command is given again",
            RESTARTED: "at once: somebody restarted it",
        }.get(self.state, f"after {self.next}")


def standing(instance: dg.DagsterInstance, batch: str) -> Standing | None:
    """How a batch without a table stands; None where its newest run has not ended badly, or where there is none."""
    past = history(instance, batch)
    if not past.newest or past.under_way or past.succeeded:
        return None
    due = past.retry_at()
    state = RETRYING if due is not None else SPENT
    if past.restarted:
        state = RESTARTED
    elif past.of_command:
        state, due = OF_COMMAND, None
    elif past.cancelled:
        state = CANCELLED
    last = utc_text(datetime.fromtimestamp(past.last, UTC))
    return Standing(batch, state, past.failures, last, _moment(due))


def standings(instance: dg.DagsterInstance, batches: Iterable[str]) -> list[Standing]:
    """How those of the batches stand whose newest run ended badly."""
    return [each for each in (standing(instance, batch) for batch in batches) if each is not None]


def restart(instance: dg.DagsterInstance, batch: str) -> None:
    """Let the sensors start the batch again, whatever became of its newest run; one that has none gets a partition."""
    newest = history(instance, batch).newest
    if newest:
        instance.add_run_tags(newest, {TAG_RESTART: newest})
    launch.add_batches(instance, [batch])


#: Runs that one query names; databases take only so many.
_NAMED_AT_ONCE = 500


def restarted(instance: dg.DagsterInstance) -> set[str]:
    """Return the batches that somebody has ever restarted; :func:`history` says whether a run has come of it."""
    marked = sorted(run_id for _, run_ids in instance.get_run_tags([TAG_RESTART]) for run_id in run_ids)
    parts = (marked[start : start + _NAMED_AT_ONCE] for start in range(0, len(marked), _NAMED_AT_ONCE))
    found = (run for part in parts for run in instance.get_runs(dg.RunsFilter(run_ids=part)))
    return {run.tags[TAG_PARTITION] for run in found if TAG_PARTITION in run.tags}


def _is_marked(run: dg.DagsterRun) -> bool:
    return run.tags.get(TAG_RESTART) == run.run_id


def _is_of_command(run: dg.DagsterRun) -> bool:
    # Runs of earlier versions have no tag of ours; they are the only ones that forbid Dagster to retry them.
    return launch.TAG_COMMAND in run.tags or run.tags.get("dagster/max_retries") == "0"


def unsettled(instance: dg.DagsterInstance, most: int) -> tuple[dict[str, str], bool]:
    """Return for each batch with a run under way ``running``, for others with a bad end ``failed``; and whether cut.

    Of either kind only the ``most`` newest runs are looked at.
    """
    bad = instance.get_runs(dg.RunsFilter(statuses=_ENDED_BADLY), limit=most)
    under_way = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=most)
    found = [(run.tags.get(TAG_PARTITION, ""), FAILED) for run in bad]
    found += [(run.tags.get(TAG_PARTITION, ""), RUNNING) for run in under_way]
    return dict(found), most in {len(bad), len(under_way)}


@dataclass(frozen=True, slots=True)
class Database:
    """Where Dagster keeps runs, events and schedules."""

    #: ``SQLite`` in the home of one machine, or what several share.
    kind: str
    shared: bool
    #: Revision of its schema, and the one that this Dagster writes; None where it does not say.
    revision: str | None
    newest: str | None


def database(instance: dg.DagsterInstance) -> Database:
    """Return what is known of the instance's database."""
    name = type(instance.run_storage).__name__
    kind = {"SqliteRunStorage": "SQLite", "PostgresRunStorage": "PostgreSQL"}.get(name, name)
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    versions = [version for version in (each.alembic_version() for each in storages if each is not None) if version]
    pairs: list[tuple[str | None, str | None]] = [(revision, str(newest)) for revision, newest in versions]
    behind = [pair for pair in pairs if pair[0] != pair[1]]
    revision, newest = (behind or pairs or [(None, None)])[0]
    return Database(kind, kind != "SQLite", revision, newest)


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon, by the signs of life of its parts."""

    #: Seconds since the last sign of the part that has been silent for longest; None if one has never been heard.
    silent_seconds: float | None
    #: The parts that have never been heard, or not for the longest time.
    silent: tuple[str, ...]
    #: What parts say is wrong.
    errors: tuple[str, ...]


def daemon(instance: dg.DagsterInstance, now: float) -> Daemon:
    """Return how the parts of the daemon are that the instance needs."""
    heard = instance.get_daemon_heartbeats()
    needed = instance.get_required_daemon_types()
    errors = tuple(
        f"{name.lower()}: {(error.message or error.cls_name or '').strip().splitlines()[0]}"
        for name in needed
        for error in (heard[name].errors or () if name in heard else ())
    )
    missing = tuple(name.lower() for name in needed if name not in heard)
    if missing or not needed:
        return Daemon(None if missing else 0.0, missing, errors)
    last = {name: heard[name].timestamp for name in needed}
    oldest = min(last.values())
    return Daemon(now - oldest, tuple(name.lower() for name in needed if last[name] == oldest), errors)


#: Runs and batches that :func:`stuck` looks at; a batch is a query.
_MOST_UNSETTLED, _MOST_HISTORIES = 1000, 200


def stuck(instance: dg.DagsterInstance, batches: Iterable[str]) -> int:
    """How many of the batches, which have no table, failed and are not started again by themselves; at most 200."""
    known, _ = unsettled(instance, _MOST_UNSETTLED)
    failed = [batch for batch in batches if known.get(batch) == FAILED]
    return sum(each.waits_for_somebody for each in standings(instance, failed[:_MOST_HISTORIES]))


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the instance does: runs of whatever job, and who looks after them; times are in seconds since 1970."""

    #: Runs that wait or are executed now.
    queued: int
    started: int
    #: Runs that ended, by how: all that the instance remembers.
    ended: Mapping[str, int]
    #: By daemon, when it last was alive.
    heartbeats: Mapping[str, float]
    #: By sensor or schedule that is switched on, whether its latest evaluation failed.
    failing: Mapping[str, bool]
    #: By check, whether it passed, or else its severity in lower case, and when.
    checks: Mapping[str, tuple[str, float]]


#: Of what :attr:`Pulse.checks` tells.
PASSED, WARNED, FAILED_CHECK = "passed", "warn", "error"


def pulse(instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]) -> Pulse:
    """Ask the instance how it does: a dozen counts and single rows, however many runs there were."""

    def count(*statuses: dg.DagsterRunStatus) -> int:
        return instance.get_runs_count(dg.RunsFilter(statuses=list(statuses)))

    ended = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    judged = ((key.name, _judged(instance, key)) for key in checks)
    return Pulse(
        queued=count(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED),
        started=count(*launch.UNFINISHED),
        ended={status.value.lower(): count(status) for status in ended},
        heartbeats={name: beat.timestamp for name, beat in instance.get_daemon_heartbeats().items()},
        failing=_failing(instance),
        checks={name: found for name, found in judged if found is not None},
    )


def _failing(instance: dg.DagsterInstance) -> dict[str, bool]:
    found = {}
    for state in instance.all_instigator_state():
        if not state.is_running:
            continue
        # One that is going on says nothing yet.
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=_ENDED_TICKS)
        if ticks:
            found[state.instigator_name] = ticks[0].status == TickStatus.FAILURE
    return found


def _judged(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> tuple[str, float] | None:
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    event = record.event.dagster_event if record is not None and record.event is not None else None
    if record is None or event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    evaluation = event.asset_check_evaluation_data
    state = PASSED if evaluation.passed else evaluation.severity.value.lower()
    return state, record.create_timestamp


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else utc_text(datetime.fromtimestamp(seconds, UTC))
