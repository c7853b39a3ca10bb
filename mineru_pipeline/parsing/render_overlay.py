"""The overlay, ``layout.pdf``: the document's own pages with the recognised blocks drawn on them."""

from __future__ import annotations

import ctypes
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium_c
from PIL import Image, ImageDraw

from mineru_pipeline.errors import RenderFailedError
from mineru_pipeline.parsing.palette import COLOURS, group_of
from mineru_pipeline.parsing.render_picture import to_jpeg

#: ``bbox`` in fractions of the displayed page, y down, and ``label``, "type: index".
Box = dict[str, Any]

# Visual blocks are frames around a body and its captions, which are drawn themselves.
_FRAMES = frozenset({"image", "table", "chart", "code"})
_FONT = b"Helvetica"
_STROKED, _NOT_STROKED = 1, 0
# Lines and labels grow with the page, so that a poster can be read as a whole; in points on A4.
_A4_LONG_EDGE_PT = 842
_LINE_PT, _TEXT_PT, _DESCENT_PT, _LABEL_PT, _PADDING_PT = 1.0, 6.5, 1.5, 8.0, 1.5
# PDFium puts the time and a random identifier into what it saves; both are replaced in place, so
# that the offsets in the file stay true.
# The first identifier is the file's own and may be a literal string.
_SAVED_ID = re.compile(rb"/ID\s*\[\s*(?:<[0-9A-Fa-f]*>|\((?:[^\\()]|\\.)*\))\s*<[0-9A-Fa-f]*>\s*\]", re.DOTALL)
_SAVED_DATE = re.compile(rb"/CreationDate\(D:[0-9]{14}")
_HEX_BEFORE_BRACKET = re.compile(rb"[0-9A-Fa-f](?=[0-9A-Fa-f]*>)")
_FIXED_DATE = b"/CreationDate(D:20000101000000"
_TRAILER_BYTES = 4096
_JPEG_QUALITY = 70
_PLACEHOLDER_SIZE = (595, 842)


def vector_overlay(document: pypdfium2.PdfDocument, boxes: Mapping[int, Sequence[Box]]) -> memoryview:
    """Return ``document``, which is changed by it, with ``boxes`` drawn on its pages, and without encryption.

    Raises :class:`RenderFailedError` if that cannot be done.
    """
    count, output = len(document), io.BytesIO()
    font = pdfium_c.FPDFText_LoadStandardFont(document, _FONT)
    try:
        for index, on_page in boxes.items():
            if on_page and index < count:
                _draw_on_page(document, index, on_page, font)
        document.save(output, flags=pdfium_c.FPDF_REMOVE_SECURITY)
        saved = pypdfium2.PdfDocument(output)
    except pypdfium2.PdfiumError as error:
        raise RenderFailedError(f"The overlay cannot be drawn: {error}") from error
    finally:
        pdfium_c.FPDFFont_Close(font)
    pages = len(saved)
    saved.close()
    if pages != count:
        raise RenderFailedError(f"The overlay has {pages} pages, the document {count}.")
    return _without_traces(output)


def boxes_by_page(middle: bytes | bytearray) -> dict[int, list[Box]]:
    """Return what is to be drawn of docvortex's middle JSON, by page: every block but mere frames."""
    pages = json.loads(middle)["pages"]
    return {int(page["page_idx"]): list(_boxes(page["blocks"])) for page in pages}


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


def _boxes(blocks: Iterable[Any]) -> Iterator[Box]:
    for block in blocks:
        # Content is a text, a list of spans, which have no place, or a list of blocks.
        content = block.get("content")
        inner = list(_boxes(item for item in content if "bbox" in item)) if isinstance(content, list) else []
        if block.get("bbox") and not (inner and block["type"] in _FRAMES):
            index = block.get("index")
            yield {"bbox": block["bbox"], "label": f"{block['type']}: {'-' if index is None else index}"}
        yield from inner


def _draw_on_page(document: pypdfium2.PdfDocument, index: int, boxes: Sequence[Box], font: Any) -> None:
    page = document[index]
    try:
        # All frames first: labels lie above them.
        objects = [
            *(_frame(page, box) for box in boxes),
            *(o for box in boxes for o in _label(document, page, box, font)),
        ]
        matrix = _from_displayed(page)
        for each in objects:
            pdfium_c.FPDFPageObj_Transform(each, *matrix)
            pdfium_c.FPDFPage_InsertObject(page, each)
        page.gen_content()
    finally:
        page.close()


def _from_displayed(page: pypdfium2.PdfPage) -> tuple[float, float, float, float, float, float]:
    """Return the matrix from points on the displayed page, y up from its lower left corner, to PDF coordinates."""
    left, bottom, right, top = page.get_bbox()
    return {
        0: (1.0, 0.0, 0.0, 1.0, left, bottom),
        90: (0.0, 1.0, -1.0, 0.0, right, bottom),
        180: (-1.0, 0.0, 0.0, -1.0, right, top),
        270: (0.0, -1.0, 1.0, 0.0, left, top),
    }[page.get_rotation()]


def _unit(page: pypdfium2.PdfPage) -> float:
    return float(max(page.get_size())) / _A4_LONG_EDGE_PT


def _frame(page: pypdfium2.PdfPage, box: Box) -> Any:
    width, height = page.get_size()
    x0, y0, x1, y1 = box["bbox"]
    frame = pdfium_c.FPDFPageObj_CreateNewRect(x0 * width, (1 - y1) * height, (x1 - x0) * width, (y1 - y0) * height)
    pdfium_c.FPDFPageObj_SetStrokeColor(frame, *_colour(box), 255)
    pdfium_c.FPDFPageObj_SetStrokeWidth(frame, _LINE_PT * _unit(page))
    pdfium_c.FPDFPath_SetDrawMode(frame, pdfium_c.FPDF_FILLMODE_NONE, _STROKED)
    return frame


def _label(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, box: Box, font: Any) -> tuple[Any, Any]:
    """Return the label's ground and its text: on top of the box, at its left, and within the page."""
    unit, (width, height) = _unit(page), page.get_size()
    text = pdfium_c.FPDFPageObj_CreateTextObj(document, font, _TEXT_PT * unit)
    characters = (box["label"] + "\0").encode("utf-16-le")
    pdfium_c.FPDFText_SetText(text, ctypes.cast(characters, pdfium_c.FPDF_WIDESTRING))
    pdfium_c.FPDFPageObj_SetFillColor(text, 255, 255, 255, 255)
    label_width, label_height = _text_width(text) + 2 * _PADDING_PT * unit, _LABEL_PT * unit
    left = max(0.0, min(box["bbox"][0] * width, width - label_width))
    bottom = max(0.0, min((1 - box["bbox"][1]) * height, height - label_height))
    ground = pdfium_c.FPDFPageObj_CreateNewRect(left, bottom, label_width, label_height)
    pdfium_c.FPDFPageObj_SetFillColor(ground, *_colour(box), 255)
    pdfium_c.FPDFPath_SetDrawMode(ground, pdfium_c.FPDF_FILLMODE_WINDING, _NOT_STROKED)
    pdfium_c.FPDFPageObj_Transform(text, 1, 0, 0, 1, left + _PADDING_PT * unit, bottom + _DESCENT_PT * unit)
    return ground, text


def _text_width(text: Any) -> float:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    pdfium_c.FPDFPageObj_GetBounds(text, left, bottom, right, top)
    return right.value


def _colour(box: Box) -> tuple[int, int, int]:
    return COLOURS[group_of(box["label"].partition(":")[0])]


def _without_traces(output: io.BytesIO) -> memoryview:
    """Overwrite what differs from run to run, in place: the file can be large."""
    saved = output.getbuffer()
    for found in _SAVED_DATE.finditer(saved):
        saved[found.start() : found.end()] = _FIXED_DATE
    tail = saved[-_TRAILER_BYTES:]
    for found in _SAVED_ID.finditer(tail):
        tail[found.start() : found.end()] = _HEX_BEFORE_BRACKET.sub(b"0", found[0])
    return saved
