"""Reads all text of a picture: lines found by the detector, marks it missed found by their ink, then recognised."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mineru_pipeline.devserver.ocr import weights
from mineru_pipeline.devserver.ocr.boxes import Box, hull
from mineru_pipeline.devserver.ocr.corrections import missed_words, stacked_rows, widened
from mineru_pipeline.devserver.ocr.detector import LineBox, TextDetector, cut
from mineru_pipeline.devserver.ocr.ink import Ink, find_ink
from mineru_pipeline.devserver.ocr.recogniser import Reading, TextRecogniser

Image = NDArray[np.uint8]

_MARGIN = 16
# The detector finds text best when lower-case letters are about this many pixels high.
_WANTED_GLYPH = 9.0
_MIN_SCALE, _MAX_SCALE = 0.3, 1.6
_MAX_PIXELS = 4_000_000
_MIN_CONFIDENCE = 0.45
_MIN_CONFIDENCE_MISSED = 0.6
# A picture this much higher than wide is no single character but a line from top to bottom.
_TALL = 2.0
_TWIN = 0.6
_SAME_ROW, _SHARED_GLYPH = 0.7, 0.25


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line that was read: its box in pixels of the picture, its text and where its characters lie."""

    box: Box
    reading: Reading

    @property
    def text(self) -> str:
        """What it says."""
        return self.reading.text


@dataclass(frozen=True, slots=True)
class Page:
    """A picture that was read: lines in no particular order, and its ink; all in pixels of the picture."""

    lines: tuple[TextLine, ...]
    ink: Ink
    width: int
    height: int


class Reader:
    """Detector and recogniser together; safe to call from several threads."""

    def __init__(self, files: weights.OcrWeights) -> None:
        self._detector = TextDetector(weights.session(files.detector))
        self._recogniser = TextRecogniser(weights.session(files.recogniser), files.keys)

    def locate(self, image: Image, ink: Ink) -> list[LineBox]:
        """Lines of text of a BGR picture, not yet read; rows the detector ran together are apart again."""
        found: list[LineBox] = []
        for line in self._detector.find(image, _scale(image, ink)):
            box = outline(line)
            rows = stacked_rows(ink, box)
            if len(rows) == 1 and not line.is_straight:
                found.append(line)
            else:
                found += [LineBox(_corners(widened(ink, row)), line.score) for row in rows]
        return _all_distinct(found)

    def recognise(self, pictures: list[Image]) -> list[Reading]:
        """Read pictures of single upright lines."""
        return self._recogniser.read(pictures)

    def read(self, image: Image) -> Page:
        """Read everything in a BGR picture of any size that stands upright."""
        height, width = image.shape[:2]
        framed = _framed(image)
        ink = find_ink(framed)
        found = self.locate(framed, ink)
        missed = [LineBox(_corners(box), 0.0) for box in missed_words(ink, [outline(line) for line in found])]
        candidates = found + missed
        readings = self._read_lines([cut(framed, line) for line in candidates])
        lines = tuple(
            TextLine(_unframed(outline(line), width, height), reading)
            for line, reading in zip(candidates, readings, strict=True)
            if reading.text.strip()
            and reading.confidence >= (_MIN_CONFIDENCE if line.score else _MIN_CONFIDENCE_MISSED)
        )
        return Page(lines, _unframed_ink(ink), width, height)

    def _read_lines(self, pictures: list[Image]) -> list[Reading]:
        """Readings of lines; those that run from top to bottom are read turned, whichever way reads better."""
        turned = [index for index, picture in enumerate(pictures) if picture.shape[0] > _TALL * picture.shape[1]]
        extra = [np.rot90(pictures[index], quarter) for index in turned for quarter in (1, 3)]
        readings = self.recognise([*pictures, *(np.ascontiguousarray(picture) for picture in extra)])
        for slot, index in enumerate(turned):
            choices = [readings[index], *readings[len(pictures) + 2 * slot : len(pictures) + 2 * slot + 2]]
            readings[index] = max(choices, key=lambda reading: reading.confidence * len(reading.text.strip()))
        return readings[: len(pictures)]


def _framed(image: Image) -> Image:
    """The picture with a margin in its ground colour: the detector is weak at the very edge."""
    ground = np.median(image[:: max(1, len(image) // 64)], axis=(0, 1)).tolist()
    return np.asarray(
        cv2.copyMakeBorder(image, _MARGIN, _MARGIN, _MARGIN, _MARGIN, cv2.BORDER_CONSTANT, value=ground), np.uint8
    )


def _all_distinct(lines: list[LineBox]) -> list[LineBox]:
    """Lines joined until no two of them hold the same text; every pass leaves fewer."""
    joined = _distinct(lines)
    while len(joined) < len(lines):
        lines, joined = joined, _distinct(joined)
    return joined


def _distinct(lines: list[LineBox]) -> list[LineBox]:
    """Lines without those that repeat a larger one or cut into it, which then covers both."""
    ordered = sorted(lines, key=lambda line: -outline(line).area)
    boxes = [outline(line) for line in ordered]
    shared = _shared(np.array(boxes, np.float64).reshape(-1, 4))
    kept: dict[int, LineBox] = {}
    for index, line in enumerate(ordered):
        touching = np.flatnonzero(shared[index, :index] > 0).tolist()
        twins = [other for other in touching if other in kept and _are_one(boxes[index], boxes[other])]
        if not twins or not (line.is_straight and kept[twins[0]].is_straight):
            kept[index] = line
        else:
            union = hull((boxes[index], outline(kept[twins[0]])))
            kept[twins[0]] = LineBox(_corners(union), line.score)
    return list(kept.values())


def _are_one(smaller: Box, larger: Box) -> bool:
    """Whether two boxes hold the same line: one inside the other, or pieces that share a glyph."""
    if smaller.share_inside(larger) > _TWIN:
        return True
    height = max(smaller.height, larger.height)
    same_row = smaller.overlap_y(larger) > _SAME_ROW * height
    return same_row and smaller.overlap_x(larger) > _SHARED_GLYPH * height


def _shared(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas of the intersections of all pairs."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float64)


def outline(line: LineBox) -> Box:
    """The upright box around a line."""
    left, top = line.corners.min(axis=0)
    right, bottom = line.corners.max(axis=0)
    return Box(float(left), float(top), float(right), float(bottom))


def _scale(image: Image, ink: Ink) -> float:
    height, width = image.shape[:2]
    wanted: float = _WANTED_GLYPH / ink.glyph_height if ink.glyph_height else 0.6
    allowed: float = (_MAX_PIXELS / (height * width)) ** 0.5
    return min(allowed, _MAX_SCALE, max(_MIN_SCALE, wanted))


def _corners(box: Box) -> NDArray[np.float32]:
    x0, y0, x1, y1 = box
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def _unframed(box: Box, width: int, height: int) -> Box:
    return Box(box.x0 - _MARGIN, box.y0 - _MARGIN, box.x1 - _MARGIN, box.y1 - _MARGIN).clipped(width, height)


def _unframed_ink(ink: Ink) -> Ink:
    def moved(rules: tuple[Box, ...]) -> tuple[Box, ...]:
        return tuple(Box(*(value - _MARGIN for value in rule)) for rule in rules)

    mask = ink.mask[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return Ink(mask, ink.glyphs - _MARGIN, moved(ink.horizontal), moved(ink.vertical), ink.glyph_height)
