"""The executor of the job: Dagster's own in-process executor, but for how it waits for a place in a pool."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG, _core_in_process_executor_creation
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.executor.in_process import InProcessExecutor

#: Longest pause between two looks for a place in a pool.
PAUSE_SECONDS = 2.0


class PatientClaims(InstanceConcurrencyContext):
    """Claims of places in pools whose waiting costs no processor time.

    Dagster 1.13 waits for "the smaller of 0 and the time left": its loop never sleeps, and a run that waits for a pool
    keeps a whole processor busy, which on a small machine is the one that the run in the pool needs. Later it looks
    only every fifteen seconds, in which the pool may stand empty.
    """

    def interval_to_next_pending_claim_check(self) -> float:
        """Seconds until the next look."""
        now = time.time()
        for step, due in self._pending_timeouts.items():
            self._pending_timeouts[step] = min(due, now + PAUSE_SECONDS)
        # A little longer: whoever looks at the very moment is told that it is not over yet.
        return max(0.01, min((due - now for due in self._pending_timeouts.values()), default=0.0))


class PatientInProcessExecutor(InProcessExecutor):
    """As its base class in all else."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute all steps in this process."""
        told = EngineEventData.in_process(os.getpid(), execution_plan.step_keys_to_execute)
        yield dg.DagsterEvent.engine_event(plan_context, f"Executing steps in process (pid: {os.getpid()})", told)
        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=_execution,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )
        yield dg.DagsterEvent.engine_event(plan_context, f"Finished steps in process (pid: {os.getpid()})", told)


def _execution(job_context: PlanExecutionContext, execution_plan: ExecutionPlan) -> Iterator[dg.DagsterEvent]:
    with PatientClaims(job_context.instance, job_context.dagster_run) as claims:
        yield from inner_plan_execution_iterator(job_context, execution_plan, claims)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def patient_in_process_executor(context: dg.InitExecutorContext) -> PatientInProcessExecutor:
    """One process for the whole run, waiting for pools without keeping a processor busy."""
    plain = _core_in_process_executor_creation(context.executor_config)
    return PatientInProcessExecutor(plain.retries, plain.step_dependency_config, plain.marker_to_close)
