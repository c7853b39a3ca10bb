"""Rendering as the engine sees it: a session holds one PDF in a sandboxed child and asks it for pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from mineru_pipeline.documents.probe import SERVICE as PROBE_SERVICE
from mineru_pipeline.documents.probe import DocumentInfo, Limits, opening_values
from mineru_pipeline.documents.sandbox import Reply, Sandbox, SandboxChild, SandboxConfig
from mineru_pipeline.errors import RenderCrashedError, RenderError, RenderFailedError, RenderTimeoutError
from mineru_pipeline.parsing.layer import TextLayer, Word
from mineru_pipeline.parsing.pages import RenderedPage
from mineru_pipeline.parsing.pictures import is_layout_picture
from mineru_pipeline.parsing.pixels import PackedPixels

SERVICE = "mineru_pipeline.parsing.render_child:RenderService"
_RASTER_EDGE = 1000
# Drawing blocks over a page, or a picture of it, takes a fraction of rendering it for the model.
_OVERLAY_SECONDS_PER_PAGE = 1.0


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What the pixels of a page depend on, besides the page; the defaults are MinerU's."""

    dpi: int = 200
    #: No edge of the picture gets longer than this many pixels.
    max_long_edge_px: int = 3500


class CropBox(NamedTuple):
    """A part of a page: left, top, right, bottom in fractions, and the angle that turns it upright."""

    bbox: tuple[float, float, float, float]
    #: Degrees counter-clockwise, as ``PIL.Image.rotate`` takes them: 0, 90, 180 or 270.
    angle: int = 0


class LabelledBox(NamedTuple):
    """A box to draw; its colour follows from the label, which starts with the type of the block."""

    bbox: tuple[float, float, float, float]
    label: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """``layout.pdf`` and how it came about."""

    pdf: bytes
    #: ``vector``: the document's own pages; ``raster``: pictures of them.
    kind: str
    #: Why it is not ``vector``; "" when it is.
    note: str = ""


def sandbox_config(limits: Limits) -> SandboxConfig:
    """Return the configuration of a sandbox for probing and rendering under ``limits``."""
    modules = tuple(service.partition(":")[0] for service in (PROBE_SERVICE, SERVICE))
    return SandboxConfig(preload=modules, memory_mib=limits.memory_mib)


class PdfSession:
    """One PDF in one child; requests run one after the other.

    A child that died takes nothing with it but the page it died on: the next request opens the
    document in a new one. All methods raise :class:`RenderFailedError` (PDFium cannot do this page),
    :class:`RenderTimeoutError` and :class:`RenderCrashedError` (the child is dead).
    """

    def __init__(
        self, sandbox: Sandbox, data: bytes, *, limits: Limits | None = None, options: RenderOptions | None = None
    ) -> None:
        self._sandbox = sandbox
        self._data = data
        self._limits = limits or Limits()
        self._options = options or RenderOptions()
        self._child: SandboxChild | None = None
        self._info: DocumentInfo | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """The process that holds the document now, for whoever watches its memory."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def close(self) -> None:
        """End the child; the session opens a new one if it is asked again."""
        if self._child is not None:
            self._child.close()
            self._child = None

    async def info(self) -> DocumentInfo:
        """Return what the PDF says of itself; raises :class:`RejectedDocumentError` as probing does."""
        async with self._turn:
            if self._info is None:
                await self._opened()
        assert self._info is not None
        return self._info

    async def render(self, index: int, *, shown: bool = False) -> RenderedPage:
        """Return the pictures, the ink and the words of page ``index``, which counts from 0.

        One that is to be ``shown`` comes with a picture for people: the layout's, or where that is large, a JPEG.
        """
        reply = await self._page_request("render", {"index": index, "shown": shown, **self._resolution()})
        values, (layout, packed, layer, jpeg, ink_map) = reply.values, reply.blobs
        pixels = PackedPixels(int(values["width_px"]), int(values["height_px"]), int(values["channels"]), packed)
        if not is_layout_picture(layout) or max(pixels.width, pixels.height) > self._options.max_long_edge_px:
            raise RenderFailedError(f"Page {index + 1}: the render child answered something that is no picture.")
        return RenderedPage(
            index=index,
            width_pt=float(values["width_pt"]),
            height_pt=float(values["height_pt"]),
            layout=layout,
            pixels=pixels,
            ink=float(values["ink"]),
            ink_map=ink_map,
            layer=TextLayer(int(values["words"]), layer),
            shown=jpeg or layout if shown else b"",
        )

    async def words(self, index: int) -> tuple[Word, ...]:
        """Return the words of the page's own text layer, in the order of its content."""
        reply = await self._page_request("words", {"index": index})
        return TextLayer(int(reply.values["words"]), reply.blobs[0]).words()

    async def crops(self, index: int, boxes: Sequence[CropBox]) -> list[bytes]:
        """Return a JPEG of each box, as large as on the page that :meth:`render` shows, and turned upright."""
        if not boxes:
            return []
        wanted = [box._asdict() for box in boxes]
        reply = await self._page_request("crops", {"index": index, "boxes": wanted, **self._resolution()})
        return list(reply.blobs)

    async def picture(self, index: int, *, max_edge: int = 1000) -> bytes:
        """Return a JPEG of the page, ``max_edge`` pixels on its long side."""
        reply = await self._page_request("picture", {"index": index, "max_edge": max_edge})
        return reply.blobs[0]

    async def thumbnail(self, index: int, boxes: Sequence[LabelledBox], *, edge: int) -> bytes:
        """Return a JPEG of the page, ``edge`` pixels on its long side, with ``boxes`` drawn on it."""
        drawn = [box._asdict() for box in boxes]
        values = {"index": index, "edge": edge, "boxes": drawn, **self._resolution()}
        return (await self._page_request("thumbnail", values)).blobs[0]

    async def overlay(self, middle: bytes) -> Overlay:
        """Return the PDF with the blocks of docvortex's middle JSON drawn over its pages.

        A file that PDFium cannot draw on gets pictures of its pages instead, and ``note`` says why.
        """
        pages = (await self.info()).page_count
        seconds = self._limits.seconds_per_page + pages * _OVERLAY_SECONDS_PER_PAGE
        try:
            reply = await self._request("overlay", {}, [middle], seconds=seconds)
            return Overlay(reply.blobs[0], str(reply.values["kind"]), str(reply.values.get("note", "")))
        except (RenderFailedError, RenderTimeoutError, RenderCrashedError) as error:
            note = str(error)
        reply = await self._request("raster_overlay", {"max_edge": _RASTER_EDGE}, [middle], seconds=seconds)
        return Overlay(reply.blobs[0], "raster", note)

    def _resolution(self) -> dict[str, int]:
        return {"dpi": self._options.dpi, "max_edge": self._options.max_long_edge_px}

    async def _page_request(self, operation: str, values: Mapping[str, Any]) -> Reply:
        try:
            return await self._request(operation, values, seconds=self._limits.seconds_per_page)
        except RenderError as error:
            raise type(error)(f"Page {int(values['index']) + 1}: {error}") from error

    async def _request(
        self, operation: str, values: Mapping[str, Any], blobs: Sequence[bytes] = (), *, seconds: float
    ) -> Reply:
        """Ask the child; after a crash ask a new one once, for the cause may have come from outside."""
        async with self._turn:
            try:
                return await (await self._opened()).request(operation, values, blobs, seconds=seconds)
            except RenderCrashedError:
                return await (await self._opened()).request(operation, values, blobs, seconds=seconds)

    async def _opened(self) -> SandboxChild:
        if self._child is not None and self._child.alive:
            return self._child
        self._child = await self._sandbox.spawn(SERVICE)
        reply = await self._child.request(
            "open", opening_values(self._limits), [self._data], seconds=self._limits.seconds_per_page
        )
        self._info = DocumentInfo.from_values(reply.values)
        return self._child
