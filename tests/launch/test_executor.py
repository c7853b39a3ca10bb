"""A run that waits for a place in a pool waits, and does not spin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from mineru_pipeline import launch
from mineru_pipeline.definitions import build_definitions
from mineru_pipeline.executor import PAUSE_SECONDS, PatientClaims, patient_in_process_executor
from mineru_pipeline.settings import load

POOL, STEP = "vllm", "parsed_documents"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = load(environ={"MINERU_PIPELINE__DATA_DIR": str(tmp_path)}).settings
    with launch.open_instance(settings) as instance:
        yield instance


def test_a_step_that_waits_for_a_pool_sleeps_between_its_looks(instance: dg.DagsterInstance) -> None:
    """Never no time, never longer than the pause; and it gets the place once it is free."""
    holder, waiting = create_run_for_test(instance), create_run_for_test(instance)
    instance.event_log_storage.set_concurrency_slots(POOL, 1)
    with PatientClaims(instance, holder) as held, PatientClaims(instance, waiting) as claims:
        assert held.claim(POOL, STEP)
        pauses = []
        for look in range(4):
            if claims.claim(POOL, STEP):
                break
            pauses.append(claims.interval_to_next_pending_claim_check())
            time.sleep(pauses[-1])
            if look == 1:
                held.free_step(STEP)
        assert claims.claim(POOL, STEP) or not claims.has_pending_claims()
    assert all(0 < pause <= PAUSE_SECONDS for pause in pauses)
    assert len(pauses) >= 2


def test_the_job_uses_it() -> None:
    """Runs of the daemon and those of the command alike."""
    job = build_definitions().resolve_job_def(launch.JOB)
    assert job.executor_def is patient_in_process_executor
