"""Finds parts of an upright page, such as a wide table, whose text runs from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr.boxes import Box, hull
from mineru_pipeline.devserver.ocr.reader import Reader
from mineru_pipeline.devserver.ocr.recogniser import Reading
from mineru_pipeline.devserver.ocr.upright import is_tall, piece, turned

Image = NDArray[np.uint8]

_MIN_LINES = 3
_OWNED = 0.5
# The true proportions of the page are unknown, so that short figures look almost square either way.
_SQUARE = 1.05
# Tall boxes must outweigh wide ones by this much before anything is read.
_MORE = 2.0
# The next line, or the next piece of a line, is within this many times the thickness.
_NEXT = 3.0
_SAMPLE = 12
# Share of the sampled lines that read better turned, how much better, and how sure of it the recogniser is.
_AGREED, _BETTER, _SURE = 0.7, 1.5, 0.8
_MIN_LETTERS = 10


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the page in pixels, and the counter-clockwise turn (90 or 270) that makes it readable."""

    box: Box
    turn: int


def areas(
    reader: Reader, image: Image, lines: Sequence[Box], tables: Iterable[Box], pictures: Iterable[Box]
) -> list[Area]:
    """Parts of a BGR page, apart from each other, whose ``lines`` have to be turned to be read.

    ``tables`` and ``pictures`` are taken as a whole: an upright one keeps its turned column heads and axis labels.
    """
    if sum(map(is_tall, lines)) < _MIN_LINES:
        return []
    found, whole = [], list(pictures)
    for box in tables:
        area = _judged(reader, image, box, lines)
        if area is None:
            whole.append(box)
        else:
            found.append(area)
    loose = [line for line in lines if all(line.share_inside(box) < _OWNED for box in whole)]
    for group in _clusters(loose):
        area = _judged(reader, image, hull(group), lines)
        if area is not None and all(area.box.shared(box) == 0 for box in whole):
            found.append(area)
    return _joined(found)


def _judged(reader: Reader, image: Image, box: Box, lines: Sequence[Box]) -> Area | None:
    """The area when its shape and its reading both say that it lies sideways."""
    inside = [line for line in lines if line.share_inside(box) > _OWNED]
    tall = [line for line in inside if line.height > _SQUARE * line.width]
    wide = sum(line.width for line in inside if line.width > _SQUARE * line.height)
    if sum(map(is_tall, tall)) < _MIN_LINES or sum(line.height for line in tall) < _MORE * wide:
        return None
    turn = _turn(reader, image, tall)
    return Area(hull((box, *inside)), turn) if turn else None


def _turn(reader: Reader, image: Image, tall: Sequence[Box]) -> int:
    """90 or 270 when lines of every length read clearly better that way than as they stand, else 0."""
    ordered = sorted(tall, key=lambda line: -line.height)
    sample = ordered[:: -(-len(ordered) // _SAMPLE)]
    pieces = [part for part in (piece(image, line) for line in sample) if part.size]
    readings = reader.recognise([turned(part, angle) for angle in (0, 90, 270) for part in pieces])
    upright, *sides = (readings[start : start + len(pieces)] for start in range(0, len(readings), len(pieces)))
    turn, best = max(zip((90, 270), sides, strict=True), key=lambda side: sum(map(_worth, side[1])))
    better = sum(_worth(side) > _worth(plain) for side, plain in zip(best, upright, strict=True))
    clear = (
        better >= _AGREED * len(pieces)
        and sum(map(_worth, best)) > _BETTER * sum(map(_worth, upright))
        and sum(sum(map(str.isalnum, reading.text)) for reading in best) >= _MIN_LETTERS
        and median(reading.confidence for reading in best) >= _SURE
    )
    return turn if clear else 0


def _worth(reading: Reading) -> float:
    return reading.confidence**2 * sum(map(str.isalnum, reading.text))


def _clusters(lines: Sequence[Box]) -> list[list[Box]]:
    """Groups of lines from top to bottom that stand side by side or continue each other."""
    # What is clearly wide ends a group: upright text must not become part of one.
    waiting = [line for line in lines if line.width <= _SQUARE * line.height]
    groups = []
    for seed in filter(is_tall, lines):
        if seed not in waiting:
            continue
        waiting.remove(seed)
        group = [seed]
        for line in group:
            near = [other for other in waiting if _adjoin(line, other)]
            waiting = [other for other in waiting if other not in near]
            group += near
        groups.append(group)
    return [group for group in groups if sum(map(is_tall, group)) >= _MIN_LINES]


def _adjoin(a: Box, b: Box) -> bool:
    reach = _NEXT * min(a.width, b.width)
    beside = a.overlap_y(b) > _OWNED * min(a.height, b.height) and a.overlap_x(b) > -reach
    after = a.overlap_x(b) > _OWNED * min(a.width, b.width) and a.overlap_y(b) > -reach
    return beside or after


def _joined(found: Sequence[Area]) -> list[Area]:
    """Areas joined until none overlap; the larger one says which way to turn."""
    apart: list[Area] = []
    for area in sorted(found, key=lambda item: -item.box.area):
        merged = area
        while hits := [other for other in apart if other.box.shared(merged.box) > 0]:
            apart = [other for other in apart if other not in hits]
            merged = Area(hull((merged.box, *(other.box for other in hits))), hits[0].turn)
        apart.append(merged)
    return apart
