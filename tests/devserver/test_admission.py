"""The queue in front of the model: order, bounds, and slots that come free."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from mineru_pipeline.devserver.admission import Admission, CutShortError, End, TimedAnswer
from mineru_pipeline.devserver.apierror import ApiError
from mineru_pipeline.devserver.load import Load
from mineru_pipeline.devserver.responder import Answer

Future = asyncio.Future


@dataclass(eq=False)
class Job:
    """Work that is done when the test says so."""

    kv_tokens: int = 0
    since: float | None = None
    done: Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    end: Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def run(self, since: float) -> Answer:
        self.since = since
        return await self.done

    def so_far(self, seconds: float) -> Answer:
        return Answer("half", "abort")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def enter(admission: Admission, *jobs: Job) -> list[asyncio.Task[TimedAnswer]]:
    return [asyncio.create_task(admission.run(job, "me", job.end)) for job in jobs]


async def finish(*jobs: Job) -> None:
    for job in jobs:
        job.done.set_result(Answer("whole"))
    await settle()


async def test_requests_run_in_the_order_of_their_arrival() -> None:
    """With two slots the third request runs when the first is done, and the fourth after it."""
    admission = Admission(Load(2))
    jobs = [Job() for _ in range(4)]
    tasks = enter(admission, *jobs)
    await settle()
    assert [job.since is not None for job in jobs] == [True, True, False, False]
    assert (admission.load.running, admission.load.waiting, admission.kv_usage) == (2, 2, 1.0)
    await finish(jobs[0])
    assert [job.since is not None for job in jobs] == [True, True, True, False]
    await finish(*jobs[1:])
    assert [(await task).answer.text for task in tasks] == ["whole"] * 4
    assert (admission.load.running, admission.load.waiting) == (0, 0)


async def test_a_full_cache_makes_requests_wait_although_a_slot_is_free() -> None:
    """Whoever does not fit waits, those behind wait too, and a request larger than the cache runs alone."""
    admission = Admission(Load(10), kv_cache_tokens=100)
    large, small, huge = Job(80), Job(30), Job(500)
    tasks = enter(admission, large, small, huge)
    await settle()
    assert (admission.load.running, admission.load.waiting, admission.kv_usage) == (1, 2, 0.8)
    await finish(large)
    assert (small.since is not None, huge.since) == (True, None)
    await finish(small)
    assert huge.since is not None
    assert admission.kv_usage == 1.0
    await finish(huge)
    await asyncio.gather(*tasks)
    assert admission.kv_usage == 0.0


@pytest.mark.parametrize("position", [0, 1])
async def test_a_client_that_hangs_up_frees_its_place_at_once(position: int) -> None:
    """Running or waiting, the request ends, nothing of it stays, and the next one moves up."""
    admission = Admission(Load(1), kv_cache_tokens=10)
    jobs = [Job(10), Job(10), Job(10)]
    tasks = enter(admission, *jobs)
    await settle()
    jobs[position].end.set_result(End.CLIENT_GONE)
    with pytest.raises(CutShortError) as caught:
        await tasks[position]
    assert (caught.value.answer is None) == (position == 1)
    assert (admission.load.running, admission.load.waiting) == (1, 1)
    await finish(*(job for number, job in enumerate(jobs) if number != position))
    assert (admission.load.running, admission.load.waiting, admission.kv_usage) == (0, 0, 0.0)


async def test_ending_all_gives_what_runs_its_part_and_what_waits_nothing() -> None:
    """A server that stops cuts every request short, and says which had begun."""
    admission = Admission(Load(1))
    tasks = enter(admission, Job(), Job())
    await settle()
    admission.end_all(End.SERVER_STOPS)
    running, waiting = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(running, CutShortError)
    assert isinstance(waiting, CutShortError)
    assert (running.end, running.answer) == (End.SERVER_STOPS, Answer("half", "abort"))
    assert waiting.answer is None


async def test_the_bound_counts_running_and_waiting() -> None:
    """The fourth of at most three gets 503 with vLLM's type, and is counted as shed for its client."""
    admission = Admission(Load(1), limit=3)
    jobs = [Job() for _ in range(3)]
    tasks = enter(admission, *jobs)
    await settle()
    extra = Job()
    with pytest.raises(ApiError) as caught:
        await admission.run(extra, "other", extra.end)
    assert (caught.value.status, caught.value.kind) == (503, "Service Unavailable")
    assert admission.load.snapshot()["by_client"]["other"]["shed"] == 1
    await finish(*jobs)
    await asyncio.gather(*tasks)


async def test_more_slots_take_effect_at_once_and_fewer_disturb_nobody() -> None:
    """Growing admits who waits; shrinking lets what runs run to its end."""
    admission = Admission(Load(1))
    jobs = [Job() for _ in range(4)]
    tasks = enter(admission, *jobs)
    await settle()
    admission.resize(3)
    await settle()
    assert admission.load.running == 3
    admission.resize(1)
    await finish(jobs[0])
    assert admission.load.running == 2
    await finish(*jobs[1:])
    await asyncio.gather(*tasks)


async def test_a_late_timer_costs_no_capacity() -> None:
    """The next request starts when the one before was due to end, not when the loop got round to it."""
    admission = Admission(Load(1))
    first, second = Job(), Job()
    tasks = enter(admission, first, second)
    await settle()
    assert first.since is not None
    due = asyncio.get_running_loop().time() - 1e-6
    first.done.set_result(Answer("whole", ended_at=due))
    await settle()
    assert second.since == pytest.approx(due, abs=1e-9)
    await finish(second)
    await asyncio.gather(*tasks)


def test_the_integrals_add_up() -> None:
    """Running, waiting and saturated time are exact integrals, and cover only what happened."""
    now = [100.0]
    load = Load(2, lambda: now[0])
    load.change(running=1)
    now[0] += 3
    load.change(running=1, waiting=4)
    now[0] += 2
    load.change(running=-2, waiting=-4)
    now[0] += 5
    load.resize(10)
    now[0] += 1
    found = load.snapshot()
    assert (found["seconds"], found["slot_seconds"]) == (11, 2 * 10 + 10)
    assert (found["running_seconds"], found["waiting_seconds"], found["saturated_seconds"]) == (7, 8, 2)


def test_clients_are_counted_apart_but_not_without_end() -> None:
    """Each client has its own figures; after a thousand names the rest share one."""
    load = Load(1)
    for number in range(1500):
        load.count(f"worker-{number}", "started")
    found = load.snapshot()
    assert found["started"] == 1500
    assert found["by_client"]["worker-3"]["started"] == 1
    assert found["by_client"]["others"]["started"] == 500
