"""An engine over real PDFs, a real store and real render children, of which only the model is scripted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from conftest import pdf

from mineru_pipeline.documents.probe import Limits
from mineru_pipeline.documents.sandbox import Sandbox
from mineru_pipeline.parsing.budget import Hold
from mineru_pipeline.parsing.commit import Committer
from mineru_pipeline.parsing.engine import DocumentInput, Engine, EngineLimits
from mineru_pipeline.parsing.extract import ExtractedPage
from mineru_pipeline.parsing.pages import Degradation, PageExtraction, RenderedPage
from mineru_pipeline.parsing.progress import ProgressEvent
from mineru_pipeline.parsing.render import PdfSession, RenderOptions, sandbox_config
from mineru_pipeline.parsing.revision import ModelIdentity, revisions
from mineru_pipeline.storage import FilesystemStore

MODEL = ModelIdentity("test/model")
REVISIONS = revisions(MODEL, RenderOptions(), text_layer_fallback=True)
#: A page of the test documents as pixels: A4 at 200 dpi, RGB.
A4_BYTES = 1654 * 2339 * 3
NOT_COMPARED = {"result.json", "report.html"}


@dataclass
class ScriptedExtractor:
    """Answers each page with its own words; ``hook`` may fail, wait or change the answer."""

    hook: Callable[[RenderedPage], Awaitable[PageExtraction | None]] | None = None
    asked: list[int] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    #: Most bytes that the pages held together, those being rendered included.
    most_bytes: int = 0

    rooms: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1000))

    async def room(self) -> None:
        """There is for as many pages as ``rooms`` says."""
        await self.rooms.acquire()

    async def extract(self, page: RenderedPage, hold: Hold) -> ExtractedPage:
        self.asked.append(page.index)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.most_bytes = max(self.most_bytes, hold._budget.held)
        try:
            await asyncio.sleep(0)
            changed = await self.hook(page) if self.hook else None
        finally:
            self.in_flight -= 1
        return ExtractedPage(changed or answer(page), 2)


def answer(page: RenderedPage, *degradations: Degradation) -> PageExtraction:
    text = " ".join(word.text for word in page.words)
    block = {"type": "text", "bbox": [0.1, 0.1, 0.9, 0.2], "angle": 0, "content": text, "merge_prev": False}
    sizes = (page.width_pt, page.height_pt, page.pixels.width, page.pixels.height)
    return PageExtraction(page.index, *sizes, page.ink, (block,), degradations)


@dataclass
class Bench:
    """An engine with its store, its model and what it reported."""

    store: FilesystemStore
    model: ScriptedExtractor = field(default_factory=ScriptedExtractor)
    opened: int = 0
    events: list[ProgressEvent] = field(default_factory=list)
    session: Callable[..., Any] = PdfSession
    limits: EngineLimits = field(default_factory=lambda: EngineLimits(page_bytes=3 * A4_BYTES))

    async def parse(self, *documents: DocumentInput) -> list[Any]:
        async with Sandbox(sandbox_config(Limits())) as sandbox:
            engine = Engine(
                Committer(self.store, "default", REVISIONS, MODEL),
                open_pdf=partial(self.session, sandbox),
                open_model=self.open_model,
                limits=self.limits,
                listener=self.events.append,
            )
            return list(await engine.parse(documents))

    @asynccontextmanager
    async def open_model(self) -> AsyncIterator[ScriptedExtractor]:
        self.opened += 1
        yield self.model

    def files(self, room: str) -> dict[str, bytes]:
        return {item.key: self.store.get(item.key) for item in self.store.list(f"{room}/")}


def document(*pages: str, name: str = "a.pdf") -> DocumentInput:
    data = pdf(*pages)
    return DocumentInput(f"file:///{name}", hashlib.sha256(data).hexdigest(), len(pages), lambda: data)
