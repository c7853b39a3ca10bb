"""``Retry-After`` in both of its forms, and in none."""

from __future__ import annotations

import pytest

from mineru_pipeline.inference.retry_after import retry_after_seconds

NOON = "Sun, 06 Nov 1994 12:00:00 GMT"


@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), (" 120 ", 120.0), ("0", 0.0)])
def test_seconds(value: str, expected: float) -> None:
    """A number is a number of seconds, whatever the date."""
    assert retry_after_seconds(value) == expected
    assert retry_after_seconds(value, NOON) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("Sun, 06 Nov 1994 12:00:30 GMT", 30.0), ("Sun, 06 Nov 1994 11:59:00 GMT", 0.0)]
)
def test_a_date_counts_from_the_replys_own(value: str, expected: float) -> None:
    """No clock of ours is asked; what has passed already asks for nothing."""
    assert retry_after_seconds(value, NOON) == expected


@pytest.mark.parametrize(
    ("value", "date"),
    [(None, None), ("", NOON), ("soon", NOON), ("-5", NOON), ("1.5e9", NOON), ("²", NOON), (NOON, None), (NOON, "?")],
)
def test_what_cannot_be_read_asks_for_nothing(value: str | None, date: str | None) -> None:
    """A server's nonsense never fails a request."""
    assert retry_after_seconds(value, date) == 0.0


def test_endless_digits_are_cut_off() -> None:
    """The pause is capped elsewhere; here it must only stay a finite number."""
    assert retry_after_seconds("9" * 5000) == 999_999_999.0
