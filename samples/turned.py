"""The rotated pages: a wide table, once on a page with /Rotate 90 and once drawn sideways on an upright page."""

from __future__ import annotations

import io
from typing import Any

from reportlab.lib.colors import Color, black
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, Table

from samples.style import BODY, CAPTION, HEIGHT, MARGIN, NOTICE, WIDTH, page_foot, running_head

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STATIONS = (
    ("Kesslau", 184, 1.00),
    ("Old Mill Lock", 171, 0.93),
    ("Brandt Ferry", 203, 1.12),
    ("Weir at Sonne", 158, 0.85),
    ("Lower Meadow", 166, 0.88),
    ("Reed Island", 149, 0.97),
    ("Mill Race", 177, 0.64),
    ("Stone Crossing", 138, 1.21),
    ("Alder Bridge", 192, 1.04),
    ("Customs House", 214, 0.78),
    ("Harbour Gate", 221, 0.71),
)
#: The course of the year: high with the thaw in March, low in September.
_SEASON = (38, 52, 91, 60, 14, -8, -21, -34, -39, -18, 6, 27)
_LONG, _SHORT = HEIGHT, WIDTH


def make() -> bytes:
    """Return the two pages as a PDF."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=0)
    canvas.setTitle("Mean water levels")
    # reportlab swaps width and height of a rotated page, so asking for landscape gives an upright sheet.
    canvas.setPageSize((HEIGHT, WIDTH))
    canvas.setPageRotation(90)
    # /Rotate 90 turns the page clockwise for display, so its content is drawn turned the other way.
    _on_its_side(canvas)
    _landscape(canvas, "Table A1", "1907", 0)
    canvas.showPage()
    canvas.setPageSize((WIDTH, HEIGHT))
    canvas.setPageRotation(0)
    running_head(canvas, "Archive for Inland Waters", "Appendix")
    page_foot(canvas, NOTICE, "A2")
    _on_its_side(canvas)
    _landscape(canvas, "Table A2", "1908", -9, decorated=False)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _on_its_side(canvas: Any) -> None:
    canvas.translate(WIDTH, 0)
    canvas.rotate(90)


def _landscape(canvas: Any, number: str, year: str, shift: int, *, decorated: bool = True) -> None:
    """Draw one wide table into the area that is ``_LONG`` wide and ``_SHORT`` high."""
    width = _LONG - 2 * MARGIN - 40
    y = _SHORT - 86.0
    caption = Paragraph(
        f"<b>{number}.</b> Mean water level of the River Lind in {year} by station and month, in centimetres above "
        "the zero of the gauge. Levels under ice are printed in brackets.",
        CAPTION,
    )
    for flowable in (caption, _table(width, shift), Paragraph(_remark(year), BODY)):
        _, height = flowable.wrapOn(canvas, width, y)
        y -= height
        flowable.drawOn(canvas, MARGIN + 20, y)
        y -= 10
    if decorated:
        canvas.setFont("Times-Italic", 8.5)
        canvas.drawString(MARGIN, _SHORT - 36, "Archive for Inland Waters")
        canvas.drawRightString(_LONG - MARGIN, _SHORT - 36, "Appendix")
        canvas.line(MARGIN, _SHORT - 41, _LONG - MARGIN, _SHORT - 41)
        canvas.setFont("Times-Roman", 7.5)
        canvas.drawString(MARGIN, 30, NOTICE)
        canvas.drawCentredString(_LONG / 2, 30, "A1")


def _remark(year: str) -> str:
    return (
        f"The yearly mean is the mean of the twelve monthly values, rounded to a whole centimetre. In {year} the staff "
        "at Brandt Ferry stood eight centimetres too low; its levels are corrected here."
    )


def _table(width: float, shift: int) -> Table:
    rows = [["Station", *_MONTHS, "Year"]]
    for station, (name, mean, swing) in enumerate(_STATIONS):
        levels = [
            round(mean + shift + swing * value + (station * 7 + month * 3) % 5) for month, value in enumerate(_SEASON)
        ]
        shown = [f"({level})" if month < 2 and station % 3 == 0 else str(level) for month, level in enumerate(levels)]
        rows.append([name, *shown, str(round(sum(levels) / len(levels)))])
    table = Table(rows, colWidths=[100, *[(width - 145) / 12] * 12, 45], rowHeights=24)
    table.setStyle(
        [
            ("FONT", (0, 0), (-1, -1), "Helvetica", 9),
            ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9),
            ("FONT", (-1, 1), (-1, -1), "Helvetica-Bold", 9),
            ("BACKGROUND", (0, 0), (-1, 0), Color(0.90, 0.92, 0.94)),
            ("GRID", (0, 0), (-1, -1), 0.5, black),
            ("ALIGN", (1, 0), (-1, -1), "CENTER"),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ]
    )
    return table
