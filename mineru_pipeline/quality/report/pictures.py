"""Pictures of the pages of the corpus, small enough for a report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mineru_pipeline.documents.sandbox import Sandbox, SandboxConfig
from mineru_pipeline.errors import RejectedDocumentError, RenderCrashedError, RenderFailedError, RenderTimeoutError
from mineru_pipeline.quality.report.model import Picture

#: Pixels: enough to read the small print, and some 50 KB a page.
WIDTH: Final = 900
SERVICE: Final = "mineru_pipeline.quality.report.page_child:PageService"
_SECONDS: Final = 60.0
_LIMITS: Final = {"max_pages": 1_000, "max_page_edge_pt": 14_400.0}


def corpus_pictures(pdf: Callable[[str], bytes], *, width: int = WIDTH) -> Picture:
    """A way to the pictures of a corpus' documents; ``pdf`` gives the bytes of one by its name.

    Each is drawn in a sandbox of its own, which takes a fifth of a second to start and leaves nothing behind. A page
    that cannot be drawn has no picture, which the report says. Not for a thread in which an event loop runs.
    """

    def picture(document: str, page: int) -> bytes | None:
        try:
            return asyncio.run(_drawn(pdf(document), page, width))
        except (RejectedDocumentError, RenderCrashedError, RenderFailedError, RenderTimeoutError):
            return None

    return picture


async def _drawn(data: bytes, page: int, width: int) -> bytes | None:
    async with Sandbox(SandboxConfig(preload=(SERVICE.partition(":")[0],))) as sandbox:
        child = await sandbox.spawn(SERVICE)
        try:
            await child.request("open", _LIMITS, [data], seconds=_SECONDS)
            reply = await child.request("picture", {"page": page, "width": width}, seconds=_SECONDS)
        finally:
            child.close()
    return bytes(reply.blobs[0]) if reply.blobs else None
