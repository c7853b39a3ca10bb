"""How busy a server is: read from the few lines of its ``/metrics`` that matter, or guessed from its latency."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from http import HTTPStatus

from mineru_pipeline.errors import InferenceError
from mineru_pipeline.inference.exchange import Exchange

RUNNING = b"vllm:num_requests_running"
WAITING = b"vllm:num_requests_waiting"
KV_CACHE_USAGE = b"vllm:kv_cache_usage_perc"
#: A reading that takes longer tells of a time gone by, in seconds.
READING_SECONDS = 2.0
#: Requests that a guess from latency must rest on, and so many for each place in use.
MIN_SAMPLES = 30
SAMPLES_PER_PLACE = 2
#: How much longer than at its best a request may take before the difference is held to be waiting.
TOLERATED_STRETCH = 1.5
#: How fast the best time is forgotten, per guess: documents and servers change.
BASELINE_DRIFT = 1.001


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a server has to do for all its clients together; ``kv_cache_usage`` is a share, 0 to 1."""

    running: float
    waiting: float
    kv_cache_usage: float = 0.0


async def read_load(exchange: Exchange, endpoint: str) -> ServerLoad | None:
    """Return what ``/metrics`` of ``endpoint`` says, or None where it says nothing that can be used."""
    try:
        # A kept connection may have gone; then this reading is missing, and half a second later there is another.
        reply = await exchange.get(endpoint, "/metrics", seconds=READING_SECONDS, fresh=False)
    except InferenceError:
        return None
    return parse_load(reply.body) if reply.status == HTTPStatus.OK else None


def parse_load(text: bytes) -> ServerLoad | None:
    """Find the three gauges in Prometheus' text format; None if running or waiting is not there.

    A page of metrics has a thousand lines and is read twice a second, so nothing else is looked at.
    Several engines (data parallelism) are one server: their requests add up, and the fullest cache counts.
    """
    running, waiting = _values(text, RUNNING), _values(text, WAITING)
    if not running or not waiting:
        return None
    return ServerLoad(sum(running), sum(waiting), max(_values(text, KV_CACHE_USAGE), default=0.0))


def _values(text: bytes, name: bytes) -> list[float]:
    """The values of all series of ``name``, a whole name at the beginning of a line; none if one is no amount."""
    values = []
    start = text.find(name)
    while start >= 0:
        end = text.find(b"\n", start)
        line = text[start : end if end >= 0 else len(text)]
        at_line_start = start == 0 or text[start - 1 : start] == b"\n"
        if at_line_start and line[len(name) : len(name) + 1] in (b"{", b" "):
            try:
                value = float(line.rpartition(b"}")[2].split()[0 if b"}" in line else 1])
            except (ValueError, IndexError):
                return []
            if not 0 <= value < math.inf:
                return []
            values.append(value)
        start = text.find(name, start + len(name))
    return values


@dataclass(slots=True)
class _Kind:
    """Times of one kind of request: the present sample, and the mean of the best sample so far (seconds)."""

    count: int = 0
    seconds: float = 0.0
    baseline: float = float("inf")


@dataclass(slots=True)
class LatencyLoad:
    """Guesses the load of a server whose ``/metrics`` cannot be read.

    A request that takes longer than requests of its kind did at best has waited; by Little's law the
    share of its time in which it waited is the share of requests that wait (TCP Vegas, Brakmo & Peterson
    1995, https://doi.org/10.1109/49.464716). It is a poor substitute: a server that was full from the
    beginning looks empty, and the slower decoding of a larger batch looks like waiting.
    """

    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def note(self, kind: str, seconds: float) -> None:
        """Book a whole answer."""
        times = self._kinds.setdefault(kind, _Kind())
        times.count += 1
        times.seconds += seconds

    def guess(self, in_flight: int) -> ServerLoad | None:
        """Return the load as far as our own ``in_flight`` requests show it; None before there are enough answers."""
        sample = [times for times in self._kinds.values() if times.count]
        if sum(times.count for times in sample) < max(MIN_SAMPLES, SAMPLES_PER_PLACE * in_flight):
            return None
        expected = 0.0
        for times in sample:
            times.baseline = min(times.baseline * BASELINE_DRIFT, times.seconds / times.count)
            expected += times.count * times.baseline
        spent = sum(times.seconds for times in sample)
        for times in sample:
            times.count, times.seconds = 0, 0.0
        running = in_flight * min(1.0, TOLERATED_STRETCH * expected / spent) if spent else in_flight
        return ServerLoad(running, in_flight - running)
