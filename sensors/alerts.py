"""The sensor that tells a webhook of runs that failed: of the first failure of a batch, and of the last."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from mineru_pipeline import alerts, runs
from mineru_pipeline.alerts import Alert
from mineru_pipeline.documents.refs import utc_text
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.launch import PARSED_ASSET, public_reason
from mineru_pipeline.parsing import backfilling, backoff, ledger, release
from mineru_pipeline.settings import Settings
from mineru_pipeline.storage import layout
from resources.documents import LOOK_PATIENCE_SECONDS, PipelineSettings, open_store
from resources.parsing import revisions_of

_BY_HAND = "It is not tried again by itself: mend the cause, then re-execute the run."


@dataclass(frozen=True, slots=True)
class Outlook:
    """What comes after a failed run."""

    attempt: int
    #: In seconds since 1970; None where nothing comes by itself, or nobody knows.
    next_at: float | None
    #: Whether nothing comes by itself.
    is_last: bool
    #: Whether somebody was told of an earlier failure since the last success.
    told: bool
    #: For people.
    text: str


def outlook(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> Outlook:
    """Find out whether and when the batch of a failed run is tried again, by the rules of those who do that."""
    batch = run.tags.get(runs.TAG_PARTITION)
    if batch is None:
        return Outlook(1, None, is_last=True, told=False, text=_BY_HAND)
    past = runs.history(instance, batch, up_to=run.run_id)
    attempt = max(past.failures, 1)
    if past.of_command:
        text = "The command that started it goes on where it stopped when it is given again."
        return Outlook(attempt, None, is_last=True, told=past.told, text=text)
    if _dagster_retries(instance, run):
        text = "Dagster starts it again at once."
        return Outlook(attempt, past.last, is_last=False, told=past.told, text=text)
    try:
        due = _next_try(instance, batch, past, settings)
    except PipelineError as error:
        text = f"It could not be found out when it is tried again: {error}"
        return Outlook(attempt, None, is_last=False, told=past.told, text=text)
    if due is None:
        return Outlook(attempt, None, is_last=True, told=past.told, text=_BY_HAND)
    text = f"It is tried again by itself, not before {_moment(due)}."
    return Outlook(attempt, due, is_last=False, told=past.told, text=text)


def _dagster_retries(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster itself repeats the run, whose process died; it says so when it stores the failure."""
    now = instance.get_run_by_id(run.run_id) or run
    return now.tags.get("dagster/will_retry") == "true"


def _next_try(instance: dg.DagsterInstance, batch: str, past: runs.History, settings: Settings) -> float | None:
    """As `unfinished_batches` and, for a batch that has a table already, `backfills` decide it."""
    again = backoff.retry_at(past.failures, past.last, backoff.RUNS)
    if batch not in instance.get_materialized_partitions(dg.AssetKey(PARSED_ASSET)):
        return again
    if settings.backfills.most_runs == 0:
        return None
    store = open_store(settings, patience_seconds=LOOK_PATIENCE_SECONDS)
    if not store.exists(layout.table_key(ledger.PARSED_DOCUMENTS, revisions_of(settings).parser, batch)):
        return again
    # Its documents are in the table, and those that failed are tried again after pauses of their own.
    patience = backoff.documents(settings.backfills.most_attempts)
    due = backfilling.due_times(release.survey(store).notes, patience).get(batch)
    return None if due is None or again is None else max(due, again)


def alert_of(context: dg.RunFailureSensorContext, expected: Outlook, link_base: str | None) -> Alert:
    """What is told of the run that failed."""
    run = context.dagster_run
    batch, error = run.tags.get(runs.TAG_PARTITION), public_reason(context.get_step_failure_events())
    what = f"batch {batch}" if batch else f"{run.job_name}, run {run.run_id},"
    which = f"Failure {expected.attempt} in a row of" if expected.attempt > 1 else "First failure of"
    last = ", the last attempt" if expected.is_last and expected.attempt > 1 else ""
    return Alert(
        run_id=run.run_id,
        job=run.job_name,
        batch=batch,
        error=error,
        text=f"{which} {what}{last}: {error} — {expected.text}",
        attempt=expected.attempt,
        next_attempt=None if expected.next_at is None else _moment(expected.next_at),
        link=f"{link_base.rstrip('/')}/runs/{run.run_id}" if link_base else None,
    )


def _moment(seconds: float) -> str:
    return utc_text(datetime.fromtimestamp(seconds, UTC))


def evaluate(
    context: dg.RunFailureSensorContext, settings: Settings, *, sleep: Callable[[float], None] = time.sleep
) -> dg.SkipReason:
    """Tell of one failed run; what prevents it is the reason of the tick, for raising would help nobody."""
    url = settings.alerts.webhook_url
    if url is None:
        return dg.SkipReason("alerts.webhook_url is not set: nobody is told of failed runs")
    expected = outlook(context.instance, context.dagster_run, settings)
    if expected.told and not expected.is_last:
        return dg.SkipReason(f"failure {expected.attempt} in a row, told of at an earlier one. {expected.text}")
    alert = alert_of(context, expected, settings.alerts.link_base)
    problem = alerts.post(url.get_secret_value(), alert, settings.alerts.timeout_seconds, sleep=sleep)
    if problem:
        context.log.error("nobody was told that run %s failed: %s", alert.run_id, problem)
        return dg.SkipReason(f"nobody was told that run {alert.run_id} failed: {problem}")
    context.instance.add_run_tags(alert.run_id, {runs.TAG_TOLD: alert.run_id})
    return dg.SkipReason(f"told that run {alert.run_id} failed")


@dg.run_failure_sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def failed_runs(context: dg.RunFailureSensorContext, settings: PipelineSettings) -> dg.SkipReason:
    """Posts the first failure of a batch, and the last when its retries are spent, to alerts.webhook_url."""
    try:
        loaded = settings.load()
    except PipelineError as error:
        return dg.SkipReason(str(error))
    return evaluate(context, loaded)
