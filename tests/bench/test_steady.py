"""Claims about what is read out of a server's figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.servers import Simulated
from bench.steady import between

START = Simulated(
    seconds=10.0,
    slots=4,
    running=0,
    waiting=0,
    running_seconds=20.0,
    waiting_seconds=5.0,
    slot_seconds=40.0,
    started=10,
    finished=10,
    shed=3,
    aborted=0,
    cpu_seconds=0.0,
    started_by_client={"a": 6, "b": 4},
    finished_by_client={"a": 6, "b": 4},
)


def test_a_window_is_the_difference_of_two_readings() -> None:
    """Half of the slots busy, one waiting for ten that run, the slower client at half the pace of the faster."""
    end = replace(
        START,
        seconds=20.0,
        running_seconds=40.0,
        waiting_seconds=7.0,
        slot_seconds=80.0,
        finished=25,
        shed=5,
        finished_by_client={"a": 16, "b": 9, "c": 99},
    )
    window = between(START, end, ["a", "b"], since=replace(START, shed=1), documents={"failed": 2})
    assert (window.of_capacity, window.waiting_over_running) == (pytest.approx(0.5), pytest.approx(0.1))
    assert (window.shed, window.shed_before, window.answered) == (2, 2, (10, 5))
    assert (window.requests_per_second, window.slowest_over_fastest) == (1.5, 0.5)


def test_a_worker_that_got_nothing_is_the_slowest() -> None:
    """A client without any answer makes the ratio zero, and so does a server that answered nobody."""
    end = replace(START, seconds=20.0, slot_seconds=80.0, finished_by_client={"a": 16, "b": 4})
    assert between(START, end, ["a", "b"]).slowest_over_fastest == 0.0
    idle = between(START, replace(START, seconds=20.0, slot_seconds=80.0), ["a"])
    assert (idle.slowest_over_fastest, idle.of_capacity, idle.waiting_over_running) == (0.0, 0.0, 0.0)
