"""Pages by outcome, documents by state, seconds by stage."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from mineru_pipeline.parsing.metrics import ParsingMetrics, figures
from mineru_pipeline.parsing.outcome import DocumentOutcome, PageSummary, State


def page(*endings: str) -> PageSummary:
    return PageSummary(0, 3, 100, None, tuple({"block": n, "ending": ending} for n, ending in enumerate(endings)))


def test_pages_are_counted_by_how_they_ended() -> None:
    """A gap is worse than words that stand in; failed and reused documents bring all their pages."""
    metrics = ParsingMetrics()
    summaries = (page(), page(), page("text-layer", "plain-text"), page("text-layer", "gap"))
    metrics.ended(DocumentOutcome("a", State.DEGRADED, pages=4, page_summaries=summaries))
    metrics.ended(DocumentOutcome("b", State.FAILED, pages=7))
    metrics.ended(DocumentOutcome("c", State.PARSED, pages=2, page_summaries=(page(), page()), reused=True))
    metrics.rejected(5)
    metrics.answered("checkpoint", 3)
    metrics.answered("model")
    found = figures(metrics.registry)
    assert found["pages_by_outcome"] == {"read": 2, "degraded": 1, "gap": 1, "failed": 7, "reused": 2}
    assert found["documents_by_state"] == {"degraded": 1, "failed": 1, "parsed": 1, "rejected": 5}
    assert found["pages_answered_by_source"] == {"checkpoint": 3, "model": 1}


def test_a_stage_within_a_stage_is_booked_once() -> None:
    """What the store takes is not part of the assembly around it."""
    times = iter([0.0, 1.0, 8.0, 10.0])
    metrics = ParsingMetrics(clock=lambda: next(times))
    with metrics.stage("assemble"), metrics.stage("store"):
        pass
    assert figures(metrics.registry)["seconds_by_stage"] == {"store": 7, "assemble": 3}


def test_the_time_of_a_failed_stage_counts() -> None:
    """An error passes through, and its time was spent all the same."""
    times = iter([0.0, 4.0])
    metrics = ParsingMetrics(clock=lambda: next(times))
    with pytest.raises(ZeroDivisionError), metrics.stage("render"):
        raise ZeroDivisionError
    assert figures(metrics.registry)["seconds_by_stage"] == {"render": 4}


def test_time_that_ran_backwards_is_no_time() -> None:
    """A counter never shrinks."""
    metrics = ParsingMetrics()
    metrics.spent("layout", -5.0)
    assert figures(metrics.registry)["seconds_by_stage"] == {"layout": 0}


def test_a_registry_without_parsing_has_no_figures() -> None:
    """Nothing was counted, and nothing is made up."""
    assert figures(CollectorRegistry())["pages_by_outcome"] == {}
