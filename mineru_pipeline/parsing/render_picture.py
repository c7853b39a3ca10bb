"""What is made of a page's pixels in the sandboxed child: ink, crops, pictures with labelled boxes."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

JPEG_QUALITY = 90
#: How far a pixel's brightness (0-255) must be from the page's own to count as ink: more than the
#: grain of scanned paper, less than light grey print.
_INK_CONTRAST = 48
_LABEL_SIZE = 12
_PALETTE = ("#c2185b", "#1565c0", "#2e7d32", "#e65100", "#6a1b9a", "#00838f", "#9e9d24", "#5d4037")


def ink_share(image: Image.Image) -> float:
    """Return the share (0-1) of pixels whose brightness differs visibly from the commonest one."""
    histogram = image.convert("L").histogram()
    background = max(range(256), key=histogram.__getitem__)
    ink = sum(count for level, count in enumerate(histogram) if abs(level - background) > _INK_CONTRAST)
    return round(ink / (image.width * image.height), 6)


def cut(image: Image.Image, bbox: Sequence[float], angle: int) -> bytes:
    """Return the JPEG of one box, given in fractions of the page, turned upright by ``angle`` degrees."""
    crop = image.crop(_pixels(image, bbox))
    return to_jpeg(crop.rotate(angle, expand=True) if angle else crop)


def draw_boxes(image: Image.Image, boxes: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw ``boxes`` (``bbox`` in fractions, ``label``, ``colour`` or None) on the image itself."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_LABEL_SIZE)
    for box in boxes:
        label = str(box["label"])
        colour = box.get("colour") or _PALETTE[zlib.crc32(label.encode()) % len(_PALETTE)]
        left, top, right, bottom = _pixels(image, box["bbox"])
        draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=2)
        if label:
            _draw_label(draw, font, label, (left, top), colour)
    return image


def to_jpeg(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """Return the image as JPEG; the same pixels give the same bytes."""
    output = io.BytesIO()
    image.save(output, format="JPEG", quality=quality)
    return output.getvalue()


def _draw_label(draw: ImageDraw.ImageDraw, font: Any, label: str, corner: tuple[int, int], colour: str) -> None:
    left, top = corner
    width = math.ceil(draw.textlength(label, font=font)) + 4
    top = max(0, top - _LABEL_SIZE - 3)
    draw.rectangle((left, top, left + width, top + _LABEL_SIZE + 3), fill=colour)
    draw.text((left + 2, top + 1), label, fill="white", font=font)


def _pixels(image: Image.Image, bbox: Sequence[float]) -> tuple[int, int, int, int]:
    """Return the box in whole pixels inside the image, outwards and at least one pixel large."""
    left = min(max(math.floor(bbox[0] * image.width), 0), image.width - 1)
    top = min(max(math.floor(bbox[1] * image.height), 0), image.height - 1)
    right = min(max(math.ceil(bbox[2] * image.width), left + 1), image.width)
    bottom = min(max(math.ceil(bbox[3] * image.height), top + 1), image.height)
    return left, top, right, bottom
