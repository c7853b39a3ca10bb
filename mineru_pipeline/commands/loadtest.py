"""``mineru-pipeline loadtest``: how fast a model server answers pages, and what it answers when it is busy."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mineru_pipeline.commands.loadtest_page import requests as page_requests
from mineru_pipeline.commands.text import printable
from mineru_pipeline.commands.watching import plain_bars
from mineru_pipeline.errors import InferenceError, ModelServerError, OutageError
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import MAXIMUM, ClientConfig
from mineru_pipeline.inference.limiter import FixedLimiter
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.wire import ChatAnswer, ChatRequest
from mineru_pipeline.settings import Settings
from resources.parsing import client_config

#: A load test does not wait for a server to come back as a batch does.
OUTAGE_SECONDS = 30.0

OnProgress = Callable[[int], None]


@dataclass(slots=True)
class Report:
    """What a load test found; times in seconds."""

    requests: int
    answered: int = 0
    #: Requests that failed in the end, by kind of error.
    failed: dict[str, int] = field(default_factory=dict)
    #: Attempts that failed, by kind of error; most were sent again.
    failed_attempts: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    seconds: float = 0.0
    requests_per_second: float = 0.0
    prompt_tokens_per_second: float = 0.0
    completion_tokens_per_second: float = 0.0
    #: Of the attempt that brought the answer: ``mean``, ``p50``, ``p95``, ``p99``, ``max``; None if none came.
    latency_seconds: dict[str, float] | None = None
    #: Most requests in flight that the limiter allowed, and where it stood in the end.
    highest_limit: int = 0
    last_limit: int = 0
    #: Why it ended before its time; "" when it did not.
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        """0 if every request was answered, otherwise 1."""
        return 0 if self.answered == self.requests else 1


def run(settings: Settings, *, requests: int, concurrency: int | None, as_json: bool, console: Console) -> int:
    """Send ``requests`` requests, ``concurrency`` at once or as many as the limiter finds right; returns the exit code.

    Raises:
        ModelServerError: the server cannot be used as configured; nothing was measured.
        OutageError: no server answers.
    """
    if not settings.vllm_server.endpoints:
        raise ModelServerError("There is no server to test: give --base-url, or set vllm_server.base_url.")
    config = replace(client_config(settings, settings.vllm_server.endpoints), outage_budget_seconds=OUTAGE_SECONDS)
    with _progress_bar(console, requests) as on_progress:
        report = asyncio.run(measure(config, requests, concurrency, on_progress))
    if as_json:
        print(json.dumps(asdict(report)))  # noqa: T201 - the one object that was asked for
    else:
        _show(console, report)
    return report.exit_code


async def measure(
    config: ClientConfig, count: int, concurrency: int | None, on_progress: OnProgress = lambda _: None
) -> Report:
    """Run the load test; raises as :func:`run` does."""
    metrics = ClientMetrics()
    limiter = None if concurrency is None else FixedLimiter(concurrency)
    async with VLLMClient(config, metrics=metrics, limiter=limiter) as client:
        await client.verify_model()
        work = await asyncio.to_thread(page_requests, client, count)
        sending = _Sending(client, metrics, work, Report(count), on_progress)
        # More than the limiter ever lets pass: who waits for a slot is not counted as slow.
        return await sending.run(min(count, concurrency or MAXIMUM))


class _Sending:
    """Requests on their way, and what became of those before."""

    def __init__(
        self,
        client: VLLMClient,
        metrics: ClientMetrics,
        work: Iterator[ChatRequest],
        report: Report,
        on_progress: OnProgress,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._work = work
        self._report = report
        self._on_progress = on_progress
        self._latencies: list[float] = []
        self._failed: Counter[str] = Counter()

    async def run(self, at_once: int) -> Report:
        """Send all the work, and return the finished report."""
        before, started = self._metrics.snapshot(), time.monotonic()
        await asyncio.gather(*(self._send_until_done() for _ in range(at_once)))
        seconds = time.monotonic() - started
        snapshot, report = self._metrics.snapshot(), self._report
        report.answered = len(self._latencies)
        report.failed, report.failed_attempts = dict(self._failed), dict(snapshot.failures)
        report.retries = snapshot.retries
        report.seconds = round(seconds, 3)
        report.requests_per_second = round(report.answered / seconds, 3)
        report.prompt_tokens_per_second = round((snapshot.prompt_tokens - before.prompt_tokens) / seconds, 1)
        report.completion_tokens_per_second = round(
            (snapshot.completion_tokens - before.completion_tokens) / seconds, 1
        )
        report.latency_seconds = latency(self._latencies)
        return report

    async def _send_until_done(self) -> None:
        for request in self._work:
            if self._report.stopped:
                return
            try:
                answer = await self._client.chat_completion(request)
            except (OutageError, ModelServerError) as error:
                self._failed[error.code] += 1
                self._report.stopped = self._report.stopped or str(error)
            except InferenceError as error:
                self._failed[error.code] += 1
            else:
                self._note(answer)
            self._on_progress(1)

    def _note(self, answer: ChatAnswer) -> None:
        self._latencies.append(answer.seconds)
        self._report.last_limit = round(sum(self._metrics.snapshot().limits.values()))
        self._report.highest_limit = max(self._report.highest_limit, self._report.last_limit)


def latency(seconds: Sequence[float]) -> dict[str, float] | None:
    """Return mean, percentiles by nearest rank, and maximum; None without any."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    found = {f"p{share}": ranked[math.ceil(share / 100 * len(ranked)) - 1] for share in (50, 95, 99)}
    rounded = {"mean": statistics.fmean(ranked), **found, "max": ranked[-1]}
    return {name: round(value, 4) for name, value in rounded.items()}


@contextmanager
def _progress_bar(console: Console, total: int) -> Iterator[OnProgress]:
    with plain_bars(console) as progress:
        task = progress.add_task("requests", total=total)
        yield lambda count: progress.update(task, advance=count)


def _show(console: Console, report: Report) -> None:
    table = Table(box=None, show_header=False)
    for name, value in _lines(report):
        table.add_row(name, value)
    console.print(table)
    if report.stopped:
        console.print(f"[red]stopped:[/] {escape(printable(report.stopped))}", soft_wrap=True)


def _lines(report: Report) -> Iterator[tuple[str, str]]:
    yield "answered", f"{report.answered} of {report.requests} requests in {report.seconds:.1f} s"
    yield "throughput", f"{report.requests_per_second:.2f} requests/s"
    yield (
        "tokens",
        f"{report.prompt_tokens_per_second:.0f} read/s, {report.completion_tokens_per_second:.0f} written/s",
    )
    if report.latency_seconds:
        yield "latency", ", ".join(f"{name} {value:.3f} s" for name, value in report.latency_seconds.items())
    yield "in flight", f"at most {report.highest_limit}, {report.last_limit} in the end"
    yield "retries", str(report.retries)
    yield "failed attempts", _counts(report.failed_attempts)
    yield "failed requests", _counts(report.failed)


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} × {count}" for name, count in sorted(counts.items())) or "none"
