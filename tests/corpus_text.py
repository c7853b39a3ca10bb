"""What a page of the corpus really shows, read back with PDFium, and what its truth says it shows."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2
import pypdfium2.raw as pdfium_c

from mineru_pipeline.quality.truth import TruthBlock, TruthKind

_TAG = re.compile(r"\\tag\{(\d+)\}")
_MARKUP = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as drawn, with the middle of its box in thousandths of the page as people see it."""

    text: str
    x: float
    y: float


def letters(pdf: bytes, index: int) -> list[Letter]:
    """Return the letters of a page in the order in which they are drawn; fields of forms come last."""
    with pypdfium2.PdfDocument(pdf) as document:
        document.init_forms()
        if document.formenv:
            document[index].flatten()
        page = document[index]
        text = page.get_textpage()
        return list(_letters(page, text))


def _letters(page: pypdfium2.PdfPage, text: pypdfium2.PdfTextPage) -> Iterator[Letter]:
    wide, tall = page.get_size()
    turned = page.get_rotation()
    for place in range(text.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(text, place)
        char = chr(code)
        if char.isspace() or pdfium_c.FPDFText_IsGenerated(text, place):
            continue
        left, bottom, right, top = text.get_charbox(place, loose=True)
        x, y = (left + right) / 2, (bottom + top) / 2
        x, y = {
            0: (x / wide, 1 - y / tall),
            90: (y / wide, x / tall),
            180: (1 - x / wide, y / tall),
            270: (1 - y / wide, 1 - x / tall),
        }[turned]
        # PDFium tells a hyphen at the end of a line by a character of its own.
        yield Letter("-" if code in {2, 0xFFFE, 0xAD} else char, x * 1000, y * 1000)


def letters_in(drawn: list[Letter], block: TruthBlock, *, slack: float = 2.0) -> str:
    """Return what is drawn inside of a block's box, in the order of drawing."""
    assert block.bbox is not None
    x0, y0, x1, y1 = block.bbox
    inside = [each.text for each in drawn if x0 - slack <= each.x <= x1 + slack and y0 - slack <= each.y <= y1 + slack]
    return unicodedata.normalize("NFKC", "".join(inside))


def said(block: TruthBlock) -> str:
    """Return the letters that a block's content says are drawn, without spaces."""
    text = block.content
    if block.kind is TruthKind.TABLE:
        text = html.unescape(_MARKUP.sub(" ", text))
    if block.kind is TruthKind.EQUATION:
        # The formula itself is drawn as outlines; only its number is text.
        text = "".join(f"({number})" for number in _TAG.findall(text))
    if block.kind is TruthKind.FORM:
        text = text.replace("☒", "").replace("☐", "")
    return "".join(unicodedata.normalize("NFKC", text).split())
