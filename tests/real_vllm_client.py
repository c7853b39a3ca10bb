"""A client that notes what it makes of each answer, and the requests for it that provoke those of a real server."""

from __future__ import annotations

import asyncio
import base64
import io
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from PIL import Image
from real_vllm_server import KEY, QUEUE, RealServer

from mineru_pipeline.errors import InferenceError
from mineru_pipeline.inference.breaker import BreakerState, CircuitBreaker
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.clock import SystemClock
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.limiter import AdaptiveLimiter
from mineru_pipeline.inference.load import ServerLoad
from mineru_pipeline.inference.metrics import ClientMetrics
from mineru_pipeline.inference.testing import no_waiting
from mineru_pipeline.inference.wire import ChatRequest

#: As many tokens as the shortest context allows: work for a second or two.
LONG = 1900

#: What comes back for a request that is sent without our client.
Reply = asyncio.Task[httpx.Response]


class Verdict(NamedTuple):
    """What the client makes of one attempt."""

    #: Label of the attempt in ``mineru_vllm_client_failures_total``.
    error_type: str
    status: int | None
    retryable: bool
    #: How the breaker books it: ``failure``, ``success`` or ``nothing``.
    breaker: str


#: An answer that reached its limit: nothing to send again as it is, and the server did its part.
CUT = Verdict("truncated", None, retryable=False, breaker="success")


class WitnessMetrics(ClientMetrics):
    """Metrics that also keep the verdict on each failed attempt; for a client with one request at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: list[Verdict] = []
        self.failed_once = asyncio.Event()
        self.breaker: CircuitBreaker | None = None
        self._known = (0, 0)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Note how many outcomes the breaker knows before this attempt."""
        self._known = self._generation_and_calls()
        with super().sending():
            yield

    def failed(self, error: InferenceError, seconds: float | None = None) -> None:
        """Note the verdict."""
        super().failed(error, seconds)
        assert self.sample("client_failures_total", error_type=error.code)
        self.verdicts.append(Verdict(error.code, error.status, error.retryable, self._booked()))
        self.failed_once.set()

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"mineru_vllm_{name}", labels)

    def _generation_and_calls(self) -> tuple[int, int]:
        assert self.breaker is not None
        return self.breaker._generation, len(self.breaker._window)

    def _booked(self) -> str:
        assert self.breaker is not None
        generation, calls = self._known
        if self.breaker._generation != generation:
            # It changed its state over this attempt, and thereby forgot it.
            return {BreakerState.OPEN: "failure", BreakerState.CLOSED: "success"}.get(self.breaker.state, "nothing")
        new = tuple(call.failed for call in self.breaker._window)[calls:]
        return {(): "nothing", (True,): "failure", (False,): "success"}[new]


class WitnessLimiter(AdaptiveLimiter):
    """The adaptive limiter, with what it was told and what it did on shed load."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.readings: list[tuple[ServerLoad, int]] = []
        self.cuts: list[tuple[int, int]] = []

    def on_load(self, load: ServerLoad, in_flight: int, *, is_used: bool) -> None:
        super().on_load(load, in_flight, is_used=is_used)
        self.readings.append((load, self.limit))

    def on_overload(self, sent_at: float) -> None:
        before = self.limit
        super().on_overload(sent_at)
        self.cuts.append((before, self.limit))


@dataclass(frozen=True)
class Witness:
    """A client and what was seen of it."""

    client: VLLMClient
    metrics: WitnessMetrics
    limiter: WitnessLimiter

    async def failure(self, request: ChatRequest, request_id: str | None = None) -> BaseException:
        """Return the error that ``request`` ends in, which it must."""
        (error,) = await asyncio.gather(
            self.client.chat_completion(request, request_id=request_id), return_exceptions=True
        )
        assert isinstance(error, BaseException), error
        return error

    def is_closed(self) -> bool:
        """Whether the breaker lets everything through, as its metric says, too."""
        (endpoint,) = self.client._pool.endpoints
        shown = self.metrics.sample("circuit_breaker_state", endpoint=endpoint.url, model_revision="")
        return endpoint.breaker.state is BreakerState.CLOSED and shown == BreakerState.CLOSED


@asynccontextmanager
async def witness(
    server: RealServer, key: str | None = KEY, *, model: str | None = None, attempts: int = 1, **changes: Any
) -> AsyncIterator[Witness]:
    """A client that tries so often and waits for nothing, so that the verdict on each attempt is seen."""
    with no_waiting(attempts):
        async with patient_witness(server, key, model=model, **changes) as seen:
            yield seen


@asynccontextmanager
async def patient_witness(
    server: RealServer, key: str | None = KEY, *, model: str | None = None, **changes: Any
) -> AsyncIterator[Witness]:
    """A client with the patience it has at work."""
    metrics, limiter = WitnessMetrics(), WitnessLimiter()
    config = ClientConfig((server.url,), model or server.model(key), api_key=key, **changes)
    async with VLLMClient(config, metrics=metrics, limiter=limiter) as client:
        (endpoint,) = client._pool.endpoints
        metrics.breaker = endpoint.breaker
        yield Witness(client, metrics, limiter)


# ---- requests


def png(width: int = 64, height: int = 64) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


def giant_png(width: int = 15_000, height: int = 12_000) -> bytes:
    """One bit a pixel, all white, more pixels than Pillow agrees to open."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress((b"\0" + b"\xff" * ((width + 7) // 8)) * height, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def data_url(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def ask(*urls: str, text: str = "read", **options: Any) -> ChatRequest:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return ChatRequest(
        [{"role": "user", "content": [*pictures, {"type": "text", "text": text}]}],
        {"temperature": 0, "max_tokens": 4, **options},
    )


def exactly(tokens: int) -> ChatRequest:
    """A request that ends by length after so many tokens, whatever the model would like to say."""
    return ask(text="count", max_tokens=tokens, ignore_eos=True)


def long_request() -> ChatRequest:
    return exactly(LONG)


async def post(
    server: RealServer, request: ChatRequest, key: str | None = KEY, model: str | None = None, **headers: str
) -> httpx.Response:
    """Send ``request`` without any client of ours."""
    async with plain_http() as http:
        return await _post(http, server, request, key, model or server.model(key), headers)


def plain_http() -> httpx.AsyncClient:
    """Without limits of time or number: the tests have theirs."""
    return httpx.AsyncClient(trust_env=False, timeout=None, limits=httpx.Limits())


async def _post(
    http: httpx.AsyncClient,
    server: RealServer,
    request: ChatRequest,
    key: str | None,
    model: str,
    headers: Mapping[str, str],
) -> httpx.Response:
    authorization = {"Authorization": f"Bearer {key}"} if key else {}
    return await http.post(
        f"{server.url}/v1/chat/completions",
        content=bytes(request.encode(model)),
        headers={"Content-Type": "application/json", **authorization, **headers},
    )


@asynccontextmanager
async def sent(server: RealServer, requests: int, key: str | None = KEY) -> AsyncIterator[list[Reply]]:
    """So many long requests on their way, each with an id; those that are not answered at the end are taken back."""
    name = server.model(key)
    async with plain_http() as http:
        replies = [
            asyncio.create_task(_post(http, server, long_request(), key, name, {"X-Request-Id": filler(number)}))
            for number in range(requests)
        ]
        try:
            yield replies
        finally:
            for reply in replies:
                reply.cancel()
            await asyncio.gather(*replies, return_exceptions=True)


def filler(number: int) -> str:
    """The id of one of the long requests; none is the beginning of another."""
    return f"filler-{number:03}"


@asynccontextmanager
async def full(server: RealServer) -> AsyncIterator[list[httpx.Response]]:
    """A server that refuses whatever comes, for its queue is full and its engine stands still; yields refusals."""
    with server.frozen():
        async with sent(server, QUEUE + 2) as replies:
            await until(lambda: sum(reply.done() for reply in replies) == 2)
            yield [reply.result() for reply in replies if reply.done()]
    await rested(server)


@asynccontextmanager
async def kept_busy(server: RealServer, requests: int) -> AsyncIterator[None]:
    """So many long requests under way at any time: another is sent whenever one has been answered."""
    name = server.model(KEY)

    async def again_and_again() -> None:
        while True:
            await post(server, long_request(), model=name)

    tasks = [asyncio.create_task(again_and_again()) for _ in range(requests)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rested(server)


# ---- waiting for the server


async def rested(server: RealServer) -> None:
    """Return when the server has dealt with all that came before, and answers again."""
    while not (await post(server, exactly(1))).is_success:  # noqa: ASYNC110 - another process is watched
        await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as ``condition`` holds of another process, whose events cannot be awaited."""
    while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.05)
