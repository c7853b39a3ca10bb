"""The scan: a typewritten page as a scanner sees it, skewed, noisy, unevenly lit, without any text layer."""

from __future__ import annotations

import io

import numpy as np
import pypdfium2 as pdfium
from PIL import Image, ImageFilter
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from samples.style import HEIGHT, WIDTH

_DPI = 165
_SKEW_DEGREES = 1.5
_PAPER = 238
_LETTER = """\
                          FERRY HOUSE AT BRANDT

                                        Brandt Ferry, 14 March 1907


To the Office for Inland Waters
Kesslau


Subject: Report on the flood of 8 to 11 March


Gentlemen,

I beg to report on the days in which the river took our staff.
On Friday the 8th the level stood at 212 centimetres at seven in
the morning and at 347 in the evening. I began to read every hour
as ordered. At two in the night the landing stage broke loose and
carried the staff away with it.

From three o'clock on I read from the steps of the church, of
which the third was just under water. The sexton was kind enough
to hold the lamp. The highest water came on Saturday the 9th at
half past four in the afternoon, one hand below the door.

     Hour        Level        Read from
     ---------------------------------------
     01:00       405 cm       staff
     02:00       428 cm       staff
     03:00       441 cm       church, step 3
     16:30       498 cm       church, step 6
     22:00       471 cm       church, step 5

Lost are: the landing stage, one boat, eleven hens, and the book
for the first half of the year 1906, which lay in the boat house.
The present book was in my coat and is only wet at the edges.

I ask for a new staff of oak, and for permission to leave the
mark that my son has cut into the church wall.


                         Your obedient servant,

                         M. Brandt, keeper of the ferry
"""


def make() -> bytes:
    """Return one page that holds nothing but a greyscale JPEG."""
    picture = _as_scanned(_typewritten())
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=0)
    canvas.setTitle("Scanned letter")
    canvas.drawImage(ImageReader(picture), 0, 0, WIDTH, HEIGHT)
    canvas.save()
    return buffer.getvalue()


def _typewritten() -> Image.Image:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(WIDTH, HEIGHT), invariant=1, pageCompression=0)
    text = canvas.beginText(70, HEIGHT - 80)
    text.setFont("Courier", 11.2, leading=14.4)
    text.textLines(_LETTER.split("\n"), trim=0)
    canvas.drawText(text)
    _stamp(canvas)
    canvas.save()
    page = pdfium.PdfDocument(buffer.getvalue())[0]
    image: Image.Image = page.render(scale=_DPI / 72, grayscale=True).to_pil()
    return image.convert("L")


def _stamp(canvas: Canvas) -> None:
    canvas.translate(424, 96)
    canvas.rotate(9)
    canvas.setStrokeGray(0.35)
    canvas.setFillGray(0.35)
    canvas.setLineWidth(1.6)
    canvas.roundRect(-62, -19, 124, 40, 5)
    canvas.setFont("Helvetica-Bold", 11)
    canvas.drawCentredString(0, 5, "RECEIVED")
    canvas.drawCentredString(0, -11, "16 MARCH 1907")


def _as_scanned(page: Image.Image) -> io.BytesIO:
    """Skew, soften and soil a clean page; the noise has a fixed seed."""
    skewed = page.rotate(_SKEW_DEGREES, resample=Image.Resampling.BICUBIC, fillcolor=255)
    pixels = np.asarray(skewed.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float64)
    height, width = pixels.shape
    random = np.random.default_rng(1907)
    ink = 1 - pixels / 255
    uneven = 0.80 + 0.20 * random.random((height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)[:height, :width]
    light = _PAPER - 16 * np.linspace(0, 1, width)[None, :] ** 3 - 9 * np.linspace(1, 0, height)[:, None] ** 2
    grey = light - ink * uneven * 195 + random.normal(0, 6.5, pixels.shape)
    for y, x in zip(random.integers(0, height - 3, 160), random.integers(0, width - 3, 160), strict=True):
        grey[y : y + 1 + y % 3, x : x + 1 + x % 3] -= 70
    # The dark rim of the scanner's lid along the left edge.
    grey[:, :9] -= np.linspace(150, 0, 9)[None, :]
    encoded = io.BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=52, dpi=(_DPI, _DPI))
    encoded.seek(0)
    return encoded
