"""The engine gives back the memory it has set aside for a page, however the page ends."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mineru_pipeline.parsing.budget import Hold
from mineru_pipeline.parsing.commit import Committer
from mineru_pipeline.parsing.engine import DocumentInput, Engine, EngineLimits
from mineru_pipeline.parsing.extract import ExtractedPage
from mineru_pipeline.parsing.outcome import State
from mineru_pipeline.parsing.pages import RenderedPage
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.render import RenderOptions
from mineru_pipeline.parsing.revision import ModelIdentity, revisions
from mineru_pipeline.storage import FilesystemStore

MODEL = ModelIdentity("some/model", None)
DATA = b"a document"


class Meeting:
    """A renderer and an extractor of which one fails in the very turn of the loop in which the other has a page."""

    def __init__(self) -> None:
        self.second_page: asyncio.Future[None] | None = None

    async def render(self, index: int, **options: bool) -> RenderedPage:
        if index == 1:
            self.second_page = asyncio.get_running_loop().create_future()
            await self.second_page
        return RenderedPage(index, 1.0, 1.0, b"layout", PackedPixels(1, 1, 1, bytes(1000)), 0.0)

    async def room(self) -> None:
        """There always is."""

    async def extract(self, page: RenderedPage, hold: Hold) -> ExtractedPage:
        while self.second_page is None:  # noqa: ASYNC110 - the very turn matters
            await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(self.second_page.set_result, None)
        await asyncio.sleep(0)
        raise OverflowError("a defect")


async def test_a_page_cancelled_before_its_first_step_keeps_nothing(tmp_path: Path) -> None:
    """Its task never begins, so nothing in it can give the memory back; in the end the run would stand still."""
    meeting = Meeting()

    @asynccontextmanager
    async def opened(*_: Any) -> AsyncIterator[Any]:
        yield meeting

    identity = revisions(MODEL, RenderOptions(), text_layer_fallback=True)
    committer = Committer(FilesystemStore(tmp_path), "default", identity, MODEL)
    engine = Engine(committer, opened, opened, EngineLimits(), lambda _: None)
    document = DocumentInput("file:///a.pdf", hashlib.sha256(DATA).hexdigest(), 2, lambda: DATA)
    (outcome,) = await engine.parse([document])
    assert (outcome.state, outcome.reason) == (State.FAILED, "internal")
    assert engine._bytes.held == 0
