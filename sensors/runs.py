"""The sensor that notices runs whose process is gone, which Dagster's default launcher never does."""

import dagster as dg

from mineru_pipeline.launch import fail_dead_runs


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Marks runs whose process is gone as failed and frees their pool slots."""
    dead = fail_dead_runs(context.instance)
    return dg.SkipReason(f"marked as failed: {', '.join(dead)}" if dead else "every unfinished run has its process")
