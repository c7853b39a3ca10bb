"""The judgements behind the asset checks."""

from __future__ import annotations

from typing import Any

import pytest

from mineru_pipeline.parsing import verdicts
from mineru_pipeline.parsing.ledger import ParsedRow


def row(entry: int, **changes: Any) -> ParsedRow:
    values: dict[str, Any] = {
        "entry": entry, "uri": f"u{entry}", "sha256": f"{entry:064}", "duplicate_of": None, "state": "parsed",
        "reason": "", "message": "", "pages": 1, "parsed_pages": 1, "degraded_pages": 0, "degenerate_pages": 0,
        "seconds": 1.0, "requests": 1, "agreement": None, "outputs": "o/",
    }  # fmt: skip
    return ParsedRow(**{**values, **changes})


def test_a_complete_batch_is_accounted_for() -> None:
    """One row for each entry, in whatever order, passes."""
    assert verdicts.every_document_accounted_for([row(1), row(0, state="rejected")], ["u0", "u1"]).passed


@pytest.mark.parametrize(
    "rows",
    [
        [row(0)],
        [row(0), row(0), row(1)],
        [row(0), row(1, uri="other")],
        [row(0), row(1), row(2)],
        [row(0), row(1, state="lost")],
        [],
    ],
    ids=["missing", "twice", "of another document", "of no entry", "unknown state", "nothing"],
)
def test_any_loss_or_invention_is_noticed(rows: list[ParsedRow]) -> None:
    """Missing, repeated, foreign and surplus rows and unknown states all fail the verdict."""
    assert not verdicts.every_document_accounted_for(rows, ["u0", "u1"]).passed


def test_failure_rate_counts_distinct_documents_and_not_rejections() -> None:
    """A duplicate of a failed document and a rejected one do not move the rate."""
    rows = [row(0, state="failed", reason="internal"), row(1, state="failed", duplicate_of="u0"), row(2), row(3)]
    rows.append(row(4, state="rejected"))
    verdict = verdicts.failure_rate_within(rows, 0.25)
    assert verdict.passed
    assert verdict.figures["rate"] == 0.25
    assert not verdicts.failure_rate_within(rows, 0.24).passed


def test_a_lost_page_is_noticed() -> None:
    """A parsed document must have every page; a rejected one has none to have."""
    assert verdicts.page_count_preserved([row(0), row(1, state="rejected", parsed_pages=0)]).passed
    assert not verdicts.page_count_preserved([row(0, pages=2)]).passed


def test_low_agreement_is_named() -> None:
    """The document whose words are missing is in the figures."""
    verdict = verdicts.agrees_with_text_layer([row(0, agreement=0.5), row(1, agreement=1.0), row(2)], 0.8)
    assert not verdict.passed
    assert verdict.figures["below"] == ["u0: 0.500"]
    assert verdict.figures["mean"] == 0.75
    assert verdicts.agrees_with_text_layer([row(0)], 0.8).passed


def test_degenerate_pages_are_named() -> None:
    """A looping or empty page fails the verdict."""
    assert verdicts.no_degenerate_output([row(0)]).passed
    assert not verdicts.no_degenerate_output([row(0, degenerate_pages=1)]).passed
