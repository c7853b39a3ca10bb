"""The schedule that compares buckets and tables once a day."""

import dagster as dg

from mineru_pipeline import launch
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.settings import LoadedSettings, load
from resources.reconciling import targets

RECONCILE_JOB = "reconcile_buckets"
#: At night, and not at a full hour, when everybody's schedules start.
CRON = "17 3 * * *"
NOTHING_TO_COMPARE = "no bucket is compared: name those that documents may be read from in intake.buckets"


def evaluate(loaded: LoadedSettings) -> dg.RunRequest | dg.SkipReason:
    """A run for the settings' store, or why there is none; raises SettingsError."""
    if not targets(loaded.settings):
        return dg.SkipReason(NOTHING_TO_COMPARE)
    return dg.RunRequest(run_config=launch.run_resources(loaded.config_file, loaded.settings.store_address))


@dg.schedule(
    job_name=RECONCILE_JOB,
    cron_schedule=CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_reconciliation() -> dg.RunRequest | dg.SkipReason:
    """Compares the buckets of the settings with the tables every night, and requests what is missing."""
    try:
        return evaluate(load())
    except PipelineError as error:
        raise dg.Failure(str(error)) from error
