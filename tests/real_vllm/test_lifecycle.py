"""What a real vLLM server answers while it starts, stops, drains and dies, and what our client makes of it."""

from __future__ import annotations

import asyncio
import signal

import httpx
from real_vllm_client import (
    CUT,
    Reply,
    Verdict,
    Witness,
    exactly,
    filler,
    patient_witness,
    rested,
    sent,
    until,
    witness,
)
from real_vllm_server import KEY, RealServer, Start

from mineru_pipeline.errors import OutageError, TruncatedAnswerError

#: Nobody listens.
REFUSED = Verdict("transport", None, retryable=True, breaker="failure")
#: How a server that stops fails what is in flight, or what comes too late.
FAILED = Verdict("server", 500, retryable=True, breaker="failure")
ABORTED = Verdict("aborted", None, retryable=True, breaker="failure")
HUNG = Verdict("timeout", None, retryable=True, breaker="failure")
SHORT = exactly(4)
#: Long requests beside ours.
SOME, MANY = 8, 40


async def in_flight(server: RealServer, seen: Witness, name: str) -> asyncio.Task[BaseException]:
    """Send a request and return when the server has it."""
    work = asyncio.create_task(seen.failure(SHORT, request_id=name))
    await until(lambda: server.has_seen(f"{name}-1"))
    return work


async def arrived(server: RealServer, requests: int) -> None:
    """Return when the server has so many of those that were sent."""
    await until(lambda: all(map(server.has_seen, map(filler, range(requests)))))


async def end_of(reply: Reply) -> str:
    """How an answer ended: its finish_reason, the status of the error, or with the connection."""
    try:
        answer = await reply
    except httpx.TransportError:
        return "lost"
    return str(answer.json()["choices"][0]["finish_reason"] if answer.is_success else answer.status_code)


async def test_an_engine_that_hangs_looks_healthy(server: RealServer) -> None:
    """``/health`` does not ask the engine: only our time limit tells, and it is an outage, for nobody is answered."""
    with server.frozen():
        async with witness(server, timeout_seconds=2.0) as seen:
            assert isinstance(await seen.failure(SHORT), OutageError)
            (health,) = await seen.client.health_check()
            assert health.healthy
    await rested(server)
    assert seen.metrics.verdicts == [HUNG]


async def test_while_loading_connections_are_refused(start: Start) -> None:
    """There is no 503 phase: until the model is loaded nobody listens, and to us that is an outage."""
    server = start(wait=False)
    async with witness(server, None, model="not-known-yet") as seen:
        assert isinstance(await seen.failure(SHORT), OutageError)
    assert seen.metrics.verdicts == [REFUSED]


async def test_what_the_server_aborts_is_never_whole(server: RealServer) -> None:
    """200 with the reason "abort", however little or much it says: sent again, and held against the server."""
    async with witness(server) as seen:
        with server.frozen():
            work = await in_flight(server, seen, "ours")
            # A server does so to all it has when it is told to stop; on request, to one.
            asked = server.post("/inference/v1/abort_requests", {"request_ids": ["chatcmpl-ours-1"]}, KEY)
            assert asked.is_success
            await seen.metrics.failed_once.wait()
        await work
    await rested(server)
    assert seen.metrics.verdicts == [ABORTED]


async def test_a_killed_engine_fails_what_is_in_flight_and_then_refuses(start: Start) -> None:
    """In flight 500 or no answer, then nobody listens: an outage, in which work waits until a server is back."""
    server = start()
    async with patient_witness(server, None) as patient:
        with server.frozen():
            waiting = await in_flight(server, patient, "calm")
            async with witness(server, None) as seen:
                work = await in_flight(server, seen, "hasty")
                server.engine_core().kill()
                assert isinstance(await work, OutageError)
                await asyncio.to_thread(server.process.wait)
                assert isinstance(await seen.failure(SHORT), OutageError)
        await asyncio.to_thread(start, url=server.url)
        assert isinstance(await waiting, TruncatedAnswerError)
        assert patient.is_closed()
    assert seen.metrics.verdicts[0] in {FAILED, REFUSED}
    assert seen.metrics.verdicts[1:] == [REFUSED]
    assert patient.metrics.verdicts[0] in {FAILED, REFUSED}
    assert patient.metrics.verdicts[-1] == CUT
    assert patient.metrics.snapshot().outage_seconds > 0


async def test_sigterm_fails_what_is_in_flight(start: Start) -> None:
    """By default an answer is cut short as "abort", or is a 500, or never comes: none is ever taken as whole."""
    server = start()
    with server.frozen():
        async with sent(server, SOME, None) as replies, witness(server, None, timeout_seconds=20.0) as seen:
            await arrived(server, SOME)
            work = await in_flight(server, seen, "ours")
            server.process.send_signal(signal.SIGTERM)
            assert isinstance(await work, OutageError)
            # Which of them it is, is a race between the engine's last words, its execution, and the end of the
            # task that would tell of it. Where nothing was said, the server refuses connections but waits for
            # ever for those it has, until somebody kills it.
            server.kill()
            ends = await asyncio.gather(*map(end_of, replies))
            assert isinstance(await seen.failure(SHORT), OutageError)
    assert seen.metrics.verdicts[0] in {FAILED, ABORTED, HUNG}
    assert seen.metrics.verdicts[1:] == [REFUSED]
    assert set(ends) <= {"abort", "500", "lost"}


async def test_an_engine_that_is_told_to_stop_aborts_what_is_in_flight(start: Start) -> None:
    """So it is where SIGTERM goes to a whole group of processes: "abort", or 500 for what it had not taken in yet."""
    server = start()
    async with sent(server, SOME, None) as replies, witness(server, None) as seen:
        with server.frozen():
            await arrived(server, SOME)
            work = await in_flight(server, seen, "ours")
            server.engine_core().terminate()
        assert isinstance(await work, OutageError)
        ends = await asyncio.gather(*map(end_of, replies))
        await asyncio.to_thread(server.process.wait)
    assert seen.metrics.verdicts[0] in {ABORTED, FAILED}
    assert set(ends) <= {"abort", "500"}


async def test_a_draining_server_finishes_its_work_and_refuses_more(start: Start) -> None:
    """With --shutdown-timeout in flight finishes, new requests get 500, and /health says that all is well."""
    server = start("--shutdown-timeout", "300")
    async with sent(server, MANY, None) as replies:
        await arrived(server, MANY)
        # The engine has taken them in, for it has answered the first.
        await asyncio.wait(replies, return_when=asyncio.FIRST_COMPLETED)
        # It stands still, so that the server cannot be done before it was asked once more.
        with server.frozen():
            server.process.send_signal(signal.SIGTERM)
            # From here on, as its log tells, it takes nothing in.
            await until(lambda: server.has_seen("[shutdown] MPClient: start"))
            async with witness(server, None) as late:
                assert isinstance(await late.failure(SHORT), OutageError)
            assert server.answers()
        ends = await asyncio.gather(*map(end_of, replies))
        await asyncio.to_thread(server.process.wait)
    assert set(late.metrics.verdicts) == {FAILED}
    assert set(ends) == {"length"}
