"""Finds how a page, or a line, must be turned so that it can be read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr.boxes import Box
from mineru_pipeline.devserver.ocr.reader import Reader

Image = NDArray[np.uint8]

_SAMPLE = 5
_TALL = 1.5
# A line is judged by a stretch of this many times its thickness.
_STRETCH = 12
# Share of the length of all lines below which the lines of the other direction do not count.
_CLEAR = 0.1
# Upside down must read clearly better than upright: most pages stand as they should.
_BONUS = 1.15


def turned(image: Image, angle: int) -> Image:
    """The image turned counter-clockwise by ``angle`` degrees (a multiple of 90)."""
    return np.ascontiguousarray(np.rot90(image, angle // 90))


def turned_back(box: Box, angle: int, size: float) -> Box:
    """Where a box of the turned square image of edge ``size`` lies in the original."""
    x0, y0, x1, y1 = box
    match angle:
        case 90:
            return Box(size - y1, x0, size - y0, x1)
        case 180:
            return Box(size - x1, size - y1, size - x0, size - y0)
        case 270:
            return Box(y0, size - x1, y1, size - x0)
        case _:
            return box


def is_tall(box: Box) -> bool:
    """Whether a line runs from top to bottom of the picture."""
    return box.height > _TALL * box.width


def angle_of(reader: Reader, image: Image, lines: Sequence[Box]) -> int:
    """The counter-clockwise turn (0, 90, 180, 270) that makes most of ``lines`` readable."""
    tall = [box for box in lines if is_tall(box)]
    flat = [box for box in lines if not is_tall(box)]
    share = sum(box.height for box in tall) / max(1.0, sum(max(box.width, box.height) for box in lines))
    if share < _CLEAR:
        return max((0, 180), key=_votes(reader, image, flat, (0, 180)).__getitem__)
    if share > 1 - _CLEAR:
        return max((90, 270), key=_votes(reader, image, tall, (90, 270)).__getitem__)
    # Columns of figures look like lines across the page, so that only reading tells.
    votes = _votes(reader, image, flat, (0, 180)) | _votes(reader, image, tall, (90, 270))
    return max(votes, key=votes.__getitem__)


def turn_of_lines(reader: Reader, image: Image, lines: Sequence[Box]) -> int:
    """The turn (90 or 270) that makes lines from top to bottom readable."""
    return max((90, 270), key=_votes(reader, image, lines, (90, 270)).__getitem__)


def _votes(reader: Reader, image: Image, lines: Sequence[Box], angles: tuple[int, int]) -> dict[int, float]:
    """How well the longest of ``lines`` read after each turn: confident letters, with a bonus for the first."""
    sample = sorted(lines, key=lambda box: -max(box.width, box.height))[:_SAMPLE]
    pieces = [piece for piece in (piece(image, box) for box in sample) if piece.size]
    readings = reader.recognise([turned(piece, angle) for angle in angles for piece in pieces])
    scores = [reading.confidence**2 * sum(map(str.isalnum, reading.text)) for reading in readings]
    return {angles[0]: _BONUS * sum(scores[: len(pieces)]), angles[1]: sum(scores[len(pieces) :])}


def piece(image: Image, line: Box) -> Image:
    """The first stretch of a line, long enough to judge by."""
    height, width = (_STRETCH * min(line.width, line.height),) * 2
    right, bottom = min(line.x1, line.x0 + width), min(line.y1, line.y0 + height)
    return image[int(line.y0) : int(bottom) + 1, max(0, int(line.x0)) : int(right) + 1]
