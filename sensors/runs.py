"""The sensor that notices runs whose process is gone, and pools that stand still, which Dagster does not always."""

import dagster as dg

from mineru_pipeline.launch import fail_dead_runs
from mineru_pipeline.pools import free_slots_of_the_dead, wake_waiting_steps


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Marks runs whose process is gone as failed, and sees to it that free pool slots go to runs that wait."""
    instance = context.instance
    done = {
        "marked as failed": fail_dead_runs(instance),
        "slots freed": free_slots_of_the_dead(instance),
        "woken": wake_waiting_steps(instance),
    }
    told = [f"{what}: {', '.join(names)}" for what, names in done.items() if names]
    return dg.SkipReason("; ".join(told) or "every unfinished run has its process")
