"""What a scanner or a fax makes of a page: a picture, turned, soiled and without any text layer.

All noise is whole numbers from a bit generator whose stream numpy guarantees, so that every machine sees the same.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mineru_pipeline.quality.corpus.dice import Dice
from mineru_pipeline.quality.corpus.paint import paint
from mineru_pipeline.quality.corpus.sheet import Box, Page, Picture

Grey = NDArray[np.int32]
_WHITE = 255
_POINTS = 72


@dataclass(frozen=True, slots=True)
class Wear:
    """What happens to a page; greys from 0 to 255, angles in degrees, counter-clockwise."""

    dpi: int = 170
    skew: float = 0.0
    blur: float = 0.5
    #: Darkest ink and lightest paper.
    ink: int = 40
    paper: int = 238
    #: Standard deviation of the noise.
    noise: int = 6
    specks: int = 0
    #: Black and white alone, with lines that were lost on the way.
    fax: bool = False
    lost_lines: int = 0
    #: Quarter turns, counter-clockwise: somebody laid the sheet in sideways.
    quarters: int = 0
    quality: int = 55


def draw_wear(dice: Dice, kind: str) -> Wear:
    """Draw how a page was treated: ``skew``, ``noise``, ``pale``, ``fax``, ``clean`` or ``sideways``."""
    skew = dice.pick([-1, 1]) * dice.fraction(0.2, 0.8)
    wear = Wear(dpi=dice.integer(150, 190), skew=skew)
    match kind:
        case "skew":
            return replace(wear, skew=dice.pick([-1, 1]) * dice.fraction(1.0, 2.0))
        case "noise":
            return replace(wear, noise=dice.integer(14, 20), specks=dice.integer(150, 350), blur=0.7)
        case "pale":
            return replace(wear, ink=dice.integer(128, 145), paper=dice.integer(206, 216), noise=4)
        case "fax":
            return replace(
                wear, dpi=200, fax=True, specks=dice.integer(100, 250), lost_lines=dice.integer(2, 5), noise=8
            )
        case "sideways":
            return replace(wear, quarters=dice.pick([1, 3]))
        case _:
            return replace(wear, skew=0.0, noise=3)


def scan_page(page: Page, wear: Wear, dice: Dice) -> Page:
    """Return the page as a picture; its blocks move to the new page, with boxes where they are seen now."""
    picture, fax = _worn(_rendered(page, wear.dpi), wear, dice)
    tall, wide = picture.shape
    turned = wear.quarters % 2 == 1
    scanned = Page(page.height, page.width) if turned else Page(page.width, page.height)
    data = _fax_stream(picture) if fax else _jpeg(picture, wear.quality)
    scanned.marks.append(Picture(Box(0, 0, scanned.width, scanned.height), data, (wide, tall), fax))
    for place, block in page.blocks:
        block.page = scanned
        block.box = _seen(block.box, page, wear) if block.box else None
        scanned.blocks.append((place, block))
    return scanned


def clipping(page: Page, wear: Wear, dice: Dice) -> tuple[bytes, tuple[int, int]]:
    """Return a page as a JPEG with its size in pixels, to be put on another page."""
    picture, _ = _worn(_rendered(page, wear.dpi), wear, dice)
    return _jpeg(picture, wear.quality), (picture.shape[1], picture.shape[0])


def _rendered(page: Page, dpi: int) -> Image.Image:
    with pypdfium2.PdfDocument(paint([page], "")) as document:
        document.init_forms()
        image: Image.Image = document[0].render(scale=dpi / _POINTS, grayscale=True).to_pil()
        return image.convert("L")


def _worn(image: Image.Image, wear: Wear, dice: Dice) -> tuple[Grey, bool]:
    turned = image.rotate(wear.skew, resample=Image.Resampling.BICUBIC, fillcolor=_WHITE)
    soft = turned.filter(ImageFilter.GaussianBlur(wear.blur))
    grey = np.asarray(soft).astype(np.int32)
    bits = np.random.PCG64(dice.bits() % (1 << 63))
    grey = wear.ink + grey * (wear.paper - wear.ink) // _WHITE
    # Four throws of a die with 256 sides make a bell of standard deviation 148.
    throws = bits.random_raw((grey.size + 1) // 2).astype("<u8").view(np.uint8).reshape(-1, 4)[: grey.size]
    bell = sum((throws[:, place].astype(np.int32) for place in range(4)), np.zeros(grey.size, np.int32)) - 510
    grey += bell.reshape(grey.shape) * wear.noise // 148
    # One side lies a little off the glass.
    grey -= (np.arange(grey.shape[1], dtype=np.int32) * 14 // grey.shape[1])[None, :]
    for _ in range(wear.specks):
        y, x, side = dice.integer(0, grey.shape[0] - 4), dice.integer(0, grey.shape[1] - 4), dice.integer(1, 2)
        grey[y : y + side, x : x + side] = wear.ink if dice.chance(0.8) else wear.paper
    if wear.fax:
        grey = np.where(grey > (wear.ink + wear.paper) // 2, _WHITE, 0)
        for _ in range(wear.lost_lines):
            y = dice.integer(20, grey.shape[0] - 20)
            grey[y : y + 1 + dice.integer(0, 1), : dice.integer(grey.shape[1] // 3, grey.shape[1])] = _WHITE
    return np.rot90(np.clip(grey, 0, _WHITE), wear.quarters), wear.fax


def _jpeg(picture: Grey, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _fax_stream(picture: Grey) -> bytes:
    """Return the picture as one CCITT group 4 stream, taken out of a TIFF that has a single strip."""
    buffer = io.BytesIO()
    rows_per_strip, offsets, counts = 278, 273, 279
    Image.fromarray(picture.astype(np.uint8)).convert("1", dither=Image.Dither.NONE).save(
        buffer, "TIFF", compression="group4", tiffinfo={rows_per_strip: picture.shape[0]}
    )
    with Image.open(buffer) as tiff:
        tags = tiff.tag_v2  # type: ignore[attr-defined]  # of TIFF files alone
        (offset,), (count,) = tags[offsets], tags[counts]
    return buffer.getvalue()[offset : offset + count]


def _seen(box: Box, page: Page, wear: Wear) -> Box:
    """Return where a box lies after the skew about the middle of the page and the quarter turns."""
    angle = math.radians(wear.skew)
    middle_x, middle_y = page.width / 2, page.height / 2
    xs, ys = [], []
    for x, y in ((box.x0, box.y0), (box.x1, box.y0), (box.x0, box.y1), (box.x1, box.y1)):
        dx, dy = x - middle_x, y - middle_y
        # y points down, so a turn counter-clockwise has the signs the other way round.
        seen_x = middle_x + dx * math.cos(angle) + dy * math.sin(angle)
        seen_y = middle_y - dx * math.sin(angle) + dy * math.cos(angle)
        wide, tall = page.width, page.height
        for _ in range(wear.quarters):
            seen_x, seen_y = seen_y, wide - seen_x
            wide, tall = tall, wide
        xs.append(seen_x)
        ys.append(seen_y)
    return Box(min(xs), min(ys), max(xs), max(ys))
