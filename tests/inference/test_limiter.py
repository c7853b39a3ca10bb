"""One limiter, step by step; how many of them behave together is simulated elsewhere."""

from __future__ import annotations

import pytest

from mineru_pipeline.inference.limiter import AFTER_SHEDDING, START, AdaptiveLimiter, FixedLimiter
from mineru_pipeline.inference.load import ServerLoad
from mineru_pipeline.inference.testing import ManualClock


def limiter_at(limit: int, clock: ManualClock | None = None) -> AdaptiveLimiter:
    """A limiter that has grown beyond ``limit`` on an empty server, and whose server then began to queue."""
    limiter = AdaptiveLimiter(clock or ManualClock(), maximum=limit)
    while limiter.limit < limit:
        limiter.on_load(ServerLoad(limiter.limit, 0), limiter.limit, is_used=True)
    return limiter


def feed(limiter: AdaptiveLimiter, load: ServerLoad, times: int, *, is_used: bool = True) -> int:
    for _ in range(times):
        limiter.on_load(load, limiter.limit, is_used=is_used)
    return limiter.limit


def test_it_doubles_while_nothing_waits() -> None:
    """From the start to a thousand in eight readings."""
    limiter = AdaptiveLimiter(ManualClock())
    assert limiter.limit == START
    for reading in range(1, 8):
        limiter.on_load(ServerLoad(limiter.limit, 0), limiter.limit, is_used=True)
        assert limiter.limit == pytest.approx(START * 2**reading, abs=1)
    assert feed(limiter, ServerLoad(900, 0), 5) == 1024


def test_it_does_not_grow_when_it_is_not_used() -> None:
    """A worker that has little to send must not save up a burst."""
    limiter = AdaptiveLimiter(ManualClock())
    assert feed(limiter, ServerLoad(2, 0), 20, is_used=False) <= START + 1


def test_it_does_not_grow_while_requests_are_stuck_before_the_server() -> None:
    """What was sent and is neither running nor waiting there will not get through faster in a larger number."""
    limiter = limiter_at(64)
    before = limiter.limit
    for _ in range(20):
        limiter.on_load(ServerLoad(8, 0), limiter.limit, is_used=True)
    assert limiter.limit <= before + 1


def test_the_first_queue_ends_the_doubling() -> None:
    """After one request was seen waiting, the next steps are small."""
    limiter = AdaptiveLimiter(ManualClock())
    limiter.on_load(ServerLoad(4, 1), 4, is_used=True)
    limiter.on_load(ServerLoad(4, 0), limiter.limit, is_used=True)
    assert limiter.limit <= START + 2


def test_a_long_queue_is_cut_at_once_and_no_further_while_it_drains() -> None:
    """The cut is proportional; until our own requests in flight are down to the limit, there is no second one."""
    limiter = limiter_at(200)
    limiter.on_load(ServerLoad(100, 100), 200, is_used=True)
    cut = limiter.limit
    assert 100 < cut < 115
    limiter.on_load(ServerLoad(100, 90), 190, is_used=True)
    assert cut - 1 <= limiter.limit <= cut + 1
    limiter.on_load(ServerLoad(100, 90), limiter.limit, is_used=True)
    assert limiter.limit < 70


def test_a_full_cache_shortens_the_queue_that_is_kept() -> None:
    """A queue that may stay while there is space is cut when the cache is 95% full."""
    roomy, full = limiter_at(100), limiter_at(100)
    with_space = feed(roomy, ServerLoad(100, 10, 0.5), 5)
    assert feed(full, ServerLoad(100, 10, 0.97), 5) < with_space - 3


def test_a_burst_of_shed_requests_is_one_event() -> None:
    """Requests that were sent before the cut do not cut again; one that was sent after it does."""
    clock = ManualClock()
    limiter = limiter_at(100, clock)
    sent = clock.now
    clock.advance(1.0)
    for _ in range(50):
        limiter.on_overload(sent)
    once = limiter.limit
    assert once == pytest.approx(100 * AFTER_SHEDDING, abs=1)
    sent = clock.now + 0.1
    clock.advance(1.0)
    limiter.on_overload(sent)
    assert limiter.limit == pytest.approx(once * AFTER_SHEDDING, abs=2)


def test_it_stays_within_its_bounds() -> None:
    """Neither the longest queue nor an empty server leads beyond minimum and maximum."""
    limiter = AdaptiveLimiter(ManualClock(), minimum=2, maximum=9)
    assert feed(limiter, ServerLoad(500, 0), 50) == 9
    assert feed(limiter, ServerLoad(1, 500), 50) == 2


def test_after_a_rest_it_begins_anew() -> None:
    """What was learned may no longer be true."""
    limiter = limiter_at(300)
    limiter.restart()
    assert limiter.limit == START


def test_a_fixed_limit_does_not_listen() -> None:
    """It is there to compare with."""
    limiter = FixedLimiter(7)
    limiter.on_load(ServerLoad(7, 700), 7, is_used=True)
    limiter.on_overload(0.0)
    limiter.restart()
    assert limiter.limit == 7
