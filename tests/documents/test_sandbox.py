"""The sandbox: whatever a child does, it costs one request, is told apart, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mineru_pipeline.documents.sandbox import Sandbox, SandboxChild, SandboxConfig
from mineru_pipeline.errors import (
    RejectedDocumentError,
    RenderCrashedError,
    RenderError,
    RenderFailedError,
    RenderTimeoutError,
    RenderUnavailableError,
)

SERVICE = "hostile_service:HostileService"
PLENTY = 60.0

PARENT = """
import asyncio, json, sys
from pathlib import Path
from mineru_pipeline.documents.sandbox import Sandbox, SandboxConfig

async def main():
    async with Sandbox(SandboxConfig(search_path=(Path(sys.argv[1]),))) as sandbox:
        children = [await sandbox.spawn("hostile_service:HostileService") for _ in range(2)]
        spinning = asyncio.create_task(children[0].request("spin", seconds=3600))
        await asyncio.sleep(0)
        await children[1].request("echo", seconds=60)
        print(json.dumps([sandbox.pid, *(child.pid for child in children)]), flush=True)
        await spinning

asyncio.run(main())
"""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process does; the test's own time limit ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - other processes set no event of ours
        await asyncio.sleep(0.01)


def start_parent() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PARENT, str(Path(__file__).parent)], stdout=subprocess.PIPE)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
async def child(hostile_sandbox: Sandbox) -> SandboxChild:
    return await hostile_sandbox.spawn(SERVICE)


async def test_a_request_comes_back_with_values_and_blobs(child: SandboxChild) -> None:
    """Values and blobs travel both ways unchanged, and the child remembers what it did before."""
    reply = await child.request("echo", {"text": "ä\n", "n": 1.5}, [b"", b"\0" * 1000, b"abc"], seconds=PLENTY)
    assert reply.values == {"text": "ä\n", "n": 1.5, "calls": 1}
    assert reply.blobs == (b"", b"\0" * 1000, b"abc")
    assert (await child.request("echo", seconds=PLENTY)).values == {"calls": 2}


async def test_blobs_made_in_place_and_of_any_size_arrive_whole(child: SandboxChild) -> None:
    """Memory that is shared is used again and again, and shrinking or growing replies do not mix."""
    for size in (5_000_000, 10, 7_000_000):
        assert (await child.request("in_place", {"size": size}, seconds=PLENTY)).blobs == (b"\x07" * size,)


async def test_requests_of_several_tasks_take_turns(child: SandboxChild) -> None:
    """Each of many concurrent requests gets its own answer."""
    replies = await asyncio.gather(*(child.request("echo", {"n": n}, seconds=PLENTY) for n in range(20)))
    assert [reply.values["n"] for reply in replies] == list(range(20))


@pytest.mark.parametrize(
    ("operation", "error", "text"),
    [("fail", RenderFailedError, "PDFium says no"), ("stumble", RenderFailedError, "ValueError: something odd")],
)
async def test_an_error_inside_leaves_the_child_well(
    child: SandboxChild, operation: str, error: type[RenderError], text: str
) -> None:
    """What the service raises is told, and the next request is answered."""
    with pytest.raises(error, match=text):
        await child.request(operation, seconds=PLENTY)
    assert (await child.request("echo", seconds=PLENTY)).values["calls"] == 2


async def test_a_rejection_keeps_its_reason(child: SandboxChild) -> None:
    """RejectedDocumentError crosses the process boundary with reason and text."""
    with pytest.raises(RejectedDocumentError, match="has a password") as raised:
        await child.request("reject", seconds=PLENTY)
    assert raised.value.reason == "encrypted"


@pytest.mark.parametrize("operation", ["sleep", "spin"])
async def test_a_hang_costs_its_time_limit_and_the_child(child: SandboxChild, operation: str) -> None:
    """After the limit the parent goes on, and the child's process is gone, even while it computes."""
    with pytest.raises(RenderTimeoutError, match=r"longer than 0\.2 s"):
        await child.request(operation, seconds=0.2)
    await until(lambda: gone(child.pid))
    with pytest.raises(RenderCrashedError, match="gone"):
        await child.request("echo", seconds=PLENTY)


@pytest.mark.parametrize(
    ("operation", "values", "text"),
    [
        ("segfault", {}, "SIGSEGV"),
        ("abort", {}, "SIGABRT"),
        ("leave", {}, "exit code 9"),
        ("kill_itself", {}, "ran out of memory"),
        ("burn_processor_time", {}, "processor time"),
        ("allocate", {"size": 1 << 30}, "memory limit of 64 MiB"),
        ("map_and_die", {"size": 1 << 30}, r"SIGABRT.*memory limit is 64 MiB"),
    ],
)
async def test_each_death_is_told_apart(child: SandboxChild, operation: str, values: dict[str, int], text: str) -> None:
    """A crash, a child that leaves, a kill from outside and each limit have their own words."""
    with pytest.raises(RenderCrashedError, match=text):
        await child.request(operation, values, seconds=PLENTY)
    assert not child.alive
    await until(lambda: gone(child.pid))


async def test_memory_below_the_limit_is_given(child: SandboxChild) -> None:
    """The limit counts from what the child starts with, so all of it is for the document."""
    assert (await child.request("allocate", {"size": 50 << 20}, seconds=PLENTY)).values == {"size": 50 << 20}


async def test_one_child_dying_does_not_touch_another(hostile_sandbox: Sandbox) -> None:
    """Children are separate: a crash in one leaves the other's work alone."""
    first, second = await hostile_sandbox.spawn(SERVICE), await hostile_sandbox.spawn(SERVICE)
    with pytest.raises(RenderCrashedError):
        await first.request("segfault", seconds=PLENTY)
    assert (await second.request("echo", seconds=PLENTY)).values == {"calls": 1}


async def test_a_cancelled_request_kills_the_child(child: SandboxChild) -> None:
    """Cancellation ends the work at once; no later request can receive the old answer."""
    task = asyncio.create_task(child.request("spin", seconds=PLENTY))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not child.alive
    await until(lambda: gone(child.pid))


async def test_closing_ends_the_child_and_closing_twice_is_fine(child: SandboxChild) -> None:
    """A closed child's process goes away without being asked twice."""
    child.close()
    child.close()
    await until(lambda: gone(child.pid))
    assert not child.alive


@pytest.mark.parametrize(
    "answer",
    ["ffffffff", "00000002" + b"[]".hex(), "00000003" + b"{x}".hex(), "00000000"]
    + [(len(text)).to_bytes(4, "big").hex() + text.hex() for text in (b'{"body":{},"blobs":[99999999]}',)]
    + [(len(text)).to_bytes(4, "big").hex() + text.hex() for text in (b'{"body":{},"blobs":[-1]}',)]
    + [(len(text)).to_bytes(4, "big").hex() + text.hex() for text in (b'{"body":{},"blobs":[]}',)],
    ids=["huge header", "wrong shape", "no json", "no header", "huge blob", "negative blob", "no result"],
)
async def test_a_child_that_was_taken_over_cannot_fool_the_parent(child: SandboxChild, answer: str) -> None:
    """Nonsense, or an announcement of more than is allowed, is refused before it is believed."""
    with pytest.raises(RenderCrashedError, match="nonsense"):
        await child.request("lie", {"text": answer}, seconds=PLENTY)
    assert not child.alive


async def test_a_reply_over_the_limit_is_an_error_of_that_request(child: SandboxChild) -> None:
    """A service that would return more than the parent takes hears so; nothing is cut off."""
    with pytest.raises(RenderFailedError):
        await child.request("in_place", {"size": 9 << 20}, seconds=PLENTY)


async def test_shared_memory_that_was_cut_short_is_noticed(child: SandboxChild) -> None:
    """The parent reads the shared file with checks, so a child that shrinks it cannot crash the parent."""
    await child.request("shorten_the_shared_file", seconds=PLENTY)
    with pytest.raises(RenderError):
        await child.request("echo", {}, [b"x" * 100], seconds=PLENTY)


async def test_a_child_has_nothing_worth_stealing(child: SandboxChild, tmp_path: Path) -> None:
    """No secret of the environment, no open file of ours, no core dumps, and no file to write."""
    has = (await child.request("belongings", seconds=PLENTY)).values
    allowed = {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "PYTHONPATH", "PYTHONHASHSEED", "GLIBC_TUNABLES", "LC_CTYPE"}
    assert {name for name in has["environment"] if not name.startswith("COVERAGE_")} <= allowed
    assert sum(name == "/dev/null" for name in has["files"]) == 3
    assert sum("socket:" in name or "memfd:" in name for name in has["files"]) == 2
    assert has["limits"] == {"RLIMIT_CORE": [0, 0], "RLIMIT_FSIZE": [0, 0]}
    with pytest.raises(RenderFailedError, match="File too large"):
        await child.request("write_file", {"path": str(tmp_path / "x")}, seconds=PLENTY)


async def test_a_dead_zygote_is_replaced(hostile_sandbox: Sandbox) -> None:
    """When the zygote is killed its children go too, with words of their own, and the next spawn works."""
    child = await hostile_sandbox.spawn(SERVICE)
    assert hostile_sandbox.pid is not None
    zygote = hostile_sandbox.pid
    task = asyncio.create_task(child.request("spin", seconds=PLENTY))
    await asyncio.sleep(0.05)
    os.kill(zygote, signal.SIGKILL)
    with pytest.raises(RenderCrashedError, match="ended from outside"):
        await task
    await until(lambda: gone(child.pid))
    again = await hostile_sandbox.spawn(SERVICE)
    assert hostile_sandbox.pid != zygote
    assert (await again.request("echo", seconds=PLENTY)).values == {"calls": 1}


async def test_a_killed_parent_leaves_no_orphan() -> None:
    """Kill -9 of the parent ends the zygote and every child, also one that is busy."""
    parent = start_parent()
    assert parent.stdout is not None
    with parent.stdout as output:
        pids = json.loads(await asyncio.to_thread(output.readline))
    assert not any(gone(pid) for pid in pids)
    parent.kill()
    parent.wait()
    await until(lambda: all(gone(pid) for pid in pids))


async def test_interrupts_reach_the_parent_only(hostile_sandbox: Sandbox) -> None:
    """Ctrl-C and SIGTERM on the whole process group do not take the children from under the parent."""
    child = await hostile_sandbox.spawn(SERVICE)
    assert hostile_sandbox.pid is not None
    for pid in (hostile_sandbox.pid, child.pid):
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    assert (await child.request("echo", seconds=PLENTY)).values == {"calls": 1}


async def test_closing_the_sandbox_ends_everything() -> None:
    """After close there is no zygote and no child, and the sandbox can be started again."""
    sandbox = Sandbox(SandboxConfig(search_path=(Path(__file__).parent,)))
    child = await sandbox.spawn(SERVICE)
    zygote = sandbox.pid
    assert zygote is not None
    await sandbox.close()
    await until(lambda: gone(child.pid) and gone(zygote))
    await sandbox.start()
    await sandbox.close()


async def test_a_child_costs_no_interpreter(hostile_sandbox: Sandbox) -> None:
    """Children are forks of the zygote: they share its command line, which a new interpreter would not."""
    child = await hostile_sandbox.spawn(SERVICE)
    await child.request("echo", seconds=PLENTY)
    process = psutil.Process(child.pid)
    assert process.ppid() == hostile_sandbox.pid
    assert process.cmdline() == psutil.Process(hostile_sandbox.pid).cmdline()
    child.close()


async def test_no_descriptor_leaks(hostile_sandbox: Sandbox) -> None:
    """Tens of thousands of documents are possible only if each gives back what it took."""
    assert hostile_sandbox.pid is not None
    zygote, parent = psutil.Process(hostile_sandbox.pid), psutil.Process()

    async def use(times: int) -> None:
        for number in range(times):
            child = await hostile_sandbox.spawn(SERVICE)
            with contextlib.suppress(RenderCrashedError):
                await child.request("segfault" if number % 2 else "echo", seconds=PLENTY)
            child.close()

    before = parent.num_fds(), zygote.num_fds()
    await use(30)
    # A child that is reaped is closed a moment later; a leak would keep this waiting for ever.
    await until(lambda: parent.num_fds() <= before[0] and zygote.num_fds() <= before[1])


async def test_a_zygote_that_cannot_start_says_why() -> None:
    """A module that cannot be imported is named in the error."""
    with pytest.raises(RenderUnavailableError, match="no_such_module"):
        await Sandbox(SandboxConfig(preload=("no_such_module",))).start()


async def test_a_service_that_does_not_exist_is_an_error() -> None:
    """A child without its service dies at once, and the request says so."""
    async with Sandbox() as sandbox:
        child = await sandbox.spawn("no_such_module:Service")
        with pytest.raises(RenderCrashedError, match="exit code 70"):
            await child.request("echo", seconds=PLENTY)
