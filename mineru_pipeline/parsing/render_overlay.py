"""The overlay, ``layout.pdf``: the document's own pages with the recognised blocks drawn on them."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c
from docvortex.schema import BlockBase, MiddleJson
from docvortex.visualization import render_layout_pdf
from PIL import Image, ImageDraw

from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing.render_picture import to_jpeg

# PDFium puts the time and a random identifier into what it saves; both are replaced in place, so
# that the offsets in the file stay true.
_SAVED_ID = re.compile(rb"/ID\s*\[\s*<[0-9A-Fa-f]*>\s*<[0-9A-Fa-f]*>\s*\]")
_SAVED_DATE = re.compile(rb"/CreationDate\(D:[0-9]{14}")
_HEX_BEFORE_BRACKET = re.compile(rb"[0-9A-Fa-f](?=[0-9A-Fa-f]*>)")
_FIXED_DATE = b"/CreationDate(D:20000101000000"
_TRAILER_BYTES = 4096
_JPEG_QUALITY = 70
_PLACEHOLDER_SIZE = (595, 842)


def vector_overlay(data: bytes, middle: MiddleJson, page_count: int) -> bytes:
    """Return the PDF with its blocks drawn by docvortex; raises :class:`RenderFailedError` if that cannot be done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            overlay: bytes = render_layout_pdf(data, middle.pages)
        pages = len(pypdfium2.PdfDocument(overlay))
    except MemoryError:
        raise
    except Exception as error:
        # pypdf raises anything at all on strange files.
        raise RenderFailedError(f"The overlay cannot be drawn: {type(error).__name__}: {str(error)[:200]}") from error
    if pages != page_count:
        raise RenderFailedError(f"The overlay has {pages} pages, the document {page_count}.")
    return overlay


def saved_again(document: pypdfium2.PdfDocument) -> bytes:
    """Return the document as PDFium writes it, without encryption: it mends much that pypdf cannot read."""
    output = io.BytesIO()
    document.save(output, flags=pdfium_c.FPDF_REMOVE_SECURITY)
    return bytes(_without_traces(output))


def boxes_by_page(middle: MiddleJson) -> dict[int, list[dict[str, Any]]]:
    """Return every block of every page, by page, as a box to draw, children included."""
    return {
        page.page_idx: [
            {"bbox": block.bbox, "label": f"{block.type}: {'-' if block.index is None else block.index}"}
            for block in _all_blocks(page.blocks)
            if block.bbox is not None
        ]
        for page in middle.pages
    }


def pictures_to_pdf(pictures: Iterable[tuple[Image.Image, float, float]]) -> memoryview:
    """Return a PDF of one picture a page, each with the page's size in points; one picture is held at a time."""
    document = pypdfium2.PdfDocument.new()
    for picture, width, height in pictures:
        page = document.new_page(width, height)
        image = pypdfium2.PdfImage.new(document)
        image.load_jpeg(io.BytesIO(to_jpeg(picture, _JPEG_QUALITY)), inline=True)
        image.set_matrix(pypdfium2.PdfMatrix().scale(width, height))
        page.insert_obj(image)
        page.gen_content()
        page.close()
    output = io.BytesIO()
    document.save(output)
    document.close()
    return _without_traces(output)


def placeholder(message: str) -> tuple[Image.Image, float, float]:
    """Return the picture and the size of a page that cannot be rendered."""
    image = Image.new("RGB", _PLACEHOLDER_SIZE, "white")
    ImageDraw.Draw(image).text((40, 40), message, fill="black")
    return image, float(_PLACEHOLDER_SIZE[0]), float(_PLACEHOLDER_SIZE[1])


def _all_blocks(blocks: Iterable[BlockBase]) -> Iterator[BlockBase]:
    for block in blocks:
        yield block
        content = getattr(block, "content", None)
        if isinstance(content, list):
            yield from _all_blocks(child for child in content if isinstance(child, BlockBase))


def _without_traces(output: io.BytesIO) -> memoryview:
    """Overwrite what differs from run to run, in place: the file can be large."""
    saved = output.getbuffer()
    for found in _SAVED_DATE.finditer(saved):
        saved[found.start() : found.end()] = _FIXED_DATE
    tail = saved[-_TRAILER_BYTES:]
    for found in _SAVED_ID.finditer(tail):
        tail[found.start() : found.end()] = _HEX_BEFORE_BRACKET.sub(b"0", found[0])
    return saved
