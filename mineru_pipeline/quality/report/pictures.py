"""Pictures of the pages of the corpus, small enough for a report."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Final

from mineru_pipeline.documents.sandbox import Sandbox, SandboxConfig
from mineru_pipeline.errors import RejectedDocumentError, RenderCrashedError, RenderFailedError, RenderTimeoutError

#: Pixels: enough to read the small print, and some 50 KB a page.
WIDTH: Final = 900
SERVICE: Final = "mineru_pipeline.quality.report.page_child:PageService"
_SECONDS: Final = 60.0
_LIMITS: Final = {"max_pages": 1_000, "max_page_edge_pt": 14_400.0}


class CorpusPictures:
    """The pictures of a corpus' documents, drawn in a sandboxed child; call it with a name and a page.

    A page that cannot be drawn has no picture, which the report says. The sandbox starts with the first page and ends
    with this object. Not for a thread in which an event loop runs.
    """

    def __init__(self, pdf: Callable[[str], bytes], width: int = WIDTH) -> None:
        self._pdf = pdf
        self._width = width
        self._runner = asyncio.Runner()
        self._sandbox = Sandbox(SandboxConfig(preload=(SERVICE.partition(":")[0],)))
        self._end = weakref.finalize(self, _close, self._runner, self._sandbox)

    def __call__(self, document: str, page: int) -> bytes | None:
        """Return a page as WebP.

        Raises:
            RenderUnavailableError: no child can be started.
        """
        try:
            return self._runner.run(self._drawn(self._pdf(document), page))
        except (RejectedDocumentError, RenderCrashedError, RenderFailedError, RenderTimeoutError):
            return None

    def close(self) -> None:
        """End the sandbox; what is asked for afterwards fails."""
        self._end()

    async def _drawn(self, data: bytes, page: int) -> bytes | None:
        child = await self._sandbox.spawn(SERVICE)
        try:
            await child.request("open", _LIMITS, [data], seconds=_SECONDS)
            reply = await child.request("picture", {"page": page, "width": self._width}, seconds=_SECONDS)
        finally:
            child.close()
        return reply.blobs[0] if reply.blobs else None


def corpus_pictures(pdf: Callable[[str], bytes], *, width: int = WIDTH) -> CorpusPictures:
    """A way to the pictures of a corpus' documents; ``pdf`` gives the bytes of one by its name."""
    return CorpusPictures(pdf, width)


def _close(runner: asyncio.Runner, sandbox: Sandbox) -> None:
    runner.run(sandbox.close())
    runner.close()
