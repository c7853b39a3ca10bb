"""The sensor that tells a webhook of runs that failed."""

import time
from collections.abc import Callable

import dagster as dg

from mineru_pipeline import alerts
from mineru_pipeline.alerts import Alert
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.launch import public_reason
from mineru_pipeline.settings import Settings
from resources.documents import PipelineSettings


def alert_of(context: dg.RunFailureSensorContext, link_base: str | None) -> Alert:
    """What is told of the run that failed."""
    run = context.dagster_run
    return Alert(
        run_id=run.run_id,
        job=run.job_name,
        batch=run.tags.get("dagster/partition"),
        error=public_reason(context.get_step_failure_events()),
        link=f"{link_base.rstrip('/')}/runs/{run.run_id}" if link_base else None,
    )


def evaluate(
    context: dg.RunFailureSensorContext, settings: Settings, *, sleep: Callable[[float], None] = time.sleep
) -> dg.SkipReason:
    """Tell of one failed run; what prevents it is the reason of the tick, for raising would help nobody."""
    url = settings.alerts.webhook_url
    if url is None:
        return dg.SkipReason("alerts.webhook_url is not set: nobody is told of failed runs")
    alert = alert_of(context, settings.alerts.link_base)
    problem = alerts.post(url.get_secret_value(), alert, settings.alerts.timeout_seconds, sleep=sleep)
    if problem:
        context.log.error("nobody was told that run %s failed: %s", alert.run_id, problem)
        return dg.SkipReason(f"nobody was told that run {alert.run_id} failed: {problem}")
    return dg.SkipReason(f"told that run {alert.run_id} failed")


@dg.run_failure_sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def failed_runs(context: dg.RunFailureSensorContext, settings: PipelineSettings) -> dg.SkipReason:
    """Posts each failed run to the webhook of alerts.webhook_url."""
    try:
        loaded = settings.load()
    except PipelineError as error:
        return dg.SkipReason(str(error))
    return evaluate(context, loaded)
