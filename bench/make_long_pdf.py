"""Makes a long A4 PDF of text and tables, the same bytes every time: ``python bench/make_long_pdf.py PAGES OUT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from reportlab.lib.colors import black
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, Spacer, Table

_WIDTH, _HEIGHT = A4
_MARGIN = 62.0
_BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=10.5, leading=13.6, alignment=4, spaceAfter=7)
_HEADING = ParagraphStyle("heading", fontName="Helvetica-Bold", fontSize=13, leading=18, spaceAfter=5)
_VOCABULARY = (
    "river gauge reading level staff morning evening flood crest dike meadow ferry lock keeper record margin ink "
    "station month winter thaw rain bridge church step lamp boat landing summer drought measure column sum page book "
    "carries follows rises falls stands waits holds marks returns crosses reaches leaves the a of and to in with from "
    "over under before after between every quiet high low early late wooden narrow broad grey steady sudden"
)
_WORDS = _VOCABULARY.split()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the PDF."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("pages", type=int, help="number of pages, at least 1")
    parser.add_argument("out", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    if options.pages < 1:
        parser.error("a PDF has at least one page")
    write(options.pages, options.out)
    return 0


def write(pages: int, out: Path, seed: int = 7) -> None:
    """Write ``pages`` pages of running text with a heading and a ruled table each; no two pages are alike.

    Another ``seed`` gives another text.
    """
    canvas = Canvas(str(out), pagesize=A4, invariant=1)
    canvas.setTitle(f"{pages} pages of text and tables")
    random = np.random.default_rng(seed)
    for number in range(1, pages + 1):
        canvas.setFont("Times-Italic", 9)
        canvas.drawString(_MARGIN, _HEIGHT - 40, "Records of the River Lind")
        canvas.drawCentredString(_WIDTH / 2, 34, str(number))
        y = _HEIGHT - 58
        for flowable in _page(number, random):
            _, height = flowable.wrapOn(canvas, _WIDTH - 2 * _MARGIN, y)
            y -= height
            flowable.drawOn(canvas, _MARGIN, y)
            y -= flowable.getSpaceAfter()
        canvas.showPage()
    canvas.save()


def _page(number: int, random: np.random.Generator) -> Iterator[Flowable]:
    yield Paragraph(f"{number}. {_sentence(random, 4).rstrip('.')}", _HEADING)
    for _ in range(3):
        yield Paragraph(_paragraph(random), _BODY)
    rows = [["Station", "January", "April", "July", "October"]]
    for _ in range(8):
        name = " ".join(random.choice(_WORDS[:30], 2)).title()
        rows.append([name, *(str(value) for value in random.integers(80, 640, 4))])
    table = Table(rows, colWidths=[150, 75, 75, 75, 75], rowHeights=17)
    table.setStyle([("GRID", (0, 0), (-1, -1), 0.5, black), ("FONT", (0, 0), (-1, -1), "Helvetica", 9)])
    yield table
    yield Spacer(0, 12)
    for _ in range(2):
        yield Paragraph(_paragraph(random), _BODY)


def _paragraph(random: np.random.Generator) -> str:
    return " ".join(_sentence(random, int(length)) for length in random.integers(8, 17, 6))


def _sentence(random: np.random.Generator, length: int) -> str:
    return " ".join(random.choice(_WORDS, length)).capitalize() + "."


if __name__ == "__main__":
    sys.exit(main())
