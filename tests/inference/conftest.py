"""A scriptable HTTP server on real sockets, and the short-cuts that the tests of this room share."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from raw_server import Handler, RawServer, Serve, make

from bench.ports import free_port
from mineru_pipeline.inference.config import BreakerConfig, ClientConfig
from mineru_pipeline.inference.connections import KeepAliveTransport
from mineru_pipeline.inference.testing import ManualClock
from mineru_pipeline.inference.wire import ChatRequest

MODEL = "some/model"


def completion(text: str = "hello", finish_reason: str | None = "stop") -> dict[str, Any]:
    """Return a chat completion as vLLM words it."""
    return {
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def vllm_error(kind: str, message: str = "no", code: int = 500) -> dict[str, Any]:
    """Return an error body as vLLM words it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@dataclass
class Received:
    """One request that the server read; ``connection`` numbers the connections from 0."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """Answer with a status and a body (bytes, text or JSON); optionally only a part, or a reset, afterwards."""

    status: int = 200
    body: Any = field(default_factory=completion)
    promise_more_bytes: int = 0
    reset_afterwards: bool = False

    def encode(self) -> bytes:
        body = self.body
        body = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        length = len(body) + self.promise_more_bytes
        return f"HTTP/1.1 {self.status} X\r\nContent-Length: {length}\r\n\r\n".encode() + body


class Reset:
    """Reset the connection instead of answering."""


class Hang:
    """Never answer."""


Action = Answer | Reset | Hang
Script = Callable[[Received], Action]


class ScriptedServer:
    """Answers health, metrics and model list by itself, chat by what ``chat`` holds: a queue, then the default."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.queue: list[Action] = []
        self.script: Script = lambda request: Answer()
        self.health = 200
        self.models: Action = Answer(body={"object": "list", "data": [{"id": MODEL, "owned_by": "us"}]})
        self.metrics: Action = Answer(404, "")
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26)
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def chats(self) -> list[Received]:
        return [one for one in self.received if one.path.endswith("/chat/completions")]

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Return as soon as the condition holds."""
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - it may concern the client, which sets no event
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.connections = self.connections, self.connections + 1
        try:
            while await self._serve_one(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        request = Received(method, path, headers, body, number)
        self.received.append(request)
        action = self._action(request)
        if isinstance(action, Hang):
            await asyncio.Event().wait()
        if isinstance(action, Answer):
            writer.write(action.encode())
            await writer.drain()
        if isinstance(action, Reset) or action.reset_afterwards or action.promise_more_bytes:
            _reset(writer)
            return False
        return True

    def _action(self, request: Received) -> Action:
        if request.path == "/health":
            return Answer(self.health, "")
        if request.path.endswith("/models"):
            return self.models
        if request.path == "/metrics":
            return self.metrics
        return self.queue.pop(0) if self.queue else self.script(request)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """One scriptable model server on a free loopback port."""
    running = await ScriptedServer().start()
    yield running
    await running.stop()


@pytest.fixture
async def other_server() -> AsyncIterator[ScriptedServer]:
    """A second one."""
    running = await ScriptedServer().start()
    yield running
    await running.stop()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers that do with their connections whatever a function does."""
    servers = []

    async def start(handler: Handler) -> RawServer:
        servers.append(await RawServer(handler).start())
        return servers[-1]

    yield start
    for running in servers:
        await running.stop()


@pytest.fixture
async def transport() -> AsyncIterator[KeepAliveTransport]:
    made = make()
    yield made
    await made.aclose()


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """A clock that moves only when told to."""
    return ManualClock()


@pytest.fixture
def dead_url() -> str:
    """An address on which nothing listens."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def answer() -> type[Answer]:
    return Answer


@pytest.fixture
def reset() -> type[Reset]:
    return Reset


@pytest.fixture
def hang() -> type[Hang]:
    return Hang


@pytest.fixture
def reply_with() -> Callable[..., dict[str, Any]]:
    """Return the maker of chat completions."""
    return completion


@pytest.fixture
def error_body() -> Callable[..., dict[str, Any]]:
    """Return the maker of vLLM's error bodies."""
    return vllm_error


@pytest.fixture
def config_for() -> Callable[..., ClientConfig]:
    """Return the maker of a configuration for some addresses, without back-off unless asked for."""

    def make(*urls: str, **changes: Any) -> ClientConfig:
        values: dict[str, Any] = {"backoff_min_seconds": 0.0, "backoff_max_seconds": 0.0} | changes
        values["breaker"] = BreakerConfig(**values.get("breaker", {}))
        return ClientConfig(base_urls=urls, model=MODEL, **values)

    return make


@pytest.fixture
def hello() -> ChatRequest:
    """The smallest request."""
    return ChatRequest([{"role": "user", "content": "hi"}])
