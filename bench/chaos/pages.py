"""Distinct one-page PDFs from a seed, each with a mark that tells its number to whoever sees the page.

The mark is a row of black and white squares at the foot of the page: the number and a checksum. It survives rendering
and resizing, so the model server can say which document it was asked about, whatever the pipeline's own books say.
"""

from __future__ import annotations

import io
import random
import zlib

from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

_NUMBER_BITS, _CHECK_BITS = 20, 8
_SIDE, _LEFT, _FOOT = 16.0, 70.0, 24.0
_WIDTH, _HEIGHT = A4
_DARK = 128
_LINES, _WORDS = 14, 9
_VOCABULARY = ["harbour", "ledger", "barge", "slate", "tide", "wind", "coal", "keeper", "rain", "traffic", "sand"]


def pdf(number: int, seed: int) -> bytes:
    """One page: a heading, a paragraph, on every third page a small table, and the mark of ``number``."""
    dice = random.Random(f"{seed}/{number}")
    buffer = io.BytesIO()
    drawing = canvas.Canvas(buffer, pagesize=A4, invariant=1)
    drawing.setFont("Helvetica-Bold", 18)
    drawing.drawString(72, 770, f"Report {number} of the {dice.choice(_VOCABULARY)}")
    drawing.setFont("Helvetica", 11)
    for line in range(_LINES):
        drawing.drawString(72, 730 - 16 * line, " ".join(dice.choices(_VOCABULARY, k=_WORDS)))
    if number % 3 == 0:
        _table(drawing, dice)
    _draw_mark(drawing, number)
    drawing.showPage()
    drawing.save()
    return buffer.getvalue()


def _table(drawing: canvas.Canvas, dice: random.Random) -> None:
    for row in range(4):
        for column in range(3):
            drawing.rect(72 + 90 * column, 420 - 20 * row, 90, 20)
            drawing.drawString(78 + 90 * column, 426 - 20 * row, str(dice.randint(1, 9999)))


def _draw_mark(drawing: canvas.Canvas, number: int) -> None:
    for place, bit in enumerate(_bits(number)):
        if bit == "1":
            drawing.rect(_LEFT + _SIDE * place, _FOOT, _SIDE, _SIDE, stroke=0, fill=1)


def _bits(number: int) -> str:
    check = zlib.crc32(str(number).encode()) % 2**_CHECK_BITS
    return f"{number:0{_NUMBER_BITS}b}{check:0{_CHECK_BITS}b}"


def number_on(image: bytes) -> int | None:
    """Return the number that the picture of a whole page shows; None if it has no mark, as other pages."""
    with Image.open(io.BytesIO(image)) as page:
        grey = page.convert("L")
    row = int((_HEIGHT - _FOOT - _SIDE / 2) / _HEIGHT * grey.height)
    places = [int((_LEFT + _SIDE * (place + 0.5)) / _WIDTH * grey.width) for place in range(_NUMBER_BITS + _CHECK_BITS)]
    read = "".join("1" if _pixel(grey, place, row) < _DARK else "0" for place in places)
    number = int(read[:_NUMBER_BITS], 2)
    return number if read == _bits(number) else None


def _pixel(grey: Image.Image, x: int, y: int) -> float:
    value = grey.getpixel((x, y))
    assert isinstance(value, int | float)
    return value
