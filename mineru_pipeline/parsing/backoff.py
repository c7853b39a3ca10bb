"""When what failed is tried again: one rule, for the runs of a batch and for single documents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait after failures, in seconds, and after how many of them to give up."""

    first_pause: float
    longest_pause: float
    most_attempts: int


#: A run fails for what concerns all documents, and most outages are short. This lasts a little more than a day.
RUNS = Patience(first_pause=60.0, longest_pause=3600.0, most_attempts=30)


def documents(most_attempts: int) -> Patience:
    """Return the patience with a document: what fails while others succeed seldom mends itself in a minute."""
    return Patience(first_pause=600.0, longest_pause=6 * 3600.0, most_attempts=most_attempts)


#: No pause is nearly as long, in seconds.
_A_DAY = 24 * 3600.0


def retry_at(failures: int, last: float, patience: Patience) -> float | None:
    """When to try again what has failed ``failures`` times, the last time at ``last``; None for never by itself.

    The pause doubles with every failure. Times are in seconds since 1970.
    """
    if failures >= patience.most_attempts:
        return None
    # Far beyond any longest pause, and no float overflows.
    doublings = min(max(failures - 1, 0), 60)
    return last + min(patience.longest_pause, patience.first_pause * 2.0**doublings)


def is_over(due: float | None, now: float) -> bool:
    """Whether the pause that ends at ``due`` is over; never where there is no end.

    An end further away than any pause comes from a clock that went wrong, and is not waited for.
    """
    return due is not None and not now < due <= now + _A_DAY
