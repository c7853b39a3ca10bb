"""What a real vLLM server answers when, and what our client makes of it."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import signal
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from PIL import Image
from real_vllm_server import KEY, RealServer, Start

from mineru_pipeline.errors import (
    AbortedAnswerError,
    ClientSideError,
    InferenceError,
    ModelServerError,
    OutageError,
    ServerError,
    TruncatedAnswerError,
)
from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.testing import no_waiting
from mineru_pipeline.inference.wire import ChatRequest

#: Tokens that take the smallest model long enough to be interrupted.
LONG = 900


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


def long_request() -> ChatRequest:
    return ask(text="count", max_tokens=LONG, ignore_eos=True)


@asynccontextmanager
async def client_of(server: RealServer, key: str | None = KEY, **changes: Any) -> AsyncIterator[VLLMClient]:
    """A client that tries once and waits for nothing, so that the first verdict is seen."""
    config = ClientConfig((server.url,), changes.pop("model", None) or server.model(key), api_key=key, **changes)
    with no_waiting():
        async with VLLMClient(config) as client:
            yield client


async def running(server: RealServer, at_least: int = 1) -> None:
    """Return when the server works on so many requests."""
    pattern = re.compile(r"^vllm:num_requests_running\{[^}]*\} (\S+)$", re.MULTILINE)
    while sum(float(value) for value in pattern.findall(server.get("/metrics").text)) < at_least:  # noqa: ASYNC110 - another process is watched
        await asyncio.sleep(0.05)


async def verdict(client: VLLMClient, request: ChatRequest) -> InferenceError:
    with pytest.raises(InferenceError) as raised:
        await client.chat_completion(request)
    return raised.value


def failures(client: VLLMClient) -> Mapping[str, int]:
    return client.metrics.snapshot().failures


async def test_while_loading_connections_are_refused(start: Start) -> None:
    """There is no 503 phase: until the model is loaded nobody listens, and to us that is an outage."""
    server = start(wait=False)
    async with client_of(server, None, model="not-known-yet") as client:
        assert isinstance(await verdict(client, ask()), OutageError)
        assert set(failures(client)) == {"transport"}


@pytest.mark.parametrize("path", ["/health", "/metrics", "/version"])
def test_the_key_guards_v1_alone(server: RealServer, path: str) -> None:
    """Health and metrics can be read without the key; so the network has to guard them."""
    assert server.get(path).status_code == httpx.codes.OK
    assert server.get("/v1/models").status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("key", [None, "another"])
async def test_a_missing_or_wrong_key_is_a_matter_of_settings(server: RealServer, key: str | None) -> None:
    """401 comes with a plain string for an error, and ends as a message that names the setting."""
    async with client_of(server, key, model="any") as client:
        with pytest.raises(ModelServerError, match=r"vllm_server\.api_key"):
            await client.chat_completion(ask())


async def test_an_unknown_model_is_a_matter_of_settings(server: RealServer) -> None:
    """404 names the setting to change."""
    async with client_of(server, model="no/such-model") as client:
        with pytest.raises(ModelServerError, match=r"vllm_server\.model"):
            await client.chat_completion(ask())


async def test_a_whole_answer(server: RealServer) -> None:
    """An ordinary request is answered, or cut at its own limit of tokens; tokens are counted."""
    async with client_of(server) as client:
        error = await verdict(client, ask(data_url(png()), ignore_eos=True))
    assert isinstance(error, TruncatedAnswerError)
    assert failures(client) == {"truncated": 1}


REFUSED: dict[str, ChatRequest] = {
    "prompt too long": ask(text="word " * 30_000),
    "max_tokens beyond the context": ask(max_tokens=10_000_000),
    "no tokens at all": ask(max_tokens=0),
    "bad base64": ask("data:image/png;base64,@@@not-base64@@@"),
    "not an image": ask(data_url(b"this is a text")),
    "truncated PNG": ask(data_url(png()[:60])),
    "extreme aspect": ask(data_url(png(4000, 2))),
    "too many images": ask(*[data_url(png())] * 12),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_our_fault_is_never_sent_again(server: RealServer, case: str) -> None:
    """400 is a ClientSideError: one request, and nothing against the server."""
    async with client_of(server) as client:
        error = await verdict(client, REFUSED[case])
        assert isinstance(error, ClientSideError)
        assert (error.status, client.metrics.snapshot().requests) == (400, 1)
        (health,) = await client.health_check()
        assert (health.healthy, health.breaker.name) == (True, "CLOSED")


@pytest.mark.parametrize(
    "url",
    [pytest.param(data_url(giant_png()), id="more pixels than anybody opens"), "http://127.0.0.1:9/nothing.png"],
)
async def test_some_of_our_faults_come_back_as_500(server: RealServer, url: str) -> None:
    """The server blames itself; the request fails, others pass, and the connection it resets costs nobody anything."""
    async with client_of(server) as client:
        assert isinstance(await verdict(client, ask(url)), ServerError)
        with pytest.raises(TruncatedAnswerError):
            await client.chat_completion(ask(ignore_eos=True))
        assert set(failures(client)) == {"server", "truncated"}


async def test_more_than_the_context_holds_is_cut(server: RealServer) -> None:
    """Prompt and max_tokens together beyond the context: 200, and the answer ends by length."""
    async with client_of(server) as client:
        error = await verdict(client, ask(max_tokens=server.context(KEY) - 2, ignore_eos=True))
    assert isinstance(error, TruncatedAnswerError)


async def test_a_full_queue_is_shed_load(server: RealServer) -> None:
    """503 of the type "Service Unavailable" is told apart from a failing server, and the breaker stays closed."""
    # More than the server takes on, all at once: the client's own limiter would never do that.
    config = ClientConfig((server.url,), server.model(KEY), api_key=KEY)
    clients = [VLLMClient(config) for _ in range(16)]
    with no_waiting():
        answers = await asyncio.gather(
            *(one.chat_completion(ask(max_tokens=200, ignore_eos=True)) for one in clients), return_exceptions=True
        )
    codes = [code for one in clients for code in failures(one)]
    assert {"overloaded", "truncated"} == set(codes)
    assert all(isinstance(answer, InferenceError) for answer in answers)
    for one in clients:
        (health,) = await one.health_check()
        assert health.breaker.name == "CLOSED"
        await one.aclose()


async def test_the_request_id_becomes_the_completions(server: RealServer) -> None:
    """With --enable-request-id-headers the server logs and returns our id, so that both logs can be joined."""
    async with httpx.AsyncClient(trust_env=False) as http:
        reply = await http.post(
            f"{server.url}/v1/chat/completions",
            content=b"".join(ask().encode(server.model(KEY))),
            headers={"Authorization": f"Bearer {KEY}", "X-Request-Id": "page-7-1", "Content-Type": "application/json"},
        )
    assert reply.headers["X-Request-Id"] == "page-7-1"
    assert "page-7-1" in reply.json()["id"]


async def test_a_killed_engine_fails_what_is_in_flight_and_then_refuses(start: Start) -> None:
    """In flight 500 or a reset; then nobody listens any more: an outage, in which work waits."""
    server = start()
    async with client_of(server, None) as client:
        work = asyncio.create_task(client.chat_completion(long_request()))
        await running(server)
        server.engine_core().kill()
        with pytest.raises(OutageError):
            await work
        assert set(failures(client)) <= {"server", "transport"}
        await asyncio.to_thread(server.process.wait, 60)
        assert isinstance(await verdict(client, ask()), OutageError)
        assert "transport" in failures(client)


async def test_sigterm_aborts_what_is_in_flight(start: Start) -> None:
    """By default the answer is cut short as "abort" or 500; neither is ever taken as whole."""
    server = start()
    async with client_of(server, None) as client:
        work = asyncio.create_task(client.chat_completion(long_request()))
        await running(server)
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises((AbortedAnswerError, OutageError)):
            await work
        assert set(failures(client)) <= {"aborted", "server", "transport"}


async def test_a_draining_server_finishes_its_work_and_refuses_more(start: Start) -> None:
    """With --shutdown-timeout in flight finishes, new requests get 500, and /health says that all is well."""
    server = start("--shutdown-timeout", "20")
    async with client_of(server, None) as working, client_of(server, None) as late:
        work = asyncio.create_task(working.chat_completion(long_request()))
        await running(server)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(1)
        refused = await asyncio.gather(late.chat_completion(ask()), return_exceptions=True)
        healthy = server.answers()
        with pytest.raises(TruncatedAnswerError):
            await work
    assert isinstance(refused[0], OutageError)
    assert set(failures(late)) <= {"server", "transport"}
    assert healthy
