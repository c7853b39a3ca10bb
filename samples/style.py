"""What the sample documents share: page geometry, paragraph styles and a PDF whose bytes never change."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import BaseDocTemplate, PageTemplate

WIDTH, HEIGHT = A4
MARGIN = 54.0
#: Said in every sample, because its numbers look as if somebody had measured them.
NOTICE = "Sample document. The places, people and figures in it are invented."

BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=9.6, leading=11.8, alignment=TA_JUSTIFY, spaceAfter=4)
INDENTED = ParagraphStyle("indented", BODY, firstLineIndent=11)
TITLE = ParagraphStyle("title", BODY, fontName="Times-Bold", fontSize=18, leading=22, alignment=TA_CENTER, spaceAfter=7)
CENTRED = ParagraphStyle("centred", BODY, alignment=TA_CENTER)
SECTION = ParagraphStyle(
    "section",
    BODY,
    fontName="Times-Bold",
    fontSize=11.2,
    leading=13.5,
    spaceBefore=7,
    spaceAfter=3,
    alignment=0,
    keepWithNext=1,
)
CAPTION = ParagraphStyle("caption", BODY, fontSize=8.4, leading=10.2, spaceBefore=3, spaceAfter=7)
REFERENCE = ParagraphStyle("reference", BODY, fontSize=8.4, leading=10.2, leftIndent=14, firstLineIndent=-14)
SMALL = ParagraphStyle("small", BODY, fontSize=7.8, leading=9.4)


def document(
    templates: Sequence[PageTemplate], story: list[Any], *, title: str, author: str, encrypt: Any = None
) -> bytes:
    """Lay ``story`` out over ``templates`` and return the PDF.

    ``invariant`` fixes dates and file identifiers. The streams stay uncompressed because zlib's output
    differs between its versions, and the same script must give the same bytes everywhere.
    """
    buffer = io.BytesIO()
    template = BaseDocTemplate(
        buffer, pagesize=A4, title=title, author=author, invariant=1, pageCompression=0, encrypt=encrypt
    )
    template.addPageTemplates(list(templates))
    template.build(story)
    return buffer.getvalue()


def running_head(canvas: Any, left: str, right: str) -> None:
    """Draw the line at the top of a page."""
    canvas.setFont("Times-Italic", 8.5)
    canvas.drawString(MARGIN, HEIGHT - 36, left)
    canvas.drawRightString(WIDTH - MARGIN, HEIGHT - 36, right)
    canvas.setLineWidth(0.4)
    canvas.line(MARGIN, HEIGHT - 41, WIDTH - MARGIN, HEIGHT - 41)


def page_foot(canvas: Any, text: str, number: str) -> None:
    """Draw the line at the bottom of a page, with its number in the middle."""
    canvas.setFont("Times-Roman", 7.5)
    canvas.drawString(MARGIN, 30, text)
    canvas.setFont("Times-Roman", 9)
    canvas.drawCentredString(WIDTH / 2, 30, number)
