"""Corrects the detector by looking at the ink: words it missed, and rows of a column it took for one line."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr.boxes import Box, hull
from mineru_pipeline.devserver.ocr.ink import Ink

# All in heights of the median glyph.
_ROW_GAP = 0.25
_ROW_HEIGHT = 0.7
_WORD_GAP = 0.9
_MARGIN = 0.25
_SMALLEST, _LARGEST = 0.5, 3.0
_TWO_ROWS = 2.0
# Rows differ in height by less than this; specks beside large type do not make rows.
_ALIKE = 2.5
_NEXT_GLYPH = 0.4
# Share of a glyph that lies in a line when the line holds it.
_COVERED = 0.5


def missed_words(ink: Ink, lines: Sequence[Box]) -> list[Box]:
    """Boxes of words whose ink no line covers: single figures in tables are what the detector misses most."""
    size = ink.glyph_height
    if not size:
        return []
    covered = np.zeros(ink.mask.shape, np.uint8)
    for box in lines:
        covered[max(0, int(box.y0)) : int(box.y1) + 1, max(0, int(box.x0)) : int(box.x1) + 1] = 1
    left = np.zeros(ink.mask.shape, np.uint8)
    for x0, y0, x1, y1 in ink.glyphs.tolist():
        glyph_like = _SMALLEST * size <= y1 - y0 <= _LARGEST * size and x1 - x0 <= _LARGEST * size
        if glyph_like and covered[y0:y1, x0:x1].mean() < _COVERED:
            left[y0:y1, x0:x1] = 1
    joined = cv2.morphologyEx(left, cv2.MORPH_CLOSE, np.ones((1, max(3, int(_WORD_GAP * size))), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    return [Box(x, y, x + w, y + h).grown(_MARGIN * size, _MARGIN * size) for x, y, w, h, _ in stats[1:].tolist()]


def stacked_rows(ink: Ink, line: Box) -> list[Box]:
    """The rows inside a detected line, top to bottom; the line itself when it is one row.

    Figures below each other in a narrow column look like one line of vertical text to the detector. Rows are
    told from turned letters by the gaps between them.
    """
    size = ink.glyph_height
    if not size or line.height < _TWO_ROWS * size:
        return [line]
    inside = _glyphs_inside(ink.glyphs, line)
    tall = inside[inside[:, 3] - inside[:, 1] >= _SMALLEST * size]
    bands = _bands(tall, _ROW_GAP * size)
    heights = sorted(low - high for high, low in bands)
    rows_alike = len(heights) > 1 and _ROW_HEIGHT * size <= heights[0] and heights[-1] <= _ALIKE * heights[0]
    if not rows_alike:
        return [line]
    rows = []
    for high, low in bands:
        middle = (inside[:, 1] + inside[:, 3]) / 2
        own = inside[(middle >= high - _ROW_GAP * size) & (middle <= low + _ROW_GAP * size)]
        rows.append(hull(Box(*glyph) for glyph in own.tolist()).grown(_MARGIN * size, _MARGIN * size))
    return rows


def widened(ink: Ink, line: Box) -> Box:
    """The line with the whole of every glyph that its left or right edge cuts."""
    left, right = _extent(ink, line)
    return Box(min(line.x0, left), line.y0, max(line.x1, right), line.y1)


def tightened(ink: Ink, line: Box) -> Box:
    """The line without the margin the detector leaves, which would hide narrow gutters between columns."""
    left, right = _extent(ink, line)
    # No more than the margin may go: pale ink is missing from the mask.
    margin = 0.25 * min(line.width, line.height)
    return Box(min(left, line.x0 + margin), line.y0, max(right, line.x1 - margin), line.y1)


def _extent(ink: Ink, line: Box) -> tuple[float, float]:
    """Left edge of the first and right edge of the last glyph of a line, and one pixel more.

    A line from top to bottom of the picture has its neighbours there, and keeps its edges.
    """
    if line.height > max(line.width, _TWO_ROWS * ink.glyph_height):
        return line.x0, line.x1
    glyphs = ink.glyphs
    middle = (glyphs[:, 1] + glyphs[:, 3]) / 2
    slack = _NEXT_GLYPH * ink.glyph_height
    reach = (glyphs[:, 0] < line.x1 + slack) & (glyphs[:, 2] > line.x0 - slack)
    reach &= (middle > line.y0) & (middle < line.y1) & (glyphs[:, 2] - glyphs[:, 0] < _LARGEST * ink.glyph_height)
    if not reach.any():
        return line.x0, line.x1
    return float(glyphs[reach, 0].min()) - 1, float(glyphs[reach, 2].max()) + 1


def _glyphs_inside(glyphs: NDArray[np.int32], box: Box) -> NDArray[np.int32]:
    x = (glyphs[:, 0] + glyphs[:, 2]) / 2
    y = (glyphs[:, 1] + glyphs[:, 3]) / 2
    return glyphs[(x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)]


def _bands(glyphs: NDArray[np.int32], gap: float) -> list[tuple[int, int]]:
    """Vertical stretches (top, bottom) of glyphs, apart by more than ``gap``."""
    bands: list[tuple[int, int]] = []
    for top, bottom in sorted(glyphs[:, [1, 3]].tolist()):
        if bands and top - bands[-1][1] <= gap:
            bands[-1] = (bands[-1][0], max(bands[-1][1], bottom))
        else:
            bands.append((top, bottom))
    return bands
