"""The ruled table that continues over two pages, with merged cells and a repeated two-row header."""

from __future__ import annotations

from typing import Any

from reportlab.lib.colors import Color, black
from reportlab.platypus import Frame, PageTemplate, Paragraph, Spacer, Table

from samples.style import BODY, CAPTION, HEIGHT, MARGIN, NOTICE, SECTION, WIDTH, document, page_foot, running_head

_FLOURS = (
    "Wheat, white",
    "Wheat, wholemeal",
    "Spelt, white",
    "Spelt, wholemeal",
    "Rye, medium",
    "Rye, wholemeal",
    "Einkorn",
    "Wheat and rye",
)
_HYDRATIONS = (62, 66, 70, 74, 78, 82)
_HEADER = [
    ["Flour", "Bake", "Dough", "", "", "Proof", "", "Loaf", "", ""],
    [
        "",
        "",
        "Water (%)",
        "Salt (%)",
        "Temp. (\u00b0C)",
        "Bulk (min)",
        "Final (min)",
        "Mass (g)",
        "Volume (ml)",
        "Height (mm)",
    ],
]
_SPANS = [
    ("SPAN", (0, 0), (0, 1)),
    ("SPAN", (1, 0), (1, 1)),
    ("SPAN", (2, 0), (4, 0)),
    ("SPAN", (5, 0), (6, 0)),
    ("SPAN", (7, 0), (9, 0)),
]
_INTRODUCTION = (
    "Between October and February the bakehouse at Old Mill Lock baked forty-eight test loaves: eight flours, each "
    "with six amounts of water. Every loaf was made from one kilogram of dough, proofed in the same cupboard and baked "
    "in the same oven on the same shelf. Water and salt are given in per cent of the mass of flour; the volume was "
    "measured in millet seed after three hours of cooling."
)
_CLOSING = (
    "White flours carry the most water before the loaf spreads; the wholemeal ones are lower throughout, and rye "
    "hardly rises at all. Bake 23 was dropped on the way to the scales and weighed in two pieces."
)


def make() -> bytes:
    """Return the two pages as a PDF."""
    story: list[Any] = [
        Paragraph("Test bakes of the winter season", SECTION),
        Paragraph(_INTRODUCTION, BODY),
        Paragraph("<b>Table 1.</b> Dough, proof and loaf of all forty-eight bakes.", CAPTION),
        _table(),
        Spacer(0, 8),
        Paragraph(_CLOSING, BODY),
    ]
    frame = Frame(MARGIN, 50, WIDTH - 2 * MARGIN, HEIGHT - 102, leftPadding=0, rightPadding=0)
    template = PageTemplate("page", [frame], onPage=_decorate)
    return document([template], story, title="Test bakes of the winter season", author="Old Mill Lock bakehouse")


def _decorate(canvas: Any, doc: Any) -> None:
    running_head(canvas, "Old Mill Lock bakehouse", "Winter season 2023/24")
    page_foot(canvas, NOTICE, f"Page {doc.page} of 2")


def _bake(flour: int, step: int) -> list[int | float]:
    """Numbers of one loaf: smooth curves, so that a misread digit stands out."""
    water = _HYDRATIONS[step]
    wholemeal, rye = flour in (1, 3, 5), flour in (4, 5)
    rise = 3900 - 620 * wholemeal - 1150 * rye - 210 * (flour == 6) - 6 * (water - 71 - 4 * wholemeal) ** 2
    return [
        water,
        1.8 + 0.2 * (flour % 3),
        24.0 + 0.3 * ((flour * 5 + step * 2) % 7),
        210 - 5 * step - 35 * rye,
        75 - 3 * step + 4 * wholemeal,
        868 + 3 * step + 2 * flour,
        rise + 7 * flour,
        round(48 + rise / 62),
    ]


def _table() -> Table:
    rows: list[list[str]] = [list(row) for row in _HEADER]
    style: list[Any] = list(_SPANS)
    bakes = [[_bake(flour, step) for step in range(len(_HYDRATIONS))] for flour in range(len(_FLOURS))]
    for flour, group in enumerate(bakes):
        style.append(("SPAN", (0, len(rows)), (0, len(rows) + len(group) - 1)))
        for step, numbers in enumerate(group):
            number = flour * len(group) + step + 1
            rows.append([_FLOURS[flour] if step == 0 else "", str(number), *map(_text, numbers)])
    flat = [numbers for group in bakes for numbers in group]
    means = [sum(column) / len(flat) for column in zip(*flat, strict=True)]
    style.append(("SPAN", (0, len(rows)), (1, len(rows))))
    rows.append(["Mean of all bakes", "", *(f"{mean:,.1f}" for mean in means)])
    table = Table(rows, colWidths=[74, 28, 46, 42, 51, 50, 51, 43, 50.3, 52], rowHeights=15.6, repeatRows=2)
    table.setStyle([*_ruling(), *style])
    return table


def _text(value: float) -> str:
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}"


def _ruling() -> list[Any]:
    return [
        ("FONT", (0, 0), (-1, -1), "Helvetica", 7.6),
        ("FONT", (0, 0), (-1, 1), "Helvetica-Bold", 7.4),
        ("FONT", (0, -1), (-1, -1), "Helvetica-Bold", 7.4),
        ("GRID", (0, 0), (-1, -1), 0.5, black),
        ("BACKGROUND", (0, 0), (-1, 1), Color(0.90, 0.92, 0.94)),
        ("ALIGN", (1, 0), (-1, -1), "CENTER"),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("LINEBELOW", (0, 1), (-1, 1), 1.1, black),
    ]
