"""The ``dagster.yaml`` that a new Dagster home gets."""

INSTANCE_YAML = """\
# Written once, with the defaults of mineru-pipeline; yours to change from here on.
telemetry:
  enabled: false
# No sign-up form in the UI.
nux:
  enabled: false
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  # Without it, one cancelled run can keep its pool slot for ever.
  free_slots_after_run_end_seconds: 300
run_retries:
  enabled: true
  max_retries: 2
  # Retries of the run are for crashes; what an op can retry, it retries itself.
  retry_on_asset_or_op_failure: false
concurrency:
  pools:
    granularity: op
    default_limit: 1
  runs:
    max_concurrent_runs: 2
    # Backfills, requested by the schedule or by hand, leave a place to documents that just came in.
    tag_concurrency_limits:
      - {key: mineru_pipeline/backfill, limit: 1}
      - {key: dagster/backfill, limit: 1}
# A code server that is started again, as for a new version, must not fail whatever is due meanwhile.
run_queue:
  max_user_code_failure_retries: 60
  user_code_failure_retry_delay: 10
# What the pipeline logs goes to the run's own log in the UI. Capturing the process's output, too,
# would tear the command's progress bar.
python_logs:
  managed_python_loggers: [mineru_pipeline]
  python_log_level: INFO
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""
