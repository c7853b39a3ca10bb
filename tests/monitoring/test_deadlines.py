"""The promise of an hour is judged once a document, at the moment it is kept or broken."""

from __future__ import annotations

from mineru_pipeline.monitoring.deadlines import BUCKETS, FAILED, IN_TIME, LATE, PROMISE_SECONDS, Deadlines

HOUR = PROMISE_SECONDS


def test_a_document_is_judged_when_its_result_comes() -> None:
    """In time or failed by its table, each entry by itself."""
    deadlines = Deadlines(since=0)
    deadlines.arrived("b", [10, 20])
    deadlines.ended("b", 100, [False, True])
    assert deadlines.verdicts == {IN_TIME: 1, FAILED: 1}
    assert not deadlines.waiting


def test_a_document_is_late_before_its_result_comes() -> None:
    """The hour is over whether or not anything happens, and what is late is not counted again when it ends."""
    deadlines = Deadlines(since=0)
    deadlines.arrived("b", [10, 20])
    deadlines.look(10 + HOUR + 1)
    assert deadlines.verdicts == {LATE: 1}
    deadlines.look(10 + HOUR + 2)
    assert deadlines.verdicts == {LATE: 1}
    deadlines.ended("b", 20 + HOUR + 5, [True, False])
    assert deadlines.verdicts == {LATE: 2}


def test_what_was_decided_before_the_start_is_left_to_an_earlier_process() -> None:
    """A restart counts no document twice."""
    deadlines = Deadlines(since=2 * HOUR)
    deadlines.arrived("b", [0, 2 * HOUR - 60])
    deadlines.look(2 * HOUR + 60)
    assert deadlines.verdicts.total() == 0
    deadlines.ended("b", 2 * HOUR + 120, [False, False])
    assert deadlines.verdicts == {IN_TIME: 1}


def test_the_oldest_is_known() -> None:
    """The age of the oldest waiting document comes from its arrival."""
    deadlines = Deadlines(since=0)
    assert deadlines.oldest is None
    deadlines.arrived("b", [30, 20])
    deadlines.arrived("c", [25])
    assert deadlines.oldest == 20
    assert deadlines.waiting == {"b": 2, "c": 1}
    deadlines.forget("b")
    assert deadlines.oldest == 25


def test_times_from_arrival_fall_into_buckets() -> None:
    """A bound belongs to its bucket, and beyond the last there is one more."""
    deadlines = Deadlines(since=0)
    deadlines.arrived("b", [0, 0])
    deadlines.ended("b", BUCKETS[0], [False, False])
    deadlines.arrived("c", [0])
    deadlines.ended("c", BUCKETS[-1] + 1, [False])
    assert (deadlines.seconds[0], deadlines.seconds[-1], sum(deadlines.seconds)) == (2, 1, 3)
    assert deadlines.sum_seconds == 2 * BUCKETS[0] + BUCKETS[-1] + 1
