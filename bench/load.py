"""What a page asks of a server and of a processor, and the speed at which a server must work to be the bottleneck."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from bench import cpu, drivers
from bench.context import CPU_SHARE, Context, processors
from bench.servers import Server, dev_server
from mineru_pipeline.devserver.process import ServerOptions

#: Prompt tokens are read so many times as fast as answers are written; GPUs do about that.
PREFILL_OVER_DECODE = 20.0
#: No simulated request is quicker on average, in seconds: real ones are not either.
_LEAST_REQUEST_SECONDS = 0.2
_PAGES = 24
_COUNTERS = re.compile(r"^vllm:(prompt_tokens|generation_tokens)_total(?:\{[^}]*\})? (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rates:
    """Speed of a simulated server in tokens a second of one sequence, and what that makes of requests and pages."""

    prefill: float
    decode: float
    request_seconds: float
    page_seconds: float

    def server(self, slots: int, max_num_queued_reqs: int | None = None) -> ServerOptions:
        """Return the options of a server of this speed."""
        return ServerOptions(
            simulate=True,
            slots=slots,
            prefill_rate=self.prefill,
            decode_rate=self.decode,
            max_num_queued_reqs=max_num_queued_reqs,
        )


@dataclass(frozen=True, slots=True)
class PageLoad:
    """Means of a page: tokens read and written, and requests."""

    prompt_tokens: float
    generation_tokens: float
    requests: float

    def rates(self, context: Context, slots: int) -> Rates:
        """Return the highest speed at which ``slots`` need no more than ``CPU_SHARE`` of the processors to be fed."""
        budget = CPU_SHARE * processors()
        page_seconds = max(slots * context.page_cost() / budget, _LEAST_REQUEST_SECONDS * self.requests)
        decode = (self.prompt_tokens / PREFILL_OVER_DECODE + self.generation_tokens) / page_seconds
        return Rates(PREFILL_OVER_DECODE * decode, decode, page_seconds / self.requests, page_seconds)


def page_load(context: Context) -> PageLoad:
    """Measure what a page of the throughput's files asks, of the server and of the processors."""
    with dev_server(cpu.FAST) as server:
        costs = []
        for driver in (drivers.ours(server), drivers.theirs(server, context.peer)):
            with driver:
                driver.wait_until_ready()
                files = context.mixed_pdfs(_PAGES)
                driver.parse(files[:2])
                before, counted = server.simulation(), _tokens(server)
                done = driver.parse(files).whole()
            costs.append(done.cpu_per_page)
            after, tokens = server.simulation(), _tokens(server)
    context.known["cpu_seconds_per_page"] = max(costs)
    context.say(f"a page costs {1000 * costs[0]:.0f} ms CPU, the peer {1000 * costs[1]:.0f} ms")
    used = {name: (tokens[name] - counted[name]) / done.pages for name in tokens}
    return PageLoad(used["prompt_tokens"], used["generation_tokens"], (after.finished - before.finished) / done.pages)


def _tokens(server: Server) -> Mapping[str, float]:
    with httpx.Client(trust_env=False, timeout=30) as client:
        text = client.get(f"{server.base_url}/metrics").raise_for_status().text
    return {name: float(value) for name, value in _COUNTERS.findall(text)}
