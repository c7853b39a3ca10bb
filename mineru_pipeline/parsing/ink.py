"""Where on a page ink is, in four kilobytes a page, and how much of it no block covers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

BBox = tuple[float, float, float, float]

#: One pixel of so many, either way, of the picture that the layout is asked for: two of them in a line of print.
INK_MAP_STEP: Final = 6
#: What a box is widened by on each side (share of the page): strokes stick out of tight boxes.
_MARGIN: Final = 0.008
#: Fewer inked places than this are dust, of which no share is taken.
_LEAST: Final = 12


def uncovered_ink(ink_map: bytes, boxes: Iterable[BBox]) -> float | None:
    """Return the share (0-1) of a page's ink that lies in none of the boxes; ``None`` where there is hardly any ink.

    Args:
        ink_map: a square of bits, row by row, one for each place that was looked at; empty if nobody looked.
        boxes: left, top, right and bottom in fractions of the page.
    """
    side = math.isqrt(len(ink_map) * 8)
    if not side:
        return None
    inked = np.unpackbits(np.frombuffer(ink_map, np.uint8), count=side * side).reshape(side, side)
    total = int(np.count_nonzero(inked))
    if total < _LEAST:
        return None
    for left, top, right, bottom in boxes:
        rows = slice(max(0, math.floor((top - _MARGIN) * side)), max(0, math.ceil((bottom + _MARGIN) * side)))
        columns = slice(max(0, math.floor((left - _MARGIN) * side)), max(0, math.ceil((right + _MARGIN) * side)))
        inked[rows, columns] = 0
    return round(int(np.count_nonzero(inked)) / total, 4)
