"""Pages drawn with words of our own, and servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from mineru_vl_utils import MinerUClient
from PIL import Image, ImageDraw, ImageFont

from mineru_pipeline.devserver.app import Faults, build_app
from mineru_pipeline.devserver.faults.book import FaultBook
from mineru_pipeline.devserver.faults.rules import FaultPlan
from mineru_pipeline.devserver.ocr.responder import OcrResponder
from mineru_pipeline.devserver.port import Port
from mineru_pipeline.devserver.responder import PromptRequest, Responder
from mineru_pipeline.devserver.simulate import SimulatedResponder

PARAGRAPH = (
    "The harbour master keeps a ledger of tides",
    "and every barge that enters before noon is",
    "written down with its cargo of slate or coal",
)


class Canvas:
    """A white page to draw on, about 200 dpi."""

    def __init__(self, width: int = 1654, height: int = 2339) -> None:
        self.image = Image.new("RGB", (width, height), "white")
        self.pen = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, size: int = 30) -> None:
        self.pen.text((x, y), text, fill="black", font=ImageFont.load_default(size))

    def lines(self, x: float, y: float, lines: tuple[str, ...], size: int = 30, leading: int = 42) -> None:
        for number, line in enumerate(lines):
            self.text(x, y + number * leading, line, size)

    def rule(self, *points: float) -> None:
        self.pen.line(points, fill="black", width=3)

    def array(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.ascontiguousarray(np.asarray(self.image)[:, :, ::-1])


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def chat_body(prompt: str, image: bytes | str = b"", **extra: Any) -> dict[str, Any]:
    url = image if isinstance(image, str) else "data:image/png;base64," + base64.b64encode(image).decode()
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}}] if image else []
    parts.append({"type": "text", "text": prompt})
    system = {"role": "system", "content": "You are a helpful assistant."}
    return {"messages": [system, {"role": "user", "content": parts}], **extra}


@contextmanager
def running(responder: Responder, *, faults: FaultPlan | None = None, **options: Any) -> Iterator[str]:
    """A real server in a thread; yields its URL. With ``faults`` it has them and its admin addresses."""
    port = Port("127.0.0.1", 0)
    disturbed = None if faults is None else Faults(FaultBook(faults), port)
    app = build_app(responder, faults=disturbed, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    port.attach(server)
    started = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(server.serve(sockets=[port.socket]))
        while not server.started and not task.done():  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(0.005)
        started.set()
        await task

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert started.wait(20)
    try:
        yield port.url
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def serve_in_thread() -> Callable[..., Any]:
    return running


@pytest.fixture(scope="session")
def simulated_url() -> Iterator[str]:
    with running(SimulatedResponder()) as url:
        yield url


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def ocr() -> Iterator[OcrResponder]:
    responder = OcrResponder(workers=2)
    yield responder
    responder.close()


@pytest.fixture(scope="session")
def client() -> MinerUClient:
    return MinerUClient(
        backend="http-client", server_url="http://unused", model_name="unused", skip_model_name_checking=True
    )


@pytest.fixture(scope="session")
def extracted(client: MinerUClient) -> Callable[..., Awaitable[list[Any]]]:
    """The blocks of a page after both steps, made as MinerU's client makes them."""

    async def both_steps(ocr: OcrResponder, page: Image.Image, png: Any) -> list[Any]:
        square = page.resize((1036, 1036), Image.Resampling.BICUBIC)
        answer = await ocr.answer(PromptRequest("\nLayout Detection:", png(square)))
        blocks = client.helper.parse_layout_output(answer.text)
        images, prompts, _, indices = client.helper.prepare_for_extract(page, blocks, image_analysis=True)
        for image, prompt, index in zip(images, prompts, indices, strict=True):
            blocks[index].content = (await ocr.answer(PromptRequest(prompt, image))).text
        return list(client.helper.post_process(blocks))

    return both_steps


@pytest.fixture
def canvas() -> Canvas:
    return Canvas()


@pytest.fixture(scope="session")
def helpers() -> type[Helpers]:
    return Helpers


class Helpers:
    """What tests would import, if tests were packages."""

    png = staticmethod(png)
    chat_body = staticmethod(chat_body)
    canvas = Canvas
    paragraph = PARAGRAPH
