"""Looks at pixels without a model: where there is ink, how large its glyphs are, where straight rules run."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr.boxes import Box

Image = NDArray[np.uint8]

_BLOCK = 31
_CONTRAST = 14
_BODY_CONTRAST = 80
_MIN_RULE = 24
_MIN_GLYPH, _MAX_GLYPH = 4, 80


@dataclass(frozen=True, slots=True)
class Ink:
    """The dark marks of an image.

    ``mask`` is 1 where there is ink that is no rule; ``glyphs`` holds one row (left, top, right, bottom) for
    each connected mark of it; ``horizontal`` and ``vertical`` are the rules; ``glyph_height`` is the
    median height of marks that may be characters, 0 when there are none. All in pixels.
    """

    mask: NDArray[np.uint8]
    glyphs: NDArray[np.int32]
    horizontal: tuple[Box, ...]
    vertical: tuple[Box, ...]
    glyph_height: float


def find_ink(image: Image) -> Ink:
    """The ink of a BGR image."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    negative = 255 - gray
    dark = np.asarray(
        cv2.adaptiveThreshold(negative, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, _BLOCK, -_CONTRAST), np.uint8
    )
    # The local threshold leaves only the outlines of strokes wider than its block; large type needs its body.
    dark |= (gray < np.median(gray) - _BODY_CONTRAST).astype(np.uint8)
    height, width = gray.shape
    flat = _opened(dark, (max(_MIN_RULE, width // 40), 1))
    steep = _opened(dark, (1, max(_MIN_RULE, height // 40)))
    rules_mask = np.asarray(cv2.dilate(flat | steep, np.ones((3, 3), np.uint8)), np.uint8)
    mask = dark & (1 - rules_mask)
    glyphs = _marks(mask)
    rules = _rules(flat, horizontal=True), _rules(steep, horizontal=False)
    return Ink(mask, glyphs, *rules, _usual_height(glyphs))


def _usual_height(glyphs: NDArray[np.int32]) -> float:
    heights = glyphs[:, 3] - glyphs[:, 1]
    widths = glyphs[:, 2] - glyphs[:, 0]
    usual = heights[(heights >= _MIN_GLYPH) & (heights <= _MAX_GLYPH) & (widths <= 4 * heights)]
    return float(np.median(usual)) if len(usual) else 0.0


def _opened(dark: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, size)
    return np.asarray(cv2.morphologyEx(dark, cv2.MORPH_OPEN, kernel), np.uint8)


def _marks(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    boxes = stats[1:, :4].astype(np.int32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _rules(mask: NDArray[np.uint8], *, horizontal: bool) -> tuple[Box, ...]:
    """Straight, thin strokes; pieces of one rule that a crossing or a scan broke are joined."""
    kernel = np.ones((1, 9) if horizontal else (9, 1), np.uint8)
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    found = []
    for x0, y0, x1, y1 in _marks(np.asarray(joined, np.uint8)).tolist():
        length, thickness = (x1 - x0, y1 - y0) if horizontal else (y1 - y0, x1 - x0)
        if length > 6 * thickness:
            found.append(Box(x0, y0, x1, y1))
    return tuple(found)


def cluster(values: list[float], tolerance: float) -> list[float]:
    """Means of groups of numbers that lie within ``tolerance`` of their neighbour, ascending."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= tolerance:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [sum(group) / len(group) for group in groups]
