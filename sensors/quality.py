"""The schedule that measures the present settings on the corpus every night."""

from collections.abc import Callable

import dagster as dg

from mineru_pipeline import launch
from mineru_pipeline.errors import PipelineError
from mineru_pipeline.quality.extra import explain_missing, missing_modules
from mineru_pipeline.settings import LoadedSettings, load

QUALITY_JOB = "measure_quality"
#: At night, and not at a full hour, when everybody's schedules start.
CRON = "43 1 * * *"
NO_MODEL = (
    "no model server is set (vllm_server.base_url), and a development server that is started for the run gives the "
    "same answers every night: make quality measures it"
)


def evaluate(
    loaded: LoadedSettings, missing: Callable[[], list[str]] = missing_modules
) -> dg.RunRequest | dg.SkipReason:
    """A run for the settings' store, or why there is none."""
    server = loaded.settings.vllm_server
    if not (server.enabled and server.endpoints):
        return dg.SkipReason(NO_MODEL)
    if names := missing():
        return dg.SkipReason(explain_missing(names))
    return dg.RunRequest(run_config=launch.run_resources(loaded.config_file, loaded.settings.store_address))


@dg.schedule(
    job_name=QUALITY_JOB,
    cron_schedule=CRON,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly_quality() -> dg.RunRequest | dg.SkipReason:
    """Measures the corpus with the model server of the settings, and compares it with the accepted baseline."""
    try:
        return evaluate(load())
    except PipelineError as error:
        raise dg.Failure(str(error)) from error
