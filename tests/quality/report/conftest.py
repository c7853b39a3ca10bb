"""A small comparison with everything in it: two strata, and a candidate that lost rows and pages."""

from __future__ import annotations

import pytest
from compared_documents import Entries, compared_of, truth_of

from mineru_pipeline.quality.damage import damaged
from mineru_pipeline.quality.report.model import Compared, Head, Side


@pytest.fixture(scope="session")
def head() -> Head:
    candidate = Side("measurement-2", "b0b0", "MinerU2.5", measured_at="2026-02-02")
    baseline = Side("first", "a0a0", "MinerU2.5", accepted_by="Ann", accepted_at="2026-01-01", why="It was good.")
    return Head("v1-abc", candidate, baseline, made_at="2026-02-03")


@pytest.fixture(scope="session")
def compared() -> Compared:
    """24 documents of two strata, some of which lost table rows or a page."""

    def spoil(number: int, entries: Entries) -> Entries:
        rows = damaged(entries, "drop_rows", 0.5, number) if number % 3 == 0 else entries
        return damaged(rows, "blank_pages", 0.9, number) if number % 8 == 0 else rows

    truths = [truth_of(f"doc-{number:02d}", "scans" if number % 2 else "lists") for number in range(24)]
    return compared_of(truths, spoil)
