"""The figures on ticks of the intake's sensors come from real servers, and find what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.intake_ticks import broken
from mineru_pipeline.settings import project_root


@pytest.mark.timeout(400)
def test_every_part_holds_at_a_small_size() -> None:
    """Waiting messages, objects of one second, both servers killed and started again, odd keys."""
    command = [sys.executable, str(project_root() / "bench" / "intake_ticks.py"), "--messages", "600"]
    command += ["--objects", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=380)
    found = json.loads(done.stdout.splitlines()[-1])
    # How long a tick takes on a busy machine is no matter of this test.
    assert [each for each in found.pop("broken") if "slow" not in each] == [], done.stderr[-3000:]
    assert found["waiting"]["documents"] == 600
    assert found["same_second"]["states"] == found["same_second"]["found"] == 63
    assert "minio.endpoint" in found["store_down"]["failures"]["announced_documents"]["message"]
    assert "minio.endpoint" in found["store_down"]["failures"]["watched_buckets"]["message"]
    assert "kafka.bootstrap_servers" in found["broker_down"]["failures"]["announced_documents"]["message"]
    assert found["keys"]["right"] >= 12
    assert set(found["keys"]["refused"].values()) <= {"source-unreadable", "source-missing", "reference-invalid"}


def test_what_is_not_as_it_should_be_is_named() -> None:
    """Something lost, a tick that takes other batches the second time, a key that came out of its place."""
    good = {"lost": 0, "twice": 0}
    down = {**good, "fails_with_a_message": True, "resumed": True}
    waiting = {**good, "within_bounds": True, "same_batches_again": True, "seconds": 1}
    found = {
        "waiting": waiting,
        "same_second": good,
        "store_down": down,
        "broker_down": down,
        "keys": {"wrong": [], "outside_of_prefix": []},
    }
    assert broken(found) == []
    bad = {
        **found,
        "waiting": {**waiting, "same_batches_again": False, "seconds": 11},
        "same_second": {"lost": 2, "twice": 0},
        "keys": {"wrong": ["x"], "outside_of_prefix": []},
    }
    wanted = ["same_second: lost", "waiting: not same_batches_again", "keys: wrong", "waiting: too slow"]
    assert broken(bad) == wanted
