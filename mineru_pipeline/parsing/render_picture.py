"""What is made of a page's pixels in the sandboxed child: ink, crops, pictures with labelled boxes."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mineru_pipeline.parsing.ink import INK_MAP_STEP
from mineru_pipeline.parsing.palette import COLOURS, group_of
from mineru_pipeline.parsing.pictures import Pixels

#: Left, top, right and bottom edge in pixels.
PixelBox: TypeAlias = tuple[int, int, int, int]

JPEG_QUALITY = 90
#: Of pictures of whole pages, which are looked at beside the text and not read by anything.
PAGE_JPEG_QUALITY = 80
#: How far a pixel's brightness (0-255) must be from the page's own to count as ink: more than the
#: grain of scanned paper, less than light grey print.
_INK_CONTRAST = 48
#: Ink is counted in one row of so many: it costs as much less, and a line of print is some twenty rows high.
_INK_ROW_STEP = 3
_LABEL_SIZE = 12
#: Dimensions of a picture without colours.
_PLANE = 2


def ink_of(pixels: Pixels) -> tuple[float, bytes]:
    """Return the share (0-1) of pixels whose brightness differs visibly from the commonest one, and where they are.

    The places are for :func:`mineru_pipeline.parsing.ink.uncovered_ink`.
    """
    sample = _grey(pixels[::_INK_ROW_STEP])
    histogram = sample.histogram()
    background = max(range(256), key=histogram.__getitem__)
    ink = sum(count for level, count in enumerate(histogram) if abs(level - background) > _INK_CONTRAST)
    share = round(ink / (sample.width * sample.height), 6)
    some = pixels[::INK_MAP_STEP, ::INK_MAP_STEP]
    levels = some if some.ndim == _PLANE else np.asarray(_grey(some))
    low, high = background - _INK_CONTRAST, background + _INK_CONTRAST
    # A bound that no level can pass is not asked for: half of the work on most pages.
    inked = levels < low if high >= levels.max() else (levels < low) | (levels > high)
    return share, np.packbits(inked).tobytes()


def _grey(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    return image if image.mode == "L" else image.convert("L")


def cut(image: Image.Image, place: PixelBox, origin: tuple[int, int], angle: int) -> bytes:
    """Return the JPEG of ``place`` on the page, turned by ``angle`` degrees; ``image`` starts at ``origin``."""
    left, top = origin
    crop = image.crop((place[0] - left, place[1] - top, place[2] - left, place[3] - top))
    return to_jpeg(crop.rotate(angle, expand=True) if angle else crop)


def draw_boxes(image: Image.Image, boxes: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw ``boxes`` (``bbox`` in fractions, ``label``) on the image itself."""
    draw = ImageDraw.Draw(image)
    font = label_font()
    for box in boxes:
        label = str(box["label"])
        colour = COLOURS[group_of(label.partition(":")[0])]
        left, top, right, bottom = pixel_box(image.size, box["bbox"])
        draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=2)
        if label:
            _draw_label(draw, font, label, (left, top), colour)
    return image


@functools.cache
def label_font() -> Any:
    """Return the font of labels, which is read once."""
    return ImageFont.load_default(_LABEL_SIZE)


def to_jpeg(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """Return the image as JPEG; the same pixels give the same bytes."""
    output = io.BytesIO()
    image.save(output, format="JPEG", quality=quality)
    return output.getvalue()


def _draw_label(draw: ImageDraw.ImageDraw, font: Any, label: str, corner: tuple[int, int], colour: Any) -> None:
    left, top = corner
    width = math.ceil(draw.textlength(label, font=font)) + 4
    top = max(0, top - _LABEL_SIZE - 3)
    draw.rectangle((left, top, left + width, top + _LABEL_SIZE + 3), fill=colour)
    draw.text((left + 2, top + 1), label, fill="white", font=font)


def pixel_box(size: tuple[int, int], bbox: Sequence[float]) -> PixelBox:
    """Return the box in whole pixels of a page of that size, outwards and at least one pixel large."""
    width, height = size
    left = min(max(math.floor(bbox[0] * width), 0), width - 1)
    top = min(max(math.floor(bbox[1] * height), 0), height - 1)
    right = min(max(math.ceil(bbox[2] * width), left + 1), width)
    bottom = min(max(math.ceil(bbox[3] * height), top + 1), height)
    return left, top, right, bottom


def around(boxes: Sequence[PixelBox]) -> PixelBox:
    """Return the smallest box around ``boxes``."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
