"""One rule says when failed runs and failed documents are tried again."""

from __future__ import annotations

import pytest

from mineru_pipeline.parsing import backoff
from mineru_pipeline.parsing.backoff import RUNS, Patience, is_over, retry_at


@pytest.mark.parametrize("patience", [RUNS, backoff.documents(4)])
def test_pauses_grow_and_end(patience: Patience) -> None:
    """Twice as long each time, up to the longest, and after the last attempt never again."""
    due = [retry_at(count, 1000.0, patience) for count in range(1, patience.most_attempts + 1)]
    pauses = [at - 1000 for at in due if at is not None]
    assert pauses[:3] == [patience.first_pause * factor for factor in (1, 2, 4)]
    assert max(pauses) <= patience.longest_pause
    assert due[-1] is None
    assert due.index(None) == patience.most_attempts - 1


def test_runs_are_tried_for_more_than_a_day() -> None:
    """An outage over night, and the morning after, costs nobody's attention."""
    pauses = [retry_at(count, 0.0, RUNS) or 0 for count in range(1, RUNS.most_attempts)]
    assert pauses[-1] == RUNS.longest_pause
    assert sum(pauses) > 24 * 3600


def test_absurd_counts_give_no_absurd_times() -> None:
    """A note may say anything; the pause stays within its bounds."""
    assert retry_at(10**9, 0.0, Patience(1.0, 5.0, 10**10)) == 5.0
    assert retry_at(-3, 0.0, RUNS) == RUNS.first_pause


def test_a_clock_that_went_wrong_makes_nobody_wait_for_years() -> None:
    """What failed while the clock was ahead is tried again now; a pause that can be one is waited for."""
    now, year = 1_000_000.0, 365 * 86_400.0
    assert [is_over(due, now) for due in (now - 1, now, now + 1, now + RUNS.longest_pause, now + year, None)] == [
        True, True, False, False, True, False,
    ]  # fmt: skip
