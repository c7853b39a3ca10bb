"""Runs a coroutine so that Ctrl-C and SIGTERM stop it in order: tasks cancelled, children ended, work kept."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from mineru_pipeline.errors import RunInterruptedError

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(job: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, but a signal cancels the job cleanly.

    After the clean-up the signal is delivered once more to whoever handled it before, so that
    Dagster, or the shell, sees it as if nobody had been in between.

    Raises:
        RunInterruptedError: a signal arrived, and the previous handler let it pass.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only; there is nothing to arrange here.
        return asyncio.run(job)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    received: list[signal.Signals] = []
    try:
        return asyncio.run(_cancellable(job, received))
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    signal.raise_signal(received[0])
    raise RunInterruptedError("stopped on request; finished pages are kept, start it again to go on")


async def _cancellable(job: Coroutine[Any, Any, T], received: list[signal.Signals]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(job)

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    return await task
