"""The seam at which a limiter decides how much is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from mineru_pipeline.inference.client import VLLMClient
from mineru_pipeline.inference.config import ClientConfig
from mineru_pipeline.inference.limiter import FixedLimiter
from mineru_pipeline.inference.wire import ChatRequest


async def test_a_fixed_cap_is_kept() -> None:
    """Of ten that want a place, no more than two have one at any time."""
    limiter = FixedLimiter(2)
    inside: list[int] = [0]
    most = 0

    async def visit() -> None:
        nonlocal most
        async with limiter.slot("any"):
            inside[0] += 1
            most = max(most, inside[0])
            await asyncio.sleep(0)
            inside[0] -= 1

    await asyncio.gather(*(visit() for _ in range(10)))
    assert most == 2


async def test_a_limiter_sees_endpoint_and_failure_of_every_attempt(
    server: Any, config_for: Callable[..., ClientConfig], hello: ChatRequest, answer: Any
) -> None:
    """An adaptive limiter can learn from what leaves its slots; back-off happens outside of them."""
    seen: list[tuple[str, str]] = []

    class Recording:
        @asynccontextmanager
        async def slot(self, endpoint: str) -> AsyncIterator[None]:
            try:
                yield
            except Exception as error:
                seen.append((endpoint, type(error).__name__))
                raise
            seen.append((endpoint, "ok"))

    server.queue = [answer(429, "")]
    async with VLLMClient(config_for(server.url), limiter=Recording()) as client:
        await client.chat_completion(hello)
    assert seen == [(server.url, "ServerOverloadedError"), (server.url, "ok")]
