"""The render service that runs in the sandboxed child: pixels, words, crops, pictures and the overlay."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pypdfium2
from docvortex.document.pdf import initialize_pdfium_runtime
from docvortex.schema import MiddleJson
from PIL import Image

from mineru_pipeline.documents.child import Answer
from mineru_pipeline.documents.pdfium import PdfService
from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing import render_overlay, render_picture
from mineru_pipeline.parsing.render_words import page_words

_POINTS_PER_INCH = 72
_CHANNELS = 3
# PDFium keeps every stream it has read until the document is closed; past this the document is opened anew.
_GROWTH_BYTES = 48 << 20
# Larger pages are stopped by the long edge; this stops nonsense in the request.
_MAX_PIXEL_BYTES = 512 << 20


def prepare() -> None:
    """Do once in the zygote what every child would have to do: CJK fonts for PDFs that embed none.

    MinerU renders with the same fonts, and with them a page looks alike on every machine.
    """
    initialize_pdfium_runtime()
    Image.preinit()


class RenderService(PdfService):
    """One open document; pages count from 0, boxes are fractions of the displayed page, y down."""

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        """Do ``operation``; whatever PDFium makes of a page, it costs that page alone."""
        operations: dict[str, Callable[..., Answer]] = {
            "render": self.render,
            "words": self.words,
            "crops": self.crops,
            "picture": self.picture,
            "overlay": self.overlay,
            "raster_overlay": self.raster_overlay,
        }
        if operation in operations:
            return operations[operation](*blobs, **values)
        return super().call(operation, values, blobs)

    def open(self) -> None:
        """Open the document with its forms: without them the values somebody filled in are not drawn."""
        super().open()
        # A form too broken for it is left out.
        with contextlib.suppress(pypdfium2.PdfiumError):
            self.document.init_forms()
        self._settled = _private_bytes()

    def render(self, index: int, dpi: int, max_edge: int) -> Answer:
        """Answer the page's size, ink and words; the blob is its pixels, RGB, rows from the top."""
        with self._page(index) as page:
            pixels, image = self._draw(page, dpi, max_edge)
            values = {
                "width_pt": page.get_width(),
                "height_pt": page.get_height(),
                "width_px": image.width,
                "height_px": image.height,
                "ink": render_picture.ink_share(image),
                "words": page_words(page),
            }
        return values, [pixels]

    def words(self, index: int) -> Answer:
        """Answer the words of the page's text layer."""
        with self._page(index) as page:
            return {"words": page_words(page)}, ()

    def crops(self, index: int, dpi: int, max_edge: int, boxes: list[dict[str, Any]]) -> Answer:
        """Answer one JPEG for each of ``boxes`` (``bbox``, ``angle``), upright."""
        with self._page(index) as page:
            _, image = self._draw(page, dpi, max_edge)
            return {}, [render_picture.cut(image, box["bbox"], int(box["angle"])) for box in boxes]

    def picture(self, index: int, max_edge: int, boxes: list[dict[str, Any]]) -> Answer:
        """Answer one JPEG of the page with ``boxes`` drawn on it, ``max_edge`` pixels on its long side."""
        with self._page(index) as page:
            return {}, [render_picture.to_jpeg(self._draw_marked(page, max_edge, boxes))]

    def overlay(self, middle: bytearray) -> Answer:
        """Answer the PDF with the blocks of ``middle`` (docvortex's middle JSON) drawn over its pages."""
        blocks, count = MiddleJson.from_json(bytes(middle)), len(self.document)
        # pypdf needs several times the file's size; what PDFium has kept so far need not add to it.
        self.open()
        try:
            return {"kind": "vector"}, [render_overlay.vector_overlay(self.data, blocks, count)]
        except RenderFailedError as error:
            saved = render_overlay.saved_again(self.document)
            return {"kind": "repaired", "note": str(error)}, [render_overlay.vector_overlay(saved, blocks, count)]

    def raster_overlay(self, middle: bytearray, max_edge: int) -> Answer:
        """Answer a PDF made of pictures of the pages, with the same blocks drawn."""
        boxes = render_overlay.boxes_by_page(MiddleJson.from_json(bytes(middle)))
        pages = (self._marked(index, max_edge, boxes.get(index, [])) for index in range(len(self.document)))
        return {"kind": "raster"}, [render_overlay.pictures_to_pdf(pages)]

    @contextlib.contextmanager
    def _page(self, index: int) -> Iterator[pypdfium2.PdfPage]:
        try:
            page = self.document[index]
        except (pypdfium2.PdfiumError, IndexError) as error:
            raise RenderFailedError(f"Page {index + 1} cannot be loaded: {error}") from error
        try:
            yield page
        finally:
            page.close()
            if _private_bytes() > self._settled + _GROWTH_BYTES:
                self.open()

    def _marked(self, index: int, max_edge: int, boxes: list[dict[str, Any]]) -> tuple[Image.Image, float, float]:
        try:
            with self._page(index) as page:
                return self._draw_marked(page, max_edge, boxes), *page.get_size()
        except RenderFailedError as error:
            return render_overlay.placeholder(str(error))

    def _draw_marked(self, page: pypdfium2.PdfPage, max_edge: int, boxes: list[dict[str, Any]]) -> Image.Image:
        dpi = max_edge / (max(page.get_size()) or 1.0) * _POINTS_PER_INCH
        _, image = self._draw(page, dpi, max_edge)
        return render_picture.draw_boxes(image.copy(), boxes)

    def _draw(self, page: pypdfium2.PdfPage, dpi: float, max_edge: int) -> tuple[memoryview, Image.Image]:
        """Draw the page, with annotations and forms on white, straight into the shared memory."""
        scale, width, height = pixel_size(*page.get_size(), dpi=dpi, max_edge=max_edge)
        size = width * height * _CHANNELS
        if size > _MAX_PIXEL_BYTES:
            raise RenderFailedError(f"The page would have {width} x {height} pixels, which is too many.")
        pixels = self.outbox.reserve(size)
        maker = functools.partial(pypdfium2.PdfBitmap.new_native, buffer=(ctypes.c_ubyte * size).from_buffer(pixels))
        bitmap = page.render(scale=scale, rev_byteorder=True, bitmap_maker=maker)
        bitmap.close()
        # Pillow takes any buffer here; its annotations know fewer.
        image = Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)  # type: ignore[arg-type]
        return pixels, image


def _private_bytes() -> int:
    """Return the memory that is this process's alone, in bytes; 0 where the system does not tell."""
    try:
        _, resident, shared, *_ = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * mmap.PAGESIZE


def pixel_size(width_pt: float, height_pt: float, *, dpi: float, max_edge: int) -> tuple[float, int, int]:
    """Return pixels per point, width and height as MinerU renders: at ``dpi`` unless an edge gets too long."""
    scale = dpi / _POINTS_PER_INCH
    long_edge = max(width_pt, height_pt)
    if not min(width_pt, height_pt) > 0:
        raise RenderFailedError(f"The page has no area: {width_pt:g} x {height_pt:g} pt.")
    if long_edge * scale > max_edge:
        # A hair less, for rounding up would else add a pixel to the longest edge that is allowed.
        scale = max_edge / long_edge * (1 - 1e-9)
    return scale, math.ceil(width_pt * scale), math.ceil(height_pt * scale)
