"""The sensor that notices runs whose process is gone, which Dagster's default launcher does not always."""

import dagster as dg

from mineru_pipeline.launch import fail_dead_runs, free_slots_of_the_dead


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Marks runs whose process is gone as failed and frees their pool slots."""
    dead, freed = fail_dead_runs(context.instance), free_slots_of_the_dead(context.instance)
    told = [f"{what}: {', '.join(ids)}" for what, ids in (("marked as failed", dead), ("slots freed", freed)) if ids]
    return dg.SkipReason("; ".join(told) or "every unfinished run has its process")
