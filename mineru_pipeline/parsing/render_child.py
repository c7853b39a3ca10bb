"""The render service that runs in the sandboxed child: pixels, words, crops, pictures and the overlay."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pypdfium2
from docvortex.document.pdf import initialize_pdfium_runtime
from PIL import Image

from mineru_pipeline.documents.child import Answer, Outbox
from mineru_pipeline.documents.confinement import memory_use
from mineru_pipeline.documents.pdfium import PdfService, open_document
from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing import render_overlay, render_picture, resizing
from mineru_pipeline.parsing.layer import TextLayer
from mineru_pipeline.parsing.pictures import COLOUR_CHANNELS, Pixels, encode_png, one_channel
from mineru_pipeline.parsing.pixels import PackedPixels
from mineru_pipeline.parsing.render_overlay import boxes_by_page
from mineru_pipeline.parsing.render_picture import PixelBox
from mineru_pipeline.parsing.render_words import page_words
from mineru_pipeline.parsing.resizing import layout_pixels

_POINTS_PER_INCH = 72
# PDFium keeps every stream it has read until the document is closed; past this the document is opened anew.
_GROWTH_BYTES = 48 << 20
# Larger pages are stopped by the long edge; this stops nonsense in the request.
_MAX_PIXEL_BYTES = 512 << 20

#: Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

# A page of print is smaller as PNG; a photograph takes less room, and is seen as well, as JPEG.
_SMALL_PICTURE_BYTES = 256 << 10


def prepare() -> None:
    """Do once in the zygote what every child would have to do: CJK fonts for PDFs that embed none.

    MinerU renders with the same fonts, and with them a page looks alike on every machine.
    """
    initialize_pdfium_runtime()
    Image.preinit()
    render_picture.label_font()
    resizing.prepare()
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc use the memory of one picture for the next: fresh from the system it costs half as much as resizing.

    By itself it gives large pieces back at once. A child lives for one document, and its memory is limited.
    """
    # Other C libraries have no such function.
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MAX_PIXEL_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _MAX_PIXEL_BYTES)


class Canvas:
    """The memory that pages are drawn into, one after the other: fresh memory costs more than drawing does.

    It asks for huge pages, because the system hands memory out, and clears it, page by page.
    """

    def __init__(self) -> None:
        self._map: mmap.mmap | None = None

    @property
    def size(self) -> int:
        """Bytes that it keeps."""
        return len(self._map) if self._map else 0

    def reserve(self, size: int) -> memoryview:
        """Return ``size`` bytes; what stood there is white now, or something else."""
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                # Some kernels are built without.
                with contextlib.suppress(OSError):
                    self._map.madvise(mmap.MADV_HUGEPAGE)
        return memoryview(self._map)[:size]


class RenderService(PdfService):
    """One open document; pages count from 0, boxes are fractions of the displayed page, y down."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(outbox)
        self._canvas = Canvas()
        #: The layout picture of the first page, and how it was drawn: its thumbnail is asked for in the end.
        self._first: tuple[tuple[int, int], Pixels] | None = None

    def call(self, operation: str, values: Mapping[str, Any], blobs: list[bytearray]) -> Answer:
        """Do ``operation``; whatever PDFium makes of a page, it costs that page alone."""
        operations: dict[str, Callable[..., Answer]] = {
            "render": self.render,
            "words": self.words,
            "crops": self.crops,
            "picture": self.picture,
            "thumbnail": self.thumbnail,
            "overlay": self.overlay,
            "raster_overlay": self.raster_overlay,
        }
        if operation in operations:
            return operations[operation](*blobs, **values)
        return super().call(operation, values, blobs)

    def open(self) -> None:
        """Open the document with its forms: without them the values somebody filled in are not drawn."""
        super().open()
        _init_forms(self.document)
        self._settled = memory_use()[1] - self._canvas.size

    def render(self, index: int, dpi: int, max_edge: int, shown: bool = False) -> Answer:  # noqa: FBT001, FBT002 - as JSON has it
        """Answer the page's size, ink and words; blobs: the PNG for its layout, pixels, words, a JPEG, where ink is.

        The JPEG is for people, and empty unless the page is ``shown`` and the PNG is large for that.
        """
        with self._page(index) as page:
            pixels = np.ascontiguousarray(one_channel(self._draw(page, dpi, max_edge)))
            packed = PackedPixels.of(pixels)
            layer = TextLayer.of(page_words(page))
            width, height = page.get_size()
        small = layout_pixels(pixels)
        # Of what the model is shown: it judges by that, and there is less of it to count.
        ink, ink_map = render_picture.ink_of(small)
        values = {
            "width_pt": width,
            "height_pt": height,
            "width_px": packed.width,
            "height_px": packed.height,
            "channels": packed.channels,
            "ink": ink,
            "words": layer.count,
        }
        if index == 0:
            self._first = (dpi, max_edge), small
        png = encode_png(small)
        jpeg = _page_jpeg(Image.fromarray(small)) if shown and len(png) > _SMALL_PICTURE_BYTES else b""
        return values, [png, packed.packed, layer.packed, jpeg, ink_map]

    def words(self, index: int) -> Answer:
        """Answer the words of the page's text layer."""
        with self._page(index) as page:
            layer = TextLayer.of(page_words(page))
        return {"words": layer.count}, [layer.packed]

    def crops(self, index: int, dpi: int, max_edge: int, boxes: list[dict[str, Any]]) -> Answer:
        """Answer one JPEG for each of ``boxes`` (``bbox``, ``angle``), upright."""
        with self._page(index) as page:
            _, width, height = pixel_size(*page.get_size(), dpi=dpi, max_edge=max_edge)
            places = [render_picture.pixel_box((width, height), box["bbox"]) for box in boxes]
            # Drawing takes as long as the part drawn is large, and most pages have a table or two.
            part = render_picture.around(places)
            image = Image.fromarray(self._draw(page, dpi, max_edge, part))
            pairs = zip(places, boxes, strict=True)
            return {}, [render_picture.cut(image, place, part[:2], int(box["angle"])) for place, box in pairs]

    def picture(self, index: int, max_edge: int) -> Answer:
        """Answer one JPEG of the page, ``max_edge`` pixels on its long side."""
        return {}, [_page_jpeg(self._drawn(index, max_edge)[0])]

    def thumbnail(self, index: int, edge: int, boxes: list[dict[str, Any]], dpi: int, max_edge: int) -> Answer:
        """Answer a JPEG of the page, ``edge`` pixels on its long side, with ``boxes`` drawn on it.

        It is the layout's picture made smaller, which of the first page is there already: the same bytes
        come out whether the page was drawn by this child or by one before it.
        """
        if index == 0 and self._first is not None and self._first[0] == (dpi, max_edge):
            pixels = self._first[1]
        else:
            with self._page(index) as page:
                pixels = layout_pixels(np.ascontiguousarray(one_channel(self._draw(page, dpi, max_edge))))
        width, height = self._size_of(index)
        _, *size = pixel_size(width, height, dpi=edge / (max(width, height) or 1.0) * _POINTS_PER_INCH, max_edge=edge)
        # Halved first, which a look at a page does not notice, and costs a third of resizing it whole.
        small = Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BILINEAR, reducing_gap=1.0)
        return {}, [_page_jpeg(render_picture.draw_boxes(small.convert("RGB"), boxes))]

    def overlay(self, middle: bytearray) -> Answer:
        """Answer the PDF with the blocks of ``middle`` (docvortex's middle JSON) drawn over its pages."""
        # Opened for it alone: whoever asks next wants the pages as they were, and what PDFium has read of them.
        with contextlib.closing(open_document(self.data)) as document:
            _init_forms(document)
            return {"kind": "vector"}, [render_overlay.vector_overlay(document, boxes_by_page(middle))]

    def raster_overlay(self, middle: bytearray, max_edge: int) -> Answer:
        """Answer a PDF made of pictures of the pages, with the same blocks drawn."""
        boxes = boxes_by_page(middle)
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
            if memory_use()[1] - self._canvas.size > self._settled + _GROWTH_BYTES:
                self.open()

    def _size_of(self, index: int) -> tuple[float, float]:
        try:
            width, height = self.document.get_page_size(index)
        except pypdfium2.PdfiumError as error:
            raise RenderFailedError(f"Page {index + 1} cannot be loaded: {error}") from error
        return float(width), float(height)

    def _marked(self, index: int, max_edge: int, boxes: list[dict[str, Any]]) -> tuple[Image.Image, float, float]:
        try:
            image, width, height = self._drawn(index, max_edge)
            return render_picture.draw_boxes(image, boxes), width, height
        except RenderFailedError as error:
            return render_overlay.placeholder(str(error))

    def _drawn(self, index: int, max_edge: int) -> tuple[Image.Image, float, float]:
        """Return a picture of the page, ``max_edge`` pixels on its long side, and its size in points."""
        with self._page(index) as page:
            width, height = page.get_size()
            dpi = max_edge / (max(width, height) or 1.0) * _POINTS_PER_INCH
            return Image.fromarray(self._draw(page, dpi, max_edge)), width, height

    def _draw(self, page: pypdfium2.PdfPage, dpi: float, max_edge: int, part: PixelBox | None = None) -> Pixels:
        """Draw the page or a part of it, with annotations and forms on white, in RGB, over what was drawn before."""
        scale, whole_width, whole_height = pixel_size(*page.get_size(), dpi=dpi, max_edge=max_edge)
        left, top, right, bottom = part or (0, 0, whole_width, whole_height)
        width, height = right - left, bottom - top
        size = width * height * COLOUR_CHANNELS
        if size > _MAX_PIXEL_BYTES:
            raise RenderFailedError(f"The page would have {width} x {height} pixels, which is too many.")
        pixels = self._canvas.reserve(size)
        maker = functools.partial(pypdfium2.PdfBitmap.new_native, buffer=(ctypes.c_ubyte * size).from_buffer(pixels))
        # In points, from each edge; pypdfium2 rounds up to whole pixels.
        margins = (left, whole_height - bottom, whole_width - right, top)
        crop = tuple(max(0.0, margin - 0.5) / scale for margin in margins)
        bitmap = page.render(scale=scale, crop=crop, rev_byteorder=True, bitmap_maker=maker)
        bitmap.close()
        return np.frombuffer(pixels, np.uint8).reshape(height, width, COLOUR_CHANNELS)


def _init_forms(document: pypdfium2.PdfDocument) -> None:
    # A form too broken for it is left out.
    with contextlib.suppress(pypdfium2.PdfiumError):
        document.init_forms()


def _page_jpeg(image: Image.Image) -> bytes:
    return render_picture.to_jpeg(image, render_picture.PAGE_JPEG_QUALITY)


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
