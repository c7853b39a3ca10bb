"""The two-column article: title, abstract, sections, a drawn chart, a table, a footnote, running heads."""

from __future__ import annotations

import math
from typing import Any

from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, black, lightgrey
from reportlab.platypus import Frame, FrameBreak, NextPageTemplate, PageTemplate, Paragraph, Spacer, Table

from samples.article_text import (
    ABSTRACT,
    AFFILIATION,
    AUTHORS,
    FIGURE_CAPTION,
    FOOTNOTE,
    SECTIONS,
    TABLE_CAPTION,
    TABLE_ROWS,
    TITLE_TEXT,
)
from samples.style import (
    BODY,
    CAPTION,
    CENTRED,
    HEIGHT,
    INDENTED,
    MARGIN,
    NOTICE,
    REFERENCE,
    SECTION,
    SMALL,
    TITLE,
    WIDTH,
    document,
    page_foot,
    running_head,
)

_GAP = 18.0
_COLUMN = (WIDTH - 2 * MARGIN - _GAP) / 2
_TOP, _BOTTOM = HEIGHT - 52, 50.0
_TITLE_HEIGHT, _FOOTNOTE_HEIGHT = 162.0, 52.0
#: The last page ends early; its columns are made equally long by hand, as a typesetter would.
_LAST_PAGE_COLUMN = 278.0
_BLUE, _ORANGE = Color(0.10, 0.33, 0.60), Color(0.80, 0.38, 0.08)


def make() -> bytes:
    """Return the article as a PDF."""
    story: list[Any] = [
        NextPageTemplate("later"),
        Paragraph(TITLE_TEXT, TITLE),
        Paragraph(AUTHORS, CENTRED),
        Paragraph(f"<i>{AFFILIATION}</i>", CENTRED),
        Spacer(0, 4),
        Paragraph(f"<b>Abstract.</b> {ABSTRACT}", BODY),
        FrameBreak(),
    ]
    for heading, paragraphs in SECTIONS:
        story.append(Paragraph(heading, SECTION))
        for position, text in enumerate(paragraphs):
            story.extend(_flowables(text, first=position == 0))
    return document(_templates(), story, title=TITLE_TEXT, author=AUTHORS.replace("<super>1</super>", ""))


def _flowables(text: str, *, first: bool) -> list[Any]:
    if text == "FIGURE":
        return [_hydrograph(), Paragraph(FIGURE_CAPTION, CAPTION)]
    if text == "TABLE":
        return [Paragraph(TABLE_CAPTION, CAPTION), _station_table(), Spacer(0, 9)]
    if text.startswith("["):
        return [Paragraph(text, REFERENCE)]
    return [Paragraph(text, BODY if first else INDENTED)]


def _templates() -> list[PageTemplate]:
    title_bottom = _TOP - _TITLE_HEIGHT
    right = MARGIN + _COLUMN + _GAP
    foot = _BOTTOM + _FOOTNOTE_HEIGHT
    first = [
        _frame(MARGIN, title_bottom, WIDTH - 2 * MARGIN, _TITLE_HEIGHT),
        _frame(MARGIN, foot, _COLUMN, title_bottom - foot),
        _frame(right, _BOTTOM, _COLUMN, title_bottom - _BOTTOM),
    ]
    later = [_frame(x, _TOP - _LAST_PAGE_COLUMN, _COLUMN, _LAST_PAGE_COLUMN) for x in (MARGIN, right)]
    return [
        PageTemplate("first", first, onPage=_first_page),
        PageTemplate("later", later, onPage=_later_page),
    ]


def _frame(x: float, y: float, width: float, height: float) -> Frame:
    return Frame(x, y, width, height, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)


def _first_page(canvas: Any, _document: Any) -> None:
    running_head(canvas, "Notes on Rivers and Records", "Volume 4 (2024), pages 17\u201318")
    page_foot(canvas, NOTICE, "17")
    canvas.setLineWidth(0.4)
    canvas.line(MARGIN, _BOTTOM + _FOOTNOTE_HEIGHT - 8, MARGIN + 70, _BOTTOM + _FOOTNOTE_HEIGHT - 8)
    note = Paragraph(FOOTNOTE, SMALL)
    _, height = note.wrapOn(canvas, _COLUMN, _FOOTNOTE_HEIGHT)
    note.drawOn(canvas, MARGIN, _BOTTOM + _FOOTNOTE_HEIGHT - 13 - height)


def _later_page(canvas: Any, doc: Any) -> None:
    running_head(canvas, "I. Carrow and T. Welk", "What the gauge reader wrote")
    page_foot(canvas, NOTICE, str(16 + doc.page))


def _station_table() -> Table:
    table = Table(TABLE_ROWS, colWidths=[76, 38, 56, _COLUMN - 170], rowHeights=13)
    table.setStyle(
        [
            ("FONT", (0, 0), (-1, 0), "Times-Bold", 8.6),
            ("FONT", (0, 1), (-1, -1), "Times-Roman", 8.6),
            ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LINEABOVE", (0, 0), (-1, 0), 0.9, black),
            ("LINEBELOW", (0, 0), (-1, 0), 0.5, black),
            ("LINEBELOW", (0, -1), (-1, -1), 0.9, black),
        ]
    )
    return table


def _stage(hour: float, *, peak_hour: float, peak: float, width: float) -> float:
    """Water level in metres: a quick rise and a slow fall (a log-normal pulse on base flow)."""
    if hour <= 0:
        return 0.8
    return 0.8 + (peak - 0.8) * math.exp(-(math.log(hour / peak_hour) ** 2) / width)


def _hydrograph() -> Drawing:
    width, height, left, bottom = _COLUMN, 154.0, 24.0, 26.0
    plot_width, plot_height = width - left - 6, height - bottom - 16

    def point(hour: float, metres: float) -> tuple[float, float]:
        return left + hour / 120 * plot_width, bottom + metres / 6 * plot_height

    drawing = Drawing(width, height)
    for metres in range(7):
        x, y = point(0, metres)
        drawing.add(Line(x, y, x + plot_width, y, strokeColor=lightgrey, strokeWidth=0.4))
        drawing.add(String(x - 5, y - 2.5, str(metres), fontName="Helvetica", fontSize=7, textAnchor="end"))
    for hour in range(0, 121, 24):
        x, y = point(hour, 0)
        drawing.add(Line(x, y, x, y - 3, strokeWidth=0.6))
        drawing.add(String(x, y - 11, str(hour), fontName="Helvetica", fontSize=7, textAnchor="middle"))
    drawing.add(Rect(left, bottom, plot_width, plot_height, fillColor=None, strokeWidth=0.7))
    curves = (("Kesslau", _BLUE, 32.0, 5.2, 0.5), ("Harbour Gate", _ORANGE, 58.0, 4.1, 0.35))
    for row, (name, colour, peak_hour, peak, spread) in enumerate(curves):
        xy = [
            value
            for hour in range(121)
            for value in point(hour, _stage(hour, peak_hour=peak_hour, peak=peak, width=spread))
        ]
        drawing.add(PolyLine(xy, strokeColor=colour, strokeWidth=1.4))
        y = bottom + plot_height - 12 - 11 * row
        drawing.add(
            Line(left + plot_width - 74, y + 2.5, left + plot_width - 58, y + 2.5, strokeColor=colour, strokeWidth=1.4)
        )
        drawing.add(String(left + plot_width - 54, y, name, fontName="Helvetica", fontSize=7))
    drawing.add(
        String(
            left + plot_width / 2,
            4,
            "Hours after the first entry",
            fontName="Helvetica",
            fontSize=7.5,
            textAnchor="middle",
        )
    )
    drawing.add(String(2, height - 9, "Level (m)", fontName="Helvetica", fontSize=7.5))
    return drawing
