"""Keeps pools going: slots of runs that died, and slots that nobody was given."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from mineru_pipeline.launch import is_dead


def free_slots_of_the_dead(instance: dg.DagsterInstance) -> list[str]:
    """Free the pool slots of runs that ended with their process, whoever marked them; the ids of those runs.

    Dagster itself notices a process that its code server started, but keeps its slots for
    ``free_slots_after_run_end_seconds``, and even gives a slot to a step of it that was waiting for one.
    """
    storage, holders = instance.event_log_storage, set[str]()
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        holders |= info.active_run_ids | info.pending_run_ids | info.assigned_run_ids
    freed = []
    for run in (instance.get_run_by_id(run_id) for run_id in sorted(holders)):
        if run is not None and run.is_finished and is_dead(run.run_id, run.tags):
            storage.free_concurrency_slots_for_run(run.run_id)
            freed.append(run.run_id)
    return freed


def wake_waiting_steps(instance: dg.DagsterInstance) -> list[str]:
    """Give free slots to steps that wait for one; the pools in which that had been missed.

    A step that looks for a slot just before its holder leaves finds none, and is not in the queue yet when the slot is
    handed on. Nothing in Dagster looks again, and the pool stands still until somebody else leaves it.
    """
    storage, woken = instance.event_log_storage, []
    if not isinstance(storage, SqlEventLogStorage):
        return []
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        missed = min(info.slot_count - info.assigned_step_count, info.pending_step_count)
        for _ in range(missed):
            # One step at a time, by priority and age. Taking a slot is guarded by the slot's own row.
            storage.assign_pending_steps([pool])
        if missed > 0:
            woken.append(pool)
    return woken
